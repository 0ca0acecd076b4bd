"""Tables that may have columns of text, for detectors: such a table is read as a pandas frame, others as numbers."""

from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from narrows import tables
from narrows.cli.columns import names_in, parquet_schema, read_cells, text_head
from narrows.cli.errors import CommandError
from narrows.cli.files import Data, check_names, file_of, read_data, read_for
from narrows.tables.columns import choose
from narrows.tables.formats import format_of
from narrows.tables.text import names_taken_for_numbers

BLOCK_ROWS = 1024

_FIRST_ROWS = 1000
_TEXT_FRACTION = 0.05
"""In a column of text more of the first cells than this are no numbers; fewer are slips, refused by their line."""

_MOST_SHOWN = 12


def has_pandas() -> bool:
    """Say whether pandas is installed."""
    return find_spec("pandas") is not None


def read_mixed(data: str, columns: Sequence[str] | None = None, *, stream: bool = False) -> Data:
    """Read DATA to fit a detector to; where a column holds text, the rows are a pandas frame."""
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

    ``columns`` says, for a detector that knows no names, which columns of DATA it was fitted to.
    """
    form, file = detector._form, file_of(data)
    names = None if file is None or format_of(file) in ("npy", "npz") else names_in(file)
    if form is None:
        wanted = [str(name) for name in getattr(detector, "feature_names_in_", [])]
        if not wanted and columns is not None:
            return read_data(data, columns)
        if wanted and names is not None and set(wanted) <= set(names) and names != wanted:
            # At once, for there may be columns of text among those that are not needed.
            return read_data(data, wanted)
        return read_for(detector, data)
    if file is None or names is None:
        raise CommandError(
            f"The detector was fitted to a table with columns of text, so it needs one with the same columns: {data} "
            "has no names of columns."
        )
    check_names(data, form.names, names, "the detector")
    levels = dict(zip(form.names, form.levels, strict=True))
    known = {name: {str(level): level for level in levels[name]} for name in form.names if levels[name] is not None}
    return Data(_frame(file, {name: name in known for name in form.names}, known), list(form.names))


def picked(rows: Any, index: np.ndarray) -> Iterator[tuple[np.ndarray, Any]]:
    """Yield rows with these rising numbers, some at a time, with their numbers; a file is read once."""
    if isinstance(rows, Path):
        from narrows.data.streams import StreamRows

        start = 0
        for block in StreamRows(tables.open_segments(rows)).blocks(BLOCK_ROWS):
            some = index[slice(*np.searchsorted(index, (start, start + len(block))))]
            if len(some):
                yield some, block[some - start].numpy()
            start += len(block)
        return
    for start in range(0, len(index), BLOCK_ROWS):
        some = index[start : start + BLOCK_ROWS]
        yield some, rows.iloc[some] if hasattr(rows, "iloc") else rows[some]


def _text_columns(path: Path, columns: Sequence[str] | None) -> dict[str, bool] | None:
    """Say which of the wanted columns hold text, None for a file without names of columns."""
    if format_of(path) == "parquet":
        fields = list(parquet_schema(path))
        chosen = choose(columns, [field.name for field in fields], len(fields), str(path))
        return {fields[k].name: _is_text_type(fields[k].type) for k in chosen}
    head = text_head(path)
    if head is None or head.names is None:
        return None
    positions = choose(columns, head.names, head.n_columns, str(path))
    found: dict[str, bool] = {}
    for position, cells in zip(positions, read_cells(path, columns, _FIRST_ROWS), strict=True):
        known = [cell for cell in cells if cell is not None]
        is_text = sum(not names_taken_for_numbers((cell,)) for cell in known) > _TEXT_FRACTION * len(known)
        # Two columns of one name: fine as numbers, and refused with the others where the table becomes a frame.
        name = head.names[position]
        found[name] = found.get(name, False) or is_text
    return found


def _is_text_type(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind))


def _frame(path: Path, columns: dict[str, bool], known: dict[str, dict[str, Any]]) -> Any:
    """Read columns as a pandas frame.

    ``columns`` says which of them hold text, ``known`` what cells of text stand for: a category may have been a number
    in the fit.
    """
    texts = [name for name, is_text in columns.items() if is_text]
    if not has_pandas():
        raise CommandError(
            f"{path} has columns of text, such as {texts[0]!r}, for which pandas is needed and not installed: "
            'pip install "narrows[frames]". Or name the columns to use: columns=[...].'
        )
    import pandas as pd

    numbers = [name for name in columns if name not in texts]
    values: dict[str, Any] = {}
    if numbers:
        # By the reader of all verbs, which says in which line a cell is no number.
        values = dict(zip(numbers, tables.read(path, columns=numbers).values.T, strict=True))
    for name, column in zip(texts, read_cells(path, texts), strict=True):
        levels = known.get(name, {})
        cells = [cell if cell is None else levels.get(str(cell), cell) for cell in column]
        values[name] = pd.Series(cells, dtype=object)
    frame = pd.DataFrame({name: values[name] for name in columns})
    if not len(frame):
        raise CommandError(f"{path} has no rows.")
    return frame


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
