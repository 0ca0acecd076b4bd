"""What the numbers of a code mean: PCA's loadings, and how a decoder answers to each number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from narrows.errors import DataError
from narrows.report.theme import Theme, diverging, new_figure, style_axes, theme_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["plot_loadings", "plot_responses"]

STEPS = 7
MOST_FEATURES = 20


def plot_loadings(
    pca: Any,
    *,
    image_shape: Sequence[int] | None = None,
    feature_names: Sequence[str] | None = None,
    n_codes: int = 8,
    theme: str = "light",
) -> Figure:
    """Draw the components of a PCA: what each number of its code is made of.

    Parameters
    ----------
    pca : fitted estimator with ``components_``
        Such as scikit-learn's.
    image_shape : tuple of int, optional
        Height and width, and channels, of the images that rows are: then each component is an image.
    feature_names : sequence of str, optional
        Names of the columns.
    n_codes : int, default 8
        How many components to draw at most.
    theme : {"light", "dark"}, default "light"
        Colours. One colour is positive, the other negative; the sign of a component as a whole means nothing.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.decomposition import PCA
    >>> from narrows.report import plot_loadings
    >>> iris = load_iris()
    >>> figure = plot_loadings(PCA(2).fit(iris.data), feature_names=iris.feature_names)
    >>> figure.axes[0].get_xlabel()
    'component'
    """
    colours = theme_of(theme)
    components = getattr(pca, "components_", None)
    if components is None:
        raise DataError(f"{type(pca).__name__} has no components_: loadings are those of a fitted PCA.")
    loadings = np.asarray(components, dtype=np.float64)[:n_codes]
    labels = [f"{number + 1}" for number in range(len(loadings))]
    if image_shape is not None:
        return _image_strip(loadings[:, None], labels, image_shape, colours)
    return _heat(loadings.T, labels, feature_names, "component", "loading", colours)


def plot_responses(
    model: Any,
    X: Any,
    *,
    n_codes: int = 8,
    image_shape: Sequence[int] | None = None,
    feature_names: Sequence[str] | None = None,
    theme: str = "light",
) -> Figure:
    """Draw how the reconstruction answers to each number of the code.

    One number at a time goes from its 5th to its 95th percentile over ``X``; the others stay at those of the row whose
    code is nearest the middle. What a number does to a nonlinear decoder depends on where the others are: this shows
    one place, and one where there is data.

    Parameters
    ----------
    model : fitted estimator
        With ``transform`` and ``inverse_transform``: an autoencoder, or PCA for comparison.
    X : array of shape (n, n_features), or array of images
        Rows that say which values the code takes.
    n_codes : int, default 8
        How many numbers to draw at most: those that change the reconstruction most.
    image_shape : tuple of int, optional
        Height and width, and channels, of the images that rows are; by default the model's own. Then each number is a
        strip of images.
    feature_names : sequence of str, optional
        Names of the columns; by default the model's own.
    theme : {"light", "dark"}, default "light"
        Colours.

    Returns
    -------
    matplotlib.figure.Figure
        Strips of images; or a map of how far each column moves, in its own standard deviations, as each number goes
        from low to high.

    Examples
    --------
    >>> import narrows
    >>> X = narrows.datasets.make_manifold(400, 6, n_latent=2, random_state=0)
    >>> model = narrows.Autoencoder(2, max_epochs=20, random_state=0).fit(X)
    >>> figure = narrows.report.plot_responses(model, X)
    >>> figure.axes[0].get_xlabel()
    'code number'
    """
    colours = theme_of(theme)
    rows = np.asarray(X)
    if rows.ndim < 2 or not len(rows):
        raise DataError("The rows whose codes are to be moved must be a table with at least one row.")
    shape = getattr(model, "image_shape_", None) if image_shape is None else image_shape
    names = getattr(model, "feature_names_in_", None) if feature_names is None else feature_names
    codes = np.asarray(model.transform(X if hasattr(X, "columns") else rows), dtype=np.float64)
    responses = _responses(model, codes)
    spread = rows.reshape(len(rows), -1).astype(np.float64).std(0)
    moved = responses[:, -1] - responses[:, 0]
    order = np.argsort(-np.square(moved).mean(1), kind="stable")[:n_codes]
    labels = [f"{number + 1}" for number in order]
    if shape is not None:
        return _image_strip(responses[order], labels, shape, colours, plain=True)
    relative = moved[order] / np.where(spread > 0, spread, 1.0)
    return _heat(relative.T, labels, names, "code number", "change, in standard deviations of the column", colours)


def _responses(model: Any, codes: np.ndarray) -> np.ndarray:
    """Return reconstructions, (codes, steps, features)."""
    # A row's own code, not the median of each number, which may lie where no row is.
    spread = codes.std(0)
    distance = np.square((codes - np.median(codes, axis=0)) / np.where(spread > 0, spread, 1.0)).sum(1)
    middle = codes[int(distance.argmin())]
    low, high = np.percentile(codes, [5, 95], axis=0)
    moved = np.tile(middle, (codes.shape[1], STEPS, 1))
    for number in range(codes.shape[1]):
        moved[number, :, number] = np.linspace(low[number], high[number], STEPS)
    decoded = np.asarray(model.inverse_transform(moved.reshape(-1, codes.shape[1])), dtype=np.float64)
    return decoded.reshape(codes.shape[1], STEPS, -1)


def _image_strip(
    values: np.ndarray, labels: list[str], image_shape: Sequence[int], colours: Theme, *, plain: bool = False
) -> Figure:
    """Draw images (codes, steps, pixels): a row of them for each code, or one each side by side."""
    height, width, channels = (*image_shape, 1)[:3]
    if height * width * channels != values.shape[2]:
        raise DataError(f"Rows of {values.shape[2]} values are not images of shape {tuple(image_shape)}.")
    images = values.reshape(*values.shape[:2], height, width, channels)
    n_codes, n_steps = images.shape[:2]
    across, down = (n_codes, 1) if n_steps == 1 else (n_steps, n_codes)
    cell = 0.85
    figure = new_figure(0.5 + cell * across, 0.3 + cell * height / width * down, colours)
    panels = figure.subplots(down, across, squeeze=False)
    low, high = float(images.min()), float(images.max())
    limit = max(abs(low), abs(high)) or 1.0
    for place, axes in enumerate(panels.ravel()):
        code, step = (place, 0) if n_steps == 1 else divmod(place, n_steps)
        image = images[code, step]
        axes.set_xticks([])
        axes.set_yticks([])
        for spine in axes.spines.values():
            spine.set_color(colours.line)
        if channels == 3:
            span = (image - low) / ((high - low) or 1.0) if plain else 0.5 + image / (2 * limit)
            axes.imshow(span.clip(0, 1))
        elif plain:
            axes.imshow(image.mean(2), cmap=colours.images, vmin=low, vmax=high)
        else:
            axes.imshow(image.mean(2), cmap=diverging(colours), vmin=-limit, vmax=limit)
        if n_steps == 1:
            axes.set_title(labels[code], color=colours.ink, fontsize=9)
        elif step == 0:
            axes.set_ylabel(labels[code], rotation=0, ha="right", va="center", color=colours.ink, fontsize=9)
    return figure


def _heat(
    values: np.ndarray,
    labels: list[str],
    names: Sequence[str] | None,
    xlabel: str,
    what: str,
    colours: Theme,
) -> Figure:
    """Draw a map (features, codes); of many features only those with the largest values."""
    listed = [str(name) for name in names] if names is not None else [f"x{number}" for number in range(len(values))]
    if len(listed) != len(values):
        raise DataError(f"There are {len(listed)} names for {len(values)} columns.")
    kept = np.arange(len(values))
    if len(values) > MOST_FEATURES:
        kept = np.sort(np.argsort(-np.abs(values).max(1), kind="stable")[:MOST_FEATURES])
    shown = values[kept]
    longest = max(len(listed[number]) for number in kept)
    figure = new_figure(2.2 + 0.075 * min(longest, 40) + 0.5 * len(labels), 1.2 + 0.26 * len(kept), colours)
    axes = figure.subplots()
    title = f"{len(kept)} of {len(values)} columns" if len(kept) < len(values) else ""
    style_axes(axes, colours, xlabel=xlabel, title=title)
    limit = float(np.abs(shown).max()) or 1.0
    drawn = axes.imshow(shown, cmap=diverging(colours), vmin=-limit, vmax=limit, aspect="auto")
    axes.set_xticks(range(len(labels)), labels)
    axes.set_yticks(range(len(kept)), [listed[number][:40] for number in kept], parse_math=False)
    axes.tick_params(length=0)
    bar = figure.colorbar(drawn, ax=axes, shrink=0.9)
    bar.set_label(what, color=colours.faint, fontsize=9)
    bar.ax.tick_params(colors=colours.faint, labelsize=8)
    bar.outline.set_visible(False)
    return figure
