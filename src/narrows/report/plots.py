"""Curves: the loss and its parts while training, errors over rows, and size against error of a rounded code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from narrows.errors import DataError
from narrows.report.theme import Theme, named, new_figure, style_axes, theme_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["plain_ticks", "plot_errors", "plot_history", "plot_losses", "plot_rates"]

_X_LABELS = {"epoch": "passes over the training rows", "step": "training steps", "seconds": "seconds"}
_PARTS = {"total_loss": "total", "reconstruction_loss": "reconstruction", "kl_loss": "KL"}
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
    histories = named(history)
    figure = new_figure(0.6 + 4.6 * len(histories), 3.4, colours)
    panels = figure.subplots(1, len(histories), sharey=True, squeeze=False)[0]
    values: list[float] = []
    for axes, (title, given) in zip(panels, histories.items(), strict=True):
        levels = _levels(given) if references is None else dict(references)
        style_axes(axes, colours, title=title, xlabel=_X_LABELS[x], ylabel=ylabel if axes is panels[0] else "")
        values += _curves(axes, _records(given), x, colours)
        values += _references(axes, levels, colours)
        axes.xaxis.get_major_locator().set_params(integer=x != "seconds")
    _scale(panels[0], values)
    return figure


def plot_losses(history: Any, *, x: str = "epoch", theme: str = "light") -> Figure:
    """Draw how the loss of a variational model went while training, and its two parts.

    Parameters
    ----------
    history : list of dict, fitted VariationalAutoencoder, or dict of these
        The records (``history_``), or the estimator that has them. Of a dictionary each gets a row of axes.
    x : {"epoch", "step", "seconds"}, default "epoch"
        What goes along.
    theme : {"light", "dark"}, default "light"
        Colours.

    Returns
    -------
    matplotlib.figure.Figure
        With three axes for each history: the total, with the KL at its full weight, the reconstruction loss and the
        KL. A dotted line across the total of an estimator is what a model of independent features costs.

    Examples
    --------
    >>> import narrows
    >>> X = narrows.datasets.make_manifold(500, 8, n_latent=2, random_state=0)
    >>> model = narrows.VariationalAutoencoder(2, max_epochs=5, random_state=0).fit(X)
    >>> figure = narrows.report.plot_losses(model)
    >>> [axes.get_title(loc="left") for axes in figure.axes]
    ['total', 'reconstruction', 'KL']
    """
    if x not in _X_LABELS:
        raise DataError(f"x must be one of {', '.join(_X_LABELS)}, not {x!r}.")
    colours = theme_of(theme)
    histories = named(history)
    figure = new_figure(10.2, 0.2 + 2.9 * len(histories), colours)
    grid = figure.subplots(len(histories), len(_PARTS), squeeze=False)
    for number, (panels, (name, given)) in enumerate(zip(grid, histories.items(), strict=True)):
        records = _with_totals(_records(given))
        for axes, (key, title) in zip(panels, _PARTS.items(), strict=True):
            label = (f"{name}\n" * bool(name) + "nats a row") if axes is panels[0] else ""
            style_axes(axes, colours, title="" if number else title, ylabel=label)
            _curves(axes, records, x, colours, key)
            levels = _references(axes, _independent(given) if key == "total_loss" else {}, colours)
            axes.xaxis.get_major_locator().set_params(integer=x != "seconds")
            _limits(axes, records, key, levels)
            if number or key != "reconstruction_loss":
                axes.get_legend().remove()
    for axes in grid[-1]:
        axes.set_xlabel(_X_LABELS[x])
    return figure


def _with_totals(records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return records of a variational model; where they have no total, what was minimised stands for it."""
    starts = ("", "val_")
    if not any(f"{start}kl_loss" in record for start in starts for record in records):
        raise DataError("This history has no KL: it is not that of a variational autoencoder.")
    totals = [
        {f"{start}total_loss": record[f"{start}loss"] for start in starts if f"{start}loss" in record}
        for record in records
    ]
    return [total | dict(record) for total, record in zip(totals, records, strict=True)]


def _independent(given: Any) -> dict[str, float]:
    costs = getattr(given, "baselines_", {}).get("nats_per_row", {})
    return {"independent features": costs["independent"]} if "independent" in costs else {}


def _limits(axes: Any, records: Sequence[Mapping[str, Any]], key: str, levels: Sequence[float]) -> None:
    """Leave out what only the first record shows: before any training the loss may be of another order."""
    names = (key, f"val_{key}")
    known = [[record[name] for name in names if name in record] for record in records]
    shown = [value for values in (known[1:] if len(known) > 2 else known) for value in values] + list(levels)
    low, high = (0.0 if key == "kl_loss" else min(shown)), max(shown)
    room = 0.06 * (high - low) or 0.06 * abs(high) or 1.0
    axes.set_ylim(low - room * (key != "kl_loss"), high + 2 * room)


def _records(given: Any) -> Sequence[Mapping[str, Any]]:
    records = getattr(given, "history_", given)
    if not len(records):
        raise DataError("The history is empty: there was no training to draw.")
    return records


def _levels(given: Any) -> dict[str, float]:
    """Return the trivial answers of an estimator, in the units of its history."""
    measured = getattr(given, "baselines_", {})
    return {label: measured[key] for key, label in (("pca", "PCA"), ("mean", "mean row")) if measured.get(key, 0) > 0}


def _curves(axes: Any, records: Sequence[Mapping[str, Any]], x: str, colours: Theme, loss: str = "loss") -> list[float]:
    drawn: list[float] = []
    lines = ((loss, "training rows", colours.series[0], "-"), (f"val_{loss}", "held-out rows", colours.series[1], "--"))
    for key, label, colour, dashes in lines:
        points = [(record[x], record[key]) for record in records if key in record]
        if points:
            # A dot for every record only where they stand apart.
            mark = "o" if len(records) <= 20 else None
            axes.plot(*zip(*points, strict=True), dashes, color=colour, lw=1.8, marker=mark, ms=3.5, label=label)
            drawn += [value for _, value in points]
    place = "upper right" if loss == "loss" else "best"
    axes.legend(frameon=False, fontsize=9, labelcolor=colours.ink, loc=place)
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
    """Draw how the errors of single rows are spread: which fraction of the rows has at most this error.

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
    lines = named(errors)
    figure = new_figure(7.2, 3.4, colours)
    axes = figure.subplots()
    style_axes(axes, colours, xlabel=xlabel, ylabel="fraction of rows")
    dashes = ("-", "--", "-.", ":", (0, (5, 1)))
    positive = True
    for number, (label, values) in enumerate(lines.items()):
        ordered = np.sort(np.asarray(values, dtype=np.float64).ravel())
        ordered = ordered[np.isfinite(ordered)]
        if not len(ordered):
            raise DataError(f"There are no errors to draw{f' for {label}' * bool(label)}.")
        positive &= bool(ordered[0] > 0)
        fractions = np.arange(1, len(ordered) + 1) / len(ordered)
        colour, dash = colours.series[number % 5], dashes[number % 5]
        axes.step(ordered, fractions, where="post", label=label, color=colour, ls=dash, lw=1.8)
    if positive:
        axes.set_xscale("log")
        plain_ticks(axes.xaxis)
    axes.set_ylim(0, 1.02)
    axes.yaxis.set_major_formatter(lambda fraction, _: f"{fraction:.0%}")
    if any(lines):
        axes.legend(frameon=False, fontsize=9, labelcolor=colours.ink, loc="upper left")
    return figure


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

    Examples
    --------
    >>> from narrows.report import plot_rates
    >>> curve = [{"bits_per_value": b, "mse": 1 / b, "chosen": b == 2} for b in (1, 2, 4)]
    >>> plot_rates(curve).axes[0].get_xlabel()
    'bits per value'
    """
    if not curve:
        raise DataError("There is no curve to draw: a codec has one if it was fitted with code_only.")
    colours = theme_of(theme)
    figure = new_figure(6.4, 4.0, colours)
    axes = figure.add_subplot()
    places = [(point["bits_per_value"], point["mse"]) for point in curve]
    axes.plot(*zip(*places, strict=True), color=colours.series[0], marker="o", markersize=4, linewidth=1.5)
    for point, place in zip(curve, places, strict=True):
        if point["chosen"]:
            axes.plot(*place, color=colours.series[1], marker="o", markersize=9)
            axes.annotate("chosen", place, xytext=(9, 7), textcoords="offset points", color=colours.ink, fontsize=9.5)
    if min(error for _, error in places) > 0:
        axes.set_yscale("log")
        plain_ticks(axes.yaxis)
    title = "Error of restored rows by the size of their code"
    style_axes(axes, colours, title=title, xlabel="bits per value", ylabel="mean squared error")
    return figure
