"""Tables whose columns may hold text: a file as named columns, each an array of its own type."""

import os
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from narrows.errors import DataError
from narrows.tables.columns import choose, named
from narrows.tables.formats import DELIMITERS, existing_file, format_of

__all__ = ["read_named"]


def read_named(path: str | os.PathLike[str], columns: Sequence[str | int] | None = None) -> dict[str, np.ndarray]:
    r"""Read a csv, tsv or Parquet file as named columns, each of its own type.

    Where :func:`narrows.tables.read` gives one array of numbers, this keeps whole numbers whole beside fractions, and
    reads columns of text too: logs of ratings, lists of titles.

    Parameters
    ----------
    path : path-like
        The file; csv and tsv may be gzipped.
    columns : sequence of str or int, optional
        The columns to read, by name or by position from 0; all by default.

    Returns
    -------
    dict of str to ndarray
        In the order asked for. Columns of numbers only are int64 or float64 (or what Parquet says), all others arrays
        of str as they are written. Columns without a name are called by their position: ``"0"``, ``"1"``.

    Raises
    ------
    DataError
        If the file is not there, is damaged, of another kind, or has no rows.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from narrows.tables import read_named
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "films.csv"
    >>> _ = path.write_text('movieId,title\n7,"Heat (1995)"\n9,Alien\n')
    >>> read_named(path)["title"].tolist()
    ['Heat (1995)', 'Alien']
    """
    file = existing_file(path)
    kind = format_of(file)
    if kind in DELIMITERS:
        return _text_columns(file, DELIMITERS[kind], columns)
    if kind == "parquet":
        return _parquet_columns(file, columns)
    raise DataError(f"{file} has no named columns narrows can read: give a csv, tsv or Parquet file")


def _text_columns(file: Path, delimiter: str, columns: Sequence[str | int] | None) -> dict[str, np.ndarray]:
    from narrows.tables import arrow, text

    head = text.read_head(file, delimiter)
    positions = choose(columns, head.names, head.n_columns, str(file))
    names = named(positions, head.names) or [str(position) for position in positions]
    found: dict[str, np.ndarray] = {}
    texts = []
    for name, position in zip(names, positions, strict=True):
        try:
            values = arrow.parse_file(file, head, [position])
            found[name] = (text.parse_text(file, head, [position]) if values is None else values)[:, 0]
        except DataError:
            texts.append((name, position))
    if texts:
        with text.opened_text(file) as lines:
            rows = text.cells_of(islice(lines, head.lines, None), file, head, lines_before=head.lines)
            cells = [[row[position].strip() for _, position in texts] for _, row in rows]
        if not cells:
            raise DataError(f"{file} has column names but no rows.")
        for number, (name, _) in enumerate(texts):
            found[name] = np.array([row[number] for row in cells])
    return {name: found[name] for name in names}


def _parquet_columns(file: Path, columns: Sequence[str | int] | None) -> dict[str, np.ndarray]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file) as opened:
            names = opened.schema_arrow.names
            chosen = [names[position] for position in choose(columns, names, len(names), str(file))]
            table = opened.read(columns=chosen)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{file} is damaged: {error}") from error
    found = {}
    for name in chosen:
        values = table.column(name).to_numpy(zero_copy_only=False) if table.num_rows else np.empty(0)
        found[name] = values.astype(str) if values.dtype == object and all(map(_is_str, values)) else values
    return found


def _is_str(value: object) -> bool:
    return isinstance(value, str)
