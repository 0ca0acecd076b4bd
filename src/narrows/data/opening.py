"""Opening anything that has columns: the one way in."""

import difflib
import operator
import re
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from narrows.data.files import file_parts
from narrows.data.frames import memory_source
from narrows.data.parts import Part, PartsSource, table_part
from narrows.data.places import Place, find_places, holds_images, is_place
from narrows.data.source import Origin, Source
from narrows.data.text import TextSource
from narrows.errors import DataError

__all__ = ["choose_columns", "is_tabular", "open_source"]

Choice = str | int | Sequence[str | int] | None

_RANGE = re.compile(r"(\d*):(\d*)")
_MOST_SHOWN = 12


def open_source(
    data: Any,
    *,
    delimiter: str | None = None,
    decimal: str | None = None,
    thousands: str | None = None,
    quote: str | None = None,
    encoding: str | None = None,
    header: bool | None = None,
    missing_values: Sequence[str] | None = None,
    index: str | bool | None = None,
    columns: Choice = None,
    drop: Choice = None,
    array: str | None = None,
) -> Source:
    """Open anything that has columns, to be read again and again.

    Parameters
    ----------
    data : path, URL, frame, Arrow data, dict, array or iterator
        A file (csv, tsv, txt, dat, also packed as gz, bz2, zst or xz; Parquet, Feather and Arrow, npy, npz, idx); a
        folder of such files, whose rows follow each other in the order of their names and whose folders like
        ``year=2020`` are columns; a glob; a list of these; a URL that fsspec knows (``s3://``, ``memory://``); ``"-"``
        for text on standard input. A frame of pandas, polars (lazy ones too) or another library that narwhals knows;
        what has ``__arrow_c_stream__``; a dataset of pyarrow; a dict of columns; a numpy array, also structured or
        masked; an iterator of such batches, which is read into memory.
    delimiter, decimal, thousands, quote, encoding, header, missing_values : optional
        How text is written, where it is not found out rightly: see :class:`narrows.data.text.TextSource`.
    index : str or False, optional
        The column that numbers or names the rows; False if what a file says of its index is wrong.
    columns, drop : str, int or list of them, optional
        Columns to read, or to leave out: names, positions from 0 (also ``"3"``), ranges of positions whose end is not
        among them (``"3:7"``), patterns of names (``"sensor_*"``).
    array : str, optional
        Which array of an npz file.

    Returns
    -------
    Source
        Columns with different names.

    Raises
    ------
    DataError
        If it is no table, cannot be read, or an option does not fit.

    Examples
    --------
    >>> from narrows.data.opening import open_source
    >>> source = open_source({"a": [1, 2], "b": ["x", None], "c": [0.5, 1.5]}, drop="c")
    >>> source.arrow_schema.names, source.n_rows
    (['a', 'b'], 2)
    >>> source.table().to_pylist()
    [{'a': 1, 'b': 'x'}, {'a': 2, 'b': None}]
    """
    dialect: dict[str, Any] = {"delimiter": delimiter, "decimal": decimal, "thousands": thousands, "quote": quote}
    dialect |= {"encoding": encoding, "header": header, "missing_values": missing_values}
    asked = {name: value for name, value in dialect.items() if value is not None}
    if not is_place(data) and (asked or array is not None):
        raise DataError(f"{next(iter(asked), 'array')}= is for files, and a {type(data).__name__} was given")
    source = _open_places(data, asked, array) if is_place(data) else _open_object(data)
    source.options = asked
    if index is None and columns is None and drop is None:
        return source
    if not isinstance(source, PartsSource):
        source = PartsSource(_parts_of(source, {}), source.origin, source.notes, source.index_columns)
        source.options = asked
    if index is not None:
        source.index_columns = _index(index, source)
    if columns is None and drop is None:
        return source
    return source.select(choose_columns(source.arrow_schema.names, columns, drop, source.origin.place or "the data"))


def is_tabular(data: Any) -> bool:
    """Whether something is a table rather than images, a matrix of numbers, or a sparse one."""
    if is_place(data):
        return not holds_images(data)
    if isinstance(data, np.ndarray):
        return data.dtype.kind in "VMm" or np.ma.isMaskedArray(data)
    if type(data).__module__.startswith("pandas") and hasattr(data, "columns"):
        return data.empty or not all(type(kind).__name__ == "SparseDtype" for kind in data.dtypes)
    known = isinstance(data, (Mapping, Iterator, Source)) or type(data).__module__ == "pyarrow._dataset"
    return known or _is_list_of_tables(data) or hasattr(data, "__arrow_c_stream__") or hasattr(type(data), "columns")


def _index(index: str | bool, source: Source) -> list[str]:
    """Return the columns of the index that was asked for."""
    if index is False:
        return []
    names = source.arrow_schema.names
    if index is True or index not in names:
        known = _shown(names)
        raise DataError(f"index={index!r} is no column; there are {known}")
    return [index]


def _open_object(data: Any) -> Source:
    """Open something in memory; of an iterator or a list of frames each."""
    if isinstance(data, Source):
        return copy(data)
    once = isinstance(data, Iterator) and not hasattr(data, "__arrow_c_stream__")
    if not once and not _is_list_of_tables(data):
        return memory_source(data)
    opened = [memory_source(batch) for batch in data]
    if not opened:
        raise DataError(f"the {type(data).__name__} has no batches")
    first = opened[0]
    parts = [table_part(source.table(), f"batch {number}") for number, source in enumerate(opened)]
    notes = [*first.notes, *([f"the {type(data).__name__} was read into memory"] if once else [])]
    return PartsSource(parts, replace(first.origin, index=None), notes, first.index_columns)


def _is_list_of_tables(data: Any) -> bool:
    return isinstance(data, (list, tuple)) and bool(data) and all(map(is_tabular, data))


def _parts_of(source: Source, partitions: dict[str, str | None]) -> list[Part]:
    """Take what another source reads as parts; of text this settles the types by reading all of it."""
    schema, count = source.arrow_schema, source.n_segments()
    n_rows = source.n_rows if count == 1 else None
    name = source.origin.place or "the data"
    return [Part(name, schema, n_rows, partial(source.segment, number), partitions) for number in range(count)]


def _open_places(data: Any, dialect: dict[str, Any], array: str | None) -> Source:
    """Open files as parts that follow each other."""
    if holds_images(data):
        raise DataError(f"{data} holds images, which are no table")
    places, notes = find_places(data, as_text=bool(dialect))
    kind = places[0].kind
    if array is not None and kind != "npz":
        raise DataError(f"array= names an array of an npz file, and {places[0].name} is none")
    if dialect and kind != "text":
        raise DataError(f"{next(iter(dialect))}= says how text is written, and {places[0].name} is none")
    shown = places[0].name if isinstance(data, (list, tuple)) else str(data)
    if kind == "text":
        return _open_texts(places, shown, dialect, notes)
    parts: list[Part] = []
    index: list[str] = []
    for place in places:
        found, names = file_parts(place, array)
        parts += found
        index += names
    return PartsSource(parts, Origin("file", shown, named=kind not in ("npy", "idx")), notes, index)


def _open_texts(places: list[Place], shown: str, dialect: dict[str, Any], notes: list[str]) -> Source:
    """Open files of text, all with the delimiter and header of the first.

    One alone is returned as it is: it finds its types in its first reading, which may be that of whoever asks for it.
    """

    def opened(place: Place, **more: Any) -> TextSource:
        source = TextSource(place.local or place.open, place.name, **dialect, **more)
        source.origin = replace(source.origin, named=source.dialect.header)
        return source

    first = opened(places[0])
    origin = replace(first.origin, place=shown)
    if len(places) == 1 and not places[0].partitions:
        first.origin = origin
        first.notes += notes
        return first
    dialect = {"delimiter": first.dialect.delimiter, "header": first.dialect.header} | dialect
    index = next(iter(first.index_columns), None)
    sources = [first, *(opened(place, index_name=index) for place in places[1:])]
    texts = {f.name for source in sources for f in source.arrow_schema if f.type == pa.string()}
    parts = []
    for source, place in zip(sources, places, strict=True):
        if any(f.name in texts and f.type != pa.string() for f in source.arrow_schema):
            # Numbers in one file and texts in another are texts, as they are spelled.
            source = opened(place, index_name=index, text_columns=texts)
        notes += [note for note in source.notes if note not in notes]
        parts += _parts_of(source, place.partitions)
    return PartsSource(parts, origin, notes, first.index_columns)


def choose_columns(names: Sequence[str], columns: Choice, drop: Choice, what: str) -> list[int]:
    """Return the positions of the columns to read, in the order that ``columns`` names them.

    Examples
    --------
    >>> from narrows.data.opening import choose_columns
    >>> choose_columns(["time", "s_1", "s_2", "label"], ["label", "s_*"], None, "log.csv")
    [3, 1, 2]
    >>> choose_columns(["time", "s_1", "s_2", "label"], None, "0:2", "log.csv")
    [2, 3]
    """
    chosen = list(range(len(names))) if columns is None else _positions(names, columns, "columns", what)
    if drop is not None:
        left_out = set(_positions(names, drop, "drop", what))
        chosen = [position for position in chosen if position not in left_out]
    if not chosen:
        raise DataError(f"columns= and drop= leave nothing of {what} to be read")
    return chosen


def _positions(names: Sequence[str], wanted: Choice, option: str, what: str) -> list[int]:
    """Return the positions that names, numbers, ranges and patterns stand for, each once."""
    chosen: dict[int, None] = {}
    for one in [wanted] if isinstance(wanted, (str, int, np.integer)) else wanted or ():
        found = _found(names, one, option, what)
        if len(found) == 1 and found[0] in chosen and not (isinstance(one, str) and re.search(r"[*?\[:]", one)):
            raise DataError(f"{option}= names column {one!r} of {what} twice")
        chosen |= dict.fromkeys(found)
    return list(chosen)


def _found(names: Sequence[str], one: Any, option: str, what: str) -> list[int]:
    n_columns = len(names)
    if isinstance(one, str):
        if one in names:
            return [list(names).index(one)]
        if bounds := _RANGE.fullmatch(one):
            first, last = int(bounds[1] or 0), int(bounds[2] or n_columns)
            if not first < last <= n_columns:
                raise DataError(f"{option}={one!r} is no range of the {n_columns} columns of {what}, counted from 0")
            return list(range(first, last))
        if found := [position for position, name in enumerate(names) if fnmatchcase(name, one)]:
            return found
        if not (one.isascii() and one.isdigit()):
            close = difflib.get_close_matches(one, names, 1)
            hint = f"; did you mean {close[0]!r}?" if close else f"; it has {_shown(names)}"
            raise DataError(f"{option}=: {what} has no column {one!r}{hint}")
    try:
        position = int(one) if isinstance(one, str) else operator.index(one)
    except TypeError:
        raise DataError(f"{option}= takes names and positions of columns, not {one!r}") from None
    if isinstance(one, (bool, np.bool_)) or not 0 <= position < n_columns:
        raise DataError(f"{option}=: {what} has no column {one!r}: it has {n_columns}, counted from 0")
    return [position]


def _shown(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_SHOWN} more" if len(names) > _MOST_SHOWN else ""
    return ", ".join(map(repr, names[:_MOST_SHOWN])) + more
