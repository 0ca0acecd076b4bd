"""A picture of a series: its channels, what was expected of them, and where it is anomalous."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from narrows.errors import DataError
from narrows.report.anomaly_plots import shortened
from narrows.report.theme import Theme, new_figure, style_axes, theme_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["plot_series"]

MOST_CHANNELS = 4
MOST_POINTS = 20_000
"""Longer lines are drawn by the least and the largest value of each of so many stretches of time."""


def plot_series(
    series: Any,
    scores: Any = None,
    *,
    spans: Sequence[tuple[int, int]] = (),
    expected: Any = None,
    channels: Sequence[int | str] | None = None,
    threshold: float | None = None,
    theme: str = "light",
) -> Figure:
    """Draw a series, what was expected of it, and where it is anomalous.

    Parameters
    ----------
    series : array-like of shape (n_steps,) or (n_steps, n_channels), or frame
        The series. Numbers and dates in the index of a pandas frame go along the horizontal axis, otherwise time steps.
    scores : array-like of shape (n_steps,), optional
        The anomaly score of each time step, as ``Windows.per_step`` gives it; drawn below.
    spans : sequence of (start, stop), default ()
        The anomalous spans of time steps, as ``Windows.spans`` gives them; shaded.
    expected : array-like of the shape of ``series``, optional
        What every value was expected to be, as ``Windows.series_of`` gives it of what ``AnomalyDetector.expected``
        makes of the windows; drawn over the series.
    channels : sequence of int or str, optional
        The numbers or names of the channels to draw. By default the first four, or where ``expected`` is given the four
        that are farthest from it within the spans.
    threshold : float, optional
        A line across the scores.
    theme : {"light", "dark"}, default "light"
        Colours.

    Returns
    -------
    matplotlib.figure.Figure
        With one axes for each channel, and one for the scores where they are given.

    Examples
    --------
    >>> import numpy as np, narrows
    >>> wave = np.sin(np.arange(600) / 5.0) + 0.05 * np.random.default_rng(0).normal(size=600)
    >>> wave[500:510] = 0.0
    >>> cut = narrows.windows(wave, length=20)
    >>> detector = narrows.AnomalyDetector(random_state=0).fit(cut.rows[:380])
    >>> figure = narrows.report.plot_series(
    ...     wave,
    ...     cut.per_step(detector.anomaly_score(cut.rows)),
    ...     spans=cut.spans(detector.detect(cut.rows)),
    ...     expected=cut.series_of(detector.expected(cut.rows)),
    ... )
    >>> len(figure.axes)
    2
    """
    colours = theme_of(theme)
    known = _known(series, scores, spans, expected)
    chosen = _chosen(known, channels)
    count = len(chosen) + (known.scores is not None)
    figure = new_figure(10.2, 0.5 + 1.65 * count, colours)
    panels = figure.subplots(count, 1, sharex=True, squeeze=False)[:, 0]
    for axes, channel in zip(panels, chosen, strict=False):
        style_axes(axes, colours, ylabel=shortened(known.names[channel], 24))
        _line(axes, known.time, known.values[:, channel], color=colours.series[0], label="seen")
        if known.expected is not None:
            _line(axes, known.time, known.expected[:, channel], color=colours.series[1], ls="--", label="expected")
    if known.scores is not None:
        style_axes(panels[-1], colours, ylabel="anomaly score")
        _line(panels[-1], known.time, known.scores, color=colours.series[4], lw=1.2)
        if threshold is not None:
            panels[-1].axhline(threshold, color=colours.ink, lw=1, ls=":")
    for axes in panels:
        _shade(axes, known, colours)
    if len(known.time) > 1:
        panels[0].set_xlim(known.time[0], known.time[-1])
    panels[-1].set_xlabel("" if known.dated else "time step" if known.counted else "time")
    if known.expected is not None or known.spans:
        _legend(figure, panels[0], colours)
    return figure


@dataclass(frozen=True)
class _Known:
    """A series and what is known of it, checked."""

    values: np.ndarray
    names: tuple[str, ...]
    time: np.ndarray
    dated: bool
    counted: bool
    scores: np.ndarray | None
    spans: tuple[tuple[int, int], ...]
    expected: np.ndarray | None


def _known(series: Any, scores: Any, spans: Sequence[tuple[int, int]], expected: Any) -> _Known:
    values = _table(series)
    if not values.size:
        raise DataError("The series is empty: there is nothing to draw.")
    n_steps = len(values)
    columns = getattr(series, "columns", None)
    names = tuple(str(name) for name in columns) if columns is not None else _numbered(values.shape[1])
    rebuilt = None if expected is None else _table(expected)
    if rebuilt is not None and rebuilt.shape != values.shape:
        raise DataError(f"What was expected has the shape {rebuilt.shape}, the series {values.shape}.")
    levels = None if scores is None else np.asarray(scores, dtype=np.float64).ravel()
    if levels is not None and len(levels) != n_steps:
        raise DataError(f"There are {len(levels):,} scores for {n_steps:,} time steps: see Windows.per_step.")
    parts = tuple((int(start), int(stop)) for start, stop in spans)
    if any(not 0 <= start < stop <= n_steps for start, stop in parts):
        raise DataError(f"Spans are pairs (start, stop) of time steps from 0 to {n_steps:,}, stop behind start.")
    index = np.asarray(series.index) if hasattr(series, "iloc") else np.arange(n_steps)
    dated = index.dtype.kind == "M"
    counted = not dated and (index.dtype.kind not in "iuf" or not hasattr(series, "iloc"))
    return _Known(values, names, np.arange(n_steps) if counted else index, dated, counted, levels, parts, rebuilt)


def _numbered(n_channels: int) -> tuple[str, ...]:
    return ("series",) if n_channels == 1 else tuple(f"x{number}" for number in range(n_channels))


def _table(series: Any) -> np.ndarray:
    values = np.asarray(series.to_numpy() if hasattr(series, "to_numpy") else series)
    if values.ndim not in (1, 2):
        raise DataError(f"a series has one or two dimensions, time first, not the shape {values.shape}")
    return (values[:, None] if values.ndim == 1 else values).astype(np.float64)


def _chosen(known: _Known, channels: Sequence[int | str] | None) -> list[int]:
    """Return the numbers of the channels to draw."""
    n_channels = len(known.names)
    if channels is not None:
        numbers = [known.names.index(c) if isinstance(c, str) and c in known.names else c for c in channels]
        for number in numbers:
            if isinstance(number, str) or not 0 <= number < n_channels:
                raise DataError(f"There is no channel {number!r} among the {n_channels:,} of the series.")
        if not numbers:
            raise DataError("There is no channel to draw.")
        return [int(number) for number in numbers]
    if known.expected is None or n_channels <= MOST_CHANNELS:
        return list(range(min(n_channels, MOST_CHANNELS)))
    inside = np.zeros(len(known.values), dtype=bool)
    for start, stop in known.spans:
        inside[start:stop] = True
    inside |= not inside.any()
    away = np.nan_to_num(np.abs(known.values - known.expected))
    spread = np.nanstd(known.values, axis=0)
    far = away[inside].mean(0) / np.where(spread > 0, spread, 1.0)
    return sorted(np.argsort(-far, kind="stable")[:MOST_CHANNELS].tolist())


def _line(axes: Any, time: np.ndarray, values: np.ndarray, **style: Any) -> None:
    """Draw a line; of a long one each stretch by its least and its largest value, so that no spike is lost."""
    if len(values) > MOST_POINTS:
        step = -(-2 * len(values) // MOST_POINTS)
        starts = np.arange(0, len(values), step)
        low, high = np.fmin.reduceat(values, starts), np.fmax.reduceat(values, starts)
        time, values = np.repeat(time[starts], 2), np.stack([low, high], 1).ravel()
    axes.plot(time, values, **({"lw": 1.1} | style))


def _shade(axes: Any, known: _Known, colours: Theme) -> None:
    last = len(known.time) - 1
    for start, stop in known.spans:
        # A span of one step has a width, too.
        ends = known.time[start], known.time[min(stop, last)]
        axes.axvspan(*ends, facecolor=(colours.series[3], 0.22), edgecolor=colours.series[3], lw=0.6, label="anomalous")


def _legend(figure: Figure, axes: Any, colours: Theme) -> None:
    """Name the lines, and all spans once, above the axes."""
    found = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    style = {"ncols": 3, "frameon": False, "fontsize": 9, "labelcolor": colours.ink}
    figure.legend(handles=list(found.values()), labels=list(found), loc="outside upper right", **style)
