"""Tables whose columns differ in type: truth values in text, and columns written as what they are."""

from __future__ import annotations

import csv
import re
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from narrows.cli.values import CommandError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from narrows.tables.text import Head

__all__ = ["as_columns", "column_types", "read_cells", "text_head", "write_columns"]

_FIRST_ROWS = 1000
"""Rows of text whose spelling says what a column holds: 34 is a whole number, 34.0 is not."""

_WHOLE = re.compile(r"[+-]?[0-9]{1,19}")
_BLOCK_ROWS = 1 << 16


def text_head(path: Path) -> Head | None:
    """Return the head of a table of text, None for a file of another kind."""
    from narrows.tables.formats import format_of
    from narrows.tables.text import read_head

    delimiter = {"csv": ",", "tsv": "\t"}.get(format_of(path) or "")
    return None if delimiter is None else read_head(path, delimiter)


def read_cells(path: Path, head: Head, positions: Sequence[int], n_rows: int | None = None) -> list[list[str]]:
    """Read columns of a table of text as they are written.

    Parameters
    ----------
    path, head
        The file, and what its head says.
    positions : sequence of int
        The columns.
    n_rows : int, optional
        The first rows only.

    Returns
    -------
    list of list of str
        The cells of each column.
    """
    from narrows.tables.text import cells_of, opened_text

    with opened_text(path) as text:
        rows = islice(cells_of(islice(text, head.lines, None), path, head, lines_before=head.lines), n_rows)
        found = [[row[position].strip() for position in positions] for _, row in rows]
    return [[row[number] for row in found] for number in range(len(positions))]


def column_types(path: Path, columns: Sequence[str] | None, rows: np.ndarray | Path) -> list[str] | None:
    """Return what the columns of a file hold, None where the file has one type for all.

    Parameters
    ----------
    path : Path
        The file.
    columns : sequence of str or None
        The columns that were read.
    rows : ndarray or path
        Their values, or the file they are streamed from.

    Returns
    -------
    list of str or None
        Names of numpy's types: "bool", "int64", "float64", ...
    """
    from narrows.tables.columns import choose
    from narrows.tables.formats import format_of

    if path.is_dir():
        return None
    if format_of(path) == "parquet":
        import pyarrow.parquet as pq

        schema = pq.read_schema(path)
        return [_arrow_kind(schema.field(k).type) for k in choose(columns, schema.names, len(schema.names), str(path))]
    head = text_head(path)
    if head is None:
        return None
    positions = choose(columns, head.names, head.n_columns, str(path))
    kinds = [_kind(cells) for cells in read_cells(path, head, positions, _FIRST_ROWS)]
    if "int64" not in kinds:
        return kinds
    whole = _whole_columns(rows)
    return ["float64" if kind == "int64" and not whole[number] else kind for number, kind in enumerate(kinds)]


def _kind(cells: Sequence[str]) -> str:
    """Return what cells hold by their spelling; anything but whole numbers and truth values is a float."""
    from narrows.tables.text import MISSING, TRUTH

    words = {cell.lower() for cell in cells if cell not in MISSING}
    if words and words <= set(TRUTH):
        return "bool"
    return "int64" if words and all(_WHOLE.fullmatch(word) for word in words) else "float64"


def _arrow_kind(kind: Any) -> str:
    import numpy as np
    import pyarrow as pa

    if pa.types.is_boolean(kind):
        return "bool"
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return str(np.dtype(kind.to_pandas_dtype()))
    return "float64"


def _whole_columns(rows: np.ndarray | Path) -> np.ndarray:
    """Say of which columns all values are whole numbers of 64 bits, or missing."""
    import numpy as np

    from narrows import tables

    if isinstance(rows, Path):
        source = tables.open_segments(rows)
        pieces = (piece for k in range(len(source.segment_rows)) for piece in source.read(k, _BLOCK_ROWS))
    else:
        pieces = (rows[start : start + _BLOCK_ROWS] for start in range(0, len(rows), _BLOCK_ROWS))
    found: np.ndarray | bool = True
    for piece in pieces:
        whole = np.isnan(piece) | ((piece == np.rint(piece)) & (np.abs(piece) < 2.0**63))
        found = found & whole.all(axis=0)
    return np.asarray(found)


def as_columns(rows: Any, names: Sequence[str] | None, kinds: Sequence[str] | None) -> tuple[list[str] | None, list]:
    """Part rows into columns, each of its own type.

    Parameters
    ----------
    rows : array or frame
        What a model has made.
    names : sequence of str or None
        The columns' names; a frame has its own.
    kinds : sequence of str or None
        Their types, where they are not the array's.

    Returns
    -------
    names : list of str or None
    columns : list of ndarray
    """
    if hasattr(rows, "columns"):
        return [str(name) for name in rows.columns], [rows[name].to_numpy() for name in rows.columns]
    flat = rows.reshape(len(rows), -1)
    columns = [flat[:, number] for number in range(flat.shape[1])]
    if kinds is not None:
        columns = [column.astype(kind) for column, kind in zip(columns, kinds, strict=True)]
    return None if names is None else list(names), columns


def write_columns(out: Path, columns: list[np.ndarray], names: list[str] | None) -> None:
    """Write a table whose columns may differ in type; names and places as of :func:`narrows.tables.write`.

    In text a whole number has no point, any other number one, and truth values are true and false.
    """
    import numpy as np

    from narrows import tables
    from narrows.errors import DataError
    from narrows.io.atomic import atomic_write
    from narrows.tables.formats import format_of
    from narrows.tables.text import names_taken_for_numbers

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
        with atomic_write(out) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream, delimiter="," if kind == "csv" else "\t", lineterminator="\n")
            if names is not None:
                writer.writerow(names)
            writer.writerows(zip(*(_texts(column) for column in columns), strict=True))


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
    """Return values as text; of a float the shortest that brings it back."""
    import numpy as np

    if column.dtype.kind == "b":
        return ["true" if value else "false" for value in column]
    if column.dtype.kind in "iuf":
        return column.astype(np.str_).tolist()
    values = column.tolist()
    return ["" if value is None else str(value).lower() if isinstance(value, bool) else str(value) for value in values]
