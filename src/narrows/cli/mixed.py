"""Tables that may have columns of text, for detectors: such a table is read as a pandas frame, others as numbers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from narrows.cli.columns import read_cells, text_head
from narrows.cli.files import Data, file_of, read_data, read_for
from narrows.cli.values import CommandError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np

    from narrows.tables.text import Head

__all__ = ["has_pandas", "picked", "read_for_detector", "read_mixed"]

BLOCK_ROWS = 1024

_FIRST_ROWS = 1000
_TEXT_SHARE = 0.05
"""In a column of text more of the first cells than this are no numbers; fewer are slips, refused by their line."""

_MOST_SHOWN = 12


def has_pandas() -> bool:
    """Say whether pandas is installed."""
    from importlib.util import find_spec

    return find_spec("pandas") is not None


def read_mixed(data: str, columns: Sequence[str] | None = None, *, stream: bool = False) -> Data:
    """Read DATA to fit a detector to.

    Parameters
    ----------
    data : str
        As on the command line.
    columns : sequence of str, optional
        The columns to take.
    stream : bool, default False
        Whether to stream also what is small.

    Returns
    -------
    Data
        As of :func:`narrows.cli.files.read_data`; where a column holds text, the rows are a pandas frame.
    """
    file = file_of(data)
    found = None if file is None or file.is_dir() else _text_columns(file, columns)
    if file is None or found is None or not any(found.values()):
        return read_data(data, columns, stream=stream)
    if stream:
        raise CommandError("--stream is for numbers: a table with columns of text is read into memory.")
    frame = _frame(file, found, {})
    _refuse_names(frame, found, data)
    return Data(frame, list(found))


def read_for_detector(detector: Any, data: str, columns: Sequence[str] | None = None) -> Data:
    """Read the rows of DATA that a fitted detector can take.

    Parameters
    ----------
    detector : AnomalyDetector
        Fitted.
    data : str
        As on the command line.
    columns : sequence of str, optional
        For a detector that knows no names: which columns of DATA it was fitted to.
    """
    form, file = detector._form, file_of(data)
    if form is None:
        wanted = [str(name) for name in getattr(detector, "feature_names_in_", [])]
        if not wanted and columns is not None:
            return read_data(data, columns)
        names = None if file is None or file.is_dir() else _names(file)
        if wanted and names is not None and set(wanted) <= set(names) and names != wanted:
            # At once, for there may be columns of text among those that are not needed.
            return read_data(data, wanted)
        return read_for(detector, data)
    names = None if file is None or file.is_dir() else _names(file)
    if file is None or names is None:
        raise CommandError(
            f"The detector was fitted to a table with columns of text, so it needs one with the same columns: {data} "
            "has no names of columns."
        )
    lacking = [name for name in form.names if name not in names]
    if lacking:
        more = f" (and {len(lacking) - 1} more)" if len(lacking) > 1 else ""
        raise CommandError(f"{data} lacks the column {lacking[0]!r}{more} that the detector was fitted to.")
    known = {
        name: {str(level): level for level in levels}
        for name, levels in zip(form.names, form.levels, strict=True)
        if levels is not None
    }
    return Data(_frame(file, {name: name in known for name in form.names}, known), list(form.names))


def picked(rows: Any, index: np.ndarray) -> Iterator[tuple[np.ndarray, Any]]:
    """Yield rows with these rising numbers, some at a time, with their numbers; a file is read once.

    Parameters
    ----------
    rows : ndarray, frame or path
        Rows as read.
    index : ndarray of int
        Which ones.
    """
    import numpy as np

    if isinstance(rows, Path):
        from narrows.data.streams import StreamRows
        from narrows.tables import open_segments

        start = 0
        for block in StreamRows(open_segments(rows)).blocks(BLOCK_ROWS):
            some = index[slice(*np.searchsorted(index, (start, start + len(block))))]
            if len(some):
                yield some, block[some - start].numpy()
            start += len(block)
        return
    for start in range(0, len(index), BLOCK_ROWS):
        some = index[start : start + BLOCK_ROWS]
        yield some, rows.iloc[some] if hasattr(rows, "iloc") else rows[some]


def _names(path: Path) -> list[str] | None:
    """Return the names of a file's columns, None where it has none or is of another kind."""
    from narrows.tables.formats import format_of

    if format_of(path) == "parquet":
        return [field.name for field in _schema(path)]
    head = text_head(path)
    return None if head is None else head.names


def _text_columns(path: Path, columns: Sequence[str] | None) -> dict[str, bool] | None:
    """Say which of the wanted columns hold text, None for a file without names of columns."""
    from narrows.tables.columns import choose
    from narrows.tables.formats import format_of

    if format_of(path) == "parquet":
        fields = list(_schema(path))
        chosen = choose(columns, [field.name for field in fields], len(fields), str(path))
        return {fields[k].name: _is_text_type(fields[k].type) for k in chosen}
    head = text_head(path)
    if head is None or head.names is None:
        return None
    positions = choose(columns, head.names, head.n_columns, str(path))
    cells = read_cells(path, head, positions, _FIRST_ROWS)
    found: dict[str, bool] = {}
    for position, column in zip(positions, cells, strict=True):
        # Two columns of one name: fine as numbers, and refused with the others where the table becomes a frame.
        name = head.names[position]
        found[name] = found.get(name, False) or _is_text_column(column)
    return found


def _is_text_column(cells: Sequence[str]) -> bool:
    from narrows.tables.text import MISSING, names_taken_for_numbers

    known = [cell for cell in cells if cell not in MISSING]
    return sum(not names_taken_for_numbers((cell,)) for cell in known) > _TEXT_SHARE * len(known)


def _schema(path: Path) -> Any:
    from narrows.errors import DataError
    from narrows.tables.parquet import required_pyarrow

    required_pyarrow(path)
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_schema(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} is not a whole Parquet file: {error}") from error


def _is_text_type(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind))


def _frame(path: Path, columns: dict[str, bool], known: dict[str, dict[str, Any]]) -> Any:
    """Read columns as a pandas frame.

    Parameters
    ----------
    path : Path
        The file.
    columns : dict of str to bool
        The columns, and which of them hold text.
    known : dict of str to dict
        What cells of text stand for, by column: a category may have been a number in the fit.
    """
    text = next(name for name, is_text in columns.items() if is_text)
    if not has_pandas():
        raise CommandError(
            f"{path} has columns of text, such as {text!r}, for which pandas is needed and not installed: "
            'pip install "narrows[frames]". Or name the columns to use: columns=[...].'
        )
    import pandas as pd

    from narrows import tables

    head = text_head(path)
    numbers = [name for name, is_text in columns.items() if not is_text]
    values: dict[str, Any] = {}
    if numbers:
        # By the reader of all verbs, which says in which line a cell is no number.
        values = dict(zip(numbers, tables.read(path, columns=numbers).values.T, strict=True))
    texts = [name for name, is_text in columns.items() if is_text]
    cells = _parquet_cells(path, texts) if head is None else _text_cells(path, head, texts)
    for name, column in zip(texts, cells, strict=True):
        levels = known.get(name, {})
        values[name] = pd.Series(
            [cell if cell is None else levels.get(str(cell), cell) for cell in column], dtype=object
        )
    frame = pd.DataFrame({name: values[name] for name in columns})
    if not len(frame):
        raise CommandError(f"{path} has no rows.")
    return frame


def _text_cells(path: Path, head: Head, names: list[str]) -> list[list[str | None]]:
    from narrows.tables.columns import choose
    from narrows.tables.text import MISSING

    cells = read_cells(path, head, choose(names, head.names, head.n_columns, str(path)))
    return [[None if cell in MISSING else cell for cell in column] for column in cells]


def _parquet_cells(path: Path, names: list[str]) -> list[list[Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from narrows.errors import DataError

    try:
        table = pq.read_table(path, columns=names)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} is damaged: {error}") from error
    return [table.column(name).to_pylist() for name in names]


def _refuse_names(frame: Any, columns: dict[str, bool], data: str) -> None:
    """Refuse a column of names or dates, and say how to leave it out."""
    from narrows.data.categories import MOST_LEVELS

    counts = {name: frame[name].nunique() for name, is_text in columns.items() if is_text}
    many = [name for name, count in counts.items() if count > MOST_LEVELS]
    if not many:
        return
    rest = [name for name in columns if name not in many]
    how = "--columns " + (",".join(rest) if len(rest) <= _MOST_SHOWN else "A,B,...")
    raise CommandError(
        f"{data}: column {many[0]!r} holds {counts[many[0]]:,} different texts, names or dates rather than categories "
        + (f"(up to {MOST_LEVELS}); leave it out: {how}." if rest else f"(up to {MOST_LEVELS}), and is all there is.")
    )
