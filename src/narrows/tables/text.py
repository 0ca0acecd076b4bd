"""Text tables (csv and tsv): the head of a file, and the parser that says exactly what is wrong and where.

This parser is plain Python, so it is slow: it reads only what pyarrow would not, to say what is wrong and where.
"""

import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from narrows.errors import DataError

__all__ = [
    "MISSING",
    "TRUTH",
    "Head",
    "cells_of",
    "names_taken_for_numbers",
    "opened_text",
    "parse_rows",
    "parse_text",
    "read_head",
    "utf8_lines",
]

# The cells that mean "no value", also between quotes.
MISSING = ("", "NA", "NaN", "nan", "null")

# The cells that are truth values, in any case, and the numbers they are read as.
TRUTH = {"false": 0, "true": 1}

_INTEGER = re.compile(r"[+-]?[0-9]{1,19}|(?i:true|false)")
_BLOCK_ROWS = 4096
_LONGEST_SHOWN = 40


@dataclass(frozen=True)
class Head:
    """What the first row of a text table tells."""

    names: list[str] | None
    n_columns: int
    lines: int
    delimiter: str


def _number(cell: str) -> float:
    """Return a cell as a float, NaN if it is missing; ValueError if it is neither."""
    text = cell.strip()
    if text in MISSING:
        return float("nan")
    if (truth := TRUTH.get(text.lower())) is not None:
        return float(truth)
    # Python reads 1_000 and digits of every script; a file with those is not a table of numbers.
    if "_" in text or not text.isascii():
        raise ValueError(text)
    return float(text)


def _whole(cell: str) -> int:
    text = cell.strip()
    return TRUTH[text.lower()] if text[-1:].isalpha() else int(text)


def _is_number(cell: str) -> bool:
    """Whether a cell is a number, a truth value or missing."""
    try:
        _number(cell)
    except ValueError:
        return False
    return True


def names_taken_for_numbers(names: Iterable[str]) -> bool:
    """Whether a header of these names would be read back as a row of numbers."""
    return all(_is_number(name) for name in names)


@contextmanager
def opened_text(path: Path) -> Iterator[io.TextIOBase]:
    """Open a text table, gzipped or not, and turn what goes wrong on the way into a DataError."""
    try:
        if path.name.lower().endswith(".gz"):
            with gzip.open(path, "rt", encoding="utf-8-sig", newline="") as text:
                yield text
        else:
            with path.open(encoding="utf-8-sig", newline="") as text:
                yield text
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text: byte {error.object[error.start]:#04x} is not.") from error
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path} is not a whole gzip file: {error}") from error


def read_head(path: Path, delimiter: str) -> Head:
    """Read the first row of a text table and decide whether it holds names."""
    with opened_text(path) as text:
        first = _first_line(text)
        if delimiter == "," and "," not in first:
            delimiter = next((mark for mark in ";\t" if mark in first), ",")
        text.seek(0)
        reader = csv.reader(text, delimiter=delimiter, strict=True)
        try:
            row = next((row for row in reader if row), None)
        except csv.Error as error:
            raise DataError(f"{path}, line {reader.line_num}: {error}.") from error
        if row is None:
            raise DataError(f"{path} has no rows.")
        if any("\0" in field for field in row):
            raise DataError(f"{path} is not a text table: it has bytes of zero in it.")
        if all(_is_number(field) for field in row):
            return Head(None, len(row), 0, delimiter)
        return Head([field.strip() for field in row], len(row), reader.line_num, delimiter)


def _first_line(text: Iterable[str]) -> str:
    """Return the first line with something in it."""
    return next((line for line in text if line.strip()), "")


def parse_text(path: Path, head: Head, positions: Sequence[int]) -> np.ndarray:
    """Read a whole text table."""
    with opened_text(path) as text:
        blocks = list(parse_rows(text, path, head, positions, skip=head.lines))
    if not blocks:
        raise DataError(f"{path} has column names but no rows.")
    return np.concatenate(blocks)  # int64 and float64 give float64


def parse_rows(
    text: Iterable[str],
    path: Path,
    head: Head,
    positions: Sequence[int],
    *,
    skip: int = 0,
    lines_before: int = 0,
    floats: bool = False,
) -> Iterator[np.ndarray]:
    """Parse the lines of a text table into blocks of rows."""
    lines = iter(text)
    for _ in range(skip):
        next(lines, None)
    lines_before += skip
    rows: list[list[str]] = []
    numbers: list[int] = []
    for number, row in cells_of(lines, path, head, lines_before=lines_before):
        rows.append(row)
        numbers.append(number)
        if len(rows) == _BLOCK_ROWS:
            yield _block(rows, numbers, path, head, positions, floats=floats)
            rows, numbers = [], []
    if rows:
        yield _block(rows, numbers, path, head, positions, floats=floats)


def cells_of(lines: Iterator[str], path: Path, head: Head, *, lines_before: int = 0) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of the line and the cells of each row, empty lines left out."""
    reader = csv.reader(lines, delimiter=head.delimiter, strict=True)
    try:
        for row in reader:
            if not row:
                continue
            line = lines_before + reader.line_num
            if len(row) != head.n_columns:
                raise DataError(f"{path}, line {line}: {_fields(len(row))}, where the first row has {head.n_columns}.")
            yield line, row
    except csv.Error as error:
        raise DataError(f"{path}, line {lines_before + reader.line_num}: {error}.") from error


def _fields(count: int) -> str:
    return f"{count} field{'s' if count != 1 else ''}"


def _block(
    rows: list[list[str]],
    lines: list[int],
    path: Path,
    head: Head,
    positions: Sequence[int],
    *,
    floats: bool,
) -> np.ndarray:
    """Turn rows of text into numbers, whole ones if all of them are."""
    shape = (len(rows), len(positions))
    cells = [row[position] for row in rows for position in positions]
    if not floats and all(_INTEGER.fullmatch(cell.strip()) for cell in cells):
        try:
            return np.array([_whole(cell) for cell in cells], dtype=np.int64).reshape(shape)
        except OverflowError:
            pass  # beyond 64 bits: as floats, like pyarrow does
    try:
        return np.array([_number(cell) for cell in cells], dtype=np.float64).reshape(shape)
    except ValueError:
        raise _not_a_number(rows, lines, path, head, positions) from None


def _not_a_number(
    rows: list[list[str]], lines: list[int], path: Path, head: Head, positions: Sequence[int]
) -> DataError:
    """Say which cell is not a number, and how to do without its column."""
    for row, line in zip(rows, lines, strict=True):
        for position in positions:
            if not _is_number(row[position]):
                cell = row[position]
                shown = cell if len(cell) <= _LONGEST_SHOWN else cell[:_LONGEST_SHOWN] + "…"
                column = repr(head.names[position]) if head.names else str(position)
                return DataError(
                    f"{path}, line {line}: column {column} holds {shown!r}, which is not a number. To leave "
                    f"that column out, name the columns to read: columns=[...]."
                )
    raise AssertionError("called only when some cell is not a number")


def utf8_lines(content: bytes, path: Path) -> io.StringIO:
    """Return a piece of a file as text, line by line."""
    try:
        return io.StringIO(content.decode("utf-8"), newline="")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text: byte {content[error.start]:#04x} is not.") from error
