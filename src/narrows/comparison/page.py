"""A comparison as a figure and as a page."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from narrows.comparison.measure import METHODS
from narrows.report.html import Section, Table, write_report
from narrows.report.images import plot_reconstructions
from narrows.report.maps import MAX_NAMED, plot_code_map
from narrows.report.plots import plain_ticks
from narrows.report.responses import plot_loadings, plot_responses
from narrows.report.theme import Theme, new_figure, require_matplotlib, style_axes, theme_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["plot_comparison", "write_comparison_report"]

_PANELS = {
    "error": "squared error per value",
    "neighbour_accuracy": "accuracy, 5 nearest neighbours",
    "linear_accuracy": "accuracy, linear classifier",
    "trustworthiness": "neighbourhoods kept (trustworthiness)",
}
_MARKS = {"pca": ("o", "-"), "linear": ("s", ":"), "autoencoder": ("D", "--")}
_MOST_SHOWN = 6


def plot_comparison(comparison: Any, *, theme: str = "light") -> Figure:
    """Draw what is lost and what the codes are good for against the size of the code, a line for each method.

    Parameters
    ----------
    comparison : Comparison
        What :func:`narrows.compare` gave.
    theme : {"light", "dark"}, default "light"
        Colours.

    Returns
    -------
    matplotlib.figure.Figure
        Error on two logarithmic axes, with PCA's at every size; the accuracy of two classifiers where there are labels
        that can tell, over the fraction of the commonest class; and the fraction of neighbourhoods kept.

    Examples
    --------
    >>> import narrows
    >>> from narrows.comparison import plot_comparison
    >>> X = narrows.datasets.make_manifold(600, 8, n_latent=2, random_state=0)
    >>> figure = plot_comparison(narrows.compare(X, (1, 2), max_epochs=5))
    >>> len(figure.axes)
    2
    """
    colours = theme_of(theme)
    labelled = comparison.results[0].neighbour_accuracy is not None
    shown = [name for name in _PANELS if labelled or not name.endswith("accuracy")]
    rows, columns = len(shown) // 2, 2
    figure = new_figure(4.7 * columns, 3.5 * rows, colours)
    for axes, name in zip(figure.subplots(rows, columns, squeeze=False).ravel(), shown, strict=True):
        style_axes(axes, colours, title=_PANELS[name], xlabel="components of the code")
        _lines(axes, comparison, name, colours)
        if name.endswith("accuracy"):
            level = comparison.results[0].majority_accuracy
            axes.axhline(level, color=colours.faint, lw=1, ls=":", label="commonest class")
    for axes in figure.axes[:2] if labelled else figure.axes[:1]:
        axes.legend(frameon=False, fontsize=9, labelcolor=colours.ink)
    return figure


def _lines(axes: Any, comparison: Any, name: str, colours: Theme) -> None:
    from matplotlib.ticker import FixedLocator, NullLocator

    sizes = comparison.sizes
    if name == "error":
        # As far as PCA needs to come to the same: further on it falls to zero and would fill the axis.
        least = 0.8 * min(result.error for result in comparison.results)
        curve = enumerate(comparison.artifacts.pca_curve, 1)
        inside = [(k, float(error)) for k, error in curve if k >= sizes[0] and (k <= sizes[-1] or error >= least)]
        axes.plot(*zip(*inside, strict=True), color=colours.series[0], lw=0.9, alpha=0.6)
    for number, (method, label) in enumerate(METHODS.items()):
        mark, dashes = _MARKS[method]
        values = [getattr(comparison[method, size], name) for size in sizes]
        style = {"color": colours.series[number], "marker": mark, "ms": 5, "lw": 1.8, "label": label}
        # PCA and its linear copy lie on each other: the smaller mark shows both.
        axes.plot(sizes, values, dashes, **(style | {"ms": 8, "mfc": "none"} if method == "linear" else style))
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(FixedLocator(sizes))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    if name == "error" and min(result.error for result in comparison.results) > 0:
        axes.set_yscale("log")
        plain_ticks(axes.yaxis)


def write_comparison_report(comparison: Any, path: str | os.PathLike[str]) -> None:
    """Write a comparison as one HTML page; see ``Comparison.report``."""
    require_matplotlib()
    held = comparison.artifacts.n_held_out
    table = comparison.course_table
    course = Table(("", *METHODS.values()), tuple((aspect, *cells.values()) for aspect, cells in table.items()))
    sections = [
        Section("The verdict", comparison.verdict),
        Section(
            "Error and use against size",
            figure=lambda theme: plot_comparison(comparison, theme=theme),
            caption="On held-out rows. The thin line is PCA with every number of components.",
        ),
        Section(
            "The numbers",
            "Error is the mean squared error per value; explained is the fraction of the variance; trust the fraction "
            "of neighbourhoods kept. A star marks the time of one fit that serves all sizes.",
            table=comparison.summary_table(),
        ),
        Section("As courses put it", "The table that courses draw up, with what was measured here.", table=course),
        *_pictures(comparison),
        Section("How it was measured", items=comparison.notes),
    ]
    lead = f"{comparison.n_train:,} rows of {comparison.n_features:,} columns fitted to, {held:,} held out."
    write_report(path, "PCA against autoencoder", sections, lead=lead)


def _pictures(comparison: Any) -> list[Section]:
    """Return the sections that show rather than count."""
    shown = comparison.artifacts
    size = next((k for k in comparison.sizes if k >= 8), comparison.sizes[-1])
    pca, own = (_Codes(shown.fits[method, size], comparison.n_features) for method in ("pca", "autoencoder"))
    named = {f"PCA {size}": pca, f"autoencoder {size}": own}
    about: dict[str, Any] = {"image_shape": shown.image_shape, "feature_names": shown.feature_names}
    about["n_codes"] = _MOST_SHOWN
    texts = shown.labels is not None and shown.labels.dtype.kind not in "fiub"
    many = texts and len(set(shown.labels.tolist())) > MAX_NAMED
    labels = None if many else shown.labels
    images = Section(
        "Images and what is left of them",
        figure=lambda theme: plot_reconstructions(shown.rows, named, shape=shown.image_shape, theme=theme),
        caption=f"Held-out images, and the same reconstructed from {size} components.",
    )
    return [
        *([] if shown.image_shape is None else [images]),
        Section(
            "What each component of PCA is",
            figure=lambda theme: plot_loadings(pca, theme=theme, **about),
            caption="The loadings: how much of each column goes into each component, and comes back out of it.",
        ),
        Section(
            "What each component of PCA does",
            figure=lambda theme: plot_responses(pca, shown.rows, theme=theme, **about),
            caption="The reconstruction as one component goes from its 5th to its 95th percentile, the others being "
            "those of the row nearest the middle. For PCA it is the loading, added more and more.",
        ),
        Section(
            "What each component of the autoencoder's code does",
            figure=lambda theme: plot_responses(own, shown.rows, theme=theme, **about),
            caption="The same for the autoencoder. Elsewhere in the code the same component may do something else.",
        ),
        Section(
            "Maps of the codes",
            figure=lambda theme: plot_code_map(
                {name: codes.transform(shown.rows) for name, codes in named.items()}, labels, theme=theme
            ),
            caption=f"Codes of {len(shown.rows):,} held-out rows. Codes of more than two components are brought to two "
            "by PCA; the axes say how much of their variance these hold.",
        ),
    ]


class _Codes:
    """A fitted method as an estimator of codes of one size, in the data's own units."""

    def __init__(self, fit: Any, n_features: int) -> None:
        self._fit, self._n_features = fit, n_features
        self.components_ = getattr(fit.model, "components_", None)

    def transform(self, X: Any) -> Any:
        return self._fit.encode(X)

    def inverse_transform(self, codes: Any) -> Any:
        return self._fit.decode(codes).reshape(-1, self._n_features)
