"""Tables whose columns differ in type: their names, cells as they are written, and columns written as what they are."""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from narrows import tables
from narrows.cli.errors import CommandError
from narrows.errors import DataError
from narrows.io.atomic import atomic_write
from narrows.tables.columns import choose
from narrows.tables.formats import format_of
from narrows.tables.text import MISSING, TRUTH, Head, cells_of, names_taken_for_numbers, opened_text, read_head

_FIRST_ROWS = 1000
"""Rows of text whose spelling says what a column holds: 34 is a whole number, 34.0 is not."""

_WHOLE = re.compile(r"[+-]?[0-9]{1,19}")
_BLOCK_ROWS = 1 << 16


def text_head(path: Path) -> Head | None:
    """Return the head of a table of text, None for a file of another kind."""
    delimiter = {"csv": ",", "tsv": "\t"}.get(format_of(path) or "")
    return None if delimiter is None or path.is_dir() else read_head(path, delimiter)


def parquet_schema(path: Path) -> Any:
    """Return the schema of a Parquet file, or say what is wrong with it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_schema(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} is not a whole Parquet file: {error}") from error


def names_in(path: Path, *, positions: bool = False) -> list[str] | None:
    """Return the names of a file's columns, without reading its rows where that can be done; None if it has none.

    With ``positions`` columns without names go by their numbers.
    """
    kind = None if path.is_dir() else format_of(path)
    head = text_head(path)
    if head is not None:
        return head.names or ([str(number) for number in range(head.n_columns)] if positions else None)
    if kind == "parquet":
        return [str(name) for name in parquet_schema(path).names]
    if kind == "npz" or (kind == "npy" and positions):
        table = tables.read(path)
        return table.columns or ([str(k) for k in range(table.values.shape[1])] if positions else None)
    return None


def read_cells(path: Path, names: Sequence[str] | None, n_rows: int | None = None) -> list[list[Any]]:
    """Read columns of a table of text or a Parquet file as they are written; a missing cell is None."""
    head = text_head(path)
    if head is None:
        return _parquet_cells(path, list(names or ()))
    positions = choose(names, head.names, head.n_columns, str(path))
    with opened_text(path) as text:
        rows = islice(cells_of(islice(text, head.lines, None), path, head, lines_before=head.lines), n_rows)
        found = [[row[position].strip() for position in positions] for _, row in rows]
    return [[None if row[k] in MISSING else row[k] for row in found] for k in range(len(positions))]


def _parquet_cells(path: Path, names: list[str]) -> list[list[Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path, columns=names)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} is damaged: {error}") from error
    return [table.column(name).to_pylist() for name in names]


def column_types(path: Path, columns: Sequence[str] | None, rows: np.ndarray | Path) -> list[str] | None:
    """Return what the columns of a file hold, "bool", "int64", "float64", ...; None if it has one type for all.

    ``rows`` are the values of the columns that were read, or the file they are streamed from.
    """
    if path.is_dir():
        return None
    if format_of(path) == "parquet":
        schema = parquet_schema(path)
        return [_arrow_kind(schema.field(k).type) for k in choose(columns, schema.names, len(schema.names), str(path))]
    if text_head(path) is None:
        return None
    kinds = [_kind(cells) for cells in read_cells(path, columns, _FIRST_ROWS)]
    if "int64" not in kinds:
        return kinds
    whole = _whole_columns(rows)
    return ["float64" if kind == "int64" and not whole[number] else kind for number, kind in enumerate(kinds)]


def _kind(cells: Sequence[str | None]) -> str:
    """Return what cells hold by their spelling; anything but whole numbers and truth values is a float."""
    words = {cell.lower() for cell in cells if cell is not None}
    if words and words <= set(TRUTH):
        return "bool"
    return "int64" if words and all(_WHOLE.fullmatch(word) for word in words) else "float64"


def _arrow_kind(kind: Any) -> str:
    import pyarrow as pa

    if pa.types.is_boolean(kind):
        return "bool"
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return str(np.dtype(kind.to_pandas_dtype()))
    return "float64"


def pieces_of(rows: np.ndarray | Path, n_rows: int = _BLOCK_ROWS) -> Iterator[np.ndarray]:
    """Yield rows, or those of a file, some at a time."""
    if isinstance(rows, Path):
        source = tables.open_segments(rows)
        for segment in range(len(source.segment_rows)):
            yield from source.read(segment, n_rows)
    else:
        yield from (rows[start : start + n_rows] for start in range(0, len(rows), n_rows))


def _whole_columns(rows: np.ndarray | Path) -> np.ndarray:
    """Say of which columns all values are whole numbers of 64 bits, or missing."""
    found: np.ndarray | bool = True
    for piece in pieces_of(rows):
        whole = np.isnan(piece) | ((piece == np.rint(piece)) & (np.abs(piece) < 2.0**63))
        found = found & whole.all(axis=0)
    return np.asarray(found)


def as_columns(rows: Any, names: Sequence[str] | None, kinds: Sequence[str] | None) -> tuple[list[str] | None, list]:
    """Part an array or a frame into names and columns, each of its own type where ``kinds`` says so."""
    if hasattr(rows, "columns"):
        return [str(name) for name in rows.columns], [rows[name].to_numpy() for name in rows.columns]
    flat = rows.reshape(len(rows), -1)
    columns = [flat[:, number] for number in range(flat.shape[1])]
    if kinds is not None:
        columns = [column.astype(kind) for column, kind in zip(columns, kinds, strict=True)]
    return None if names is None else list(names), columns


def write_columns(out: Path, columns: list[np.ndarray], names: list[str] | None) -> None:
    """Write a table whose columns may differ in type; names and places as of :func:`narrows.tables.write`."""
    kind = format_of(out)
    if len({column.dtype for column in columns}) == 1 and columns[0].dtype.kind in "iu":
        tables.write(out, np.stack(columns, axis=1), columns=names)
    elif kind in ("npy", "npz"):
        if any(column.dtype.kind not in "iufb" for column in columns):
            raise CommandError(f"{out} holds numbers only, and some columns are text: write .csv, .tsv or .parquet.")
        dtypes = [np.dtype(np.uint8) if column.dtype.kind == "b" else column.dtype for column in columns]
        tables.write(out, np.stack(columns, axis=1).astype(np.result_type(*dtypes)), columns=names)
    elif kind == "parquet":
        with atomic_write(out) as temporary:
            _write_parquet(temporary, columns, names)
    else:
        if names is not None and names_taken_for_numbers(names):
            raise DataError("In text, column names that are all numbers would be read back as a row: rename one.")
        write_text(out, names, zip(*(_texts(column) for column in columns), strict=True))


def write_text(out: Path, head: Iterable[Any] | None, rows: Iterable[Iterable[Any]]) -> None:
    """Write rows of text, .tsv with tabs and all else with commas."""
    delimiter = "\t" if format_of(out) == "tsv" else ","
    with atomic_write(out) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, delimiter=delimiter, lineterminator="\n")
        if head is not None:
            writer.writerow(head)
        writer.writerows(rows)


def _write_parquet(temporary: Path, columns: list[np.ndarray], names: list[str] | None) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    labels = names or [f"x{number}" for number in range(len(columns))]
    if len(set(labels)) < len(labels):
        raise CommandError("Column names must differ from each other in a Parquet file: write .csv.")
    arrays = [pa.array(column) for column in columns]
    # Not nullable: whole numbers then stay whole numbers when they are read back.
    fields = [pa.field(n, a.type, nullable=a.null_count > 0) for n, a in zip(labels, arrays, strict=True)]
    pq.write_table(pa.Table.from_arrays(arrays, schema=pa.schema(fields)), temporary)


def _texts(column: np.ndarray) -> list[str]:
    """Return values as text: a whole number has no point, and of a float it is the shortest that brings it back."""
    if column.dtype.kind == "b":
        return ["true" if value else "false" for value in column]
    if column.dtype.kind in "iuf":
        return column.astype(np.str_).tolist()
    values = column.tolist()
    return ["" if value is None else str(value).lower() if isinstance(value, bool) else str(value) for value in values]
