"""A comparison as a figure and as a page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from narrows.comparison.result import METHODS
from narrows.comparison.words import summary_table
from narrows.report.html import Section, Table, write_report
from narrows.report.images import plot_reconstructions
from narrows.report.maps import plot_code_map
from narrows.report.plots import plain_ticks
from narrows.report.responses import plot_loadings, plot_responses
from narrows.report.theme import new_figure, require_matplotlib, style_axes, theme_of

if TYPE_CHECKING:
    import os

    from matplotlib.figure import Figure

    from narrows.comparison import Comparison
    from narrows.report.theme import Theme

__all__ = ["comparison_report", "plot_comparison"]

_PANELS = {
    "error": "squared error per value",
    "neighbour_accuracy": "accuracy, 5 nearest neighbours",
    "linear_accuracy": "accuracy, linear classifier",
    "trustworthiness": "neighbourhoods kept (trustworthiness)",
}
_MARKS = {"pca": ("o", "-"), "linear": ("s", ":"), "autoencoder": ("D", "--")}
_MOST_SHOWN = 6


def plot_comparison(comparison: Comparison, *, theme: str = "light") -> Figure:
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
        Error on two logarithmic axes, with PCA's at every size; the accuracy of two classifiers where there are
        labels; and the share of neighbourhoods kept.

    Examples
    --------
    >>> import narrows
    >>> X = narrows.datasets.make_manifold(600, 8, n_latent=2, random_state=0)
    >>> figure = narrows.report.plot_comparison(narrows.compare(X, (1, 2), max_epochs=5))
    >>> len(figure.axes)
    2
    """
    colours = theme_of(theme)
    labelled = comparison.results[0].neighbour_accuracy is not None
    shown = [name for name in _PANELS if labelled or not name.endswith("accuracy")]
    columns = 2
    rows = -(-len(shown) // columns)
    figure = new_figure(4.7 * columns, 3.5 * rows, colours)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, name in zip(panels, shown, strict=False):
        style_axes(axes, colours, title=_PANELS[name], xlabel="numbers in the code")
        _lines(axes, comparison, name, colours)
    panels[0].legend(frameon=False, fontsize=9, labelcolor=colours.ink)
    return figure


def _lines(axes: Any, comparison: Comparison, name: str, colours: Theme) -> None:
    from matplotlib.ticker import FixedLocator, NullLocator

    sizes = comparison.sizes
    if name == "error":
        # As far as PCA needs to come to the same: further on it falls to zero and would fill the axis.
        least = 0.8 * min(entry.error for entry in comparison.results)
        curve = enumerate(comparison.exhibits.pca_curve, 1)
        inside = [(k, float(error)) for k, error in curve if k <= sizes[-1] or error >= least]
        inside = [(k, error) for k, error in inside if k >= sizes[0]]
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
    if name == "error" and min(entry.error for entry in comparison.results) > 0:
        axes.set_yscale("log")
        plain_ticks(axes.yaxis)


def comparison_report(comparison: Comparison, path: str | os.PathLike[str]) -> None:
    """Write a comparison as one HTML page that needs nothing else.

    Parameters
    ----------
    comparison : Comparison
        What :func:`narrows.compare` gave.
    path : path-like
        The file.

    Raises
    ------
    DataError
        If matplotlib is missing or the file cannot be written.
    """
    require_matplotlib()
    held = comparison.exhibits.n_held_out
    lead = f"{comparison.n_train:,} rows of {comparison.n_features:,} columns fitted to, {held:,} held out."
    write_report(path, "PCA against autoencoder", _sections(comparison), lead=lead)


def _sections(comparison: Comparison) -> list[Section]:
    taught = comparison.course_table
    course = Table(("", *METHODS.values()), tuple((aspect, *cells.values()) for aspect, cells in taught.items()))
    return [
        Section("The verdict", comparison.verdict),
        Section(
            "Error and use against size",
            figure=lambda theme: plot_comparison(comparison, theme=theme),
            caption="On held-out rows. The thin line is PCA with every number of components.",
        ),
        Section(
            "The numbers",
            "Error is the mean squared error per value; explained is the share of the variance; trust the share of "
            "neighbourhoods kept. A star marks the time of one fit that serves all sizes.",
            table=summary_table(comparison),
        ),
        Section("As courses put it", "The table that courses draw up, with what was measured here.", table=course),
        *_shown(comparison),
        Section("How it was measured", items=comparison.notes),
    ]


def _shown(comparison: Comparison) -> list[Section]:
    """Return the sections that show rather than count."""
    shown = comparison.exhibits
    size = next((k for k in comparison.sizes if k >= 8), comparison.sizes[-1])
    pca, own = _of_size(comparison, "pca", size), _of_size(comparison, "autoencoder", size)
    about: dict[str, Any] = {"image_shape": shown.image_shape, "feature_names": shown.feature_names}
    sections = []
    if shown.image_shape is not None:
        shape = shown.image_shape
        sections.append(
            Section(
                "Images and what is left of them",
                figure=lambda theme: plot_reconstructions(
                    shown.rows, {f"PCA {size}": pca, f"autoencoder {size}": own}, shape=shape, theme=theme
                ),
                caption=f"Held-out images, and the same rebuilt from {size} numbers.",
            )
        )
    sections += [
        Section(
            "What each number of PCA's code is",
            figure=lambda theme: plot_loadings(pca, n_codes=_MOST_SHOWN, theme=theme, **about),
            caption="The loadings: how much of each column goes into each number, and comes back out of it.",
        ),
        Section(
            "What each number of PCA's code does",
            figure=lambda theme: plot_responses(pca, shown.rows, n_codes=_MOST_SHOWN, theme=theme, **about),
            caption="The reconstruction as one number goes from its 5th to its 95th percentile, the others being those "
            "of the row nearest the middle. For PCA it is the loading, added more and more.",
        ),
        Section(
            "What each number of the autoencoder's code does",
            figure=lambda theme: plot_responses(own, shown.rows, n_codes=_MOST_SHOWN, theme=theme, **about),
            caption="The same for the autoencoder. Elsewhere in the code the same number may do something else.",
        ),
        Section(
            "Maps of the codes",
            figure=lambda theme: plot_code_map(
                {f"PCA {size}": pca.transform(shown.rows), f"autoencoder {size}": own.transform(shown.rows)},
                shown.labels,
                theme=theme,
            ),
            caption=f"Codes of {len(shown.rows):,} held-out rows. Codes of more than two numbers are brought to two by "
            "PCA; the axes say how much of their variance these hold.",
        ),
    ]
    return sections


class _View:
    """A fit of a comparison as an estimator of codes of one size, in the data's own units."""

    def __init__(self, fit: Any, n_features: int) -> None:
        self._fit, self._n_features = fit, n_features
        self.components_ = getattr(fit.model, "components_", None)

    def transform(self, X: Any) -> Any:
        return self._fit.encode(X)

    def inverse_transform(self, codes: Any) -> Any:
        return self._fit.decode(codes).reshape(-1, self._n_features)


def _of_size(comparison: Comparison, method: str, size: int) -> Any:
    return _View(comparison.exhibits.fits[method, size], comparison.n_features)
