"""The detectors that the lab on anomalies holds against each other, each fitted to the normal rows of a task."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from narrows.anomaly import AnomalyDetector
from narrows.labs.course_baseline import course_autoencoder
from narrows.labs.engine import fit

__all__ = ["DETECTORS", "RATES", "Scorer", "Task"]

RATES = (0.01, 0.05, 0.1)
"""False-positive rates that thresholds are set for."""

N_NEIGHBORS = 5

Function = Callable[[np.ndarray], np.ndarray]
"""Of rows."""


@dataclass(frozen=True)
class Task:
    """Normal rows to fit, and normal and anomalous ones (labels) to tell apart.

    The sizes are those of the course baseline; PCA has as many components. Pixels are divided by ``white``; where it is
    None, the columns are standardised.
    """

    key: str
    data: str
    name: str
    train: np.ndarray
    test: np.ndarray
    labels: np.ndarray
    n_components: int
    hidden: int
    epochs: int
    white: float | None = None
    columns: tuple[str, ...] | None = None

    def frame(self, rows: np.ndarray) -> Any:
        """Return rows as a frame where their columns have names."""
        if self.columns is None:
            return rows
        import pandas as pd

        return pd.DataFrame(rows, columns=list(self.columns))

    def scaler(self) -> Function:
        """Return what brings rows to the scale that courses train on."""
        if self.white is not None:
            return lambda rows: (rows / self.white).astype(np.float32)
        scale = _standardiser(self.train)
        return lambda rows: scale(rows).astype(np.float32)


@dataclass(frozen=True)
class Scorer:
    """A fitted detector, as functions of rows.

    They give anomaly scores; whether these are above the threshold of each of :data:`RATES`, shape (n_rates, n); and
    the number of the column with the highest attribution.
    """

    scores: Function
    flags: Function
    attributed: Function | None = None
    detector: AnomalyDetector | None = None


def _standardiser(train: np.ndarray) -> Function:
    from sklearn.preprocessing import StandardScaler

    return StandardScaler().fit(train).transform


def _with_quantiles(scores: Function, of_fit: np.ndarray, attributed: Function | None = None) -> Scorer:
    """Return a detector with the usual thresholds: quantiles of the scores of the rows of the fit."""
    thresholds = np.quantile(of_fit, [1 - rate for rate in RATES])
    return Scorer(scores, lambda rows: scores(rows) > thresholds[:, None], attributed)


def _by_error(task: Task, reconstruct: Function) -> Scorer:
    """Return the detector by squared reconstruction errors, of a row and of each column."""
    scale = task.scaler()

    def errors(rows: np.ndarray) -> np.ndarray:
        scaled = scale(rows)
        return np.square(reconstruct(scaled).astype(np.float64) - scaled)

    return _with_quantiles(
        lambda rows: errors(rows).mean(1), errors(task.train).mean(1), lambda rows: errors(rows).argmax(1)
    )


def _course(task: Task, seed: int) -> Scorer:
    output = "identity" if task.white is None else "sigmoid"
    model = course_autoencoder(task.n_components, task.hidden, epochs=task.epochs, seed=seed, output=output)
    return _by_error(task, fit(model, task.scaler()(task.train)).reconstruct)


def _pca(task: Task, seed: int) -> Scorer:
    from sklearn.decomposition import PCA

    pca = PCA(task.n_components, random_state=seed).fit(task.scaler()(task.train))
    return _by_error(task, lambda rows: pca.inverse_transform(pca.transform(rows)))


def _neighbors(task: Task, seed: int) -> Scorer:  # noqa: ARG001
    from sklearn.neighbors import NearestNeighbors

    scale = _standardiser(task.train)
    index = NearestNeighbors(n_neighbors=N_NEIGHBORS).fit(scale(task.train))
    # Of a row of the fit, the neighbours are others.
    return _with_quantiles(lambda rows: index.kneighbors(scale(rows))[0][:, -1], index.kneighbors()[0][:, -1])


def _forest(task: Task, seed: int) -> Scorer:
    from sklearn.ensemble import IsolationForest

    forest = IsolationForest(random_state=seed).fit(task.train)
    return _with_quantiles(lambda rows: -forest.score_samples(rows), -forest.score_samples(task.train))


def _narrows(task: Task, seed: int) -> Scorer:
    detector = AnomalyDetector(random_state=seed).fit(task.frame(task.train))
    names = task.columns or [f"x{number}" for number in range(task.train.shape[1])]

    def attributed(rows: np.ndarray) -> np.ndarray:
        first = detector.explain(task.frame(rows), top=1)
        return np.array([names.index(name) for name in first["column"]])

    return Scorer(
        lambda rows: detector.anomaly_score(task.frame(rows)),
        lambda rows: detector.p_values(task.frame(rows)) <= np.array(RATES)[:, None],
        attributed,
        detector,
    )


DETECTORS = {"course": _course, "pca": _pca, "neighbors": _neighbors, "forest": _forest, "narrows": _narrows}
"""What fits each detector to a task, from a seed."""
