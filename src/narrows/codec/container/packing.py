"""Small parts of compressed files: whole numbers of any size, bytes packed by general compressors, cells of text.

Whatever is read here may be hostile: every length is held against what is there, and against a limit of the caller's,
before memory is taken for it.
"""

from __future__ import annotations

import lzma
import struct
import zlib
from typing import Any

import numpy as np

from narrows.errors import CodecFileError, DataError

__all__ = ["Cursor", "cell_bytes", "cells_from_bytes", "cells_to_bytes", "checksum", "pack", "varint"]

_STORED, _ZLIB, _LZMA = 0, 1, 2
# Part of the format: what was packed with one size of dictionary is not unpacked with a smaller one.
_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": 1 << 21}]
# Of a buffer this long, three samples tell whether it can be compressed at all.
_PROBED, _PROBE = 1 << 16, 1 << 13


def checksum(values: np.ndarray, crc: int = 0) -> int:
    """Return the CRC-32 over an array's bytes, going on from another."""
    plain: Any = np.ascontiguousarray(values).reshape(-1).view(np.uint8)
    return zlib.crc32(plain, crc)


def varint(number: int) -> bytes:
    """Write a whole number from 0 on, seven bits a byte, the lowest first."""
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def pack(data: bytes, *, bounded: bool = False) -> bytes:
    """Put bytes into as few as a general compressor can, for `Cursor.unpack`; never more than a few more.

    What is bounded takes no less than a hundredth of its length, beyond some kilobytes, so that it can be unpacked
    without knowing its length otherwise.
    """
    best, tag = data, _STORED
    if len(data) > 16 and _hopeful(data):
        quick = zlib.compress(data, 6)
        if len(quick) < len(best):
            best, tag = quick, _ZLIB
        if len(quick) < 0.98 * len(data):
            slow = lzma.compress(data, lzma.FORMAT_RAW, filters=_FILTERS)
            if len(slow) < len(best):
                best, tag = slow, _LZMA
    if bounded and len(data) > _most_unpacked(len(best)):
        best, tag = data, _STORED
    return bytes([tag]) + varint(len(data)) + varint(len(best)) + best


def _most_unpacked(packed: int) -> int:
    return max(1 << 16, 100 * packed)


def _hopeful(data: bytes) -> bool:
    if len(data) < _PROBED:
        return True
    sample = b"".join(data[spot : spot + _PROBE] for spot in (0, len(data) // 2, len(data) - _PROBE))
    return len(zlib.compress(sample, 1)) < 0.99 * len(sample)


class Cursor:
    """Reads what `varint` and `pack` wrote, from a place in some bytes onwards."""

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)
        self.place = 0

    @property
    def left(self) -> int:
        """Bytes not read yet."""
        return len(self._data) - self.place

    def take(self, count: int) -> bytes:
        """Read so many bytes."""
        if count > self.left:
            raise CodecFileError(f"a part of {count:,} bytes is claimed where {self.left:,} are left")
        self.place += count
        return bytes(self._data[self.place - count : self.place])

    def number(self, limit: int) -> int:
        """Read a whole number of at most ``limit``."""
        found = shift = 0
        while True:
            byte = self.take(1)[0]
            found |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
            if shift > 70:
                raise CodecFileError("a number is longer than any number is")
        if found > limit:
            raise CodecFileError(f"{found:,} is claimed where {limit:,} is the most there can be")
        return found

    def unpack(self, limit: int, *, bounded: bool = False) -> bytes:
        """Read what `pack` wrote of at most ``limit`` bytes."""
        tag, size = self.take(1)[0], self.number(limit)
        packed = self.take(self.number(self.left))
        if bounded and size > _most_unpacked(len(packed)):
            raise CodecFileError("a packed part claims to be far longer than it is")
        try:
            if tag == _STORED:
                found = packed
            elif tag == _ZLIB:
                found = zlib.decompressobj().decompress(packed, size + 1)
            elif tag == _LZMA:
                found = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=_FILTERS).decompress(packed, size + 1)
            else:
                raise CodecFileError(f"a part is packed in a way ({tag}) that is not known")
        except (zlib.error, lzma.LZMAError, EOFError) as error:
            raise CodecFileError(f"a packed part cannot be unpacked: {error}") from None
        if len(found) != size:
            raise CodecFileError("a packed part has not the length it claims")
        return found


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
