"""From a fitted codec to what a model file holds, and back; and compressed data as bytes or from a file."""

from __future__ import annotations

import math
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from narrows.codec.codes import CodesEngine
from narrows.codec.engines import engine_from_state
from narrows.codec.packing import Cursor, pack
from narrows.errors import DataError, ModelFileError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from narrows.codec.codec import Codec

__all__ = ["from_file", "opened", "to_file"]

_FITTED = (
    "bits_per_value",
    "raw_bits_per_value",
    "peers",
    "model_bytes",
    "rows_to_pay",
    "n_held_out",
    "rate_distortion",
    "history",
    "image_shape",
    "n_features_in",
)


def to_file(codec: Codec) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return all of a fitted codec as JSON values and tensors."""
    import torch

    # What to call while fitting is no one's who only loads the codec.
    options = codec.get_params(deep=False) | {"callbacks": []}
    if isinstance(codec.max_error, dict):
        options["max_error"] = {"columns": [[_plain(name), float(error)] for name, error in codec.max_error.items()]}
    if not isinstance(codec.random_state, int):
        options["random_state"] = None
    options = {name: _plain(value) for name, value in options.items()}
    state, arrays = codec._engine.to_state()
    fitted = {name: _plain(getattr(codec, f"{name}_")) for name in _FITTED}
    index, packed = _packed(arrays)
    engine = {"kind": codec.kind_, "state": state, "arrays": index}
    return {"options": options, "fitted": fitted, "engine": engine}, {"packed": torch.from_numpy(packed)}


def _packed(arrays: dict[str, np.ndarray]) -> tuple[list[list[Any]], np.ndarray]:
    """Put arrays into one, packed: a codec pays with its own bytes, and a name for each array is many of them."""
    index, parts = [], []
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        array = array.astype(array.dtype.newbyteorder("<"), copy=False)
        index.append([name, array.dtype.str, list(array.shape)])
        parts.append(array.tobytes())
    return index, np.frombuffer(pack(b"".join(parts)), np.uint8).copy()


def _unpacked(index: list[list[Any]], packed: np.ndarray) -> dict[str, np.ndarray]:
    sizes = [np.dtype(kind).itemsize * math.prod(shape) for _, kind, shape in index]
    whole = Cursor(packed.tobytes()).unpack(sum(sizes))
    if len(whole) != sum(sizes) or min(sizes, default=0) < 0:
        raise ModelFileError("the file does not hold the arrays that it tells of")
    ends = np.cumsum(sizes)
    return {
        name: np.frombuffer(whole[end - size : end], np.dtype(kind))
        .reshape(shape)
        .astype(np.dtype(kind).newbyteorder("="))
        for (name, kind, shape), size, end in zip(index, sizes, ends, strict=True)
    }


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    # JSON has no infinities and no NaN.
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value if value is None or isinstance(value, (str, int, float, bool)) else str(value)


def from_file(cls: type[Codec], metadata: dict[str, Any], tensors: dict[str, Tensor]) -> Codec:
    """Rebuild a fitted codec from what :func:`to_file` gave."""
    options = dict(metadata["options"]) | {"callbacks": ()}
    fitted, engine = metadata["fitted"], metadata["engine"]
    if isinstance(options["max_error"], dict):
        options["max_error"] = dict(options["max_error"]["columns"])
    if isinstance(options["image_shape"], list):
        options["image_shape"] = tuple(options["image_shape"])
    codec = cls(**options)
    arrays = _unpacked(engine["arrays"], tensors["packed"].numpy())
    if engine["kind"] == "codes":
        codec._take_engine(CodesEngine.from_state(engine["state"], arrays))
    else:
        codec._take_engine(engine_from_state(engine["kind"], engine["state"], arrays))
    for name in _FITTED:
        setattr(codec, f"{name}_", fitted[name])
    codec.image_shape_ = None if fitted["image_shape"] is None else tuple(fitted["image_shape"])
    if not isinstance(codec.n_features_in_, int):
        raise ModelFileError("the file does not say how many columns its codec is for")
    return codec


@contextmanager
def opened(data: Any) -> Iterator[tuple[bytes | BinaryIO, str]]:
    """Give bytes as they are, and of a path the file, with what to call it in messages.

    Raises
    ------
    DataError
        If it is neither, or the file cannot be read.
    """
    if isinstance(data, (bytes, bytearray, memoryview)):
        yield bytes(data) if not isinstance(data, bytes) else data, "this data"
        return
    if not isinstance(data, (str, os.PathLike)):
        raise DataError(f"compressed data is bytes, or the path of a file, not {type(data).__name__}")
    path = Path(data)
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise DataError(f"there is no file {path}") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from None
    with file:
        yield file, str(path)
