"""The bytes of a text table on their way to pyarrow: unpacked, in UTF-8, with a delimiter of one byte, and checked."""

import codecs
import io
import lzma
from collections.abc import Callable
from typing import BinaryIO, cast

import pyarrow as pa

from narrows.data.dialect import Dialect, with_one_byte_delimiter
from narrows.errors import DataError

__all__ = ["Feed", "Unprepared", "open_unpacked", "undecodable_line"]

_PACKED = ((b"\x1f\x8b", "gzip"), (b"BZh", "bz2"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"\xfd7zXZ\x00", "xz"))


class Unprepared(Exception):  # noqa: N818
    """A reading met what it was not prepared for ("quotes" or "encoding") and must begin again."""


class _Joined(io.RawIOBase):
    """A stream whose first bytes have been read already."""

    def __init__(self, start: bytes, rest: BinaryIO) -> None:
        self._start, self._rest = start, rest

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        start = self._start if size < 0 else self._start[:size]
        self._start = self._start[len(start) :]
        return start + self._rest.read(-1 if size < 0 else size - len(start))

    def close(self) -> None:
        if not self.closed:
            self._rest.close()
        super().close()


def open_unpacked(open_stream: Callable[[], BinaryIO]) -> BinaryIO:
    """Open a stream and unpack it, where its first bytes say that it is packed."""
    stream = open_stream()
    start = stream.read(6)
    whole = cast("BinaryIO", _Joined(start, stream))
    kind = next((kind for magic, kind in _PACKED if start.startswith(magic)), None)
    if kind == "xz":
        return cast("BinaryIO", lzma.open(whole))
    return whole if kind is None else pa.CompressedInputStream(pa.PythonFile(whole, mode="r"), kind)


def undecodable_line(stream: BinaryIO, encoding: str) -> int:
    """Return the first line that is not of an encoding."""
    decoder, line = codecs.getincrementaldecoder(encoding)(), 1
    while chunk := stream.read(1 << 20):
        try:
            line += decoder.decode(chunk).count("\n")
        except UnicodeDecodeError as error:
            return line + chunk.count(b"\n", 0, error.start)
    return line


class Feed(io.RawIOBase):
    """What pyarrow reads a text table from.

    ``tail`` are the last few bytes that were read. A quote where none was known of raises :class:`Unprepared`. Without
    a dialect the bytes pass as they are.
    """

    def __init__(
        self,
        stream: BinaryIO,
        place: str,
        dialect: Dialect | None = None,
        has_quotes: bool = True,
    ) -> None:
        self._stream, self._place, self._dialect = stream, place, dialect
        self._unknown_quote = dialect.quote.encode() if dialect and dialect.quote and not has_quotes else None
        self._decoder = None
        if dialect and (dialect.encoding != "utf-8" or len(dialect.delimiter.encode()) != 1):
            encoding = "utf-8-sig" if dialect.encoding == "utf-8" else dialect.encoding
            self._decoder = codecs.getincrementaldecoder(encoding)()
        self._held, self._ready, self._ended = "", b"", False
        self._begun = False
        self._line = 1
        self.tail = b""

    def readable(self) -> bool:
        """Return True, as a stream that is read must."""
        return True

    def close(self) -> None:
        """Close the stream below."""
        if not self.closed:
            self._stream.close()
        super().close()

    def read(self, size: int = -1) -> bytes:
        """Read some bytes, as many as asked for unless the file ends."""
        parts, missing = [self._ready], size - len(self._ready)
        while missing > 0 and not self._ended:
            chunk = self._raw(missing)
            self._ended = not chunk
            parts.append(self._recoded(chunk) if self._decoder else chunk)
            missing -= len(parts[-1])
        data = b"".join(parts)
        data, self._ready = data[:size], data[size:]
        self.tail = data[-3:] or self.tail
        if self._dialect:
            self._look(data)
        return data

    def _raw(self, size: int) -> bytes:
        try:
            return self._stream.read(size)
        except (EOFError, OSError, lzma.LZMAError) as error:
            raise DataError(f"{self._place} cannot be unpacked or read to its end: {error}.") from error

    def _recoded(self, chunk: bytes) -> bytes:
        """Return text as UTF-8 with a delimiter of one byte; what may be the first part of a delimiter waits."""
        assert self._decoder is not None
        assert self._dialect is not None
        try:
            text = self._held + self._decoder.decode(chunk, self._ended)
        except UnicodeDecodeError:
            raise Unprepared("encoding") from None
        delimiter = self._dialect.delimiter
        if delimiter:
            text = with_one_byte_delimiter(text, delimiter)
            held = next((k for k in range(len(delimiter) - 1, 0, -1) if text.endswith(delimiter[:k])), 0)
        else:
            text = text if self._begun else text.lstrip(" \t")
            self._begun = self._begun or bool(text)
            held = len(text) - len(text.rstrip())
        end = len(text) if self._ended else len(text) - held
        self._held, text = text[end:], text[:end]
        return (text if delimiter else with_one_byte_delimiter(text, delimiter)).encode()

    def _look(self, data: bytes) -> None:
        """Look for what should not be there."""
        if b"\0" in data:
            line = self._line + data.count(b"\n", 0, data.index(b"\0"))
            raise DataError(f"Line {line} of {self._place} has a NUL character: it is damaged, or no text.")
        if self._unknown_quote and self._unknown_quote in data:
            raise Unprepared("quotes")
        self._line += data.count(b"\n")
