"""Images that verbs write: names, types, and places checked before the work starts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from narrows.cli.values import CommandError

if TYPE_CHECKING:
    import numpy as np

    from narrows.cli.files import Data

__all__ = ["as_type", "check_folder_place", "check_makes_images", "is_folder_name", "write_rows"]


def is_folder_name(out: Path) -> bool:
    """Say whether OUT stands for a folder: it has no extension, or is one."""
    return not out.suffix or out.is_dir()


def check_folder_place(out: Path) -> None:
    """Refuse a folder that could not be made, before the work rather than after it."""
    from narrows.tables.folders import check_new_folder

    check_new_folder(out)
    if not os.access(out.absolute().parent, os.W_OK):
        raise CommandError(f"{out} cannot be written: the folder {out.parent} may not be written to.")


def check_makes_images(model: Any, out: Path) -> None:
    """Refuse a folder of images from a model whose rows are none, or are of channels that no file holds."""
    from narrows.tables.formats import WRITABLE

    shape = model.image_shape_
    if shape is None:
        raise CommandError(
            f"{out} has no extension, so it would be a folder of images, but the model was not fitted to images; for "
            f"a table narrows writes {WRITABLE}."
        )
    if shape[2] not in (1, 3):
        raise CommandError(f"Images of {shape[2]} channels are not written as files: give OUT the extension .npy.")


def as_type(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Turn what a model gives into the type of the images it was given.

    Whole numbers are rounded to and cut at the ends of what the type holds; floats are float32.
    """
    import numpy as np

    if dtype.kind not in "iu":
        return values.astype(np.float32)
    limits = np.iinfo(dtype)
    return np.rint(values).clip(limits.min, limits.max).astype(dtype)


def write_rows(out: Path, rows: np.ndarray, shape: tuple[int, int, int], given: Data) -> int:
    """Write rows as a folder of images of the type and by the names of the rows they were made from.

    Returns
    -------
    int
        How many.
    """
    import numpy as np

    from narrows.tables import open_segments, write_images

    dtype = open_segments(given.rows).dtype if isinstance(given.rows, Path) else given.rows.dtype
    if dtype not in (np.uint8, np.uint16):
        dtype = np.dtype(np.float32)
    ending = "png" if dtype == np.uint8 or (dtype == np.uint16 and shape[2] == 1) else "tif"
    names = [Path(name).stem for name in given.names or ()] or [f"{k:05d}" for k in range(len(rows))]
    images = (as_type(row.reshape(shape), dtype) for row in rows)
    return write_images(out, images, names=[f"{name}.{ending}" for name in names])
