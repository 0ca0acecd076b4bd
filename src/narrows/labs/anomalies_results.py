"""What the lab on anomalies gives: plain data, and what the report shows."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from narrows.anomaly import AnomalyDetector

__all__ = ["RATES", "AnomalyExhibits", "AnomalyResult", "AnomalyScore", "Blame", "Exhibit", "Method", "Task"]

RATES = (0.01, 0.05, 0.1)
"""Shares of ordinary rows that thresholds are to let pass as anomalies."""


@dataclass(frozen=True)
class Task:
    """Ordinary rows to fit, and ordinary and strange ones to tell apart.

    Attributes
    ----------
    key, data, name : str
        ``"digits-7"``, its data set ``"digits"``, and for people.
    n_train, n_ordinary, n_anomalies : int
        Rows of the fit, and rows of both kinds of the test.
    """

    key: str
    data: str
    name: str
    n_train: int
    n_ordinary: int
    n_anomalies: int


@dataclass(frozen=True)
class Method:
    """A way of scoring rows.

    Attributes
    ----------
    key, name, description : str
        A key, a short name, and one line on what it is.
    """

    key: str
    name: str
    description: str


@dataclass(frozen=True)
class AnomalyScore:
    """How a method did at a task.

    Attributes
    ----------
    task, method : str
        Their keys.
    auroc : float
        In what share of all pairs the anomaly scores higher than the ordinary row.
    average_precision : float
        Precision, averaged over what is found from the highest score down.
    passed, found : tuple of float
        For each of :data:`RATES`, the share of ordinary test rows and of anomalies above the threshold that was to let
        so many ordinary rows pass.
    seconds : float
        Time of the fit and its threshold. Does not count when results are compared.
    """

    task: str
    method: str
    auroc: float
    average_precision: float
    passed: tuple[float, ...]
    found: tuple[float, ...]
    seconds: float = field(compare=False)


@dataclass(frozen=True)
class Blame:
    """How often the one column that was made wrong is the first to blame.

    Attributes
    ----------
    data, method : str
        A data set, and the key of a method.
    n_rows, first : int
        Ordinary test rows with one value of another row, and in how many of them that column was blamed first.
    """

    data: str
    method: str
    n_rows: int
    first: int


@dataclass(frozen=True, eq=False)
class Exhibit:
    """A task as the report shows it.

    Attributes
    ----------
    detector : AnomalyDetector
        The fitted detector.
    rows : ndarray or frame of shape (n_test, n_features)
        The test rows.
    labels : ndarray of bool, shape (n_test,)
        Which of them are anomalies.
    scores : dict of str to ndarray, shape (n_test,)
        What each method says of them.
    """

    detector: AnomalyDetector
    rows: Any
    labels: np.ndarray
    scores: dict[str, np.ndarray]


AnomalyExhibits = dict[str, Exhibit]
"""Of each task, by its key."""


@dataclass(frozen=True)
class AnomalyResult:
    """The lab, run. Two runs are equal when all but their times is.

    Attributes
    ----------
    seed : int
        What everything random came from.
    tasks : tuple of Task
        Each digit held out, and the table.
    methods : tuple of Method
        All that were held against each other.
    scores : tuple of AnomalyScore
        Of each method at each task.
    blames : tuple of Blame
        Whether the right column is blamed.
    notes : tuple of str
        How the lab was set up, a sentence each.
    sources : tuple of str
        The data's licences and citations.
    exhibits : dict of Exhibit
        What the report shows, by the key of a task.
    """

    seed: int
    tasks: tuple[Task, ...]
    methods: tuple[Method, ...]
    scores: tuple[AnomalyScore, ...]
    blames: tuple[Blame, ...]
    notes: tuple[str, ...]
    sources: tuple[str, ...]
    exhibits: AnomalyExhibits = field(repr=False, compare=False)

    def __getitem__(self, key: tuple[str, str]) -> AnomalyScore:
        """Return the score of a task and a method."""
        for score in self.scores:
            if (score.task, score.method) == key:
                return score
        raise KeyError(key)

    def method(self, key: str) -> Method:
        """Return the method of this key."""
        return next(method for method in self.methods if method.key == key)

    def tasks_of(self, data: str) -> tuple[Task, ...]:
        """Return the tasks on a data set."""
        return tuple(task for task in self.tasks if task.data == data)

    def values(self, data: str, method: str, measure: str, rate: float | None = None) -> np.ndarray:
        """Return a measure of a method at each task on a data set.

        Parameters
        ----------
        data, method : str
            The data set, and the key of the method.
        measure : {"auroc", "average_precision", "passed", "found", "seconds"}
            Of what.
        rate : float, optional
            Of ``"passed"`` and ``"found"``, at which of :data:`RATES`.
        """
        found = [getattr(self[task.key, method], measure) for task in self.tasks_of(data)]
        return np.array(found if rate is None else [values[RATES.index(rate)] for values in found])

    def blame(self, data: str, method: str) -> Blame:
        """Return how often a method blames the right column."""
        return next(blame for blame in self.blames if (blame.data, blame.method) == (data, method))

    @property
    def lessons(self) -> tuple[str, ...]:
        """What the numbers say, a sentence each."""
        from narrows.labs.anomalies_lessons import anomaly_lessons

        return anomaly_lessons(self)

    def to_dict(self) -> dict[str, Any]:
        """Return the result as dictionaries, lists, text and numbers, ready for JSON.

        Returns
        -------
        dict
            Without the exhibits.
        """
        parts = ("tasks", "methods", "scores", "blames")
        plain: dict[str, Any] = {"name": "anomalies", "seed": self.seed, "rates": list(RATES)}
        plain |= {name: [asdict(part) for part in getattr(self, name)] for name in parts}
        for score in plain["scores"]:
            score["passed"], score["found"] = list(score["passed"]), list(score["found"])
        return plain | {"notes": list(self.notes), "sources": list(self.sources), "lessons": list(self.lessons)}
