"""How near images are to others: PSNR and SSIM."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from narrows.errors import DataError

__all__ = ["psnr", "ssim"]

_WINDOW = 11
_LEAST = 3


def _both(clean: ArrayLike, other: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    first, second = np.asarray(clean), np.asarray(other)
    if first.dtype.kind not in "iufb" or second.dtype.kind not in "iufb":
        raise DataError(f"Arrays of {first.dtype} and {second.dtype} cannot be compared: both must be numbers.")
    if first.shape != second.shape or not first.size:
        raise DataError(f"Images of shape {first.shape} and {second.shape} cannot be compared.")
    return first, second


def _range(clean: np.ndarray, data_range: float | None) -> float:
    """Return the span that values may have, by their type or their extremes."""
    if data_range is not None:
        if not data_range > 0:
            raise DataError(f"data_range must be above 0, not {data_range!r}.")
        return float(data_range)
    if clean.dtype in (np.uint8, np.uint16):
        return float(np.iinfo(clean.dtype).max)
    low, high = float(np.min(clean)), float(np.max(clean))
    if low >= 0 and high <= 1:
        return 1.0
    # Pixels of 8 bits that have become floats: figures for them are then those that others report.
    return 255.0 if low >= 0 and 128 < high <= 255 else (high - low) or 1.0


def psnr(clean: ArrayLike, other: ArrayLike, data_range: float | None = None) -> float:
    """Return the peak signal-to-noise ratio in decibels: of the mean squared error over all values.

    Parameters
    ----------
    clean, other : array-like of one shape
        One image or many; of many it is the PSNR of their mean squared error, not the mean of theirs.
    data_range : float, default None
        The span that values may have. None takes 255 for uint8 and 65,535 for uint16; for other types 1 where the
        clean values lie in 0..1, 255 where they lie in 0..255 and pass 128 (8-bit pixels turned into floats),
        otherwise their own span.

    Returns
    -------
    float
        Higher is better; infinite for equal images.

    Raises
    ------
    DataError
        If the shapes differ or there is nothing to compare.

    Examples
    --------
    >>> import numpy as np
    >>> from narrows.metrics import psnr
    >>> round(psnr(np.zeros((8, 8)), np.full((8, 8), 0.1)), 2)
    20.0
    """
    first, second = _both(clean, other)
    span = _range(first, data_range)
    error = float(np.square(first.astype(np.float64) - second).mean())
    return float("inf") if error == 0 else float(10 * np.log10(span**2 / error))


def ssim(clean: ArrayLike, other: ArrayLike, data_range: float | None = None) -> float:
    """Return the structural similarity of images, at most 1 (Wang, Bovik, Sheikh and Simoncelli 2004).

    With the paper's settings, a Gaussian window of 11 x 11 pixels and standard deviation 1.5, as scikit-image computes
    them, which this needs (``pip install "narrows[images]"``). Images with a side under 11 pixels get a smaller,
    uniform window, of 7 x 7 pixels or of the odd number that fits; their figures compare only with each other's.

    Parameters
    ----------
    clean, other : array-like of shape (height, width), (height, width, 3), (n, height, width) or \
(n, height, width, channels)
        Two images, or two stacks of them, of which the mean is taken. Three dimensions are one image of colours if the
        last is 3, otherwise a stack of grey ones.
    data_range : float, default None
        As for :func:`psnr`; of a stack, it is one for all.

    Returns
    -------
    float
        1 for equal images, about 0 for unrelated ones.

    Raises
    ------
    DataError
        If the shapes differ, are none of these, have a side under 3 pixels, or scikit-image is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from narrows.metrics import ssim
    >>> image = np.add.outer(np.arange(32), np.arange(32)) / 62
    >>> round(ssim(image, image), 3)
    1.0
    >>> ssim(image, 1 - image) < 0
    True
    """
    try:
        from skimage.metrics import structural_similarity
    except ImportError as error:
        raise DataError('SSIM needs scikit-image, which is not installed: pip install "narrows[images]".') from error
    first, second = _both(clean, other)
    one = first.ndim == 2 or (first.ndim == 3 and first.shape[2] == 3)
    if not one and first.ndim not in (3, 4):
        raise DataError(f"SSIM compares images or stacks of them, not arrays of shape {first.shape}.")
    firsts, seconds = (first[None], second[None]) if one else (first, second)
    height, width = firsts.shape[1:3]
    side = min(height, width)
    if side < _LEAST:
        raise DataError(f"SSIM needs images of at least {_LEAST} x {_LEAST} pixels, not {width} x {height}.")
    options: dict[str, Any] = {"data_range": _range(first, data_range)}
    if side >= _WINDOW:
        options |= {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    else:
        options["win_size"] = min(7, side if side % 2 else side - 1)
    options["channel_axis"] = -1 if firsts.ndim == 4 else None
    found = [
        structural_similarity(a.astype(np.float64), b.astype(np.float64), **options)
        for a, b in zip(firsts, seconds, strict=True)
    ]
    return float(np.mean(found))
