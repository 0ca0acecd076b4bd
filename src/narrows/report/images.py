"""Images over their reconstructions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from narrows.errors import DataError
from narrows.report.theme import new_figure, theme_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

__all__ = ["form_of", "image_rows", "mosaic", "plot_reconstructions"]


def plot_reconstructions(
    X: Any,
    rebuilt: Any,
    *,
    shape: Sequence[int] | None = None,
    n_images: int = 12,
    theme: str = "light",
) -> Figure:
    """Show images over what models rebuild of them, all on one grey scale.

    Parameters
    ----------
    X : array of shape (n, n_pixels), (n, height, width) or (n, height, width, channels)
        Images.
    rebuilt : array of the same images, fitted estimator, or dict of these
        The same images rebuilt, or what rebuilds them (``reconstruct``, or ``transform`` and ``inverse_transform``).
        A dictionary has a row for each key.
    shape : tuple of int, optional
        Height and width, and 3 for colours; by default those of the array, of the model, or square and grey.
    n_images : int, default 12
        How many to show at most.
    theme : {"light", "dark"}, default "light"
        Colours. Large values are ink on the page: dark on light, light on dark.

    Returns
    -------
    matplotlib.figure.Figure
        With one axes for the originals and one for each model.

    Raises
    ------
    DataError
        If rows are not images of that shape, or matplotlib is missing.

    Examples
    --------
    >>> from sklearn.decomposition import PCA
    >>> from sklearn.datasets import load_digits
    >>> from narrows.report import plot_reconstructions
    >>> X = load_digits().data
    >>> figure = plot_reconstructions(X, {"PCA 2": PCA(2).fit(X), "PCA 8": PCA(8).fit(X)})
    >>> len(figure.axes)
    3
    """
    originals = np.asarray(X)[:n_images]
    if originals.ndim < 2 or not len(originals):
        raise DataError("Images must be the rows of a table, or an array of images, with at least one row.")
    named = dict(rebuilt) if isinstance(rebuilt, dict) else {"rebuilt": rebuilt}
    known = getattr(next(iter(named.values()), None), "image_shape_", None)
    layout = shape or (originals.shape[1:] if originals.ndim > 2 else known)
    flat = originals.reshape(len(originals), -1)
    form = form_of(flat.shape[1], layout)
    rows = {"original": flat} | {label: _rebuild(given, originals) for label, given in named.items()}
    low, high = float(np.nanmin(flat)), float(np.nanmax(flat))
    return image_rows({label: images.reshape(-1, *form) for label, images in rows.items()}, form, low, high, theme)


def image_rows(rows: dict[str, np.ndarray], form: tuple[int, ...], low: float, high: float, theme: str) -> Figure:
    """Draw rows of images, each labelled, all on one scale.

    Parameters
    ----------
    rows : dict of str to ndarray, shape (n, height, width) or (n, height, width, 3)
        The images of each row.
    form : tuple of int
        Shape of one image.
    low, high : float
        Values drawn as the two ends of the scale.
    theme : {"light", "dark"}
        Colours.
    """
    colours = theme_of(theme)
    count = max(len(images) for images in rows.values())
    height = 0.72 * form[0] / form[1]
    figure = new_figure(1.3 + 0.72 * count, 0.1 + (height + 0.07) * len(rows), colours)
    panels = figure.subplots(len(rows), 1, squeeze=False)[:, 0]
    for axes, (label, images) in zip(panels, rows.items(), strict=True):
        whole = mosaic(images, low, high)
        axes.imshow(whole, cmap=colours.images, vmin=0, vmax=1, interpolation="nearest", aspect="equal")
        axes.set_facecolor(colours.paper)  # shows in the gaps
        axes.set_xticks([])
        axes.set_yticks([])
        for spine in axes.spines.values():
            spine.set_visible(False)
        style = {"rotation": 0, "ha": "right", "va": "center", "fontsize": 10, "color": colours.ink}
        axes.set_ylabel(label, parse_math=False, **style)
    # The layout comes to rest at the second drawing only: at the first one, labels may be cut off.
    figure.draw_without_rendering()
    return figure


def form_of(n_pixels: int, shape: Sequence[int] | None) -> tuple[int, ...]:
    """Return the shape of images of so many values; square and grey ones where nothing else is known."""
    if shape is None:
        side = math.isqrt(n_pixels)
        if side * side != n_pixels:
            raise DataError(f"Rows of {n_pixels} values are not square images: give shape=(height, width).")
        return side, side
    form = tuple(int(size) for size in shape)
    if len(form) == 3 and form[2] == 1:
        form = form[:2]
    if len(form) not in (2, 3) or (len(form) == 3 and form[2] != 3) or math.prod(form) != n_pixels:
        raise DataError(f"Rows of {n_pixels} values are not images of shape {tuple(shape)}.")
    return form


def _rebuild(given: Any, originals: np.ndarray) -> np.ndarray:
    flat = originals.reshape(len(originals), -1)
    if hasattr(given, "reconstruct"):
        rebuilt = given.reconstruct(flat)
    elif hasattr(given, "inverse_transform"):
        rebuilt = given.inverse_transform(given.transform(flat))
    else:
        rebuilt = given
    images = np.asarray(rebuilt)[: len(originals)]
    images = images.reshape(len(images), -1)
    if images.shape != flat.shape:
        raise DataError(f"Rebuilt images have shape {images.shape}, the originals {originals.shape}.")
    return images


def mosaic(images: np.ndarray, low: float, high: float, *, gap: int | None = None) -> np.ndarray:
    """Put images side by side with a gap, by default of an eighth of their width, values brought to 0..1."""
    span = high - low if high > low else 1.0
    values = ((images.astype(np.float64) - low) / span).clip(0, 1)
    gap = max(1, images.shape[2] // 8) if gap is None else gap
    padding = [(0, 0), (0, 0), (0, gap)] + [(0, 0)] * (images.ndim - 3)
    # The gap is not a number, which is drawn as nothing; for colours it is the lowest value.
    padded = np.pad(values, padding, constant_values=np.nan if images.ndim == 3 else 0.0)
    whole = np.concatenate(list(padded), axis=1)
    return whole[:, :-gap] if gap else whole
