"""Reference vectors as tests read them: arrays, sizes and weights come from the file, whatever its sizes are."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Reference:
    """One ``.npz`` file of reference vectors.

    Args:
        file: The file.
    """

    def __init__(self, file: Path) -> None:
        with np.load(file) as arrays:
            self.arrays: dict[str, NDArray[Any]] = {name: arrays[name] for name in arrays.files}
        self.sizes: dict[str, Any] = json.loads(str(self.arrays.get("config", "{}")))

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.arrays[name]

    def __contains__(self, name: object) -> bool:
        return name in self.arrays

    def tensor(self, name: str) -> Tensor:
        """Return one array as a tensor."""
        return torch.from_numpy(self.arrays[name])

    def weights(self, prefix: str = "sd/") -> dict[str, Tensor]:
        """Return the stored parameters by the reference's own names."""
        found = (name for name in self.arrays if name.startswith(prefix))
        return {name.removeprefix(prefix): self.tensor(name) for name in found}

    def filled(self, prefix: str = "") -> dict[str, Tensor]:
        """Return the parameters that the fill rule draws from their place in the sorted list of names."""
        names, shapes = (self.arrays[f"{prefix}{what}"].tolist() for what in ("names", "shapes"))
        base = self.sizes["fill_base"]
        base = base[prefix.rstrip("/")] if isinstance(base, dict) else base
        return {
            name: _drawn(base + i, name, tuple(map(int, re.findall(r"\d+", shape))))
            for i, (name, shape) in enumerate(zip(names, shapes, strict=True))
        }


def _drawn(seed: int, name: str, shape: tuple[int, ...]) -> Tensor:
    r = np.random.RandomState(seed)
    if name.endswith("running_mean"):
        value = 0.1 * r.standard_normal(shape)
    elif name.endswith("running_var"):
        value = 0.5 + r.random_sample(shape)
    elif len(shape) > 1:
        value = r.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))
    else:
        value = 0.1 * r.standard_normal(shape) + float(name.endswith("weight"))
    return torch.from_numpy(np.asarray(value, np.float32))


def close(actual: Tensor, expected: Any, atol: float = 1e-5) -> None:
    """Compare with a reference: `atol`, and 1e-4 of the value."""
    np.testing.assert_allclose(actual.detach().numpy(), expected, atol=atol, rtol=1e-4)
