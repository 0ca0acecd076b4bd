"""Figures of the lab on films."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from narrows.report.plots import plain_ticks
from narrows.report.recommend_plots import plot_bars, plot_item_map
from narrows.report.theme import new_figure, style_axes, theme_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from narrows.labs.engine import LabResult

__all__ = ["plot_loss", "plot_map", "plot_rankings", "plot_star_errors"]


def _bars(result: LabResult, measure: str) -> dict[str, Any]:
    """Return a measure by the name of an entry, with its standard error where it has one."""
    error = f"{measure}_error"
    entries = [entry for entry in result.entries if measure in entry.values]
    return {
        entry.name: (entry[measure], entry[error]) if error in entry.values else entry[measure] for entry in entries
    }


def plot_star_errors(result: LabResult, theme: str) -> Figure:
    """Draw how far off predicted stars are."""
    panels = {
        "course baseline: RMSE in stars": _bars(result, "course_rmse"),
        "RMSE in stars, hidden at random": _bars(result, "rmse"),
    }
    return plot_bars(panels, highlight=("course baseline", "narrows"), same_scale=True, theme=theme)


def plot_rankings(result: LabResult, theme: str) -> Figure:
    """Draw how good lists are."""
    panels = {"NDCG@100": _bars(result, "ndcg"), "recall@20": _bars(result, "recall")}
    return plot_bars(panels, highlight=("narrows",), theme=theme)


def plot_map(result: LabResult, theme: str) -> Figure:
    """Draw the map of films."""
    shown = result.artifacts["map"]
    order = result.artifacts["movies"].order
    return plot_item_map(shown["points"], shown["titles"], shown["groups"], order=order, theme=theme)


def plot_loss(result: LabResult, theme: str) -> Figure:
    """Draw the loss of the fit, and beside it that of users held out, on one scale."""
    colours = theme_of(theme)
    figure = new_figure(9.4, 3.6, colours)
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3, 1.6))
    style_axes(left, colours, title="users of the fit", xlabel="epochs", ylabel="loss over all cells")
    style_axes(right, colours, title="users held out")
    records = [(record["epoch"], record["loss"]) for record in result.artifacts["history"] if "loss" in record]
    left.plot(*zip(*records, strict=True), color=colours.series[0], lw=1.8)
    left.xaxis.get_major_locator().set_params(integer=True)
    loss = result["course"]["loss"]
    right.plot([0.1], [loss], "o", color=colours.series[0], ms=8, zorder=3)
    # On paper of its own, as a dotted line may run through it.
    box = {"facecolor": colours.paper, "edgecolor": "none", "pad": 1.5}
    note = {"textcoords": "offset points", "fontsize": 9, "color": colours.ink, "ha": "left", "zorder": 4}
    right.annotate(f"network {loss:.4f}", (0.1, loss), (-6, 12), bbox=box, **note)
    right.set_xlim(0, 1)
    right.set_xticks([])
    levels = {key: (result.artifacts["training_losses"][key], result[key]["loss"]) for key in ("zero", "average")}
    for number, axes in enumerate((left, right)):
        _levels(axes, {result[key].name: pair[number] for key, pair in levels.items()}, colours)
    values = [value for _, value in records] + [loss, *(value for pair in levels.values() for value in pair)]
    low, high = min(values), max(values)
    if high > 3 * low > 0:
        left.set_yscale("log")
        left.set_ylim(low * (low / high) ** 0.1, high * (high / low) ** 0.08)
        plain_ticks(left.yaxis)
    return figure


def _levels(axes: Any, levels: dict[str, float], colours: Any) -> None:
    """Draw losses of trivial answers across, the upper one written above its line and the lower one below."""
    upper = max(levels, key=lambda name: levels[name])
    style = {"textcoords": "offset points", "color": colours.faint, "fontsize": 8.5, "ha": "right"}
    for number, (name, level) in enumerate(levels.items()):
        axes.axhline(level, color=colours.faint if number else colours.series[1], lw=1.2, ls=":")
        place = {"va": "bottom", "xytext": (-3, 3)} if name == upper else {"va": "top", "xytext": (-3, -3)}
        axes.annotate(f"{name} {level:.4f}", (1, level), xycoords=("axes fraction", "data"), **place, **style)
