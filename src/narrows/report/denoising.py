"""Strips of noisy, cleaned and clean images, and one large picture before and after."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from narrows.errors import DataError
from narrows.report.images import form_of, image_rows
from narrows.report.theme import new_figure, theme_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

__all__ = ["plot_denoised_picture", "plot_denoising"]


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
        What cleans (``denoise``, otherwise ``reconstruct``), or images already cleaned in some other way. A dictionary
        has a row for each key.
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
    from narrows.metrics import psnr

    spoilt = np.asarray(noisy)
    if spoilt.ndim < 2 or not len(spoilt):
        raise DataError("Images must be the rows of a table, or an array of images, with at least one row.")
    known = None if clean is None else np.asarray(clean)
    if known is not None and known.shape != spoilt.shape:
        raise DataError(f"Clean images have shape {known.shape}, the noisy ones {spoilt.shape}.")
    named = dict(model) if isinstance(model, dict) else {"cleaned": model}
    first = next(iter(named.values()))
    shape = image_shape or (spoilt.shape[1:] if spoilt.ndim > 2 else getattr(first, "image_shape_", None))
    form = form_of(int(np.prod(spoilt.shape[1:])), shape)
    rows = {"noisy": spoilt, **{label: _cleaned(given, spoilt) for label, given in named.items()}}
    labels = list(rows)
    if known is not None:
        labels = [f"{label}\n{psnr(known, images):.1f} dB" for label, images in rows.items()] + ["clean"]
        rows["clean"] = known
    truth = spoilt if known is None else known
    low, high = float(np.nanmin(truth)), float(np.nanmax(truth))
    shown = [np.asarray(images)[:n_images].reshape(-1, *form) for images in rows.values()]
    return image_rows(dict(zip(labels, shown, strict=True)), form, low, high, theme)


def _cleaned(given: Any, noisy: np.ndarray) -> np.ndarray:
    cleaned = given.denoise(noisy) if hasattr(given, "denoise") else given
    if hasattr(cleaned, "inverse_transform"):
        flat = noisy.reshape(len(noisy), -1)
        cleaned = cleaned.inverse_transform(cleaned.transform(flat))
    images = np.asarray(cleaned)
    if images.shape[0] != len(noisy) or images.size != noisy.size:
        raise DataError(f"Cleaned images have shape {images.shape}, the noisy ones {noisy.shape}.")
    return images.reshape(noisy.shape)


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
    from narrows.metrics import psnr

    picture = np.asarray(noisy)
    if picture.ndim not in (2, 3) or not picture.size:
        raise DataError(f"A picture is an array (height, width) or (height, width, 3), not of shape {picture.shape}.")
    named = dict(model) if isinstance(model, dict) else {"cleaned": model}
    versions = {"noisy": picture}
    for label, given in named.items():
        versions[label] = np.asarray(given.denoise_image(picture) if hasattr(given, "denoise_image") else given)
    if clean is not None:
        versions["clean"] = np.asarray(clean)
    for label, version in versions.items():
        if version.shape != picture.shape:
            raise DataError(f"The {label} picture has shape {version.shape}, the noisy one {picture.shape}.")
    colours = theme_of(theme)
    truth = versions.get("clean", picture)
    low, high = float(truth.min()), float(truth.max())
    height, width = picture.shape[:2]
    side = min(detail, height, width)
    top, left = (height - side) // 2, (width - side) // 2
    figure = new_figure(3.0 * len(versions), 3.0 * height / width + 3.4, colours)
    panels = figure.subplots(2, len(versions), squeeze=False, height_ratios=[height / width, 1])
    for column, (label, version) in enumerate(versions.items()):
        scaled = ((version.astype(np.float64) - low) / ((high - low) or 1.0)).clip(0, 1)
        told = f", {psnr(truth, version):.1f} dB" if clean is not None and label != "clean" else ""
        for axes, part in zip(panels[:, column], (scaled, scaled[top : top + side, left : left + side]), strict=True):
            # A photograph is light on dark on any page.
            axes.imshow(part, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            axes.set_axis_off()
        panels[0, column].set_title(label + told, color=colours.ink, fontsize=10, parse_math=False)
    return figure
