"""Figures of the lab on anomalies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from narrows.report.anomaly_plots import plot_anomaly_scores, plot_explanation
from narrows.report.theme import diverging, new_figure, style_axes, theme_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from narrows.labs.engine import LabResult

__all__ = ["plot_digits", "plot_table_row", "plot_table_scores", "plot_tasks"]

_SIDE = 8
"""Pixels of a digit, there and across."""

_MARKS = ("o", "s", "^", "v", "D")


def plot_tasks(result: LabResult, theme: str) -> Figure:
    """Draw the AUROC of each detector for each task."""
    colours = theme_of(theme)
    names = {f"auroc_{digit}": f"digit {digit} held out" for digit in result.facts["digits"]}
    names["cancer_auroc"] = "malignant cells"
    figure = new_figure(8.2, 1.1 + 0.32 * len(names), colours)
    axes: Any = figure.subplots()
    style_axes(axes, colours, xlabel="AUROC")
    places = np.arange(len(names))
    for number, entry in enumerate(result.entries):
        style = {"ls": "", "ms": 8 if entry.key == "narrows" else 6, "zorder": 3}
        # narrows is the last, and has the first colour.
        colour = colours.series[(number + 1) % len(colours.series)]
        axes.plot([entry[key] for key in names], places, _MARKS[number], color=colour, label=entry.name, **style)
    for place in places:
        axes.axhline(place, color=colours.line, lw=0.8, zorder=1)
    axes.axvline(0.5, color=colours.faint, lw=1, ls=":", zorder=1)
    axes.set_yticks(places, list(names.values()), color=colours.ink)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    above = {"loc": "lower left", "bbox_to_anchor": (0, 1), "borderaxespad": 0.3, "ncols": len(result.entries)}
    axes.legend(frameon=False, fontsize=9, labelcolor=colours.ink, columnspacing=1.2, handletextpad=0.3, **above)
    return figure


def plot_digits(result: LabResult, theme: str, *, rank: float) -> Figure:
    """Draw one image of each digit held out: seen, expected, attribution; of rank 1 the highest score."""
    colours = theme_of(theme)
    images = dict(_explained(result, digit, rank) for digit in result.facts["digits"])
    figure = new_figure(1.0 + 0.95 * len(images), 3.3, colours)
    grid = figure.subplots(3, len(images), squeeze=False)
    for column, (name, three) in enumerate(images.items()):
        most = float(np.abs(three[2]).max()) or 1.0
        for axes, image in zip(grid[:2, column], three, strict=False):
            axes.imshow(image, cmap=colours.images, vmin=0, vmax=16, interpolation="nearest")
        grid[2, column].imshow(three[2], cmap=diverging(colours), vmin=-most, vmax=most, interpolation="nearest")
        grid[0, column].set_title(name, color=colours.faint, fontsize=9)
    for row, name in zip(grid, ("seen", "expected", "attribution"), strict=True):
        for axes in row:
            axes.set_xticks([])
            axes.set_yticks([])
            for spine in axes.spines.values():
                spine.set_color(colours.line)
        row[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=10, color=colours.ink)
    return figure


def _explained(result: LabResult, digit: int, rank: float) -> tuple[str, np.ndarray]:
    """Return an anomaly's digit and score, and the image, what was expected of it, and its attribution, (3, 8, 8)."""
    shown = result.artifacts[f"digits-{digit}"]
    anomalies = np.flatnonzero(shown["labels"])
    scores = shown["scores"]["narrows"][anomalies]
    place = min(int(rank * len(scores)), len(scores) - 1)
    row = anomalies[np.argsort(scores, kind="stable")[place]]
    told = shown["detector"].explain(shown["rows"][row : row + 1])
    pixels = told["column"].str.removeprefix("x").astype(int).to_numpy()
    images = np.zeros((3, _SIDE * _SIDE))
    seen, expected = told["seen"].to_numpy(), told["expected"].to_numpy()
    images[:, pixels] = seen, expected, told["attribution"].to_numpy() * np.sign(seen - expected)
    score = round(float(shown["scores"]["narrows"][row]), 1) + 0.0
    return f"{digit}: {score}", images.reshape(3, _SIDE, _SIDE)


def plot_table_scores(result: LabResult, theme: str) -> Figure:
    """Draw narrows' scores of the table, by kind of cell."""
    shown = result.artifacts["cancer"]
    threshold = -float(shown["detector"].offset_)
    return plot_anomaly_scores(shown["scores"]["narrows"], threshold=threshold, labels=shown["labels"], theme=theme)


def plot_table_row(result: LabResult, theme: str) -> Figure:
    """Draw the attribution of the malignant cell with the highest score."""
    shown = result.artifacts["cancer"]
    row = int(np.where(shown["labels"], shown["scores"]["narrows"], -np.inf).argmax())
    return plot_explanation(shown["detector"], shown["rows"].iloc[row : row + 1], theme=theme)
