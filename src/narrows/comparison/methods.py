"""The three methods of a comparison: PCA, a linear autoencoder from a random start, and narrows' autoencoder."""

import copy
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from narrows.autoencoder import Autoencoder
from narrows.comparison.measure import METHODS, FittedMethod, HeldOut
from narrows.errors import NotBetterThanBaselineWarning
from narrows.likelihoods import Gaussian
from narrows.networks import Dense

__all__ = ["Progress", "fit_networks", "fit_pca", "measuring_progress", "pca_curve"]

Progress = Callable[[str, float], None]
"""Told of the stage, and which fraction of all is done."""

LINEAR_STEPS = 3000
MANY_ROWS = 20_000

_FRACTIONS = {"PCA": 0.02, "linear autoencoder": 0.2, "autoencoder": 0.6, "measuring": 0.18}
"""Of the time that a comparison takes, for the progress bar."""

_RECORDS = 26


def measuring_progress(done: float) -> float:
    """Return which fraction of all is done when so much has been measured."""
    return 1 - _FRACTIONS["measuring"] * (1 - done)


def fit_pca(data: HeldOut, sizes: Sequence[int]) -> tuple[Any, dict[tuple[str, int], FittedMethod]]:
    """Fit PCA once: its first components are those of every smaller one."""
    from sklearn.decomposition import PCA

    # From the covariance matrix all components cost the same as a few.
    few = data.train.shape[1] <= 1000
    solver, most = ("covariance_eigh", min(data.train.shape)) if few else ("randomized", sizes[-1])
    began = time.perf_counter()
    # In float32 the covariance of columns far from zero would be mostly rounding, and PCA's error far too large.
    scaled = np.asarray(data.train / data.unit if np.ndim(data.unit) else data.train, dtype=np.float64)
    with np.errstate(invalid="ignore"):  # of rows that are all the same
        pca = PCA(most, svd_solver=solver, random_state=data.seed).fit(scaled)
    seconds = time.perf_counter() - began
    return pca, {("pca", size): _pca_method(_truncated(pca, size), data.unit, seconds) for size in sizes}


def _truncated(pca: Any, size: int) -> Any:
    """Return the PCA of the first few components of a larger one."""
    small = copy.copy(pca)
    for name in ("components_", "explained_variance_", "explained_variance_ratio_", "singular_values_"):
        setattr(small, name, getattr(pca, name)[:size])
    small.n_components = small.n_components_ = size
    return small


def _pca_method(pca: Any, unit: Any, seconds: float) -> FittedMethod:
    def encode(rows: np.ndarray) -> np.ndarray:
        return pca.transform(rows / unit if np.ndim(unit) else rows)

    return FittedMethod(pca, encode, lambda codes: pca.inverse_transform(codes) * unit, seconds, shared=True)


def pca_curve(data: HeldOut, pca: Any) -> np.ndarray:
    """Return PCA's error with 1, 2, 3, ... components: what each further one takes away is its own square."""
    fit = _pca_method(pca, data.unit, 0.0)
    mean = fit.decode(np.zeros((1, pca.n_components_)))
    errors = data.row_errors(lambda rows: np.broadcast_to(mean, rows.shape))
    squares = np.square(np.asarray(fit.encode(data.test), dtype=np.float64)).mean(0) / data.test.shape[1]
    return float(errors.mean()) - np.cumsum(squares)


def fit_networks(
    data: HeldOut, sizes: Sequence[int], common: dict[str, Any], own: dict[str, Any], tell: Progress, *, ordered: bool
) -> dict[tuple[str, int], FittedMethod]:
    """Fit the linear autoencoders, and one ordered autoencoder for all sizes or one for each."""
    # From a random start a linear network needs many steps, whatever the number of rows, to come near PCA.
    batch = 256 if len(data.train) > MANY_ROWS else 32
    linear = {
        "network": Dense((), linear_path=False),
        "likelihood": Gaussian("none"),
        "batch_size": batch,
        "max_epochs": -(-LINEAR_STEPS * batch // len(data.train)),
        "learning_rate": 1e-2 if data.train.shape[1] < 200 else 5e-3,
        **common,
    }
    jobs = [("linear", size, linear) for size in sizes]
    if ordered:
        jobs.append(("autoencoder", sizes[-1], {**own, "ordered": True}))
    else:
        jobs += [("autoencoder", size, own) for size in sizes]
    fits: dict[tuple[str, int], FittedMethod] = {}
    start = _FRACTIONS["PCA"]
    for method, size, options in jobs:
        stage = METHODS[method]
        fraction = _FRACTIONS[stage] / sum(job[0] == method for job in jobs)
        model, seconds = _fit(data, Autoencoder(size, **options), tell, stage, start, fraction)
        start += fraction
        shared = method == "autoencoder" and ordered
        for small in sizes if shared else (size,):
            fits[method, small] = _network_method(model, small, seconds, shared=shared)
    return fits


def _network_method(model: Autoencoder, size: int, seconds: float, *, shared: bool) -> FittedMethod:
    def encode(rows: np.ndarray) -> np.ndarray:
        return model.transform(rows, size) if shared else model.transform(rows)

    return FittedMethod(model, encode, model.inverse_transform, seconds, shared=shared)


def _fit(
    data: HeldOut, model: Autoencoder, tell: Progress, stage: str, start: float, fraction: float
) -> tuple[Autoencoder, float]:
    """Fit one autoencoder and tell of its progress; return with it the seconds that took."""
    tell(stage, start)
    records = 0
    fraction *= 0.999  # so that rounding never puts the end of one stage after the start of the next

    def on_record(record: dict[str, Any]) -> None:  # noqa: ARG001
        nonlocal records
        records += 1
        tell(stage, start + fraction * min(1.0, records / _RECORDS))

    model.set_params(callbacks=(*model.callbacks, on_record))
    began = time.perf_counter()
    with warnings.catch_warnings():
        # The comparison says itself what is not better than what.
        warnings.simplefilter("ignore", NotBetterThanBaselineWarning)
        model.fit(data.train)
    return model.set_params(callbacks=model.callbacks[:-1]), time.perf_counter() - began
