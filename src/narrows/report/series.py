"""A picture of a series: its channels, what was expected of them, and where it is anomalous."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from narrows.errors import DataError
from narrows.report.anomaly_plots import shortened
from narrows.report.theme import new_figure, style_axes, theme_of

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
    values, rebuilt, levels, spans = _checked(series, scores, spans, expected)
    columns = getattr(series, "columns", None)
    numbered = ["series"] if values.shape[1] == 1 else [f"x{number}" for number in range(values.shape[1])]
    names = numbered if columns is None else [str(name) for name in columns]
    chosen = _chosen(values, names, rebuilt, spans, channels)
    time, xlabel = _time(series, len(values))
    count = len(chosen) + (levels is not None)
    figure = new_figure(10.2, 0.5 + 1.65 * count, colours)
    panels = figure.subplots(count, 1, sharex=True, squeeze=False)[:, 0]
    for axes, channel in zip(panels, chosen, strict=False):
        style_axes(axes, colours, ylabel=shortened(names[channel], 24))
        _line(axes, time, values[:, channel], color=colours.series[0], label="seen")
        if rebuilt is not None:
            _line(axes, time, rebuilt[:, channel], color=colours.series[1], ls="--", label="expected")
    if levels is not None:
        style_axes(panels[-1], colours, ylabel="anomaly score")
        _line(panels[-1], time, levels, color=colours.series[4], lw=1.2)
        if threshold is not None:
            panels[-1].axhline(threshold, color=colours.ink, lw=1, ls=":")
    style = {"facecolor": (colours.series[3], 0.22), "edgecolor": colours.series[3], "lw": 0.6, "label": "anomalous"}
    for axes in panels:
        for start, stop in spans:
            # A span of one step has a width, too.
            axes.axvspan(time[start], time[min(stop, len(time) - 1)], **style)
    if len(time) > 1:
        panels[0].set_xlim(time[0], time[-1])
    panels[-1].set_xlabel(xlabel)
    if rebuilt is not None or spans:
        # The lines, and all spans once, above the axes.
        found = dict(zip(*reversed(panels[0].get_legend_handles_labels()), strict=True))
        place: Any = {
            "ncols": 3,
            "frameon": False,
            "fontsize": 9,
            "labelcolor": colours.ink,
            "loc": "outside upper right",
        }
        figure.legend(handles=list(found.values()), labels=list(found), **place)
    return figure


def _checked(series: Any, scores: Any, spans: Sequence[tuple[int, int]], expected: Any) -> tuple[Any, Any, Any, Any]:
    """Return the values of a series, what was expected of them, scores and spans."""
    values = _table(series)
    if not values.size:
        raise DataError("The series is empty: there is nothing to draw.")
    n_steps = len(values)
    rebuilt = None if expected is None else _table(expected)
    if rebuilt is not None and rebuilt.shape != values.shape:
        raise DataError(f"What was expected has the shape {rebuilt.shape}, the series {values.shape}.")
    levels = None if scores is None else np.asarray(scores, dtype=np.float64).ravel()
    if levels is not None and len(levels) != n_steps:
        raise DataError(f"There are {len(levels):,} scores for {n_steps:,} time steps: see Windows.per_step.")
    parts = [(int(start), int(stop)) for start, stop in spans]
    if any(not 0 <= start < stop <= n_steps for start, stop in parts):
        raise DataError(f"Spans are pairs (start, stop) of time steps from 0 to {n_steps:,}, stop behind start.")
    return values, rebuilt, levels, parts


def _time(series: Any, n_steps: int) -> tuple[np.ndarray, str]:
    """Return what goes along, and its label: numbers or dates of a frame's index, otherwise time steps."""
    index = np.asarray(series.index) if hasattr(series, "iloc") else np.empty(0, dtype=object)
    if index.dtype.kind in "iufM":
        return index, "" if index.dtype.kind == "M" else "time"
    return np.arange(n_steps), "time step"


def _table(series: Any) -> np.ndarray:
    values = np.asarray(series.to_numpy() if hasattr(series, "to_numpy") else series)
    if values.ndim not in (1, 2):
        raise DataError(f"a series has one or two dimensions, time first, not the shape {values.shape}")
    return (values[:, None] if values.ndim == 1 else values).astype(np.float64)


def _chosen(
    values: np.ndarray, names: list[str], rebuilt: np.ndarray | None, spans: Any, channels: Sequence[int | str] | None
) -> list[int]:
    """Return the numbers of the channels to draw."""
    n_channels = len(names)
    if channels is not None:
        numbers = [names.index(c) if isinstance(c, str) and c in names else c for c in channels]
        for number in numbers:
            if isinstance(number, str) or not 0 <= number < n_channels:
                raise DataError(f"There is no channel {number!r} among the {n_channels:,} of the series.")
        if not numbers:
            raise DataError("There is no channel to draw.")
        return [int(number) for number in numbers]
    if rebuilt is None or n_channels <= MOST_CHANNELS:
        return list(range(min(n_channels, MOST_CHANNELS)))
    inside = np.zeros(len(values), dtype=bool)
    for start, stop in spans:
        inside[start:stop] = True
    inside |= not inside.any()
    away = np.nan_to_num(np.abs(values - rebuilt))
    spread = np.nanstd(values, axis=0)
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
