"""Images over their reconstructions, noisy images over cleaned ones, and one large picture before and after."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from narrows.errors import DataError
from narrows.metrics import psnr
from narrows.report.theme import Theme, named, new_figure, theme_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "as_images",
    "draw_image_rows",
    "image_grid",
    "label_row",
    "plot_denoised_picture",
    "plot_denoising",
    "plot_reconstructions",
    "show_image",
    "value_range",
]


def plot_reconstructions(
    X: Any, rebuilt: Any, *, shape: Sequence[int] | None = None, n_images: int = 12, theme: str = "light"
) -> Figure:
    """Show images over their reconstructions, all on one grey scale.

    Parameters
    ----------
    X : array of shape (n, n_pixels), (n, height, width) or (n, height, width, channels)
        Images.
    rebuilt : array of the same images, fitted estimator, or dict of these
        The reconstructions, or what makes them (``reconstruct``, or ``transform`` and ``inverse_transform``). A
        dictionary has a row for each key.
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
    models = named(rebuilt, "rebuilt")
    originals = as_images(np.asarray(X)[:n_images], shape, next(iter(models.values())))
    rows = {"original": originals}
    for label, given in models.items():
        rows[label] = _output(given, originals, "reconstruct")
    return draw_image_rows(rows, value_range(originals), theme)


def plot_denoising(
    model: Any,
    noisy: Any,
    clean: Any = None,
    *,
    n_images: int = 10,
    image_shape: Sequence[int] | None = None,
    theme: str = "light",
) -> Figure:
    """Show noisy images over what models make of them, and over the clean ones where these are known.

    Parameters
    ----------
    model : fitted estimator, array, or dict of these
        What cleans (``denoise``, otherwise ``transform`` and ``inverse_transform``), or images already cleaned in some
        other way. A dictionary has a row for each key.
    noisy : array of shape (n, n_pixels), (n, height, width) or (n, height, width, channels)
        Noisy images.
    clean : array of the same shape, optional
        The same without noise: then each row says its PSNR, over all images handed in.
    n_images : int, default 10
        How many to show at most.
    image_shape : tuple of int, optional
        Height and width, and channels; by default those of the array, of the model, or a square.
    theme : {"light", "dark"}, default "light"
        Colours.

    Returns
    -------
    matplotlib.figure.Figure
        With one axes for each row of images.

    Examples
    --------
    >>> import numpy as np, narrows
    >>> from sklearn.datasets import load_digits
    >>> clean = load_digits().images
    >>> noisy = clean + np.random.default_rng(0).normal(0, 4, clean.shape)
    >>> model = narrows.Autoencoder(16, max_epochs=10, random_state=0).fit(noisy, clean)
    >>> figure = narrows.report.plot_denoising(model, noisy[:100], clean[:100])
    >>> len(figure.axes)
    3
    """
    models = named(model, "cleaned")
    if clean is not None and np.shape(clean) != np.shape(noisy):
        raise DataError(f"Clean images have shape {np.shape(clean)}, the noisy ones {np.shape(noisy)}.")
    images = as_images(noisy, image_shape, next(iter(models.values())))
    rows = {"noisy": images}
    for label, given in models.items():
        rows[label] = _output(given, images, "denoise", np.asarray(noisy))
    truth = images
    if clean is not None:
        truth = np.asarray(clean).reshape(images.shape)
        rows = {f"{label}\n{psnr(truth, found):.1f} dB": found for label, found in rows.items()} | {"clean": truth}
    return draw_image_rows({label: found[:n_images] for label, found in rows.items()}, value_range(truth), theme)


def _output(given: Any, images: np.ndarray, method: str, noisy: np.ndarray | None = None) -> np.ndarray:
    """Return what a model makes of images, or images that were made elsewhere, in their shape."""
    flat = images.reshape(len(images), -1)
    if hasattr(given, method):
        output = getattr(given, method)(flat if noisy is None else noisy)
    elif hasattr(given, "inverse_transform"):
        output = given.inverse_transform(given.transform(flat))
    else:
        output = np.asarray(given)[: len(images)] if noisy is None else given
    output = np.asarray(output)
    if len(output) != len(images) or output.size != images.size:
        what = "Rebuilt" if noisy is None else "Cleaned"
        raise DataError(f"{what} images have shape {output.shape}, where {images.shape} is needed.")
    return output.reshape(images.shape)


def plot_denoised_picture(
    model: Any, noisy: Any, clean: Any = None, *, detail: int = 96, theme: str = "light"
) -> Figure:
    """Show one picture before and after, with an enlarged detail of each.

    Parameters
    ----------
    model : fitted estimator, array, or dict of these
        What cleans (``denoise_image``), or the picture already cleaned in some other way.
    noisy : array of shape (height, width) or (height, width, 3)
        The picture.
    clean : array of the same shape, optional
        The same without noise: then each says its PSNR.
    detail : int, default 96
        Side of the square that is enlarged, from the middle of the picture, in pixels.
    theme : {"light", "dark"}, default "light"
        Colours.

    Returns
    -------
    matplotlib.figure.Figure
        With two axes for each version.
    """
    picture = np.asarray(noisy)
    if picture.ndim not in (2, 3) or not picture.size:
        raise DataError(f"A picture is an array (height, width) or (height, width, 3), not of shape {picture.shape}.")
    models = named(model, "cleaned")
    versions = {"noisy": picture}
    for label, given in models.items():
        versions[label] = np.asarray(given.denoise_image(picture) if hasattr(given, "denoise_image") else given)
    if clean is not None:
        versions["clean"] = np.asarray(clean)
    for label, version in versions.items():
        if version.shape != picture.shape:
            raise DataError(f"The {label} picture has shape {version.shape}, the noisy one {picture.shape}.")
    colours = theme_of(theme)
    truth = versions.get("clean", picture)
    low, high = value_range(truth)
    height, width = picture.shape[:2]
    side = min(detail, height, width)
    top, left = (height - side) // 2, (width - side) // 2
    figure = new_figure(3.0 * len(versions), 3.0 * height / width + 3.4, colours)
    panels = figure.subplots(2, len(versions), squeeze=False, height_ratios=[height / width, 1])
    for column, (label, version) in enumerate(versions.items()):
        scaled = ((version.astype(np.float64) - low) / ((high - low) or 1.0)).clip(0, 1)
        quality = f", {psnr(truth, version):.1f} dB" if clean is not None and label != "clean" else ""
        for axes, part in zip(panels[:, column], (scaled, scaled[top : top + side, left : left + side]), strict=True):
            # A photograph is light on dark on any page.
            axes.imshow(part, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            axes.set_axis_off()
        panels[0, column].set_title(label + quality, color=colours.ink, fontsize=10, parse_math=False)
    return figure


def as_images(images: Any, shape: Sequence[int] | None, model: Any = None) -> np.ndarray:
    """Return images as (n, height, width) or (n, height, width, 3); by default of the array's shape, or the model's."""
    given = np.asarray(images)
    if given.ndim < 2 or not len(given):
        raise DataError("Images must be the rows of a table, or an array of images, with at least one row.")
    if shape is None:
        shape = given.shape[1:] if given.ndim > 2 else getattr(model, "image_shape_", None)
    return given.reshape(-1, *_form(math.prod(given.shape[1:]), shape))


def _form(n_pixels: int, shape: Sequence[int] | None) -> tuple[int, ...]:
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


def value_range(*arrays: np.ndarray) -> tuple[float, float]:
    """Return the least and the largest of all values."""
    return min(float(np.nanmin(a)) for a in arrays), max(float(np.nanmax(a)) for a in arrays)


def draw_image_rows(rows: dict[str, np.ndarray], span: tuple[float, float], theme: str) -> Figure:
    """Draw rows of images, each labelled, all on one scale from ``span[0]`` to ``span[1]``."""
    colours = theme_of(theme)
    form = next(iter(rows.values())).shape[1:]
    count = max(len(images) for images in rows.values())
    height = 0.72 * form[0] / form[1]
    figure = new_figure(1.3 + 0.72 * count, 0.1 + (height + 0.07) * len(rows), colours)
    panels = figure.subplots(len(rows), 1, squeeze=False)[:, 0]
    for axes, (label, images) in zip(panels, rows.items(), strict=True):
        show_image(axes, image_grid(images, span), colours)
        label_row(axes, label, colours)
    # The layout comes to rest at the second drawing only: at the first one, labels may be cut off.
    figure.draw_without_rendering()
    return figure


def label_row(axes: Any, label: str, colours: Theme) -> None:
    """Write a label to the left of a row of images."""
    style = {"rotation": 0, "ha": "right", "va": "center", "fontsize": 10, "color": colours.ink}
    axes.set_ylabel(label, parse_math=False, **style)


def image_grid(
    images: np.ndarray, span: tuple[float, float], across: int | None = None, *, gap: int | None = None
) -> np.ndarray:
    """Put images in rows of so many, by default in one, values brought to 0..1; gaps and empty cells are NaN.

    A gap is an eighth of their width by default.
    """
    (low, high), across = span, across or len(images)
    gap = max(1, images.shape[2] // 8) if gap is None else gap
    down, (height, width) = -(-len(images) // across), images.shape[1:3]
    grid = np.full((down * (height + gap), across * (width + gap), *images.shape[3:]), np.nan)
    values = ((images.astype(np.float64) - low) / ((high - low) or 1.0)).clip(0, 1)
    for number, image in enumerate(values):
        top, left = (number // across) * (height + gap), (number % across) * (width + gap)
        grid[top : top + height, left : left + width] = image
    return grid[: grid.shape[0] - gap, : grid.shape[1] - gap]


def show_image(axes: Any, image: np.ndarray, colours: Theme) -> None:
    """Draw an image of 0..1, a grey one in the theme's map; what is not a number is the paper's colour."""
    if image.ndim == 3:
        from matplotlib.colors import to_rgb

        image = np.where(np.isnan(image), to_rgb(colours.paper), image)
    axes.imshow(image, cmap=colours.images, vmin=0, vmax=1, interpolation="nearest", aspect="equal")
    axes.set_facecolor(colours.paper)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
