"""From a fitted codec to what a model file holds, and back."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from narrows.codec.codes import CodesEngine
from narrows.codec.container.format import Cursor, pack
from narrows.codec.pictures.engine import PictureEngine
from narrows.codec.table.engine import TableEngine
from narrows.errors import ModelFileError

if TYPE_CHECKING:
    from narrows.codec.engine import Engine

__all__ = ["engine_from_file", "engine_to_file", "fitted_from_file", "options_from_file", "options_to_file", "plain"]

ENGINES: dict[str, type[Engine]] = {"codes": CodesEngine, "pictures": PictureEngine, "table": TableEngine}
_MOST_UNPACKED = 1 << 34

FITTED: dict[str, tuple[type, ...]] = {
    "bits_per_value": (float,),
    "raw_bits_per_value": (float,),
    "peers": (dict,),
    "model_bytes": (int,),
    "rows_to_pay": (int, type(None)),
    "n_held_out": (int,),
    "rate_distortion": (list, type(None)),
    "history": (list,),
    "image_shape": (list, type(None)),
    "n_features_in": (int,),
}
"""Fitted values that a file keeps, and what they may be."""


def plain(value: Any) -> Any:
    """Return a value as JSON has it."""
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if isinstance(value, dict):
        return {str(name): plain(one) for name, one in value.items()}
    # JSON has no infinities and no NaN.
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, (str, int, float, bool)) else str(value)


def options_to_file(options: dict[str, Any]) -> dict[str, Any]:
    """Return a codec's options as JSON values."""
    options = dict(options)
    if isinstance(options["max_error"], dict):
        options["max_error"] = {"columns": [[plain(name), float(e)] for name, e in options["max_error"].items()]}
    if not isinstance(options["random_state"], (int, np.integer)):
        options["random_state"] = None
    return {name: plain(value) for name, value in options.items()}


def options_from_file(record: dict[str, Any]) -> dict[str, Any]:
    """Return a codec's options from what `options_to_file` gave."""
    options = dict(record)
    if isinstance(options["max_error"], dict):
        options["max_error"] = dict(options["max_error"]["columns"])
    if isinstance(options["image_shape"], list):
        options["image_shape"] = tuple(options["image_shape"])
    seed = options["random_state"]
    if seed is not None and not (type(seed) is int and 0 <= seed < 1 << 32):
        raise ModelFileError("the codec's random_state cannot be")
    return options


def fitted_from_file(record: dict[str, Any]) -> dict[str, Any]:
    """Return fitted values, after a look at what they are."""
    for name, kinds in FITTED.items():
        if type(record[name]) not in kinds or (type(record[name]) is int and record[name] < 0):
            raise ModelFileError(f"the codec's {name} cannot be {record[name]!r}")
    if not all(bits is None or type(bits) is float for bits in record["peers"].values()):
        raise ModelFileError("the codec's peers cannot be")
    return {name: record[name] for name in FITTED}


def engine_to_file(engine: Engine) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return an engine as JSON values and one tensor: a name for each array would be many of a codec's own bytes."""
    options, arrays = engine.to_state()
    index, parts = [], []
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        array = array.astype(array.dtype.newbyteorder("<"), copy=False)
        # As it was: made contiguous, a single number becomes a row of one.
        index.append([name, array.dtype.str, list(arrays[name].shape)])
        parts.append(array.tobytes())
    packed = torch.from_numpy(np.frombuffer(pack(b"".join(parts), bounded=True), np.uint8).copy())
    record = {"kind": engine.kind, "state": options, "arrays": index, "fingerprint": engine.fingerprint.hex()}
    return record, {"packed": packed}


def engine_from_file(record: dict[str, Any], tensors: dict[str, Tensor]) -> Engine:
    """Rebuild an engine from what `engine_to_file` gave."""
    arrays, place = {}, 0
    whole = Cursor(tensors["packed"].numpy().tobytes()).unpack(_MOST_UNPACKED, bounded=True)
    for name, kind, shape in record["arrays"]:
        dtype = np.dtype(kind)
        if dtype.kind not in "biuf" or not all(type(size) is int and size >= 0 for size in shape):
            raise ModelFileError("the file tells of arrays that cannot be")
        end = place + dtype.itemsize * math.prod(shape)
        array = np.frombuffer(whole[place:end], dtype).reshape(shape)
        arrays[name], place = array.astype(dtype.newbyteorder("=")), end
    if place != len(whole):
        raise ModelFileError("the file does not hold the arrays that it tells of")
    engine = ENGINES[record["kind"]].from_state(record["state"], arrays)
    if engine.fingerprint.hex() != record["fingerprint"]:
        raise ModelFileError("the codec in the file is not the one that its fingerprint tells of")
    return engine
