"""Boosted trees as arrays: taken from fitted scikit-learn models, checked when they are read, and run without them.

All trees stand in one list of nodes. A node sends a record to the left if the number of its feature is at most its
threshold, or if that number is missing and `missing_left` is 1; otherwise to the right. A leaf is its own child. The
logit of a class, or a predicted number, is where its boosting started plus the value of a leaf of each of its trees.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

VARIES = -1  # a column that has trees, because its targets in training are not all the same
MOST = 2**16  # pairs of a record and a tree at a time
NODE = {  # of each node
    "feature": np.dtype(np.int32),
    "threshold": np.dtype(np.float64),
    "missing_left": np.dtype(np.uint8),
    "left": np.dtype(np.int32),
    "right": np.dtype(np.int32),
    "value": np.dtype(np.float64),
}
TREE = {"nodes": np.dtype(np.int32)}
COLUMN = {"trees": np.dtype(np.int32), "start": np.dtype(np.float64), "constant": np.dtype(np.int8)}


@dataclass(frozen=True)
class Forest:
    """The N nodes of T trees of C columns.

    Args:
        feature: int32 ``[N]``, the feature that a node looks at.
        threshold: float64 ``[N]``, the largest number that goes to the left.
        missing_left: uint8 ``[N]``, whether a missing number goes to the left.
        left: int32 ``[N]``, index of the left child; a leaf's own index.
        right: int32 ``[N]``, index of the right child; a leaf's own index.
        value: float64 ``[N]``, what a leaf adds.
        nodes: int32 ``[T]``, nodes per tree; each tree follows the one before, and begins with its root.
        trees: int32 ``[C]``, trees per column.
        start: float64 ``[C]``, the logit or number without any tree.
        constant: int8 ``[C]``, the class of every record in training, 0 or 1; `VARIES` for a column with trees.
    """

    feature: NDArray[np.int32]
    threshold: NDArray[np.float64]
    missing_left: NDArray[np.uint8]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    value: NDArray[np.float64]
    nodes: NDArray[np.int32]
    trees: NDArray[np.int32]
    start: NDArray[np.float64]
    constant: NDArray[np.int8]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]], *, columns: int, features: int, leaves: int) -> "Forest":
        """Return the forest of arrays that were read from a file.

        Args:
            arrays: The arrays that `arrays` returned, or others of a damaged or hostile file.
            columns: Number of columns, C.
            features: Number of features of a record.
            leaves: Leaves per tree at most.

        Raises:
            KeyError: An array is missing.
            ValueError: The arrays are no such trees: another number format or length, a child that is not behind its
                parent in the same tree, a feature that does not exist, or a number that is none.
        """
        formats = {**NODE, **TREE, **COLUMN}
        for name, dtype in formats.items():
            if arrays[name].dtype != dtype or arrays[name].ndim != 1:
                raise ValueError(f"{name} is {arrays[name].dtype} {list(arrays[name].shape)}, not a list of {dtype}")
        found = cls(**{name: arrays[name] for name in formats})
        _check_lengths(found, columns, leaves)
        _check_nodes(found, features)
        return found

    @cached_property
    def roots(self) -> NDArray[np.int64]:
        """Index of the root of each tree, ``[T]``."""
        return np.cumsum(self.nodes, dtype=np.int64) - self.nodes

    @cached_property
    def depth(self) -> int:
        """Number of steps from a root to the farthest leaf."""
        steps, level = 0, self.roots
        # Children stand behind their parents in trees of bounded size, so this ends, also for nodes with two parents.
        while len(level := level[self.left[level] != level]):
            steps, level = steps + 1, np.unique(np.concatenate([self.left[level], self.right[level]]))
        return steps

    def logits(self, pooled: NDArray[Any]) -> NDArray[np.float64]:
        """Return logits or numbers ``[R, C]`` of features ``[R, D]``; of a constant class, where it started."""
        found = np.empty((len(pooled), len(self.trees)))
        size = max(1, MOST // max(1, len(self.nodes)))
        for begin in range(0, len(pooled), size):
            piece = slice(begin, begin + size)
            found[piece] = self._piece(np.asarray(pooled[piece], np.float64))
        return found

    def _piece(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        at = np.broadcast_to(self.roots, (len(x), len(self.roots)))  # (R, T)
        for _ in range(self.depth):
            seen = np.take_along_axis(x, self.feature[at], axis=1)
            left = (seen <= self.threshold[at]) | (np.isnan(seen) & (self.missing_left[at] != 0))
            at = np.where(left, self.left[at], self.right[at])
        columns = np.split(self.value[at], np.cumsum(self.trees)[:-1], axis=1)
        return self.start + np.stack([column.sum(axis=1) for column in columns], axis=1)


def _check_lengths(forest: Forest, columns: int, leaves: int) -> None:
    arrays = forest.arrays()
    N = len(forest.feature)
    if {len(arrays[name]) for name in NODE} != {N} or {len(arrays[name]) for name in COLUMN} != {columns}:
        raise ValueError("the arrays of its trees do not have the right lengths")
    most = 2 * leaves - 1
    if ((forest.nodes < 1) | (forest.nodes > most)).any() or (forest.trees < 0).any():
        raise ValueError(f"a tree has no node or more than {most}")
    if forest.nodes.sum(dtype=np.int64) != N or forest.trees.sum(dtype=np.int64) != len(forest.nodes):
        raise ValueError("its trees do not add up to its nodes")


def _check_nodes(forest: Forest, features: int) -> None:
    here, ends = np.arange(len(forest.feature)), np.repeat(forest.roots + forest.nodes, forest.nodes)
    leaf = (forest.left == here) & (forest.right == here)
    inner = (forest.left > here) & (forest.right > here) & (forest.left < ends) & (forest.right < ends)
    if not (leaf | inner).all():
        raise ValueError("a node of a tree has a child that is not behind it in the same tree")
    if ((forest.feature < 0) | (forest.feature >= features)).any():
        raise ValueError(f"a tree looks at a feature that is none of the {features}")
    if np.isnan(forest.threshold).any() or not (np.isfinite(forest.value).all() and np.isfinite(forest.start).all()):
        raise ValueError("a threshold or a value of a tree is no number")
    if not np.isin(forest.constant, (VARIES, 0, 1)).all():
        raise ValueError("a class is neither 0 nor 1")


def grown(models: Sequence[Any], trees: Sequence[int], start: NDArray[np.float64], constant: NDArray[Any]) -> Forest:
    """Return the first trees of fitted histogram boosting models of scikit-learn, one per column.

    Args:
        models: The models, fitted to features without categories; None for a column without trees.
        trees: Number of trees to take of each model.
        start: Logit or number of each column without a model, ``[C]``.
        constant: See `Forest`.
    """
    kept = [
        [] if model is None else [stage[0].nodes for stage in model._predictors[:count]]
        for model, count in zip(models, trees, strict=True)
    ]
    every = [nodes for column in kept for nodes in column]
    sizes = np.array([len(nodes) for nodes in every], np.int32)
    before, here = np.repeat(np.cumsum(sizes) - sizes, sizes), np.arange(sizes.sum())

    def joined(name: str) -> NDArray[Any]:
        return np.concatenate([nodes[name] for nodes in every]) if every else np.empty(0)

    leaf = joined("is_leaf") != 0
    begun = [float(at if m is None else m._baseline_prediction.item()) for m, at in zip(models, start, strict=True)]
    return Forest(
        feature=np.where(leaf, 0, joined("feature_idx")).astype(np.int32),
        threshold=np.where(leaf, 0, joined("num_threshold")).astype(np.float64),
        missing_left=np.where(leaf, 0, joined("missing_go_to_left")).astype(np.uint8),
        left=np.where(leaf, here, before + joined("left")).astype(np.int32),
        right=np.where(leaf, here, before + joined("right")).astype(np.int32),
        value=np.where(leaf, joined("value"), 0).astype(np.float64),
        nodes=sizes,
        trees=np.array([len(column) for column in kept], np.int32),
        start=np.array(begun, np.float64),
        constant=constant.astype(np.int8),
    )
