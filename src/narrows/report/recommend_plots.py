"""Pictures of recommenders: losses beside trivial answers, bars of errors and of lists, a map of items."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from narrows.errors import DataError
from narrows.report.maps import frame_points
from narrows.report.theme import Theme, new_figure, style_axes, theme_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["plot_bars", "plot_item_map", "short_title"]

LABEL_SIZE = 7.5
LONGEST_LABEL = 32
MOST_LABELS = 80

_BESIDE = ((4.5, 0.0, "left"), (-4.5, 0.0, "right"), (0.0, 8.0, "center"), (0.0, -8.0, "center"))
"""Where a title may stand: points to the right of its dot and above it, and which end of it is there."""


def plot_bars(
    panels: Mapping[str, Mapping[str, float | tuple[float, float]]],
    *,
    highlight: Sequence[str] = (),
    digits: int = 3,
    same_scale: bool = False,
    theme: str = "light",
) -> Figure:
    """Draw numbers as bars that lie, each with its value, in panels side by side.

    Parameters
    ----------
    panels : mapping of str to mapping of str to float or (float, float)
        For each panel, by what it measures, the length of each bar and perhaps its standard error. Bars come from
        above down.
    highlight : sequence of str, optional
        Names of the bars to draw in colour; the others are grey.
    digits : int, default 3
        Of the values, after the point.
    same_scale : bool, default False
        Whether bars of all panels are of one scale.
    theme : {"light", "dark"}, default "light"
        Colours.

    Returns
    -------
    matplotlib.figure.Figure
        With one axes for each panel.

    Examples
    --------
    >>> from narrows.report.recommend_plots import plot_bars
    >>> figure = plot_bars({"NDCG@100": {"popularity": (0.23, 0.01), "narrows": (0.40, 0.01)}}, highlight=["narrows"])
    >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
    ['popularity', 'narrows']
    """
    colours = theme_of(theme)
    if not panels or not all(panels.values()):
        raise DataError("There are no bars to draw.")
    rows = max(len(bars) for bars in panels.values())
    figure = new_figure(1.4 + 3.9 * len(panels), 0.75 + 0.36 * rows, colours)
    every = figure.subplots(1, len(panels), squeeze=False, sharex=same_scale)[0]
    for axes, (title, bars) in zip(every, panels.items(), strict=True):
        style_axes(axes, colours, xlabel=title)
        given = {name: value if isinstance(value, tuple) else (value, 0.0) for name, value in bars.items()}
        most = _draw_bars(axes, given, highlight, digits, colours)
        axes.set_xlim(0, max(most, axes.get_xlim()[1]) if same_scale and axes is not every[0] else most)
        axes.set_ylim(rows - 0.45, -0.55)
    return figure


def _draw_bars(
    axes: Any, bars: dict[str, tuple[float, float]], highlight: Sequence[str], digits: int, colours: Theme
) -> float:
    """Draw the bars of one panel; return how far it must reach."""
    lengths, errors = (np.array(part) for part in zip(*bars.values(), strict=True))
    errors = np.where(np.isfinite(errors), errors, 0.0)
    places = np.arange(len(bars))
    shades = [colours.series[0] if name in highlight else colours.series[4] for name in bars]
    axes.barh(places, lengths, height=0.62, color=shades, zorder=2)
    if errors.any():
        style = {"fmt": "none", "ecolor": colours.ink, "elinewidth": 1.2, "capsize": 3, "zorder": 3}
        axes.errorbar(lengths, places, xerr=errors, **style)
    most = float((lengths + errors).max()) or 1.0
    for place, length, error in zip(places, lengths, errors, strict=True):
        style = {"va": "center", "fontsize": 9, "color": colours.ink}
        axes.text(length + error + 0.02 * most, place, f"{length:.{digits}f}", **style)
    axes.set_yticks(places, list(bars), color=colours.ink)
    axes.tick_params(axis="y", length=0)
    return 1.2 * most


def plot_item_map(
    points: Any,
    titles: Sequence[str],
    groups: Sequence[str] | None = None,
    *,
    order: Sequence[str] | None = None,
    theme: str = "light",
) -> Figure:
    """Draw items as points in the plane, with the titles of as many as there is room for.

    Parameters
    ----------
    points : array of shape (n, 2)
        Where they lie.
    titles : sequence of str
        Of each its title; the first ones are written first, so put those first that readers know.
    groups : sequence of str, optional
        Of each its group, which is its colour.
    order : sequence of str, optional
        The groups in the order of the colours and the legend; by default that of the alphabet.
    theme : {"light", "dark"}, default "light"
        Colours.

    Returns
    -------
    matplotlib.figure.Figure
        With one axes. No title lies on another.

    Examples
    --------
    >>> from narrows.report.recommend_plots import plot_item_map
    >>> figure = plot_item_map([[0, 0], [1, 1]], ["Matrix, The (1999)", "Heat (1995)"], ["science fiction", "crime"])
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['The Matrix', 'Heat']
    """
    colours = theme_of(theme)
    places = np.asarray(points, dtype=np.float64)
    if places.ndim != 2 or places.shape[1] != 2 or not len(places):
        raise DataError(f"The points of a map must be of shape (n, 2), not {places.shape}.")
    if len(titles) != len(places) or (groups is not None and len(groups) != len(places)):
        raise DataError(f"There are {len(places)} points, and not as many titles or groups.")
    figure = new_figure(9.2, 8.0, colours)
    axes: Any = figure.subplots()
    style_axes(axes, colours)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(True)
    frame_points(axes, places)
    _scatter(axes, places, groups, order, colours)
    # Where things lie is known only once the figure is laid out.
    figure.draw_without_rendering()
    _write_titles(axes, places, titles, colours)
    return figure


def _scatter(
    axes: Any, places: np.ndarray, groups: Sequence[str] | None, order: Sequence[str] | None, colours: Theme
) -> None:
    style = {"s": 26, "alpha": 0.9, "linewidths": 0, "zorder": 2}
    if groups is None:
        axes.scatter(*places.T, color=colours.series[0], **style)
        return
    array = np.array(groups)
    for number, name in enumerate(order or sorted(set(groups))):
        if (array == name).any():
            colour = colours.classes[number % len(colours.classes)]
            axes.scatter(*places[array == name].T, color=colour, label=name, **style)
    above = {"loc": "lower left", "bbox_to_anchor": (0, 1), "borderaxespad": 0.3, "ncols": 5}
    axes.legend(frameon=False, fontsize=9, labelcolor=colours.ink, columnspacing=1.2, handletextpad=0.2, **above)


def short_title(title: str) -> str:
    """Return a title as it is spoken, without its year and other names."""
    name = re.sub(r"\s*\([^()]*\)", "", title).strip() or title
    found = re.fullmatch(r"(.+), (The|A|An|La|Le|Les|Der|Das|Die|El|Il)", name)
    return f"{found[2]} {found[1]}" if found else name


def _write_titles(axes: Any, places: np.ndarray, titles: Sequence[str], colours: Theme) -> None:
    """Write titles beside their points, the first first, where none lies on another nor on many points."""
    from matplotlib.textpath import TextPath

    pixel = axes.figure.dpi / 72
    dots = axes.transData.transform(places) / pixel  # in points
    frame = axes.get_window_extent()
    left, bottom, right, top = (edge / pixel for edge in (frame.x0, frame.y0, frame.x1, frame.y1))
    boxes: list[tuple[float, float, float, float]] = []
    for number, (dot, place, title) in enumerate(zip(dots, places, titles, strict=True)):
        text = short_title(title)
        if len(text) > LONGEST_LABEL or len(boxes) >= MOST_LABELS:
            continue
        path = TextPath((0, 0), text.replace("$", r"\$"), size=LABEL_SIZE)
        width, height = float(path.get_extents().width) + 5, LABEL_SIZE + 1
        for across, up, align in _BESIDE:
            start = dot[0] + across - {"left": 0.0, "right": width, "center": width / 2}[align]
            box = (start, dot[1] + up - height / 2, start + width, dot[1] + up + height / 2)
            if box[0] < left or box[1] < bottom or box[2] > right or box[3] > top:
                continue
            # A title that ends near another dot would be taken for that dot's.
            near = (dots > (box[0] - 5, box[1] - 1)).all(1) & (dots < (box[2] + 5, box[3] + 1)).all(1)
            near[number] = False
            overlaps = (a < box[2] and box[0] < c and b < box[3] and box[1] < d for a, b, c, d in boxes)
            if near.any() or any(overlaps):
                continue
            boxes.append(box)
            style = {"fontsize": LABEL_SIZE, "color": colours.ink, "ha": align, "va": "center_baseline", "zorder": 4}
            where = {"textcoords": "offset points", "annotation_clip": False, "parse_math": False}
            axes.annotate(text, place, (across, up), **where, **style)
            break
