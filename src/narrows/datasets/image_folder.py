"""Images of one's own: a folder of files, or patches cut out of photographs."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from narrows.data.folders import image_files
from narrows.data.pictures import image_size, read_image
from narrows.errors import DataError

__all__ = ["ImageFolder", "image_folder"]


@dataclass(frozen=True)
class ImageFolder:
    """Images in memory, ready to fit.

    Attributes
    ----------
    images : ndarray of shape (n, height, width) or (n, height, width, 3)
        Of the files' own type, mostly uint8.
    names : tuple of str
        The file that each image, or each patch, is from.
    """

    images: np.ndarray
    names: tuple[str, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one image."""
        return self.images.shape[1:]


def image_folder(
    path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    size: tuple[int, int] | None = None,
    color: str | None = None,
    patches: int | None = None,
    n_patches: int = 10_000,
    random_state: int = 0,
) -> ImageFolder:
    """Read the images of a folder, brought to one size, or patches cut out of them.

    Parameters
    ----------
    path : str or path-like, or list of these
        A folder of ``.png``, ``.jpg`` and ``.tif`` files (folders in it are not looked into), or the files
        themselves.
    size : tuple of int, default None
        Height and width in pixels to bring all images to: cut to that shape about the middle, then resized with
        smoothing (Lanczos). Without it all must be of one size already.
    color : {None, "grey", "rgb"}, default None
        As they are, or all grey, or all RGB; see :func:`narrows.data.read_image`.
    patches : int, default None
        Cut squares of this side out of the images, at random places, instead of taking whole images: to teach a
        denoiser what photographs are like. Images may be of any size; those smaller than a patch are passed over.
    n_patches : int, default 10,000
        How many. Every place that a patch can have in any of the images is as likely as every other.
    random_state : int, default 0
        Fixes the places.

    Returns
    -------
    ImageFolder
        ``images`` and ``names``. Patches are in the order of the files they are from; beside them one image at a
        time is in memory.

    Examples
    --------
    >>> import numpy as np, pathlib, tempfile
    >>> from narrows import data, datasets
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> for k in range(3):
    ...     data.write_image(folder / f"{k}.png", np.full((20, 30 + k), 60 * k, np.uint8))
    >>> datasets.image_folder(folder, size=(10, 10)).images.shape
    (3, 10, 10)
    >>> datasets.image_folder(folder, patches=8, n_patches=50).images.shape
    (50, 8, 8)
    """
    files = [Path(file) for file in path] if isinstance(path, (list, tuple)) else image_files(path)  # type: ignore[arg-type]
    if not files:
        raise DataError("There are no image files to read.")
    if patches is not None:
        if size is not None:
            raise DataError("size brings whole images to one size and patches cuts them up: give one of the two.")
        return _patches(files, color, patches, n_patches, random_state)
    if size is not None and not (isinstance(size, (tuple, list)) and len(size) == 2 and all(map(_is_count, size))):
        raise DataError(f"size must be a height and a width in pixels, such as (64, 64), not {size!r}.")
    images: np.ndarray | None = None
    for k, file in enumerate(files):
        pixels = read_image(file, color=color)
        pixels = pixels if size is None else _resized(pixels, (int(size[0]), int(size[1])))
        if images is None:
            images = np.empty((len(files), *pixels.shape), pixels.dtype)
        _check_same(file, pixels, files[0], images[0], sized=True)
        images[k] = pixels
    assert images is not None
    return ImageFolder(images, tuple(file.name for file in files))


def _is_count(value: object) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and bool(value > 0)


def _check_same(file: Path, pixels: np.ndarray, first: Path, other: np.ndarray, *, sized: bool) -> None:
    if pixels.ndim != other.ndim:
        raise DataError(
            f"{file.name} is {_color(pixels)} and {first.name} is {_color(other)}: color='grey' or color='rgb' makes "
            "them alike."
        )
    if pixels.dtype != other.dtype:
        raise DataError(
            f"{file.name} holds {pixels.dtype} and {first.name} {other.dtype}: turn them into files of one depth first."
        )
    if sized and pixels.shape != other.shape:
        raise DataError(
            f"{file.name} is {pixels.shape[1]} x {pixels.shape[0]} pixels and {first.name} is {other.shape[1]} x "
            f"{other.shape[0]}: size=(height, width) brings all to one size, patches=... cuts squares out of them."
        )


def _color(pixels: np.ndarray) -> str:
    return "grey" if pixels.ndim == 2 else "RGB"


def _resized(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Cut an image to a shape about its middle and bring it to a size, in its own type."""
    from PIL import Image

    height, width = pixels.shape[:2]
    scale = min(height / size[0], width / size[1])
    high, wide = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
    top, left = (height - high) // 2, (width - wide) // 2
    cut = np.ascontiguousarray(pixels[top : top + high, left : left + wide])

    def resize(part: np.ndarray) -> np.ndarray:
        return np.asarray(Image.fromarray(part).resize((size[1], size[0]), Image.Resampling.LANCZOS))

    if pixels.dtype == np.uint8:
        return resize(cut)
    # Pillow resizes other types in one channel only, and 16 bits by way of floats.
    channels = np.moveaxis(cut.astype(np.float32).reshape(high, wide, -1), 2, 0)
    small = np.stack([resize(np.ascontiguousarray(channel)) for channel in channels], -1)
    small = small.reshape(*size, *pixels.shape[2:])
    return np.rint(small).clip(0, 65535).astype(np.uint16) if pixels.dtype == np.uint16 else small


def _patches(files: list[Path], color: str | None, side: int, n_patches: int, random_state: int) -> ImageFolder:
    if not _is_count(side) or not _is_count(n_patches):
        raise DataError(f"patches and n_patches must be whole numbers above 0, not {side!r} and {n_patches!r}.")
    rng = np.random.default_rng(random_state)
    sizes = [image_size(file) for file in files]
    places = np.array([max(0, height - side + 1) * max(0, width - side + 1) for height, width in sizes])
    if not places.any():
        raise DataError(f"No image is as large as a patch of {side} x {side} pixels.")
    counts = rng.multinomial(n_patches, places / places.sum())
    found: np.ndarray | None = None
    names: list[str] = []
    first = files[0]
    for file, count in zip(files, counts.tolist(), strict=True):
        if not count:
            continue
        pixels = read_image(file, color=color)
        if found is None:
            first, found = file, np.empty((n_patches, side, side, *pixels.shape[2:]), pixels.dtype)
        _check_same(file, pixels, first, found[0], sized=False)
        tops = rng.integers(0, pixels.shape[0] - side + 1, count)
        lefts = rng.integers(0, pixels.shape[1] - side + 1, count)
        for top, left in zip(tops.tolist(), lefts.tolist(), strict=True):
            found[len(names)] = pixels[top : top + side, left : left + side]
            names.append(file.name)
    assert found is not None
    return ImageFolder(found, tuple(names))
