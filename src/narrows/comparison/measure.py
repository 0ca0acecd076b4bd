"""Measuring one method at one size: error, time, size, and what the codes are good for."""

from __future__ import annotations

import copy
import io
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from narrows.comparison.result import Measured
from narrows.estimator.serialization import file_size

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Bench", "Fit", "accuracies", "leading"]

BLOCK_ROWS = 2048
NEIGHBOURS = 10
TRUSTED_ROWS = 1500
TRAINING_CODES = 6000
TESTED_CODES = 2000


@dataclass(frozen=True)
class Fit:
    """A fitted model and how its first ``k`` numbers are used.

    Attributes
    ----------
    model : estimator
        PCA or an autoencoder.
    encode, decode : callable
        From rows to codes and back.
    seconds : float
        Time of the fit.
    shared : bool
        Whether it gave the models of all sizes.
    """

    model: Any
    encode: Callable[[np.ndarray], np.ndarray]
    decode: Callable[[np.ndarray], np.ndarray]
    seconds: float
    shared: bool


@dataclass(frozen=True)
class Bench:
    """The rows that everything is measured on.

    Attributes
    ----------
    train, test : ndarray of shape (n, n_features)
        Rows fitted to and held out.
    unit : ndarray of shape (n_features,) or float
        What errors are divided by.
    train_labels, test_labels : ndarray or None
        Classes.
    seed : int
        Draws the samples.
    """

    train: np.ndarray
    test: np.ndarray
    unit: Any
    train_labels: np.ndarray | None
    test_labels: np.ndarray | None
    seed: int

    def sample(self, n_rows: int, most: int) -> np.ndarray:
        """Return the numbers of at most so many rows, in order."""
        if n_rows <= most:
            return np.arange(n_rows)
        return np.sort(np.random.default_rng(self.seed).choice(n_rows, most, replace=False))

    def row_errors(self, rebuild: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """Return the mean squared error of each held-out row, computed block by block."""
        found = []
        for start in range(0, len(self.test), BLOCK_ROWS):
            rows = self.test[start : start + BLOCK_ROWS]
            error = (np.asarray(rebuild(rows), dtype=np.float64).reshape(len(rows), -1) - rows) / self.unit
            found.append(np.square(error).mean(1))
        return np.concatenate(found)

    def variance(self) -> float:
        """Return the held-out rows' mean squared distance from the mean of the training rows."""
        mean = self.train.mean(0, dtype=np.float64)
        return float(self.row_errors(lambda rows: np.broadcast_to(mean, rows.shape)).mean())

    def measure(self, method: str, size: int, fit: Fit, variance: float) -> tuple[Measured, np.ndarray]:
        """Measure a fit at one size; return with it the error of each held-out row."""
        errors = self.row_errors(lambda rows: fit.decode(fit.encode(rows)))
        codes = fit.encode(self.test)
        chosen = self.sample(len(self.test), TRUSTED_ROWS)
        known = self.train_labels is not None and self.test_labels is not None
        scores = accuracies(self, fit, codes) if known else (None, None)
        model_bytes, parameters = _size(fit.model, size)
        entry = Measured(
            method=method,
            n_components=size,
            error=float(errors.mean()),
            explained=1 - float(errors.mean()) / variance if variance > 0 else 1.0,
            fit_seconds=fit.seconds,
            shared_fit=fit.shared,
            transform_seconds=_encode_seconds(fit, self.test),
            bytes=model_bytes,
            parameters=parameters,
            steps=getattr(fit.model, "n_steps_", None),
            trustworthiness=_trust(self.test[chosen] / self.unit, codes[chosen]),
            neighbour_accuracy=scores[0],
            linear_accuracy=scores[1],
        )
        return entry, errors


def leading(pca: Any, size: int) -> Any:
    """Return the PCA of the first few components of a larger one."""
    small = copy.copy(pca)
    for name in ("components_", "explained_variance_", "explained_variance_ratio_", "singular_values_"):
        setattr(small, name, getattr(pca, name)[:size])
    small.n_components = small.n_components_ = size
    return small


def _encode_seconds(fit: Fit, rows: np.ndarray) -> float:
    """Return the time to encode 1,000 rows: the best of three."""
    some = rows[:5000]
    found = []
    for _ in range(3):
        start = time.perf_counter()
        fit.encode(some)
        found.append(time.perf_counter() - start)
    return min(found) / len(some) * 1000


def _size(model: Any, size: int) -> tuple[int, int]:
    """Return the bytes that a model takes on disk, and the numbers in it."""
    if hasattr(model, "components_"):
        buffer = io.BytesIO()
        np.savez(buffer, components=model.components_[:size].astype(np.float32), mean=model.mean_.astype(np.float32))
        return buffer.getbuffer().nbytes, (size + 1) * model.mean_.size
    modules = (model.encoder_, model.decoder_)
    return file_size(model), sum(p.numel() for module in modules for p in module.parameters())


def _trust(rows: np.ndarray, codes: np.ndarray) -> float:
    from sklearn.manifold import trustworthiness

    # The measure is defined for fewer neighbours than half the rows.
    neighbours = min(NEIGHBOURS, (len(rows) - 1) // 2)
    return float(trustworthiness(rows, codes, n_neighbors=neighbours)) if neighbours >= 1 else 1.0


def accuracies(bench: Bench, fit: Fit, test_codes: np.ndarray) -> tuple[float, float]:
    """Return the accuracy of nearest neighbours and of logistic regression on codes."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    assert bench.train_labels is not None
    assert bench.test_labels is not None
    learnt = bench.sample(len(bench.train), TRAINING_CODES)
    asked = bench.sample(len(bench.test), TESTED_CODES)
    codes, labels = fit.encode(bench.train[learnt]), bench.train_labels[learnt]
    neighbours = KNeighborsClassifier(min(5, len(codes))).fit(codes, labels)
    found = [float((neighbours.predict(test_codes[asked]) == bench.test_labels[asked]).mean())]
    if len(np.unique(labels)) < 2:
        return found[0], found[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        linear = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300)).fit(codes, labels)
    found.append(float((linear.predict(test_codes[asked]) == bench.test_labels[asked]).mean()))
    return found[0], found[1]
