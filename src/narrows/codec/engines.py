"""One block of rows as bytes, and back: by the model where that pays, as it is where not.

An engine knows a kind of data and its fitted model. What it makes of a block begins with one byte that says how:
the rows as they are, the same packed by a general compressor, or the model's code and what stands beside it.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from typing import Any, Protocol

import numpy as np

from narrows.codec.columns import Schema, TableForm, bare, from_bare, most_bytes
from narrows.codec.packing import Cursor, pack, varint
from narrows.errors import CodecFileError, DataError

__all__ = ["Engine", "PictureEngine", "TableEngine", "engine_from_state", "fingerprint", "model_class"]

_BARE, _PACKED, _MODEL = 0, 1, 2
_BLOCK_BYTES = 1 << 20

State = tuple[dict[str, Any], dict[str, np.ndarray]]


def model_class(kind: str) -> Any:
    """Return the class of models for a kind of data: "pictures" or "table"; "any" only looks for what both need."""
    try:
        import constriction  # noqa: F401
    except ImportError:
        raise DataError('a codec needs constriction, which is not installed: pip install "narrows[codec]"') from None
    if kind == "pictures":
        from narrows.codec.pictures import PictureModel

        return PictureModel
    if kind == "any":
        return None
    from narrows.codec.tabular import TableModel

    return TableModel


class Engine(Protocol):
    """What a codec does with blocks, whatever the data."""

    kind: str
    rows_per_block: int

    def encode(self, parts: list[np.ndarray], schema: Schema) -> tuple[bytes, int]:
        """Turn a block's rows into bytes; return with them a checksum over the rows as they will come back."""
        ...

    def decode(self, data: bytes, n_rows: int, schema: Schema) -> tuple[list[np.ndarray], int]:
        """Turn bytes into rows and their checksum."""
        ...

    def to_state(self) -> State:
        """Return all of this as JSON values and arrays."""
        ...


def fingerprint(engine: Engine) -> bytes:
    """Return eight bytes that tell an engine from every other: files say with them whose they are."""
    options, arrays = engine.to_state()
    # Of an autoencoder the weights tell all; what it notes beside them may be changed when it is loaded.
    options = {name: value for name, value in options.items() if name != "autoencoder"}
    digest = hashlib.sha256(json.dumps([engine.kind, options], sort_keys=True).encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name}:{array.dtype.str}:{array.shape};".encode())
        digest.update(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())
    return digest.digest()[:8]


def _cheapest(coded: bytes | None, coded_crc: int, plain: bytes, limit: int) -> tuple[bytes, int]:
    """Choose among the model's code, the rows as they are, and those packed, if they may be unpacked again."""
    best, crc = bytes([_BARE]) + plain, zlib.crc32(plain)
    if coded is not None and len(coded) < len(best):
        best, crc = coded, coded_crc
    # A general compressor is only asked where it has a chance: its first look is quick, its last is slow.
    if len(best) > 64 and len(plain) <= limit and (coded is None or len(best) > len(plain) // 32):
        quick = len(zlib.compress(plain, 1))
        if quick < 1.5 * len(best):
            packed = bytes([_PACKED]) + pack(plain)
            if len(packed) < len(best):
                best, crc = packed, zlib.crc32(plain)
    return best, crc


class PictureEngine:
    """Pictures of eight bits.

    Parameters
    ----------
    model : PictureModel
        Fitted.
    shape : tuple of int
        Height, width and perhaps channels.
    """

    kind = "pictures"

    def __init__(self, model: Any, shape: tuple[int, ...]) -> None:
        self.model = model
        self.shape = tuple(shape)
        self.rows_per_block = int(model.rows_per_block)

    def encode(self, parts: list[np.ndarray], schema: Schema) -> tuple[bytes, int]:
        """Turn pictures into bytes."""
        rows = np.ascontiguousarray(parts[0])
        plain = rows.tobytes()
        return _cheapest(bytes([_MODEL]) + self.model.encode(rows), zlib.crc32(plain), plain, len(plain))

    def decode(self, data: bytes, n_rows: int, schema: Schema) -> tuple[list[np.ndarray], int]:
        """Turn bytes into pictures."""
        how, rest = _opened(data, n_rows * int(np.prod(self.shape)))
        if how == _MODEL:
            rows = np.ascontiguousarray(self.model.decode(rest, n_rows), dtype=np.uint8)
            rest = rows.tobytes()
        rows = np.frombuffer(rest, np.uint8).reshape(n_rows, *self.shape)
        return [rows], zlib.crc32(rest)

    def to_state(self) -> State:
        """Return all of this as JSON values and arrays."""
        options, arrays = self.model.to_state()
        return {"shape": list(self.shape), "model": options}, {f"model/{name}": arrays[name] for name in arrays}


class TableEngine:
    """Columns.

    Parameters
    ----------
    form : TableForm
        How columns become whole numbers.
    model : TableModel or None
        Fitted; None where no column becomes any.
    """

    kind = "table"

    def __init__(self, form: TableForm, model: Any) -> None:
        self.form = form
        self.model = model
        row = sum(dtype.itemsize for _, dtype in form.schema)
        self.rows_per_block = int(model.rows_per_block) if model is not None else max(1, _BLOCK_BYTES // max(1, row))

    def encode(self, parts: list[np.ndarray], schema: Schema) -> tuple[bytes, int]:
        """Turn rows into bytes."""
        coded = self.form.encode(parts, schema)
        limit = most_bytes(len(coded.codes), [dtype for _, dtype in schema])
        if not coded.fits:
            return _cheapest(None, 0, bare(parts), limit)
        made = self.model.encode(coded.codes) if self.model is not None else b""
        whole = bytes([_MODEL]) + varint(len(made)) + made + coded.side
        return _cheapest(whole, coded.crc, bare(parts), limit)

    def decode(self, data: bytes, n_rows: int, schema: Schema) -> tuple[list[np.ndarray], int]:
        """Turn bytes into rows."""
        how, rest = _opened(data, most_bytes(n_rows, [dtype for _, dtype in schema]))
        if how != _MODEL:
            return from_bare(rest, n_rows, schema), zlib.crc32(rest)
        cursor = Cursor(rest)
        made = bytes(cursor.take(cursor.number(cursor.left)))
        if self.model is not None:
            codes = np.asarray(self.model.decode(made, n_rows), dtype=np.int64)
        else:
            codes = np.zeros((n_rows, 0), dtype=np.int64)
        return self.form.decode(codes, bytes(cursor.take(cursor.left)), schema)

    def to_state(self) -> State:
        """Return all of this as JSON values and arrays."""
        options, arrays = self.model.to_state() if self.model is not None else (None, {})
        form = np.frombuffer(self.form.to_bytes(), np.uint8)
        return {"model": options}, {"form/": form} | {f"model/{name}": arrays[name] for name in arrays}


def _opened(data: bytes, limit: int) -> tuple[int, bytes]:
    cursor = Cursor(data)
    how = cursor.take(1)[0]
    if how == _PACKED:
        rest = cursor.unpack(limit)
        if cursor.left:
            raise CodecFileError("more follows its rows")
        return _BARE, rest
    if how not in (_BARE, _MODEL):
        raise CodecFileError(f"it is coded in a way ({how}) that is not known")
    return how, bytes(cursor.take(cursor.left))


def engine_from_state(kind: str, options: dict[str, Any], arrays: dict[str, np.ndarray]) -> Engine:
    """Rebuild an engine from its state."""
    inner = {name.removeprefix("model/"): array for name, array in arrays.items() if name.startswith("model/")}
    if kind == "pictures":
        model = model_class(kind).from_state(options["model"], inner)
        return PictureEngine(model, tuple(options["shape"]))
    if kind == "table":
        form = TableForm.from_bytes(np.asarray(arrays["form/"], np.uint8).tobytes())
        model = None if options["model"] is None else model_class(kind).from_state(options["model"], inner)
        return TableEngine(form, model)
    raise CodecFileError(f"the codec is of a kind ({kind!r}) that is not known")
