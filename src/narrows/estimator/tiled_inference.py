"""Large pictures through a convolutional network, in overlapping tiles.

A pixel of the output depends on the input within some radius of it, the network's *reach*. Each tile is computed with
a margin of that radius and only its middle is kept, so nothing of the cutting shows; where a tile lies at the edge of
the picture it ends there, as the full picture does. Tiles begin at multiples of the network's smallest resolution, so
that every convolution falls on the same pixels as without tiles.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from narrows.data.rows import as_tensor
from narrows.errors import DataError
from narrows.networks.convolutional import SkipDecoder, SkipEncoder
from narrows.networks.model import EncoderDecoder
from narrows.validation import check_number


def denoise_image(
    model: EncoderDecoder,
    image_shape: tuple[int, int, int] | None,
    denoise: Callable[[np.ndarray], np.ndarray],
    image: Any,
    tile: int,
) -> np.ndarray:
    """Denoise one picture; see :meth:`narrows.Autoencoder.denoise_image`."""
    if image_shape is None:
        raise DataError("the model was not fitted to images: give image_shape, or fit it to an array of images")
    check_number("tile", tile, integer=True, low=1)
    n_channels = image_shape[2]
    picture = _checked(image, n_channels)
    if not isinstance(model.encoder[1], SkipEncoder):
        if picture.shape[:2] != image_shape[:2]:
            raise DataError(
                f"the picture is {_size(picture.shape)} pixels, but the model's network takes images of "
                f"{_size(image_shape)} only: for pictures of any size fit Convolutional(skips=True) on patches"
            )
        return np.stack([denoise(part) for part in _parts(picture, n_channels)], -1).reshape(np.shape(image))
    cleaned = np.empty(picture.shape, np.float32)
    for first in range(0, picture.shape[2], n_channels):
        channels = slice(first, first + n_channels)
        _by_tiles(model, picture[:, :, channels], cleaned[:, :, channels], int(tile))
    return cleaned.reshape(np.shape(image))


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[0]} x {shape[1]}"


def _checked(image: Any, n_channels: int) -> np.ndarray:
    """Return the picture as (height, width, channels), of finite numbers."""
    picture = np.asarray(image)
    if picture.dtype.kind not in "iufb" or picture.ndim not in (2, 3) or not picture.size:
        raise DataError(
            f"a picture is an array of numbers (height, width) or (height, width, channels), not {picture.dtype} of "
            f"shape {picture.shape}; for several use denoise"
        )
    picture = picture[:, :, None] if picture.ndim == 2 else picture
    if picture.shape[2] != n_channels and n_channels != 1:
        raise DataError(f"the picture has {picture.shape[2]} channels, but the model was fitted to {n_channels}")
    if picture.dtype.kind == "f" and not np.isfinite(picture).all():
        raise DataError("the picture has values that are missing or infinite")
    return picture


def _parts(picture: np.ndarray, n_channels: int) -> Iterator[np.ndarray]:
    """Yield the rows that a picture is to a network of fixed size: all of it, or each channel by itself."""
    if n_channels == picture.shape[2]:
        yield picture[None] if n_channels > 1 else picture[None, :, :, 0]
        return
    for number in range(picture.shape[2]):
        yield picture[None, :, :, number]


def _by_tiles(model: EncoderDecoder, picture: np.ndarray, cleaned: np.ndarray, tile: int) -> None:
    """Fill ``cleaned``, a tile at a time."""
    encoder, decoder = model.encoder[1], model.decoder[1]
    assert isinstance(encoder, SkipEncoder)
    assert isinstance(decoder, SkipDecoder)
    model.eval()
    device = next(model.parameters()).device
    factor = encoder.down.factor
    step = -(-tile // factor) * factor
    margin = -(-(encoder.down.reach + decoder.up.reach) // factor) * factor
    rows, columns = picture.shape[:2]
    with torch.no_grad():
        for top in range(0, rows, step):
            for left in range(0, columns, step):
                high, low = max(0, top - margin), min(rows, top + step + margin)
                near, far = max(0, left - margin), min(columns, left + step + margin)
                piece = as_tensor(np.ascontiguousarray(picture[high:low, near:far])).to(device)
                result = _clean(model, piece)
                kept = result[top - high : top - high + step, left - near : left - near + step]
                cleaned[top : top + step, left : left + step] = kept.cpu().numpy()


def _clean(model: Any, piece: Tensor) -> Tensor:
    """Clean one piece (height, width, channels)."""
    images = _as_rows(model, piece, model.standardise).permute(2, 0, 1).unsqueeze(0)
    output = model.decoder[1].correct(images, model.encoder[1].down.maps(images))
    return _as_rows(model, output[0].permute(1, 2, 0), model.head.mean)


def _as_rows(model: Any, values: Tensor, function: Any) -> Tensor:
    """Apply what acts on rows of the fit's images to pixels of any number.

    All values of an image share one shift, one scale and one pair of bounds, so it does not matter where in a row a
    pixel stands.
    """
    flat = values.flatten()
    n_features = len(model.standardise.shift64)
    rows = torch.nn.functional.pad(flat, (0, -len(flat) % n_features)).view(-1, n_features)
    return function(rows).flatten()[: len(flat)].view(values.shape)
