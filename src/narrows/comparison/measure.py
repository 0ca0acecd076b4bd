"""Measuring one method at one size: error, time, size on disk, and what the codes are good for."""

import io
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from narrows.data.rows import sample_numbers
from narrows.estimator.serialization import file_size

__all__ = ["METHODS", "TESTED_CODES", "TRAINING_CODES", "TRUSTED_ROWS", "FittedMethod", "HeldOut", "MethodResult"]

METHODS = {"pca": "PCA", "linear": "linear autoencoder", "autoencoder": "autoencoder"}

BLOCK_ROWS = 2048
N_NEIGHBORS = 10
TRUSTED_ROWS = 1500
TRAINING_CODES = 6000
TESTED_CODES = 2000


@dataclass(frozen=True)
class MethodResult:
    """One method with a code of one size, measured on held-out rows.

    Attributes
    ----------
    method : str
        ``"pca"``, ``"linear"`` or ``"autoencoder"``.
    n_components : int
        Dimension of the code.
    error : float
        Mean squared error per value, in the data's units; with ``scaling="standard"`` in standard deviations.
    explained : float
        Fraction of the variance about the mean of the training rows that the reconstruction explains, at most 1.
    fit_seconds : float
        Time of the fit that this model came from; see ``shared_fit``. Does not count when results are compared.
    shared_fit : bool
        Whether one fit gave the models of all sizes, so that its time counts once.
    transform_seconds : float
        Time to encode 1,000 rows.
    bytes : int
        Size of the model on disk. Does not count either: a model file holds its own times.
    parameters : int
        Numbers in the model.
    steps : int or None
        Training steps, for networks.
    trustworthiness : float
        Fraction of neighbourhoods that the code keeps, 0 to 1 (Venna and Kaski 2001), of 10 neighbours.
    neighbour_accuracy, linear_accuracy : float or None
        Accuracy on held-out rows of classifiers on the codes, the 5 nearest neighbours and logistic regression; None
        without labels, and with labels that cannot tell codes apart.
    majority_accuracy : float or None
        The fraction of the commonest class among the held-out rows: what a classifier must beat.
    """

    method: str
    n_components: int
    error: float
    explained: float
    fit_seconds: float = field(compare=False)
    shared_fit: bool
    transform_seconds: float = field(compare=False)
    bytes: int = field(compare=False)
    parameters: int
    steps: int | None
    trustworthiness: float
    neighbour_accuracy: float | None = None
    linear_accuracy: float | None = None
    majority_accuracy: float | None = None


@dataclass(frozen=True)
class FittedMethod:
    """A fitted model, and the way from rows to codes of one size and back; see :class:`MethodResult` for the rest."""

    model: Any
    encode: Callable[[np.ndarray], np.ndarray]
    decode: Callable[[np.ndarray], np.ndarray]
    seconds: float
    shared: bool


@dataclass(frozen=True)
class HeldOut:
    """Rows to fit to and rows to measure on, with what errors are divided by and the seed that draws samples."""

    train: np.ndarray
    test: np.ndarray
    unit: Any
    train_labels: np.ndarray | None
    test_labels: np.ndarray | None
    seed: int

    def sample(self, n_rows: int, most: int) -> np.ndarray:
        """Return the numbers of at most so many rows, in order."""
        return sample_numbers(n_rows, most, self.seed)

    def row_errors(self, reconstruct: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """Return the mean squared error of each held-out row, computed block by block."""
        errors = []
        for start in range(0, len(self.test), BLOCK_ROWS):
            rows = self.test[start : start + BLOCK_ROWS]
            error = (np.asarray(reconstruct(rows), dtype=np.float64).reshape(len(rows), -1) - rows) / self.unit
            errors.append(np.square(error).mean(1))
        return np.concatenate(errors)

    def variance(self) -> float:
        """Return the held-out rows' mean squared distance from the mean of the training rows."""
        mean = self.train.mean(0, dtype=np.float64)
        return float(self.row_errors(lambda rows: np.broadcast_to(mean, rows.shape)).mean())

    @property
    def majority_accuracy(self) -> float | None:
        """The fraction of the commonest class among the held-out rows, None without labels."""
        if self.train_labels is None or self.test_labels is None:
            return None
        return float(np.unique(self.test_labels, return_counts=True)[1].max() / len(self.test_labels))

    @property
    def labels_tell(self) -> bool:
        """Whether there are several classes, and rows enough of each that a classifier could learn them."""
        if self.majority_accuracy is None or self.train_labels is None:
            return False
        labels = self.train_labels[self.sample(len(self.train), TRAINING_CODES)]
        return 1 < len(np.unique(labels)) <= len(labels) / 2

    def measure(self, method: str, size: int, fit: FittedMethod, variance: float) -> tuple[MethodResult, np.ndarray]:
        """Measure a fit at one size; return with it the error of each held-out row."""
        errors = self.row_errors(lambda rows: fit.decode(fit.encode(rows)))
        codes = fit.encode(self.test)
        chosen = self.sample(len(self.test), TRUSTED_ROWS)
        accuracies = self._accuracies(fit, codes) if self.labels_tell else (None, None)
        n_bytes, parameters = _size(fit.model, size)
        result = MethodResult(
            method=method,
            n_components=size,
            error=float(errors.mean()),
            explained=1 - float(errors.mean()) / variance if variance > 0 else 1.0,
            fit_seconds=fit.seconds,
            shared_fit=fit.shared,
            transform_seconds=_encode_seconds(fit, self.test),
            bytes=n_bytes,
            parameters=parameters,
            steps=getattr(fit.model, "n_steps_", None),
            trustworthiness=_trustworthiness(self.test[chosen] / self.unit, codes[chosen]),
            neighbour_accuracy=accuracies[0],
            linear_accuracy=accuracies[1],
            majority_accuracy=self.majority_accuracy,
        )
        return result, errors

    def _accuracies(self, fit: FittedMethod, test_codes: np.ndarray) -> tuple[float, float]:
        """Return the accuracy of nearest neighbours and of logistic regression on codes."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression
        from sklearn.neighbors import KNeighborsClassifier
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        assert self.train_labels is not None
        assert self.test_labels is not None
        train = self.sample(len(self.train), TRAINING_CODES)
        test = self.sample(len(self.test), TESTED_CODES)
        codes, labels = fit.encode(self.train[train]), self.train_labels[train]
        neighbors = KNeighborsClassifier(min(5, len(codes))).fit(codes, labels)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            linear = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300)).fit(codes, labels)
        truth = self.test_labels[test]
        by_neighbors, by_line = (float((c.predict(test_codes[test]) == truth).mean()) for c in (neighbors, linear))
        return by_neighbors, by_line


def _encode_seconds(fit: FittedMethod, rows: np.ndarray) -> float:
    """Return the time to encode 1,000 rows: the best of three."""
    some = rows[:5000]
    times = []
    for _ in range(3):
        start = time.perf_counter()
        fit.encode(some)
        times.append(time.perf_counter() - start)
    return min(times) / len(some) * 1000


def _size(model: Any, size: int) -> tuple[int, int]:
    """Return the bytes that a model takes on disk, and the numbers in it."""
    if hasattr(model, "components_"):
        buffer = io.BytesIO()
        np.savez(buffer, components=model.components_[:size].astype(np.float32), mean=model.mean_.astype(np.float32))
        return buffer.getbuffer().nbytes, (size + 1) * model.mean_.size
    modules = (model.encoder_, model.decoder_)
    return file_size(model), sum(p.numel() for module in modules for p in module.parameters())


def _trustworthiness(rows: np.ndarray, codes: np.ndarray) -> float:
    from sklearn.manifold import trustworthiness

    # The measure is defined for fewer neighbours than half the rows.
    n_neighbors = min(N_NEIGHBORS, (len(rows) - 1) // 2)
    return float(trustworthiness(rows, codes, n_neighbors=n_neighbors)) if n_neighbors >= 1 else 1.0
