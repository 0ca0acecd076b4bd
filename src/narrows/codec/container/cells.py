"""Cells of text and of objects as bytes, and back; what is read may be hostile."""

import struct
from typing import Any

import numpy as np

from narrows.codec.container.format import Cursor
from narrows.errors import CodecFileError, DataError

__all__ = ["cell_bytes", "cells_from_bytes", "cells_to_bytes"]

# Cells of columns of text and of objects: what they are, and their bytes.
_TEXT, _NONE, _FLOAT, _INT, _BOOL, _BYTES, _NA, _NAT, _SCALAR, _NUMPY_TEXT, _NUMPY_BYTES = range(11)
_KINDS = {str: _TEXT, type(None): _NONE, float: _FLOAT, int: _INT, bool: _BOOL, bytes: _BYTES}
# Not as numpy's scalars: of those the empty one has no bytes, and NULs at the end are lost.
_KINDS |= {np.str_: _NUMPY_TEXT, np.bytes_: _NUMPY_BYTES}
_NAMED = {"NAType": _NA, "NaTType": _NAT}


def cell_bytes(value: Any) -> bytes:
    """Return a cell as one byte for what it is and then its content; equal for identical cells only.

    Raises
    ------
    DataError
        If it is nothing that can be written to a file.
    """
    kind = _KINDS.get(type(value))
    if kind is None:
        kind = _NAMED.get(type(value).__name__, _SCALAR if isinstance(value, np.generic) else -1)
    if kind in (_TEXT, _NUMPY_TEXT):
        content = value.encode("utf-8", "surrogatepass")
    elif kind == _FLOAT:
        content = struct.pack("<d", value)
    elif kind == _INT:
        # Not as decimals, of which Python reads some thousands only.
        content = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    elif kind in (_BOOL, _BYTES, _NUMPY_BYTES):
        content = bytes([value]) if kind == _BOOL else bytes(value)
    elif kind == _SCALAR and value.dtype.kind in "biufcmM":
        content = value.dtype.str.encode() + b"|" + value.tobytes()
    elif kind in (_NONE, _NA, _NAT):
        content = b""
    else:
        raise DataError(f"holds a cell of type {type(value).__name__}, which cannot be kept: make it text or a number")
    return bytes([kind]) + content


def _cell(cell: bytes) -> Any:
    kind, content = cell[0], cell[1:]
    if kind in (_TEXT, _NUMPY_TEXT):
        text = content.decode("utf-8", "surrogatepass")
        return text if kind == _TEXT else np.str_(text)
    if kind == _NONE:
        return None
    if kind == _FLOAT:
        return struct.unpack("<d", content)[0]
    if kind == _INT:
        return int.from_bytes(content, "little", signed=True)
    if kind == _BOOL:
        return bool(content[0])
    if kind in (_BYTES, _NUMPY_BYTES):
        return content if kind == _BYTES else np.bytes_(content)
    if kind in (_NA, _NAT):
        import pandas as pd

        return pd.NA if kind == _NA else pd.NaT
    if kind == _SCALAR:
        # The name of a type may have a stroke in it, as its first sign.
        name, _, raw = content[1:].partition(b"|")
        return np.frombuffer(raw, np.dtype((content[:1] + name).decode()))[0]
    raise CodecFileError(f"a cell is of a kind ({kind}) that is not known")


def cells_to_bytes(values: Any) -> bytes:
    """Write cells one after the other: their lengths, then their bytes."""
    cells = [cell_bytes(value) for value in values]
    lengths = np.array([len(cell) for cell in cells], dtype=np.uint64)
    if cells and lengths.max() >= 1 << 32:
        raise DataError("holds a cell of 4 GB or more, which cannot be kept: cut it into parts")
    size = 1 if not cells or lengths.max() < 256 else 4
    return bytes([size]) + lengths.astype(f"<u{size}").tobytes() + b"".join(cells)


def cells_from_bytes(data: bytes, count: int) -> list[Any]:
    """Read ``count`` cells that `cells_to_bytes` wrote, to the last byte."""
    cursor = Cursor(data)
    size = cursor.take(1)[0]
    if size not in (1, 4):
        raise CodecFileError("the lengths of some cells cannot be read")
    lengths = np.frombuffer(cursor.take(count * size), f"<u{size}").astype(np.int64)
    ends = np.cumsum(lengths)
    if (ends[-1] if count else 0) != cursor.left or (lengths < 1).any():
        raise CodecFileError("the cells of a column have not the length they claim")
    rest = cursor.take(cursor.left)
    try:
        return [_cell(rest[end - length : end]) for end, length in zip(ends.tolist(), lengths.tolist(), strict=True)]
    except (ValueError, TypeError, IndexError, struct.error, ImportError) as error:
        raise CodecFileError(f"a cell cannot be read: {error}") from None
