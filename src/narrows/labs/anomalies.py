"""The lab on anomalies: what an autoencoder's error detects, against simpler detectors and narrows.

Each of ten handwritten digits in turn is one that no detector has seen, and a table has cells of tumours that are not
benign. All detectors are fitted to the same normal rows.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

import numpy as np

from narrows import datasets
from narrows.errors import DataError
from narrows.labs.anomaly_figures import plot_digits, plot_table_row, plot_table_scores, plot_tasks
from narrows.labs.anomaly_systems import DETECTORS, RATES, Scorer, Task
from narrows.labs.conclusions import Compare, Measure, proportion_error
from narrows.labs.engine import Lab, Part, System

__all__ = ["AnomaliesLab"]

N_CORRUPTED = {"digits": 20, "cancer": 150}
"""Rows of each task in which one value is replaced, at most."""

FAR = 2.0
"""A replaced value is so many standard deviations of its column from the right one, at least."""

_CANCER = (
    "W. Wolberg, O. Mangasarian, N. Street and W. Street (1993). Breast Cancer Wisconsin (Diagnostic). UCI Machine "
    "Learning Repository. https://doi.org/10.24432/C5DW2B. Licence: CC BY 4.0."
)
_PERCENT = tuple(f"{100 * rate:.0f}" for rate in RATES)


class AnomaliesLab(Lab):
    """The lab on anomalies, on data that come with scikit-learn: under a minute."""

    name, prose, needs_pandas = "anomalies", "anomalies", True
    measures: ClassVar[dict[str, Measure]] = {
        **{key: Measure(f"{{{key}:.3f}}", 1) for key in ("auroc", "precision", "cancer_auroc", "cancer_precision")},
        **{f"auroc_{digit}": Measure(f"{{auroc_{digit}:.3f}}", 1) for digit in range(10)},
        **{f"fpr_{rate}": Measure(f"{{fpr_{rate}:.1%}}") for rate in _PERCENT},
        **{f"recall_{rate}": Measure(f"{{recall_{rate}:.1%}}", 1) for rate in _PERCENT},
        "digits_hits": Measure("{digits_hits:.1%}", 1),
        "cancer_hits": Measure("{cancer_hits:.1%}", 1),
        "seconds": Measure("{seconds:.1f} s"),
    }
    parts = (
        Part("detection", ("auroc", "precision", "cancer_auroc", "cancer_precision", "seconds")),
        Part("digits", tuple(f"auroc_{digit}" for digit in range(10)), figure=plot_tasks),
        Part("rates", tuple(f"{kind}_{rate}" for rate in _PERCENT for kind in ("fpr", "recall"))),
        Part("most_anomalous", figure=lambda result, theme: plot_digits(result, theme, rank=1.0)),
        Part("median", figure=lambda result, theme: plot_digits(result, theme, rank=0.5)),
        Part("missed", figure=lambda result, theme: plot_digits(result, theme, rank=0.0)),
        Part("table_scores", figure=plot_table_scores),
        Part("table_row", figure=plot_table_row),
        Part("corrupted", ("digits_hits", "cancer_hits")),
    )
    comparisons = (
        Compare("course", ("course", "pca"), "auroc"),
        Compare("neighbors", ("neighbors", "course"), "auroc"),
        Compare("narrows", ("narrows", "*"), "auroc"),
        Compare("by_digit"),
        Compare("precision", measure="precision"),
        Compare("table", ("narrows", "*"), "cancer_auroc"),
        Compare("rates", measure="fpr_5", order="fpr_order"),
        Compare("recall_1", ("narrows", "*"), "recall_1"),
        Compare("recall_5", ("narrows", "*"), "recall_5"),
        Compare("digits_hits", ("narrows", "*"), "digits_hits"),
        Compare("cancer_hits", ("narrows", "*"), "cancer_hits"),
    )

    def prepare(self, *, digits: Sequence[int] = tuple(range(10)), max_epochs: int | None = None) -> None:
        """Split both data sets into tasks."""
        if not digits or len(set(digits)) != len(digits) or not set(digits) <= set(range(10)):
            raise DataError(f"digits must be some of 0 to 9, each once, not {tuple(digits)}.")
        self.tasks = _tasks(digits, self.seed, 10**9 if max_epochs is None else max_epochs)
        cancer = self.tasks[-1]
        n_anomalies, n_test = int(cancer.labels.sum()), len(cancer.labels)
        self.facts |= {"digits": list(digits), "n_digits": len(digits), "cancer_n_train": len(cancer.train)}
        self.facts |= {"cancer_n_normal": n_test - n_anomalies, "cancer_n_anomalies": n_anomalies}
        self.facts |= {"digits_epochs": self.tasks[0].epochs, "cancer_epochs": cancer.epochs}
        self.facts["digits_n_corrupted"] = N_CORRUPTED["digits"] * len(digits)
        self.facts["cancer_n_corrupted"] = N_CORRUPTED["cancer"]
        self.artifacts = {
            task.key: {"name": task.name, "rows": task.frame(task.test), "labels": task.labels, "scores": {}}
            for task in self.tasks
        }
        known = datasets.describe("digits")
        self.sources = (f"{known.citation}. Licence: {known.licence}.", _CANCER)

    def systems(self) -> Iterable[System]:
        """Return the detectors, each of which is fitted to every task."""
        return tuple(System(key, self._fit_all(key)) for key in DETECTORS)

    def _fit_all(self, key: str) -> Callable[[], dict[str, Scorer]]:
        def fit_all() -> dict[str, Scorer]:
            found = {}
            for task in self.tasks:
                self.tell(task.name)
                found[task.key] = DETECTORS[key](task, self.seed)
            return found

        return fit_all

    def measure(self, key: str, fitted: dict[str, Scorer]) -> None:
        """Measure a detector on the test rows of every task, and on rows with one wrong value."""
        from sklearn.metrics import average_precision_score, roc_auc_score

        digits: dict[str, list[float]] = {}
        hits: dict[str, list[np.ndarray]] = {"digits": [], "cancer": []}
        for task in self.tasks:
            scorer, artifact = fitted[task.key], self.artifacts[task.key]
            artifact["scores"][key] = scores = scorer.scores(task.test)
            artifact["detector"] = scorer.detector
            values = {
                "auroc": float(roc_auc_score(task.labels, scores)),
                "precision": float(average_precision_score(task.labels, scores)),
            }
            for percent, flags in zip(_PERCENT, scorer.flags(task.test), strict=True):
                values |= {f"fpr_{percent}": float(flags[~task.labels].mean())}
                values |= {f"recall_{percent}": float(flags[task.labels].mean())}
            if scorer.attributed is not None:
                rows, columns = _corrupted(task, self.seed)
                hits[task.data].append(scorer.attributed(rows) == columns)
            if task.data == "cancer":
                n_anomalies = int(task.labels.sum())
                error = _auroc_error(values["auroc"], n_anomalies, len(task.labels) - n_anomalies)
                values = {f"cancer_{name}": value for name, value in values.items()}
                self.record(key, values | {"cancer_auroc_error": error})
            else:
                self.record(key, {f"auroc_{task.key.rpartition('-')[2]}": values["auroc"]})
                for name, value in values.items():
                    digits.setdefault(name, []).append(value)
        self.record(key, {name: float(np.mean(values)) for name, values in digits.items()})
        self.entries[key].samples.update({name: np.array(values) for name, values in digits.items()})
        for data, found in hits.items():
            if found:
                fraction, n_rows = float(np.concatenate(found).mean()), sum(map(len, found))
                error = proportion_error(fraction, n_rows)
                self.record(key, {f"{data}_hits": fraction, f"{data}_hits_error": error})

    def finish(self) -> None:
        """Find the digits that narrows detects best and worst."""
        keys = [f"auroc_{digit}" for digit in self.facts["digits"]]
        best = {key: max(entry[key] for entry in self.entries.values()) for key in keys}
        narrows = self.entries["narrows"]
        hardest = min(keys, key=lambda key: narrows[key])
        self.facts |= {
            "n_highest": sum(narrows[key] == best[key] for key in keys),
            "hardest": hardest.rpartition("_")[2],
            "hardest_auroc": narrows[hardest],
            "hardest_best": best[hardest],
            "fpr_order": -1 if self.entries["course"]["fpr_5"] > 1.3 * 0.05 else 0,
        }


def _tasks(digits: Sequence[int], seed: int, most_epochs: int) -> tuple[Task, ...]:
    from sklearn.datasets import load_breast_cancer, load_digits

    generator = np.random.default_rng(seed)

    def task(key: str, data: str, name: str, rows: np.ndarray, labels: np.ndarray, **sizes: Any) -> Task:
        """Give half of the normal rows to the fit, and the other half and all anomalies to the test."""
        normal = generator.permutation(np.flatnonzero(~labels))
        half = len(normal) // 2
        test = np.concatenate([normal[half:], np.flatnonzero(labels)])
        return Task(key, data, name, rows[normal[:half]], rows[test], labels[test], 8, **sizes)

    images, found = load_digits(return_X_y=True)
    cancer = load_breast_cancer()
    names = tuple(map(str, cancer.feature_names))
    # As many steps as the course baseline of the first lab takes on all digits.
    sizes = {"hidden": 32, "epochs": min(70, most_epochs), "white": 16.0}
    return (
        *(task(f"digits-{one}", "digits", f"digit {one} held out", images, found == one, **sizes) for one in digits),
        task(
            "cancer",
            "cancer",
            "malignant cells",
            cancer.data,
            cancer.target == 0,
            hidden=16,
            epochs=min(200, most_epochs),
            columns=names,
        ),
    )


def _corrupted(task: Task, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return normal test rows with one value of another row each, far from their own, and the columns of these."""
    generator = np.random.default_rng(seed)
    rows = task.test[~task.labels][: N_CORRUPTED[task.data]].copy()
    std = task.train.std(0)
    columns = np.empty(len(rows), dtype=np.int64)
    for number, row in enumerate(rows):
        far = (np.abs(task.train - row) >= FAR * std) & (std > 0)
        columns[number] = column = generator.choice(np.flatnonzero(far.any(0)))
        row[column] = generator.choice(task.train[far[:, column], column])
    return rows, columns


def _auroc_error(auroc: float, n_anomalies: int, n_normal: int) -> float:
    """Return the standard error of an AUROC (Hanley and McNeil 1982)."""
    first, second = auroc / (2 - auroc), 2 * auroc**2 / (1 + auroc)
    variance = auroc * (1 - auroc) + (n_anomalies - 1) * (first - auroc**2) + (n_normal - 1) * (second - auroc**2)
    return float((variance / (n_anomalies * n_normal)) ** 0.5)
