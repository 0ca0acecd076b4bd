"""Folders of images as tables: each file is a row, laid out flat."""

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from narrows.data.pictures import EXTENSIONS, is_picture, read_image, write_image
from narrows.errors import DataError
from narrows.io.temporary import temporary_beside

__all__ = ["ImageFolder", "check_new_folder", "image_files", "write_images"]

_SEGMENT_BYTES = 16 << 20


def image_files(folder: str | os.PathLike[str]) -> list[Path]:
    """List the image files of a folder by name."""
    path = Path(folder)
    if not path.is_dir():
        raise DataError(f"{path} {'is a file, not a folder of images' if path.exists() else 'does not exist'}.")
    try:
        entries = sorted(path.iterdir())
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    found = [entry for entry in entries if is_picture(entry) and entry.is_file() and not entry.name.startswith(".")]
    if not found:
        inner = [entry.name for entry in entries if entry.is_dir()]
        hint = f"; folders in it, such as {inner[0]!r}, are not looked into" if inner else ""
        raise DataError(f"{path} is a folder that has no images in it ({', '.join(EXTENSIONS)}){hint}.")
    return found


class ImageFolder:
    """A folder of images read a few files at a time; a segment is about 16 MB of pixels, and at least one image."""

    segment_rows: Sequence[int]

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, str(path)
        self.files = image_files(path)
        first = read_image(self.files[0])
        self.shape, self.dtype = first.shape, first.dtype
        self.n_features = math.prod(self.shape)
        self._step = max(1, _SEGMENT_BYTES // first.nbytes)
        n_rows = len(self.files)
        self.segment_rows = [min(self._step, n_rows - start) for start in range(0, n_rows, self._step)]

    def images(self) -> np.ndarray:
        """Read all of them into memory, shape (n, height, width) or (n, height, width, 3)."""
        pieces = [piece for k, n_rows in enumerate(self.segment_rows) for piece in self.read(k, n_rows)]
        return np.concatenate(pieces).reshape(-1, *self.shape)

    def read(self, segment: int, piece_rows: int) -> Iterator[np.ndarray]:
        """Yield a segment's images in the order of their names."""
        first = segment * self._step
        files = self.files[first : first + self.segment_rows[segment]]
        for start in range(0, len(files), piece_rows):
            part = files[start : start + piece_rows]
            piece = np.empty((len(part), *self.shape), self.dtype)
            for row, file in enumerate(part):
                piece[row] = self._checked(file)
            yield piece.reshape(len(part), -1)

    def _checked(self, file: Path) -> np.ndarray:
        pixels = read_image(file)
        if pixels.shape == self.shape and pixels.dtype == self.dtype:
            return pixels
        kind, wanted = _kind(pixels.shape, pixels.dtype), _kind(self.shape, self.dtype)
        way = "size=..., or color=..." if pixels.ndim != len(self.shape) else "size=... or patches=..."
        raise DataError(
            f"{file} is {kind}, but {self.files[0].name} is {wanted}: images that are rows must be alike; "
            f"narrows.datasets.image_folder makes them so with {way}."
        )


def _kind(shape: tuple[int, ...], dtype: np.dtype) -> str:
    return f"{shape[1]} x {shape[0]} pixels, {'RGB' if len(shape) == 3 else 'grey'}, {dtype}"


def check_new_folder(folder: str | os.PathLike[str]) -> None:
    """Refuse a folder to write into that has something in it already, or cannot be made."""
    path = Path(folder)
    if path.exists() and not path.is_dir():
        raise DataError(f"{path} is a file, so no folder of images can be written there.")
    try:
        if path.is_dir() and any(path.iterdir()):
            raise DataError(f"{path} is not empty: name a new folder, so that no file is replaced.")
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror}.") from error
    parent = path.absolute().parent
    if not parent.is_dir():
        raise DataError(f"{path} cannot be written: the folder {parent} does not exist.")


def write_images(
    folder: str | os.PathLike[str], images: Iterable[np.ndarray], *, names: Sequence[str] | None = None
) -> int:
    """Write images into a new folder, which appears only when all of them have been written.

    Until then they are in a hidden folder beside it, which is removed if anything fails.

    Parameters
    ----------
    folder : str or path-like
        A folder that is not there yet, or empty.
    images : iterable of array (height, width) or (height, width, 1 or 3)
        One after another, as :func:`narrows.data.write_image` takes them, so that they need not all be in memory.
        Rows laid out flat are images after ``rows.reshape(-1, *shape)``.
    names : sequence of str, optional
        A file name for each, whose ending says the format; by default ``00000.png`` and so on.

    Returns
    -------
    int
        How many were written.

    Raises
    ------
    DataError
        If the folder has something in it or cannot be written, something is no image, there are no images, or the
        names are not plain ones, one for each image.

    Examples
    --------
    >>> import numpy as np, pathlib, tempfile
    >>> from narrows.data import image_files, write_images
    >>> folder = pathlib.Path(tempfile.mkdtemp()) / "rebuilt"
    >>> write_images(folder, np.zeros((3, 8, 8)))
    3
    >>> [file.name for file in image_files(folder)]
    ['00000.png', '00001.png', '00002.png']
    """
    path = Path(folder)
    check_new_folder(path)
    _check_names(names)
    target = path.resolve()
    count = 0
    with temporary_beside(target) as temporary:
        try:
            temporary.mkdir()
        except OSError as error:
            raise DataError(f"{path} cannot be written: {error.strerror}.") from error
        for image in images:
            if names is not None and count == len(names):
                raise DataError(f"There are {len(names)} names but more images.")
            write_image(temporary / (f"{count:05d}.png" if names is None else names[count]), image)
            count += 1
        if not count or (names is not None and count != len(names)):
            raise DataError(f"There are {count} images{'' if names is None else f' but {len(names)} names'}.")
        _put_in_place(temporary, target, path)
    return count


def _check_names(names: Sequence[str] | None) -> None:
    """Refuse names that would leave the folder or stand for two images."""
    for name in names or ():
        if not name or Path(name).name != name:
            raise DataError(f"{name!r} is not a plain file name.")
    if names is not None and len(set(names)) < len(names):
        twice = next(name for name in names if list(names).count(name) > 1)
        raise DataError(f"Two images are to have the name {twice!r}.")


def _put_in_place(temporary: Path, target: Path, shown: Path) -> None:
    try:
        if target.is_dir():
            target.rmdir()
        temporary.rename(target)
    except OSError as error:
        raise DataError(f"{shown} cannot be written: {error.strerror}.") from error
