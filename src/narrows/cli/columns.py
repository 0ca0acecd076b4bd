"""Tables whose columns differ in type: truth values in text, and columns written as what they are."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from narrows.cli.values import CommandError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from narrows.tables import Table
    from narrows.tables.text import Head

__all__ = ["as_columns", "column_types", "read_cells", "read_table", "text_head", "write_columns"]

TRUTH = {"true": 1.0, "false": 0.0}

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
    from narrows.errors import DataError
    from narrows.tables.text import opened_text

    found: list[list[str]] = []
    with opened_text(path) as text:
        reader = csv.reader(text, delimiter=head.delimiter, strict=True)
        try:
            for row in reader:
                if not row or reader.line_num <= head.lines:
                    continue
                if len(row) != head.n_columns:
                    raise DataError(
                        f"{path}, line {reader.line_num}: {len(row)} field{'s' * (len(row) != 1)}, where the first row "
                        f"has {head.n_columns}."
                    )
                found.append([row[position].strip() for position in positions])
                if n_rows is not None and len(found) == n_rows:
                    break
        except csv.Error as error:
            raise DataError(f"{path}, line {reader.line_num}: {error}.") from error
    return [[row[number] for row in found] for number in range(len(positions))]


def read_table(path: Path, columns: Sequence[str] | None) -> Table:
    """Read a file as :func:`narrows.tables.read` does, and columns of true and false in text as 1 and 0.

    Parameters
    ----------
    path : Path
        The file, or the folder of images.
    columns : sequence of str or None
        The columns to read, by name or position.
    """
    import numpy as np

    from narrows import tables
    from narrows.tables.columns import choose, named

    head = None if path.is_dir() else text_head(path)
    if head is None:
        return tables.read(path, columns=columns)
    positions = choose(columns, head.names, head.n_columns, str(path))
    first = read_cells(path, head, positions, _FIRST_ROWS)
    truths = [position for position, cells in zip(positions, first, strict=True) if _kind(cells) == "bool"]
    if not truths:
        return tables.read(path, columns=columns)
    parts = dict(zip(truths, _truth_values(path, head, truths), strict=True))
    if rest := [position for position in positions if position not in parts]:
        others = tables.read(path, columns=rest).values
        parts |= {position: others[:, number] for number, position in enumerate(rest)}
    values = np.empty((len(parts[positions[0]]), len(positions)), np.result_type(*parts.values()))
    for number, position in enumerate(positions):
        values[:, number] = parts[position]
    return tables.Table(values, named(positions, head.names), (len(positions),), path)


def _truth_values(path: Path, head: Head, positions: list[int]) -> list[np.ndarray]:
    """Read columns of true and false: uint8, or float64 with NaN where there are missing cells."""
    import numpy as np

    from narrows.tables.text import MISSING

    known = TRUTH | {word.lower(): float("nan") for word in MISSING}
    found = []
    for position, cells in zip(positions, read_cells(path, head, positions), strict=True):
        values = np.array([known.get(cell.lower(), -1.0) for cell in cells])
        if (values < 0).any():
            name = repr(head.names[position]) if head.names else str(position)
            cell = cells[int((values < 0).argmax())]
            raise CommandError(f"{path}: column {name} holds {cell!r} beside true and false.")
        found.append(values if np.isnan(values).any() else values.astype(np.uint8))
    return found


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
    from narrows.tables.text import MISSING

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
    from narrows.files import atomic_write
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
