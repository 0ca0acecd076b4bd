"""The page on what a detector found in a table: how many rows, by which rule, and what is anomalous about them."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from narrows.data import table as tables
from narrows.data.inputs import take_rows
from narrows.errors import DataError
from narrows.report.anomaly_plots import draw_attribution, plot_anomaly_scores, shortened, truth_of, value_text
from narrows.report.html import Section, Table, write_report
from narrows.report.theme import require_matplotlib

__all__ = ["write_anomaly_report"]

ATTRIBUTED = 3
"""Columns named in the table."""

DRAWN, DRAWN_COLUMNS = 5, 8
"""Rows that have a plot, and columns in each."""


def write_anomaly_report(
    path: str | os.PathLike[str],
    detector: Any,
    X: Any,
    *,
    scores: Any,
    p_values: Any,
    flags: Any,
    title: str = "Anomalies",
    names: Sequence[Any] | None = None,
    top: int = 20,
    labels: Any = None,
    rule: str = "",
) -> None:
    """Write what a detector found in a table as one HTML file.

    Parameters
    ----------
    path : path-like
        The file.
    detector : AnomalyDetector
        A fitted one.
    X : array-like, frame, CSR matrix or path, shape (n, n_features)
        The rows.
    scores, p_values : array-like of shape (n,)
        What ``anomaly_score`` and ``p_values`` say of them.
    flags : array-like of bool, shape (n,)
        Which of them are taken for anomalies.
    title : str, default "Anomalies"
        The page's heading.
    names : sequence of shape (n,), optional
        What to call the rows; by default the index of a pandas frame, otherwise their numbers.
    top : int, default 20
        How many of the rows with the highest scores to tell of.
    labels : array-like of shape (n,), optional
        What rows are known to be: true or 1 for anomalies and false or 0 for others, or -1 and 1.
    rule : str, default ""
        A sentence on how the rows were flagged. By default it is told from the flags whether that was the detector's
        threshold.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> from narrows import AnomalyDetector
    >>> from narrows.anomaly import write_anomaly_report
    >>> X = np.random.default_rng(0).normal(size=(300, 3))
    >>> detector = AnomalyDetector(random_state=0).fit(X)
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "anomalies.html"
    >>> found = {"scores": detector.anomaly_score(X), "p_values": detector.p_values(X), "flags": detector.detect(X)}
    >>> write_anomaly_report(file, detector, X, **found)
    >>> file.read_text(encoding="utf-8").startswith("<!doctype html>")
    True
    """
    require_matplotlib()
    if top < 1:
        raise DataError(f"top must be at least 1, not {top}.")
    found = _found(X, scores, p_values, flags, names, labels)
    rows = "row" if len(found.scores) == 1 else "rows"
    lead = f"{len(found.scores):,} {rows} of {detector.n_features_in_:,} columns; {int(found.flags.sum()):,} flagged."
    ranked = np.argsort(-found.scores, kind="stable")[:top]
    size = min(DRAWN_COLUMNS, detector.n_features_in_)
    told = detector.explain(_picked(detector, X, ranked), size)
    parts = [told.iloc[number * size : (number + 1) * size] for number in range(len(ranked))]
    threshold = _threshold(detector, found)
    sections = [
        Section("What was found", items=_sentences(detector, found, rule)),
        Section(
            "The scores",
            figure=lambda theme: plot_anomaly_scores(
                found.scores, threshold=threshold, labels=found.labels, theme=theme
            ),
            caption="How the scores are distributed, in standard deviations of normal rows: 0 is a typical row."
            + ("" if threshold is None else " Rows to the right of the broken line are flagged."),
        ),
        _ranked_section(found, ranked, parts),
        *(_row_section(found, int(row), part) for row, part in zip(ranked[:DRAWN], parts, strict=False)),
        Section("How to read this", items=_explanations(detector)),
    ]
    write_report(path, title, sections, lead=lead)


@dataclass(frozen=True)
class _Found:
    """What was said of rows, checked."""

    scores: np.ndarray
    p_values: np.ndarray
    flags: np.ndarray
    names: list[str]
    labels: np.ndarray | None


def _found(X: Any, scores: Any, p_values: Any, flags: Any, names: Any, labels: Any) -> _Found:
    values = np.asarray(scores, dtype=np.float64).ravel()
    n_rows = len(values)
    if not n_rows:
        raise DataError("There are no rows to report on.")
    own = X.index if hasattr(X, "index") and hasattr(X, "columns") else range(n_rows)
    known = list(own if names is None else names)
    rare, flagged = np.asarray(p_values, dtype=np.float64).ravel(), np.asarray(flags, dtype=bool).ravel()
    for what, count in (("p-values", len(rare)), ("flags", len(flagged)), ("names", len(known))):
        if count != n_rows:
            raise DataError(f"There are {count:,} {what} for {n_rows:,} scores.")
    paths = (str, os.PathLike)
    n_given = X.n_rows if isinstance(X, tables.Table) else X.shape[0] if hasattr(X, "shape") else None
    if n_given is None and not isinstance(X, paths):
        n_given = len(X)
    if n_given not in (None, n_rows):
        raise DataError(f"There are {n_rows:,} scores for {n_given:,} rows.")
    truth = None if labels is None else truth_of(labels, n_rows)
    return _Found(values, rare, flagged, [str(name) for name in known], truth)


def _picked(detector: Any, X: Any, numbers: np.ndarray) -> Any:
    """Return some of the rows, in this order, as a detector takes them."""
    order = np.argsort(numbers)
    back = np.argsort(order)
    found = take_rows(X, numbers[order])
    names = getattr(detector, "feature_names_in_", None)
    if isinstance(found, pa.Table):
        return found.take(back)
    if hasattr(found, "iloc"):
        return found.iloc[back]
    values = found[back]
    return values if names is None or values.ndim != 2 else pa.table(dict(zip(names, values.T, strict=True)))


def _by_threshold(detector: Any, found: _Found) -> bool:
    return bool(np.array_equal(found.flags, found.scores > -detector.offset_))


def _threshold(detector: Any, found: _Found) -> float | None:
    """Return the score that parts flagged rows from others, if one does."""
    if _by_threshold(detector, found):
        return -float(detector.offset_)
    if not found.flags.any() or found.flags.all():
        return None
    least, most = float(found.scores[found.flags].min()), float(found.scores[~found.flags].max())
    return (least + most) / 2 if least > most else None


def _sentences(detector: Any, found: _Found, rule: str) -> tuple[str, ...]:
    n_rows, n_flagged = len(found.scores), int(found.flags.sum())
    if n_rows == 1:
        count = f"The row is {'' if n_flagged else 'not '}flagged: its p-value is {found.p_values[0]:.2g}."
    elif n_flagged:
        verb = "is" if n_flagged == 1 else "are"
        count = f"{n_flagged:,} of {n_rows:,} rows {verb} flagged ({n_flagged / n_rows:.2%})."
    else:
        count = f"None of the {n_rows:,} rows is flagged."
    sentences = [count, rule or _rule(detector, found)]
    rate = float(detector.false_positive_rate)
    if detector.contamination is None and n_rows > 1:
        rare = int((found.p_values <= rate).sum())
        sentences.append(
            f"{rare:,} {'has' if rare == 1 else 'have'} a p-value of {rate:g} or less; if all rows were normal, "
            f"about {rate * n_rows:,.3g} would."
        )
    if found.labels is not None:
        sentences += _against_labels(found)
    return tuple(sentences)


def _rule(detector: Any, found: _Found) -> str:
    """Say by which rule rows were flagged, as far as the flags tell."""
    threshold = f"The rule: a score above {-detector.offset_:.2f}"
    if not _by_threshold(detector, found):
        if not found.flags.any():
            return "The rule decided on all rows together, and found none that is anomalous enough among so many."
        return (
            "The rule decided on all rows together: flagged are those with a p-value of "
            f"{found.p_values[found.flags].max():.2g} or less, and a score of {found.scores[found.flags].min():.2f} or "
            "more."
        )
    if detector.contamination is None:
        rate = float(detector.false_positive_rate)
        return f"{threshold}, which about {rate:.3g} of new normal rows pass: the false-positive rate of the fit."
    if isinstance(detector.contamination, str):
        return f"{threshold}, which is far outside the bulk of the rows of the fit."
    return f"{threshold}, which a fraction of {float(detector.contamination):.3g} of the rows of the fit is above."


def _against_labels(found: _Found) -> list[str]:
    assert found.labels is not None
    true, flagged = int(found.labels.sum()), int(found.flags.sum())
    hits = int((found.labels & found.flags).sum())
    sentences = [f"Of {true:,} known anomalies {hits:,} are flagged, and {flagged - hits:,} rows beside them."]
    if 0 < true < len(found.labels):
        from sklearn.metrics import average_precision_score, roc_auc_score

        auroc = roc_auc_score(found.labels, found.scores)
        precision = average_precision_score(found.labels, found.scores)
        sentences.append(
            f"A known anomaly scores higher than another row in {auroc:.1%} of all pairs (AUROC {auroc:.3f}); average "
            f"precision {precision:.3f}, where chance would give {true / len(found.labels):.3f}."
        )
    return sentences


def _ranked_section(found: _Found, ranked: np.ndarray, parts: list[Any]) -> Section:
    heads = ["row", "score", "p-value", "flagged", *(["known"] if found.labels is not None else [])]
    heads += [("first column", "second", "third")[number] for number in range(min(ATTRIBUTED, len(parts[0])))]
    rows = []
    for row, part in zip(ranked, parts, strict=True):
        cells = [
            shortened(found.names[row], 40),
            f"{found.scores[row]:.2f}",
            f"{found.p_values[row]:.2g}",
            "yes" if found.flags[row] else "no",
        ]
        if found.labels is not None:
            cells.append("anomaly" if found.labels[row] else "normal")
        told = zip(*(part[name].head(ATTRIBUTED) for name in ("column", "seen", "expected")), strict=True)
        cells += [f"{shortened(str(name), 32)}: {value_text(a)} (expected {value_text(b)})" for name, a, b in told]
        rows.append(tuple(cells))
    left = int(found.flags.sum()) - int(found.flags[ranked].sum())
    text = f"The {len(rows):,} rows with the highest scores. " if len(rows) > 1 else ""
    text += "Of each the columns with the largest attribution: what was seen, and what was expected of such a row."
    text += f" {left:,} more flagged rows are not shown." if left else ""
    return Section(
        "The most anomalous rows" if len(rows) > 1 else "The row", text, table=Table(tuple(heads), tuple(rows))
    )


def _row_section(found: _Found, row: int, part: Any) -> Section:
    first = part.iloc[0]
    title = f"score {found.scores[row]:.1f}, p-value {found.p_values[row]:.2g}"
    return Section(
        f"Row {shortened(found.names[row], 60)}",
        figure=lambda theme: draw_attribution(part, title=title, theme=theme),
        caption=f"Which columns make it anomalous: {first['column']} first, at {value_text(first['seen'])}, where "
        f"{value_text(first['expected'])} was expected given the rest of the row.",
    )


def _explanations(detector: Any) -> tuple[str, ...]:
    mixed = detector.contamination is not None
    return (
        "The score says how far a row is from the nearest rows of the fit, in standard deviations of normal rows.",
        "The p-value says how rare such a score or a higher one is among normal rows"
        + ("; the rows of the fit were not all normal, so it is larger than it should be." if mixed else "."),
        "Columns come by their attribution; what is wrong in one is not attributed to those predicted from it.",
        "The attribution is a column's fraction of all that is anomalous about the row.",
        "What was expected is what the other columns of the row predict.",
        "All this explains the score, not what has happened.",
    )
