"""Text tables in pieces: one pass finds the lines and counts fields, then chunks are parsed as asked for."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from narrows.errors import DataError
from narrows.tables.arrow import parse_chunk
from narrows.tables.columns import choose, named
from narrows.tables.table import SegmentedFile
from narrows.tables.text import Head, parse_rows, read_head, utf8_lines

__all__ = ["TextSegments"]

CHUNK_BYTES = 16 << 20
_BOM = b"\xef\xbb\xbf"
_NEWLINE, _RETURN, _QUOTE = b'\n\r"'


@dataclass(frozen=True)
class _Chunk:
    """Whole lines of the file."""

    start: int
    size: int
    lines_before: int
    n_lines: int
    n_rows: int


class TextSegments(SegmentedFile):
    """A csv or tsv file read in pieces, as float64; a segment is about 16 MB of text."""

    def __init__(self, path: Path, delimiter: str, columns: Sequence[str | int] | None = None) -> None:
        self.path = path
        self._head = read_head(path, delimiter)
        self._positions = choose(columns, self._head.names, self._head.n_columns, str(path))
        self._chunks = list(_index(path, self._head))
        if not self._chunks:
            raise DataError(f"{path} has column names but no rows.")
        self.columns = named(self._positions, self._head.names)
        self.n_features = len(self._positions)
        self.shape = (self.n_features,)
        self.dtype = np.dtype(np.float64)
        self.segment_rows = [chunk.n_rows for chunk in self._chunks]
        self._check_first_rows()

    def _check_first_rows(self) -> None:
        """Find a column of text now, and not after minutes of training."""
        chunk = self._chunks[0]
        content = self._bytes(chunk)
        end = content.find(b"\n", 1 << 16) + 1
        first = content[:end] if end else content
        for _ in parse_rows(
            utf8_lines(first, self.path),
            self.path,
            self._head,
            self._positions,
            lines_before=chunk.lines_before,
            floats=True,
        ):
            pass

    def _bytes(self, chunk: _Chunk) -> bytes:
        with self.path.open("rb") as file:
            file.seek(chunk.start)
            return file.read(chunk.size)

    def read(self, segment: int, piece_rows: int) -> Iterator[np.ndarray]:
        """Yield a segment's rows in file order."""
        rows = self._parse(self._chunks[segment])
        for start in range(0, len(rows), piece_rows):
            yield rows[start : start + piece_rows]

    def _parse(self, chunk: _Chunk) -> np.ndarray:
        content = self._bytes(chunk)
        rows = parse_chunk(content, self._head, self._positions)
        if rows is None:
            lines = utf8_lines(content, self.path)
            blocks = parse_rows(
                lines, self.path, self._head, self._positions, lines_before=chunk.lines_before, floats=True
            )
            rows = np.concatenate([np.empty((0, self.n_features)), *blocks])
        if len(rows) != chunk.n_rows:
            raise DataError(f"{self.path} has changed since it was opened.")
        return rows


def _index(path: Path, head: Head) -> Iterator[_Chunk]:
    """Read the file once and yield its chunks, each checked for the right number of fields in every line."""
    with path.open("rb") as file:
        start, lines_before = _after_head(file, head), head.lines
        while True:
            file.seek(start)
            block = file.read(CHUNK_BYTES)
            if not block:
                return
            if len(block) == CHUNK_BYTES:
                end = block.rfind(b"\n") + 1
                # A line longer than a chunk: take in all of it.
                block = block[:end] if end else block + file.readline()
            chunk = _counted(block, path, head, start, lines_before)
            if chunk.n_rows:
                yield chunk
            start += len(block)
            lines_before += chunk.n_lines


def _after_head(file: BinaryIO, head: Head) -> int:
    """Return where the first line of data begins, in bytes."""
    if file.read(len(_BOM)) != _BOM:
        file.seek(0)
    for _ in range(head.lines):
        file.readline()
    return file.tell()


def _counted(block: bytes, path: Path, head: Head, start: int, lines_before: int) -> _Chunk:
    """Count the lines of a block and check that each has as many fields as the first row."""
    raw = np.frombuffer(block, np.uint8)
    ends = np.flatnonzero(raw == _NEWLINE)  # (n_lines,)
    if not len(ends) or ends[-1] != len(raw) - 1:
        ends = np.append(ends, len(raw))
    begins = np.concatenate([[0], ends[:-1] + 1])
    marks = np.flatnonzero(raw == ord(head.delimiter))
    quotes = np.flatnonzero(raw == _QUOTE)
    if len(quotes):
        open_ends = np.searchsorted(quotes, ends) % 2 == 1
        if open_ends.any():
            line = lines_before + int(open_ends.argmax()) + 1
            raise DataError(
                f"{path}, line {line}: a quoted field does not end in its line; a file with such "
                f"fields can only be read whole."
            )
        marks = marks[np.searchsorted(quotes, marks) % 2 == 0]
    fields = np.diff(np.searchsorted(marks, ends), prepend=0) + 1
    lengths = ends - begins
    # The last byte of a line of "\r\n" is no content.
    lengths -= (lengths > 0) & (raw[np.maximum(ends - 1, 0)] == _RETURN)
    filled = lengths > 0
    wrong = filled & (fields != head.n_columns)
    if wrong.any():
        at = int(wrong.argmax())
        raise DataError(
            f"{path}, line {lines_before + at + 1}: {fields[at]} field{'s' if fields[at] != 1 else ''}, "
            f"where the first row has {head.n_columns}."
        )
    return _Chunk(start, len(block), lines_before, len(ends), int(filled.sum()))
