"""Rows and grids of images, which the plots of images share."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from narrows.errors import DataError
from narrows.report.theme import Theme, new_figure, theme_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

__all__ = ["as_images", "draw_image_rows", "image_grid", "image_row", "label_row", "show_image", "value_range"]


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
        show_image(axes, image_row(images, span), colours)
        label_row(axes, label, colours)
    # The layout comes to rest at the second drawing only: at the first one, labels may be cut off.
    figure.draw_without_rendering()
    return figure


def label_row(axes: Any, label: str, colours: Theme) -> None:
    """Write a label to the left of a row of images."""
    style = {"rotation": 0, "ha": "right", "va": "center", "fontsize": 10, "color": colours.ink}
    axes.set_ylabel(label, parse_math=False, **style)


def image_row(images: np.ndarray, span: tuple[float, float], *, gap: int | None = None) -> np.ndarray:
    """Put images side by side with a gap (NaN), by default of an eighth of their width, values brought to 0..1."""
    return image_grid(images, len(images), span, gap=gap)


def image_grid(images: np.ndarray, across: int, span: tuple[float, float], *, gap: int | None = None) -> np.ndarray:
    """Put images in rows of so many, values brought to 0..1; cells without one stay empty (NaN)."""
    low, high = span
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
