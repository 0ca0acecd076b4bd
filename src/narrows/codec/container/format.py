"""The container of compressed data: a head, blocks of rows, a table of the blocks, and checksums over every byte.

::

    magic · version · length of the head · head · CRC                         what the data is, and whose model made it
    block 0 · block 1 · …                                                     each decoded by itself
    number of rows · (length, CRC, CRC of its rows) of each block · CRC       the table, written last
    length of the table · CRC of all before · end                             12 bytes

The table stands at the end so that a file can be written without knowing how much will come. The head, each block and
the table have checksums of their own, so that damage in one place leaves the rest readable, and is named.
"""

import json
import lzma
import struct
import zlib
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from narrows.errors import CodecFileError, DataError

__all__ = [
    "END",
    "MAGIC",
    "VERSION",
    "Block",
    "Cursor",
    "FileReader",
    "FileWriter",
    "Head",
    "checksum",
    "pack",
    "varint",
]

_STORED, _ZLIB, _LZMA = 0, 1, 2
# Part of the format: what was packed with one size of dictionary is not unpacked with a smaller one.
_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": 1 << 21}]


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
    if len(data) > 16:
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


MAGIC = b"\x89NRW"
END = b"WRN\n"
VERSION = 1
"""Version of the format. Raise it when an older narrows would read a new file wrongly; keep a file of each version
in the tests, and read them all for ever."""

MOST_BLOCK_ROWS = 1 << 24
# Names of columns and of categories fill some megabytes at the most; JSON takes up to twenty times its size in memory.
_MOST_HEAD = 8 << 20
_FINGERPRINT = 8
_SMALLEST = 36
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Head:
    """What stands before the blocks: whose model made them, their rows, and what the data is in plain JSON values."""

    fingerprint: bytes
    rows_per_block: int
    description: Any


@dataclass(frozen=True)
class Block:
    """One line of the table: rows from ``first`` until before ``last``, and where their bytes stand in the file."""

    number: int
    first: int
    last: int
    offset: int
    size: int
    crc: int
    rows_crc: int

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return f"block {self.number} (rows {self.first:,} to {self.last - 1:,})"


class FileWriter:
    """Writes a file from the front to the end, into a binary file that it does not close."""

    def __init__(self, file: BinaryIO, head: Head) -> None:
        self._file, self._crc, self._rows = file, 0, 0
        self._lines: list[bytes] = []
        self.n_bytes = 0
        text = json.dumps(head.description, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")
        if len(text) > _MOST_HEAD:
            raise DataError(
                f"the names of the columns and of their categories take {len(text):,} bytes, and a file holds "
                f"{_MOST_HEAD:,} of them at the most: make categories text, or shorten the names"
            )
        self._seal = _seal(text)
        content = head.fingerprint + varint(head.rows_per_block) + pack(text, bounded=True)
        first = MAGIC + bytes([VERSION]) + varint(len(content)) + content
        self._put(first + struct.pack("<I", zlib.crc32(first)))

    def _put(self, data: bytes) -> None:
        self._file.write(data)
        self._crc = zlib.crc32(data, self._crc)
        self.n_bytes += len(data)

    def add(self, data: bytes, n_rows: int, rows_crc: int) -> None:
        """Write a block of so many rows with such a checksum."""
        self._put(data)
        self._lines.append(varint(len(data)) + struct.pack("<II", zlib.crc32(data), zlib.crc32(self._seal, rows_crc)))
        self._rows += n_rows

    def finish(self) -> None:
        """Write the table and the end."""
        table = varint(self._rows) + b"".join(self._lines)
        self._put(table + struct.pack("<I", zlib.crc32(table)) + struct.pack("<I", len(table) + 4))
        self._put(struct.pack("<I", self._crc) + END)


def _seal(text: bytes) -> bytes:
    """Return what the checksums of rows are continued with: the same bytes are other rows in another type or shape."""
    return struct.pack("<I", zlib.crc32(text))


class FileReader:
    """Reads what a `FileWriter` wrote; head and table at once, blocks when they are asked for.

    A file of another model's fingerprint is refused before more of it is read; ``what`` is its name in messages.
    """

    def __init__(self, source: bytes | BinaryIO, what: str = "this data", fingerprint: bytes | None = None) -> None:
        self.what, self._expected, self._source = what, fingerprint, source
        self.size = len(source) if isinstance(source, bytes) else source.seek(0, 2)
        self.head, start = self._read_head()
        self.n_rows, self.blocks = self._read_table(start)

    def _at(self, offset: int, size: int) -> bytes:
        if isinstance(self._source, bytes):
            return self._source[offset : offset + size]
        self._source.seek(offset)
        return self._source.read(size)

    def _damaged(self, why: object) -> CodecFileError:
        return CodecFileError(f"{self.what} is damaged: {why}")

    def _read_head(self) -> tuple[Head, int]:
        start = self._at(0, 16)
        if not start:
            raise CodecFileError(f"{self.what} is empty, not a compressed file of narrows")
        if start[:4] != MAGIC[: len(start)]:
            raise CodecFileError(f"{self.what} is no compressed file of narrows: it does not begin as one")
        if len(start) > 4 and start[4] > VERSION:
            raise CodecFileError(
                f"{self.what} has format {start[4]}, newer than {VERSION}, which this narrows reads: upgrade it"
            )
        if self.size < _SMALLEST:
            raise CodecFileError(f"{self.what} is truncated: {self.size} bytes are less than the smallest file has")
        try:
            cursor = Cursor(start[5:])
            length = cursor.number(min(2 * _MOST_HEAD, self.size))
        except CodecFileError as error:
            raise self._damaged(f"its head cannot be read ({error})") from None
        place = 5 + cursor.place
        data = self._at(0, place + length + 4)
        if len(data) < place + length + 4:
            raise CodecFileError(f"{self.what} is truncated: it ends within its head")
        if zlib.crc32(data[:-4]) != int.from_bytes(data[-4:], "little") or not start[4]:
            raise self._damaged("the checksum of its head does not match")
        return self._parse_head(data[place:-4]), len(data)

    def _parse_head(self, content: bytes) -> Head:
        fingerprint, expected = content[:_FINGERPRINT], self._expected
        if expected is not None and len(fingerprint) == _FINGERPRINT and fingerprint != expected:
            raise CodecFileError(
                f"{self.what} was made with the codec {fingerprint.hex()}, and this one is {expected.hex()}: load the "
                "one it was made with"
            )
        try:
            cursor = Cursor(content)
            cursor.take(_FINGERPRINT)
            rows_per_block = cursor.number(MOST_BLOCK_ROWS)
            text = cursor.unpack(_MOST_HEAD, bounded=True)
            if cursor.left or not rows_per_block:
                raise CodecFileError("its lengths contradict each other")
            self._seal = _seal(text)
            return Head(fingerprint, rows_per_block, json.loads(text.decode("utf-8", "surrogatepass")))
        except (ValueError, RecursionError) as error:
            raise self._damaged(f"its head cannot be read ({error})") from None

    def _read_table(self, start: int) -> tuple[int, list[Block]]:
        end = self._at(self.size - 12, 12)
        if end[8:] != END:
            raise CodecFileError(f"{self.what} is truncated, or damaged at its end: it does not end as such files do")
        length, self._whole_crc = struct.unpack("<II", end[:8])
        if not 5 <= length <= self.size - 12 - start:
            raise self._damaged("its table of blocks cannot be found")
        first = self.size - 12 - length
        table = self._at(first, length)
        if zlib.crc32(table[:-4]) != int.from_bytes(table[-4:], "little"):
            raise self._damaged("the checksum of its table of blocks does not match")
        try:
            return self._parse_table(Cursor(table[:-4]), start, first)
        except CodecFileError as error:
            raise self._damaged(f"its table of blocks cannot be read ({error})") from None

    def _parse_table(self, cursor: Cursor, offset: int, end: int) -> tuple[int, list[Block]]:
        step = self.head.rows_per_block
        # A line of the table has nine bytes at least, so the number of rows is bounded by the length of the file.
        n_rows = cursor.number((cursor.left // 9 + 1) * step)
        blocks: list[Block] = []
        for number, row in enumerate(range(0, n_rows, step)):
            size = cursor.number(end - offset)
            if not size:
                raise CodecFileError(f"block {number} has no bytes")
            crc, rows_crc = struct.unpack("<II", cursor.take(8))
            blocks.append(Block(number, row, min(row + step, n_rows), offset, size, crc, rows_crc))
            offset += size
        if cursor.left or offset != end:
            raise CodecFileError("its lengths do not add up")
        return n_rows, blocks

    def read(self, block: Block) -> bytes:
        """Return a block's bytes, after a look at their checksum."""
        data = self._at(block.offset, block.size)
        if len(data) != block.size or zlib.crc32(data) != block.crc:
            raise CodecFileError(
                f"{block.name} of {self.what} is damaged: its checksum does not match", [(block.first, block.last)]
            )
        return data

    def holds(self, block: Block, rows_crc: int) -> bool:
        """Say whether rows of such a checksum are those of a block, and of what the head says."""
        return zlib.crc32(self._seal, rows_crc) == block.rows_crc

    def check(self) -> None:
        """Compare the checksum over the whole file."""
        crc = 0
        for offset in range(0, self.size - 8, _CHUNK):
            crc = zlib.crc32(self._at(offset, min(_CHUNK, self.size - 8 - offset)), crc)
        if crc != self._whole_crc:
            raise self._damaged("the checksum over the whole does not match")
