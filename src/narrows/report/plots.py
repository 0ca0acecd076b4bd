"""Curves: the loss while training, and how errors are spread over rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from narrows.errors import DataError
from narrows.report.theme import new_figure, style_axes, theme_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.figure import Figure

    from narrows.report.theme import Theme

__all__ = ["plain_ticks", "plot_errors", "plot_history"]

_X_LABELS = {"epoch": "passes over the training rows", "step": "training steps", "seconds": "seconds"}
_LOG_FROM = 3.0
"""A vertical axis is logarithmic when its largest value is this many times the smallest."""


def plot_history(
    history: Any,
    *,
    x: str = "epoch",
    references: Mapping[str, float] | None = None,
    ylabel: str = "error per value",
    theme: str = "light",
) -> Figure:
    """Draw how the loss went while training.

    Parameters
    ----------
    history : list of dict, fitted estimator, or dict of these
        The records (``history_``), or the estimator that has them. Of a dictionary each gets axes of its own, titled
        by its key, on the same vertical scale.
    x : {"epoch", "step", "seconds"}, default "epoch"
        What goes along.
    references : dict of float, optional
        Levels to draw across, such as the error of PCA. By default those of an estimator's ``baselines_``.
    ylabel : str, default "error per value"
        What the loss is.
    theme : {"light", "dark"}, default "light"
        Colours.

    Returns
    -------
    matplotlib.figure.Figure
        With one axes for each history.

    Raises
    ------
    DataError
        If there is nothing to draw, or matplotlib is missing.

    Examples
    --------
    >>> from narrows.report import plot_history
    >>> records = [{"epoch": e, "loss": 1 / e, "val_loss": 1.1 / e} for e in (1, 2, 3)]
    >>> figure = plot_history(records, references={"PCA": 0.5})
    >>> len(figure.axes)
    1
    >>> figure.savefig("history.png")  # doctest: +SKIP
    """
    if x not in _X_LABELS:
        raise DataError(f"x must be one of {', '.join(_X_LABELS)}, not {x!r}.")
    colours = theme_of(theme)
    named = dict(history) if isinstance(history, dict) else {"": history}
    if not named:
        raise DataError("There is no history to draw.")
    figure = new_figure(0.6 + 4.6 * len(named), 3.4, colours)
    panels = figure.subplots(1, len(named), sharey=True, squeeze=False)[0]
    values: list[float] = []
    for axes, (title, given) in zip(panels, named.items(), strict=True):
        levels = _levels(given) if references is None else dict(references)
        style_axes(axes, colours, title=title, xlabel=_X_LABELS[x], ylabel=ylabel if axes is panels[0] else "")
        values += _curves(axes, _records(given), x, colours)
        values += _references(axes, levels, colours)
        axes.xaxis.get_major_locator().set_params(integer=x != "seconds")
    _scale(panels[0], values)
    return figure


def _records(given: Any) -> Sequence[Mapping[str, Any]]:
    records = getattr(given, "history_", given)
    if not len(records):
        raise DataError("The history is empty: there was no training to draw.")
    return records


def _levels(given: Any) -> dict[str, float]:
    """Return the trivial answers of an estimator, in the units of its history."""
    measured = getattr(given, "baselines_", {})
    return {label: measured[key] for key, label in (("pca", "PCA"), ("mean", "mean row")) if measured.get(key, 0) > 0}


def _curves(axes: Any, records: Sequence[Mapping[str, Any]], x: str, colours: Theme) -> list[float]:
    drawn: list[float] = []
    lines = (("loss", "training rows", colours.series[0], "-"), ("val_loss", "held-out rows", colours.series[1], "--"))
    for key, label, colour, dashes in lines:
        points = [(record[x], record[key]) for record in records if key in record]
        if points:
            # A dot for every record only where they stand apart.
            mark = "o" if len(points) <= 20 else None
            axes.plot(*zip(*points, strict=True), dashes, color=colour, lw=1.8, marker=mark, ms=3.5, label=label)
            drawn += [value for _, value in points]
    axes.legend(frameon=False, fontsize=9, labelcolor=colours.ink, loc="upper right")
    return drawn


def _references(axes: Any, levels: Mapping[str, float], colours: Theme) -> list[float]:
    for label, level in levels.items():
        axes.axhline(level, color=colours.faint, lw=1, ls=":")
        axes.annotate(
            label,
            (1, level),
            (-3, 2),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            color=colours.faint,
            fontsize=8.5,
            ha="right",
            parse_math=False,
        )
    return list(levels.values())


def _scale(axes: Any, values: Sequence[float]) -> None:
    low, high = min(values, default=0.0), max(values, default=0.0)
    if low > 0 and high > _LOG_FROM * low:
        axes.set_yscale("log")
        axes.set_ylim(low * (low / high) ** 0.06, high * (high / low) ** 0.12)
        plain_ticks(axes.yaxis)


def plain_ticks(axis: Any) -> None:
    """Label a logarithmic axis with plain numbers rather than powers of ten."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_formatter(NullFormatter())


def plot_errors(errors: Any, *, xlabel: str = "squared error per value", theme: str = "light") -> Figure:
    """Draw how the errors of single rows are spread: which share of the rows has at most this error.

    Parameters
    ----------
    errors : array of shape (n,) or dict of these
        The error of each row, as ``reconstruction_error`` gives it; a dictionary has one line for each key.
    xlabel : str, default "squared error per value"
        What the error is.
    theme : {"light", "dark"}, default "light"
        Colours.

    Returns
    -------
    matplotlib.figure.Figure
        With one axes.

    Examples
    --------
    >>> import numpy as np
    >>> from narrows.report import plot_errors
    >>> rng = np.random.default_rng(0)
    >>> figure = plot_errors({"PCA": rng.random(100), "narrows": rng.random(100) / 2})
    >>> len(figure.axes[0].lines)
    2
    """
    colours = theme_of(theme)
    named = dict(errors) if isinstance(errors, dict) else {"": errors}
    figure = new_figure(7.2, 3.4, colours)
    axes = figure.subplots()
    style_axes(axes, colours, xlabel=xlabel, ylabel="share of rows")
    dashes = ("-", "--", "-.", ":", (0, (5, 1)))
    positive = True
    for number, (label, values) in enumerate(named.items()):
        ordered = np.sort(np.asarray(values, dtype=np.float64).ravel())
        ordered = ordered[np.isfinite(ordered)]
        if not len(ordered):
            raise DataError(f"There are no errors to draw{f' for {label}' * bool(label)}.")
        positive &= bool(ordered[0] > 0)
        shares = np.arange(1, len(ordered) + 1) / len(ordered)
        colour, dash = colours.series[number % 5], dashes[number % 5]
        axes.step(ordered, shares, where="post", label=label, color=colour, ls=dash, lw=1.8)
    if positive:
        axes.set_xscale("log")
        plain_ticks(axes.xaxis)
    axes.set_ylim(0, 1.02)
    axes.yaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    if any(named):
        axes.legend(frameon=False, fontsize=9, labelcolor=colours.ink, loc="upper left")
    return figure
