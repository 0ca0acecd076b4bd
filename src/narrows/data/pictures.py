"""Single image files: PNG, JPEG and TIFF as arrays of pixels, and back."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from narrows.errors import DataError
from narrows.io.atomic import atomic_write
from narrows.io.files import existing_file

__all__ = ["EXTENSIONS", "check_holds", "image_size", "is_picture", "read_image", "write_image"]

EXTENSIONS = (".png", ".jpg", ".jpeg", ".tif", ".tiff")

_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".tif": "TIFF", ".tiff": "TIFF"}
_COLORS = (None, "grey", "rgb")
# ITU-R 601, in whole numbers of 1/65536, as Pillow has it.
_LUMA = (19595, 38470, 7471)
# The tags of the EXIF and TIFF standards, and the values of the first that turn an image on its side.
_ORIENTATION, _BITS, _WIDTH, _HEIGHT = 274, 258, 256, 257
_ON_ITS_SIDE = (5, 6, 7, 8)


def is_picture(path: str | os.PathLike[str]) -> bool:
    """Say whether a file is an image by its name."""
    return Path(path).suffix.lower() in EXTENSIONS


def read_image(path: str | os.PathLike[str], *, color: str | None = None) -> np.ndarray:
    """Read an image file.

    Parameters
    ----------
    path : str or path-like
        A ``.png``, ``.jpg`` or ``.tif`` file of one image. Its content says which of these it is.
    color : {None, "grey", "rgb"}, default None
        None takes the file as it is: grey for one channel and for black and white (0 and 255), RGB for colours,
        palettes, CMYK and the like. ``"grey"`` turns colours into luma (ITU-R 601, as Pillow does), ``"rgb"``
        repeats grey three times.

    Returns
    -------
    ndarray of shape (height, width) or (height, width, 3)
        uint8, or uint16 and float32 where the file holds these; other whole numbers and long floats of a TIFF file
        are float32. Colours of 16 bits keep their depth in TIFF files; of PNG files they have the upper 8 bits, which
        is all that Pillow gives. Transparency is dropped and the colours under it are kept. A camera's note on which
        way is up is followed.

    Raises
    ------
    DataError
        If the file is missing, damaged, cut short, no image, several images, or has more than about 179 million
        pixels (Pillow's guard against files made to fill the memory); or if Pillow is not installed.

    Examples
    --------
    >>> import numpy as np, pathlib, tempfile
    >>> from narrows.data import read_image, write_image
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "ramp.png"
    >>> write_image(path, np.arange(12, dtype=np.uint8).reshape(3, 4))
    >>> read_image(path)
    array([[ 0,  1,  2,  3],
           [ 4,  5,  6,  7],
           [ 8,  9, 10, 11]], dtype=uint8)
    """
    if color not in _COLORS:
        raise DataError(f"color must be None, 'grey' or 'rgb', not {color!r}.")
    file = existing_file(path)
    with _opened(file) as picture:
        pixels = _deep_tiff(file) if picture is None or _is_deep(picture) else _pixels(picture)
    return _colored(pixels, color)


def image_size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Return the height and the width of an image, as :func:`read_image` would give it, without reading its pixels."""
    file = existing_file(path)
    with _opened(file) as picture:
        if picture is None:
            height, width = _deep_tiff(file).shape[:2]
            return height, width
        # Versions of Pillow differ in whether the size of a TIFF file is that of the upright image.
        tags = picture.tag_v2 if picture.format == "TIFF" else {}
        width, height = tags.get(_WIDTH, picture.size[0]), tags.get(_HEIGHT, picture.size[1])
        turned = tags.get(_ORIENTATION, picture.getexif().get(_ORIENTATION)) in _ON_ITS_SIDE
        return (width, height) if turned else (height, width)


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise DataError('Images need Pillow, which is not installed: pip install "narrows[images]".') from error
    return Image


@contextmanager
def _quietly() -> Iterator[None]:
    """Hold back what the libraries say of a file: it does not matter here, or an error follows that says it all."""
    import logging

    logs = [logging.getLogger(name) for name in ("PIL.TiffImagePlugin", "tifffile")]
    were_off = [log.disabled for log in logs]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for log in logs:
                log.disabled = True
            yield
        finally:
            for log, was_off in zip(logs, were_off, strict=True):
                log.disabled = was_off


@contextmanager
def _opened(file: Path) -> Iterator[Any]:
    """Open an image with Pillow, or give None for a TIFF file that it does not know; failures become one sentence."""
    image_module = _pillow()
    with _quietly():
        try:
            with image_module.open(file, formats=("PNG", "JPEG", "TIFF")) as picture:
                if getattr(picture, "n_frames", 1) > 1 and picture.format == "TIFF":
                    raise DataError(  # noqa: TRY301
                        f"{file} holds {picture.n_frames} images, and one is read from a file: split it into files."
                    )
                yield picture
        except DataError:
            raise
        except image_module.UnidentifiedImageError as error:
            if file.suffix.lower() not in (".tif", ".tiff"):
                raise DataError(f"{file} is damaged or no image: it is no PNG, JPEG or TIFF file.") from error
            yield None
        except image_module.DecompressionBombError as error:
            raise DataError(f"{file} has too many pixels to be an image that is meant to be read: {error}") from error
        except Exception as error:
            # Pillow raises a dozen kinds of error over damaged files, struct.error and KeyError among them.
            raise DataError(f"{file} is damaged or no image that can be read: {error}") from error


def _is_deep(picture: Any) -> bool:
    """Whether this is a TIFF file of colours that Pillow would cut down to 8 bits."""
    bits = picture.tag_v2.get(_BITS, (8,)) if picture.format == "TIFF" else (8,)
    return max(bits) > 8 and len(bits) > 1


def _pixels(picture: Any) -> np.ndarray:
    """Return the pixels in the file's own depth."""
    from PIL import ImageOps

    picture.load()
    upright = ImageOps.exif_transpose(picture)
    mode = upright.mode
    if mode in ("L", "RGB", "F"):
        return np.array(upright)
    if mode.startswith("I"):
        # Older versions of Pillow open PNG files of 16 bits as 32.
        whole = mode.startswith("I;16") or picture.format == "PNG"
        return np.array(upright).astype(np.uint16 if whole else np.float32)
    if mode == "1":
        return np.array(upright.convert("L"))
    if mode in ("LA", "La"):
        return np.array(upright.convert("LA"))[:, :, 0]
    if mode == "P" and "transparency" in upright.info:
        upright = upright.convert("RGBA")
    return np.array(upright.convert("RGB"))


def _deep_tiff(file: Path) -> np.ndarray:
    """Read a TIFF file of a kind that Pillow does not know, such as colours of 16 bits."""
    try:
        import tifffile
    except ImportError as error:
        raise DataError(f'{file} needs tifffile, which is not installed: pip install "narrows[images]".') from error
    try:
        with tifffile.TiffFile(file) as tiff:
            if len(tiff.pages) > 1:
                raise DataError(  # noqa: TRY301
                    f"{file} holds {len(tiff.pages)} images, and one is read from a file: split it into files."
                )
            page: Any = tiff.pages[0]
            most = 2 * (_pillow().MAX_IMAGE_PIXELS or 0)
            if most and page.imagelength * page.imagewidth > most:
                raise DataError(  # noqa: TRY301
                    f"{file} has too many pixels to be an image that is meant to be read."
                )
            values, axes, photometric = page.asarray(), page.axes, int(page.photometric)
            turned = page.tags.get(_ORIENTATION)
    except DataError:
        raise
    except Exception as error:
        # What is raised over a damaged file is of many kinds; a missing codec is a ValueError that says so.
        raise DataError(f"{file} is damaged or no image that can be read: {error}") from error
    values = np.moveaxis(values, 0, 2) if axes == "SYX" and values.ndim == 3 else values
    # Photometric 1 is grey with 0 for black, 2 is RGB; a channel beyond is transparency.
    channels = {1: 1, 2: 3}.get(photometric, 0)
    if (
        not values.size
        or values.ndim not in (2, 3)
        or (values.shape[2] if values.ndim == 3 else 1) not in (channels, channels + 1)
    ):
        raise DataError(f"{file} is of a kind of TIFF that is not read: save it as grey or RGB.")
    values = values[:, :, :3] if channels == 3 else values.reshape(*values.shape[:2], -1)[:, :, 0]
    values = _turned(values, turned.value if turned is not None else 1)
    return np.ascontiguousarray(values, values.dtype if values.dtype in (np.uint8, np.uint16) else np.float32)


def _turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Put an image upright that is stored in one of the eight orientations of the EXIF standard."""
    if orientation in _ON_ITS_SIDE:
        pixels = np.swapaxes(pixels, 0, 1)
    # After that, 5 is upright; the mirrorings are left.
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels[:, ::-1] if orientation in (2, 3, 6, 7) else pixels


def _colored(pixels: np.ndarray, color: str | None) -> np.ndarray:
    if color == "rgb" and pixels.ndim == 2:
        return np.repeat(pixels[:, :, None], 3, axis=2)
    if color != "grey" or pixels.ndim == 2:
        return pixels
    if pixels.dtype.kind == "f":
        return np.asarray(pixels @ np.array(_LUMA, np.float32) / np.float32(65536), np.float32)
    # The greatest value of 16 bits times 65536 just fits 32 bits.
    luma = sum(pixels[:, :, k].astype(np.uint32) * np.uint32(weight) for k, weight in enumerate(_LUMA))
    return np.asarray((luma + np.uint32(0x8000)) >> np.uint32(16)).astype(pixels.dtype)


def check_holds(path: str | os.PathLike[str], dtype: np.dtype, n_channels: int) -> None:
    """Refuse an image file whose format, by its name, cannot hold values of a type in so many channels."""
    file = Path(path)
    kind = _FORMATS.get(file.suffix.lower())
    if kind is None:
        raise DataError(f"{file} is of a kind narrows does not write images as; it writes .png, .jpg and .tif.")
    if dtype not in (np.uint8, np.uint16) and dtype.kind != "f":
        raise DataError(f"An image of {dtype} is not written: turn it into uint8, uint16 or float32.")
    if dtype == np.uint16 and (kind == "JPEG" or (kind == "PNG" and n_channels == 3)):
        raise DataError(f"{file} cannot hold {'colours' if n_channels == 3 else 'values'} of 16 bits; .tif can.")


def write_image(path: str | os.PathLike[str], image: ArrayLike) -> None:
    """Write an image file, whole or not at all.

    Parameters
    ----------
    path : str or path-like
        ``.png``, ``.jpg`` (which does not keep values exactly; quality 95) or ``.tif``; an old file is replaced.
    image : array-like of shape (height, width), (height, width, 1) or (height, width, 3)
        uint8 values; uint16 values for a ``.tif`` file, or for a ``.png`` file if grey; or floats, which a ``.tif``
        file keeps as float32, and which are otherwise rounded and cut to 0..255.

    Raises
    ------
    DataError
        If it is no image, the format cannot hold it, or the file cannot be written.

    Examples
    --------
    >>> import numpy as np, pathlib, tempfile
    >>> from narrows.data import read_image, write_image
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "small.png"
    >>> write_image(path, np.array([[-3.0, 99.6], [254.0, 300.0]]))
    >>> read_image(path)
    array([[  0, 100],
           [254, 255]], dtype=uint8)
    """
    file = Path(path)
    pixels = np.asarray(image)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if pixels.dtype.kind not in "iufb" or not pixels.size or pixels.shape[2:] not in ((), (3,)) or pixels.ndim < 2:
        raise DataError(f"An image is an array of numbers, grey or RGB, not {pixels.dtype} of shape {pixels.shape}.")
    check_holds(file, pixels.dtype, 3 if pixels.ndim == 3 else 1)
    kind = _FORMATS[file.suffix.lower()]
    if pixels.dtype.kind == "f" and kind != "TIFF":
        pixels = np.rint(np.nan_to_num(pixels.astype(np.float64))).clip(0, 255).astype(np.uint8)
    with atomic_write(file) as temporary:
        if kind == "TIFF" and pixels.dtype != np.uint8:
            _write_tiff(temporary, pixels, file)
            return
        try:
            options = {"quality": 95} if kind == "JPEG" else {}
            _pillow().fromarray(np.ascontiguousarray(pixels)).save(temporary, format=kind, **options)
        except OSError as error:
            # A full disk has an error number and is told of elsewhere; the others are Pillow's own.
            if error.errno is not None:
                raise
            raise DataError(f"{file} could not be written, as {kind} files have a limit on their size.") from error


def _write_tiff(target: Path, pixels: np.ndarray, file: Path) -> None:
    try:
        import tifffile
    except ImportError as error:
        raise DataError(f'{file} needs tifffile, which is not installed: pip install "narrows[images]".') from error
    values = pixels.astype(np.float32) if pixels.dtype.kind == "f" else pixels
    tifffile.imwrite(target, values, photometric="rgb" if values.ndim == 3 else "minisblack")
