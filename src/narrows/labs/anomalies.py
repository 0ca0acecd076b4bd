"""The lab on anomalies: what an autoencoder's error finds, as courses teach it, against simpler answers and narrows.

Each of ten handwritten digits in turn is one that no method has seen, and a table has cells of tumours that are not
benign. All methods are fitted to the same ordinary rows and tell the same test rows apart.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from narrows.errors import DataError
from narrows.labs.anomalies_methods import FITS, Fitted, Recipe, methods
from narrows.labs.anomalies_results import AnomalyResult, AnomalyScore, Blame, Exhibit, Task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from narrows.labs.fits import Progress

__all__ = ["run_anomaly_lab"]

DIGITS = tuple(range(10))

SPOILT_ROWS = {"digits": 20, "cancer": 150}
"""Rows of each task in which one value is made wrong, at most."""

FAR = 2.0
"""A value is wrong when it is so many standard deviations of its column from the right one, at least."""

_CANCER = (
    "W. Wolberg, O. Mangasarian, N. Street and W. Street (1993). Breast Cancer Wisconsin (Diagnostic). UCI Machine "
    "Learning Repository. https://doi.org/10.24432/C5DW2B. Licence: CC BY 4.0."
)


@dataclass(frozen=True)
class _Split:
    """The rows of a task."""

    task: Task
    train: np.ndarray
    test: np.ndarray
    labels: np.ndarray


def run_anomaly_lab(
    *,
    seed: int = 0,
    digits: Sequence[int] = DIGITS,
    max_epochs: int | None = None,
    progress: Progress = lambda stage, detail: None,  # noqa: ARG005
) -> AnomalyResult:
    """Run the lab on anomalies, on data that come with scikit-learn: under a minute.

    Parameters
    ----------
    seed : int, default 0
        Fixes everything random: a second run gives the same numbers, apart from times.
    digits : sequence of int, default 0 to 9
        Which digits to hold out, one after the other.
    max_epochs : int, optional
        Passes of the network as taught at most, for a quick look.
    progress : callable, optional
        Told what is being done: a stage, and how far it is (may be empty).

    Returns
    -------
    AnomalyResult
        Numbers, sentences about them (``lessons``), and the fitted detectors (``exhibits``).

    Raises
    ------
    DataError
        If there are no such digits, or pandas is missing.

    Examples
    --------
    >>> from narrows.labs import run_anomaly_lab
    >>> result = run_anomaly_lab(digits=(2,))
    >>> result["digits-2", "narrows"].auroc > result["digits-2", "pca"].auroc
    True
    """
    if not digits or len(set(digits)) != len(digits) or any(digit not in DIGITS for digit in digits):
        raise DataError(f"digits must be some of 0 to 9, each once, not {tuple(digits)}.")
    _require_pandas()
    progress("loading the data", "")
    recipes, splits = _data(tuple(digits), seed)
    if max_epochs is not None:
        recipes = {data: replace(recipe, epochs=min(recipe.epochs, max_epochs)) for data, recipe in recipes.items()}
    scores, exhibits = [], {}
    spoilt: dict[tuple[str, str], tuple[int, int]] = {}
    for split in splits:
        recipe, said = recipes[split.task.data], {}
        for key, fit in FITS.items():
            progress(f"telling apart: {split.task.name}", key)
            score, fitted, said[key] = _measure(split, key, fit, recipe, seed)
            scores.append(score)
            if fitted.blamed is not None:
                rows, columns = _spoil(split, seed)
                hits = int((fitted.blamed(rows) == columns).sum())
                known = spoilt.get((split.task.data, key), (0, 0))
                spoilt[split.task.data, key] = (known[0] + len(rows), known[1] + hits)
            if fitted.detector is not None:
                exhibits[split.task.key] = Exhibit(fitted.detector, recipe.framed(split.test), split.labels, said)
    return AnomalyResult(
        seed=seed,
        tasks=tuple(split.task for split in splits),
        methods=methods(recipes),
        scores=tuple(scores),
        blames=tuple(Blame(*names, *counts) for names, counts in spoilt.items()),
        notes=_notes(recipes, seed),
        sources=_sources(),
        exhibits=exhibits,
    )


def _require_pandas() -> None:
    try:
        import pandas as pd  # noqa: F401
    except ImportError:
        raise DataError(
            "The lab on anomalies explains rows, and needs pandas: pip install 'narrows[frames]'."
        ) from None


def _data(digits: tuple[int, ...], seed: int) -> tuple[dict[str, Recipe], list[_Split]]:
    from sklearn.datasets import load_breast_cancer, load_digits

    generator = np.random.default_rng(seed)
    images, labels = load_digits(return_X_y=True)
    splits = [
        _split(f"digits-{digit}", "digits", f"digit {digit} held out", images, labels == digit, generator)
        for digit in digits
    ]
    cancer = load_breast_cancer()
    splits.append(_split("cancer", "cancer", "malignant cells", cancer.data, cancer.target == 0, generator))
    # As many steps as the network of the first lab takes on all digits.
    recipes = {
        "digits": Recipe(n_components=8, hidden=32, epochs=70, white=16.0),
        "cancer": Recipe(n_components=8, hidden=16, epochs=200, names=tuple(map(str, cancer.feature_names))),
    }
    return recipes, splits


def _split(
    key: str, data: str, name: str, rows: np.ndarray, strange: np.ndarray, generator: np.random.Generator
) -> _Split:
    """Give half of the ordinary rows to the fit, and the other half and all strange ones to the test."""
    ordinary = generator.permutation(np.flatnonzero(~strange))
    half = len(ordinary) // 2
    test = np.concatenate([ordinary[half:], np.flatnonzero(strange)])
    task = Task(key, data, name, half, len(ordinary) - half, int(strange.sum()))
    return _Split(task, rows[ordinary[:half]], rows[test], strange[test])


def _measure(
    split: _Split, key: str, fit: object, recipe: Recipe, seed: int
) -> tuple[AnomalyScore, Fitted, np.ndarray]:
    from sklearn.metrics import average_precision_score, roc_auc_score

    began = time.perf_counter()
    fitted: Fitted = fit(split.train, recipe, seed)  # type: ignore[operator]
    seconds = time.perf_counter() - began
    said, above = fitted.scores(split.test), fitted.above(split.test)
    score = AnomalyScore(
        split.task.key,
        key,
        auroc=float(roc_auc_score(split.labels, said)),
        average_precision=float(average_precision_score(split.labels, said)),
        passed=tuple(float(share) for share in above[:, ~split.labels].mean(1)),
        found=tuple(float(share) for share in above[:, split.labels].mean(1)),
        seconds=seconds,
    )
    return score, fitted, said


def _spoil(split: _Split, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return ordinary test rows with one value of another row each, far from their own, and where these are."""
    generator = np.random.default_rng(seed)
    rows = split.test[~split.labels][: SPOILT_ROWS[split.task.data]].copy()
    spread = split.train.std(0)
    columns = np.empty(len(rows), dtype=np.int64)
    for number, row in enumerate(rows):
        far = (np.abs(split.train - row) >= FAR * spread) & (spread > 0)
        columns[number] = column = generator.choice(np.flatnonzero(far.any(0)))
        row[column] = generator.choice(split.train[far[:, column], column])
    return rows, columns


def _notes(recipes: dict[str, Recipe], seed: int) -> tuple[str, ...]:
    passes = f"{recipes['digits'].epochs} passes over digits and {recipes['cancer'].epochs} over the table"
    return (
        "Half of the ordinary rows are fitted; the other half and all anomalies are told apart. None was seen before.",
        "The network as taught and PCA get pixels from 0 to 1, and of the table standardised columns.",
        f"The network as taught takes {passes}.",
        "Thresholds are quantiles of the scores of the rows of the fit, for neighbours without the row itself.",
        "narrows' thresholds are p-values.",
        "To see whether the right column is blamed, one value of an ordinary row is replaced by that of another row.",
        f"The column is chosen by chance, and the value is {FAR:g} standard deviations from the right one or more.",
        f"All numbers come from one seed, {seed}; another seed shows how far they move.",
    )


def _sources() -> tuple[str, ...]:
    from narrows import datasets

    digits = datasets.describe("digits")
    return f"{digits.citation}. Licence: {digits.licence}.", _CANCER
