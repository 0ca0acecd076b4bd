"""Images that verbs write: names, types, and places checked before the work starts."""

import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from narrows.cli.errors import CommandError
from narrows.cli.files import Data, check_place, check_table_place
from narrows.data.folders import check_new_folder, write_images
from narrows.data.output import WRITABLE
from narrows.data.pictures import is_picture

_TILE = 64
"""Pixels that the side of an image in a grid is enlarged towards, by whole factors."""

_GAP = 127
"""Grey of what is between the images of a grid, apart from black and white ground alike."""


def is_folder_name(out: Path) -> bool:
    """Say whether OUT stands for a folder: it has no extension, or is one."""
    return not out.suffix or out.is_dir()


def is_table_name(out: Path) -> bool:
    """Say whether OUT is a table rather than a picture or a folder of images."""
    return not is_folder_name(out) and not is_picture(out)


def check_place_of_rows(out: Path, *inputs: Path | None) -> None:
    """Refuse a table, a picture or a folder of images that could not be written, before the work."""
    if is_folder_name(out):
        check_new_folder(out)
        if not os.access(out.absolute().parent, os.W_OK):
            raise CommandError(f"{out} cannot be written: the folder {out.parent} may not be written to.")
    elif is_picture(out):
        check_place(out, *inputs)
    else:
        check_table_place(out, *inputs)


def check_makes_images(model: Any, out: Path) -> None:
    """Refuse images from a model whose rows are none, or are of channels that no file holds."""
    shape = model.image_shape_
    if is_table_name(out):
        return
    if shape is None:
        what = "has no extension, so it would be a folder of images" if is_folder_name(out) else "would be a picture"
        raise CommandError(
            f"{out} {what}, but the model was not fitted to images; for a table narrows writes {WRITABLE}."
        )
    if shape[2] not in (1, 3):
        raise CommandError(f"Images of {shape[2]} channels are not written as files: give OUT the extension .npy.")


def as_type(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Turn what a model gives into the type of the images it was given.

    Whole numbers are rounded to and cut at the ends of what the type holds; floats are float32.
    """
    if dtype.kind not in "iu":
        return values.astype(np.float32)
    limits = np.iinfo(dtype)
    return np.rint(values).clip(limits.min, limits.max).astype(dtype)


def write_rows(out: Path, rows: np.ndarray, shape: tuple[int, int, int], given: Data) -> int:
    """Write rows as a folder of images, of the type and by the names of what they were made from; return how many."""
    dtype = getattr(given.rows, "dtype", np.dtype(np.float32))
    if dtype not in (np.uint8, np.uint16):
        dtype = np.dtype(np.float32)
    ending = "png" if dtype == np.uint8 or (dtype == np.uint16 and shape[2] == 1) else "tif"
    names = [Path(name).stem for name in given.names or ()] or [f"{k:05d}" for k in range(len(rows))]
    images = (as_type(row.reshape(shape), dtype) for row in rows)
    return write_images(out, images, names=[f"{name}.{ending}" for name in names])


def shown_range(dtype: np.dtype, low: float, high: float) -> tuple[float, float]:
    """Return the values that are black and white in a picture of images of a type and a range.

    8-bit images are shown as they are if they are of full depth, others from end to end.

    Examples
    --------
    >>> shown_range(np.dtype(np.uint8), 0, 250), shown_range(np.dtype(np.uint8), 0, 16)
    ((0.0, 255.0), (0, 16))
    """
    return (0.0, 255.0) if dtype.kind == "u" and dtype.itemsize == 1 and high >= 128 else (low, high)


def grid(images: np.ndarray, low: float, high: float, *, n_columns: int | None = None) -> np.ndarray:
    """Put images of shape (n, height, width, channels) into one picture of 8 bits, row by row, small ones enlarged.

    ``low`` is black and ``high`` white; without ``n_columns`` the grid is about square.

    Examples
    --------
    >>> grid(np.zeros((5, 64, 64, 1)), 0, 1).shape
    (132, 198, 1)
    """
    from narrows.report.images import image_grid

    factor = max(1, _TILE // max(images.shape[1:3]))
    large = images.repeat(factor, axis=1).repeat(factor, axis=2)
    picture = image_grid(large, (low, high), n_columns or math.ceil(math.sqrt(len(images))), gap=2)
    framed = np.pad(picture, ((1, 1), (1, 1), (0, 0)), constant_values=np.nan)
    return np.nan_to_num(np.rint(255 * framed), nan=_GAP).astype(np.uint8)
