"""Size against error of a code that is rounded more and more coarsely."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from narrows.errors import DataError
from narrows.report.plots import plain_ticks
from narrows.report.theme import new_figure, style_axes, theme_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

__all__ = ["plot_rates"]


def plot_rates(curve: Sequence[dict[str, Any]], *, theme: str = "light") -> Figure:
    """Draw how the error of restored rows falls with the size of their code.

    Parameters
    ----------
    curve : list of dict
        The ``rate_distortion_`` of a codec with ``code_only``.
    theme : {"light", "dark"}, default "light"
        Colours.

    Returns
    -------
    matplotlib.figure.Figure
        With one axes; the step that the codec has chosen is marked.

    Raises
    ------
    DataError
        If there is nothing to draw, or matplotlib is missing.

    Examples
    --------
    >>> from narrows.report.rates import plot_rates
    >>> curve = [{"bits_per_value": b, "mse": 1 / b, "chosen": b == 2} for b in (1, 2, 4)]
    >>> plot_rates(curve).axes[0].get_xlabel()
    'bits per value'
    """
    if not curve:
        raise DataError("There is no curve to draw: a codec has one if it was fitted with code_only.")
    colours = theme_of(theme)
    figure = new_figure(6.4, 4.0, colours)
    axes = figure.add_subplot()
    bits = [point["bits_per_value"] for point in curve]
    errors = [point["mse"] for point in curve]
    axes.plot(bits, errors, color=colours.series[0], marker="o", markersize=4, linewidth=1.5)
    for point in curve:
        if point["chosen"]:
            place = (point["bits_per_value"], point["mse"])
            axes.plot(*place, color=colours.series[1], marker="o", markersize=9)
            axes.annotate("chosen", place, xytext=(9, 7), textcoords="offset points", color=colours.ink, fontsize=9.5)
    if min(errors) > 0:
        axes.set_yscale("log")
        plain_ticks(axes.yaxis)
    title = "Error of restored rows by the size of their code"
    style_axes(axes, colours, title=title, xlabel="bits per value", ylabel="mean squared error")
    return figure
