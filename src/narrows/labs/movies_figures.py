"""Figures of the lab on films."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from narrows.report import plot_bars, plot_history, plot_item_map

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
    """Draw the loss of the users of the fit, and that of trivial answers for them."""
    levels = {result[key].name: result.artifacts["training_losses"][key] for key in ("zero", "average")}
    history = {result["course"].name: result.artifacts["history"]}
    return plot_history(history, references=levels, ylabel="loss over all cells", theme=theme)
