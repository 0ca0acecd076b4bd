"""Pictures of what a detector of anomalies finds: how scores are spread, and which columns make a row anomalous."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from narrows.errors import DataError
from narrows.report.theme import Theme, new_figure, style_axes, theme_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


__all__ = ["draw_attribution", "plot_anomaly_scores", "plot_explanation", "shortened", "truth_of", "value_text"]

BINS = 50
LOG_FROM = 50
"""Counts are drawn on a logarithmic axis when the tallest bar has so many rows: single ones would be too low to see."""

LONGEST_NAME, LONGEST_VALUE = 32, 20


def plot_explanation(detector: Any, row: Any, *, top: int = 10, ax: Any = None, theme: str = "light") -> Figure:
    """Draw which columns make a row anomalous: the attribution of each, what was seen in it and what was expected.

    Parameters
    ----------
    detector : AnomalyDetector
        A fitted one.
    row : array-like of shape (n_features,) or (1, n_features), or a frame or series of one row
        The row.
    top : int, default 10
        How many columns, in the order of their attribution.
    ax : matplotlib axes, optional
        Where to draw; a new figure by default.
    theme : {"light", "dark"}, default "light"
        Colours.

    Returns
    -------
    matplotlib.figure.Figure
        With a bar for each column.

    Examples
    --------
    >>> import numpy as np
    >>> from narrows import AnomalyDetector
    >>> from narrows.report import plot_explanation
    >>> X = np.random.default_rng(0).normal(size=(300, 3))
    >>> figure = plot_explanation(AnomalyDetector(random_state=0).fit(X), [0.0, 9.0, 0.0])
    >>> [label.get_text() for label in figure.axes[0].get_yticklabels()][0]
    'x1'
    """
    one = _one_row(row)
    score = float(detector.anomaly_score(one)[0])
    title = f"score {score:.1f}, threshold {-detector.offset_:.1f}"
    return draw_attribution(detector.explain(one, top), title=title, ax=ax, theme=theme)


def draw_attribution(told: Any, *, title: str = "", ax: Any = None, theme: str = "light") -> Figure:
    """Draw what was told of one row."""
    colours = theme_of(theme)
    axes = _axes(ax, 7.2, 0.9 + 0.34 * max(2, len(told)), colours)
    style_axes(axes, colours, title=title, xlabel="fraction of what is anomalous about the row")
    attributions = told["attribution"].to_numpy(dtype=np.float64)
    places = np.arange(len(told))
    axes.barh(places, attributions, height=0.62, color=colours.series[0])
    for place, attribution, seen, expected in zip(places, attributions, told["seen"], told["expected"], strict=True):
        axes.annotate(
            f"{value_text(seen)}  (expected {value_text(expected)})",
            (attribution, place),
            (5, 0),
            textcoords="offset points",
            color=colours.ink,
            fontsize=9,
            va="center",
            parse_math=False,
        )
    names = [shortened(str(name), LONGEST_NAME) for name in told["column"]]
    axes.set_yticks(places, names, color=colours.ink, parse_math=False)
    axes.set_ylim(len(told) - 0.4, -0.6)
    # Room for what is written behind the longest bar.
    axes.set_xlim(0, max(float(attributions.max(initial=0.0)), 1e-9) * 1.75)
    axes.xaxis.set_major_formatter(lambda attribution, _: f"{attribution * 100:.3g}%" if attribution <= 1 else "")
    axes.tick_params(axis="y", length=0)
    return axes.figure


def plot_anomaly_scores(
    scores: Any,
    *,
    threshold: float | None = None,
    labels: Any = None,
    ax: Any = None,
    theme: str = "light",
) -> Figure:
    """Draw how the scores of rows are spread.

    Parameters
    ----------
    scores : array-like of shape (n,)
        Higher is more anomalous, as ``anomaly_score`` gives them.
    threshold : float, optional
        Drawn as a line; rows above it are taken for anomalies.
    labels : array-like of shape (n,), optional
        What rows are known to be: true or 1 for anomalies and false or 0 for others, or -1 and 1, as ``predict`` has
        it. Anomalies then are coloured apart.
    ax : matplotlib axes, optional
        Where to draw; a new figure by default.
    theme : {"light", "dark"}, default "light"
        Colours.

    Returns
    -------
    matplotlib.figure.Figure
        With one axes; where bars are tall, counts are on a logarithmic scale.

    Examples
    --------
    >>> import numpy as np
    >>> from narrows.report import plot_anomaly_scores
    >>> scores = np.random.default_rng(0).normal(size=1000)
    >>> figure = plot_anomaly_scores(scores, threshold=2.3)
    >>> len(figure.axes)
    1
    """
    colours = theme_of(theme)
    values = np.asarray(scores, dtype=np.float64).ravel()
    finite = np.isfinite(values)
    if not finite.any():
        raise DataError("There are no scores to draw.")
    anomalous = None if labels is None else truth_of(labels, len(values))[finite]
    values = values[finite]
    axes = _axes(ax, 7.2, 3.4, colours)
    style_axes(axes, colours, xlabel="anomaly score", ylabel="rows")
    ends = [float(values.min()), float(values.max()), *([] if threshold is None else [threshold])]
    edges = _edges(min(ends), max(ends))
    tallest = _bars(axes, values, anomalous, edges, colours)
    if tallest > LOG_FROM:
        axes.set_yscale("log")
        axes.set_ylim(0.7, tallest * 1.5)
        axes.yaxis.set_major_formatter(lambda count, _: f"{count:,.0f}")
    else:
        axes.set_ylim(0, tallest * 1.05 + 0.5)
        axes.yaxis.get_major_locator().set_params(integer=True)
    if threshold is not None:
        above = int((values > threshold).sum())
        axes.axvline(threshold, color=colours.ink, lw=1.3, ls="--", label=f"threshold {threshold:.2f}: {above:,} above")
    if anomalous is not None or threshold is not None:
        # Above the axes, where no bar is.
        place = {"loc": "lower left", "bbox_to_anchor": (0, 1), "borderaxespad": 0.3, "ncols": 3}
        axes.legend(frameon=False, fontsize=9, labelcolor=colours.ink, **place)
    return axes.figure


def _edges(low: float, high: float) -> np.ndarray:
    room = 0.02 * (high - low) or 0.5
    return np.linspace(low - room, high + room, BINS + 1)


def _bars(axes: Any, values: np.ndarray, anomalous: np.ndarray | None, edges: np.ndarray, colours: Theme) -> int:
    """Draw a histogram, or two of them one before the other; return how many rows the tallest bar has."""
    if anomalous is None:
        counts, _, _ = axes.hist(values, bins=edges, color=colours.series[0])
        return int(counts.max())
    most = 0
    for mask, label, colour in ((~anomalous, "normal", colours.series[0]), (anomalous, "anomalies", colours.series[1])):
        style = {"histtype": "stepfilled", "facecolor": (colour, 0.45), "edgecolor": colour, "lw": 1.3}
        counts, _, _ = axes.hist(values[mask], bins=edges, label=f"{label}: {mask.sum():,}", **style)
        most = max(most, int(counts.max()))
    return most


def truth_of(labels: Any, n_rows: int) -> np.ndarray:
    """Return which rows are known to be anomalies: labels of 1 or true; or, where there are any, of -1."""
    values = np.asarray(labels).ravel()
    if len(values) != n_rows:
        raise DataError(f"There are {len(values):,} labels for {n_rows:,} rows.")
    if values.dtype.kind not in "biuf" or not np.isin(values, (-1, 0, 1)).all():
        raise DataError("Labels must be 1 for anomalies and 0 for other rows, or -1 and 1.")
    return values == -1 if (values == -1).any() else values.astype(bool)


def value_text(value: Any) -> str:
    """Return a value of a table as short text."""
    if value is None or type(value).__name__ == "NAType" or value != value:
        return "missing"
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.number)):
        return shortened(str(value), LONGEST_VALUE)
    number = float(value)
    if number == 0:
        return "0"
    size = abs(number)
    if 1000 <= size < 1e7:
        return f"{number:,.0f}"
    return f"{number:.4g}" if size >= 1e-3 else f"{number:.2g}"


def shortened(text: str, longest: int) -> str:
    """Return a text with its middle left out where it is long."""
    plain = " ".join(text.split())
    if len(plain) <= longest:
        return plain
    head = (longest - 1) // 2
    return f"{plain[:head]}…{plain[len(plain) - (longest - 1 - head) :]}"


def _one_row(row: Any) -> Any:
    """Return one row as a table of one row."""
    if hasattr(row, "to_frame") and not hasattr(row, "columns") and hasattr(row, "index"):
        return row.to_frame().T.infer_objects()
    given = row if hasattr(row, "shape") else np.asarray(row)
    given = given[None] if len(given.shape) == 1 else given
    count = given.shape[0] if given.shape else 0
    if count != 1:
        raise DataError(f"One row is explained in a plot, not {count:,}: give one, such as X[5:6].")
    return given


def _axes(ax: Any, width: float, height: float, colours: Theme) -> Any:
    """Return the axes to draw on."""
    return new_figure(width, height, colours).subplots() if ax is None else ax
