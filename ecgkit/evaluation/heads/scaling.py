"""The scaling of features by the mean and the standard deviation of the training part, restored from arrays."""

from sklearn.preprocessing import StandardScaler

from ecgkit.evaluation.heads.base import Arrays


def scaler_of(state: Arrays) -> StandardScaler:
    """Return a fitted scaler from its ``mean`` and ``scale``, ``[D]`` each."""
    scaler = StandardScaler()
    scaler.mean_, scaler.scale_ = state["mean"], state["scale"]
    scaler.var_, scaler.n_features_in_ = scaler.scale_**2, len(scaler.mean_)
    return scaler
