"""Reading a file, whole or in pieces, by its name."""

import os
from collections.abc import Sequence
from pathlib import Path

from narrows.errors import DataError
from narrows.tables.columns import choose, named
from narrows.tables.formats import DELIMITERS, READABLE, STREAMABLE, existing_file, format_of
from narrows.tables.table import SegmentedFile, Table

__all__ = ["open_segments", "read"]


def read(
    path: str | os.PathLike[str], *, columns: Sequence[str | int] | None = None, array: str | None = None
) -> Table:
    r"""Read a file of numbers into memory.

    The name says the format: ``.csv``, ``.tsv`` (both also with ``.gz``), ``.parquet``, ``.npy``, ``.npz``,
    ``.idx`` or MNIST's ``*-ubyte`` (both also with ``.gz``). Text is parsed by pyarrow, and what
    that refuses once more in Python, to say what is wrong and where.

    A folder is a table whose rows are the ``.png``, ``.jpg`` and ``.tif`` images in it, in the order of their names;
    they must be of one size and kind, and folders in it are not looked into. Images need Pillow (``pip install
    "narrows[images]"``).

    Parameters
    ----------
    path : str or path-like
        The file, or the folder of images.
    columns : sequence of str or int, default=None
        The columns to read, by name or by position from 0, in the order wanted; None reads all. It is also
        the way to leave columns of text out.
    array : str, default=None
        The array of an ``.npz`` file. None takes ``X``, ``x``, ``data`` or ``x_train``, or the only array of
        two or more dimensions.

    Returns
    -------
    Table
        Numbers, column names and the shape of a row. The type is the file's own where all columns share one,
        otherwise one that holds them all; truth values are uint8, half floats float32, decimals float64. Of
        text, the values are int64 if every cell is a whole number, otherwise float64. A missing cell (empty,
        ``NA``, ``NaN``, ``nan``, ``null``) or null is NaN. A text table has column names if some field of its
        first row is not a number.

    Raises
    ------
    DataError
        If the file is not there, is empty, damaged, of an unknown kind, has no rows, rows of different
        lengths or something in it that is not a number: one sentence says what and where.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from narrows import tables
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "people.csv"
    >>> _ = path.write_text("name,height,weight\nAda,1.7,61\nBo,,70\n")
    >>> table = tables.read(path, columns=["weight", "height"])
    >>> table.columns
    ['weight', 'height']
    >>> table.values
    array([[61. ,  1.7],
           [70. ,  nan]])
    """
    if Path(path).is_dir():
        from narrows.tables.folders import read_folder

        _refuse_choice(path, columns, array)
        return read_folder(path)
    file = existing_file(path)
    kind = format_of(file)
    if array is not None and kind != "npz":
        raise DataError(f"array= names an array of an npz file, and {file} is none.")
    if kind in DELIMITERS:
        return _read_text(file, DELIMITERS[kind], columns)
    if kind == "parquet":
        from narrows.tables.parquet import read_parquet

        return read_parquet(file, columns)
    from narrows.tables import arrays

    if kind == "npy":
        return arrays.read_npy(file, columns)
    if kind == "npz":
        return arrays.read_npz(file, columns, array)
    if kind == "idx":
        return arrays.read_idx(file, columns)
    _refuse_picture(file)
    raise DataError(f"{file} is of a kind narrows does not read; it reads {READABLE}.")


def _refuse_choice(path: str | os.PathLike[str], columns: Sequence[str | int] | None, array: str | None) -> None:
    if columns is not None or array is not None:
        raise DataError(f"{path} is a folder of images, which has neither columns nor arrays to choose from.")


def _refuse_picture(file: Path) -> None:
    from narrows.tables.pictures import is_picture

    if is_picture(file):
        raise DataError(
            f"{file} is one image, not rows: a folder of images is data; a single one is for `narrows denoise` and "
            "tables.read_image."
        )


def _read_text(file: Path, delimiter: str, columns: Sequence[str | int] | None) -> Table:
    """Read a csv or tsv file."""
    from narrows.tables import arrow, text

    head = text.read_head(file, delimiter)
    positions = choose(columns, head.names, head.n_columns, str(file))
    values = arrow.parse_file(file, head, positions)
    if values is None:
        values = text.parse_text(file, head, positions)
    return Table(values, named(positions, head.names), (len(positions),), file)


def open_segments(
    path: str | os.PathLike[str], *, columns: Sequence[str | int] | None = None, array: str | None = None
) -> SegmentedFile:
    r"""Open a file to be read in pieces, in memory bounded by the piece however big the file is.

    Parameters
    ----------
    path : str or path-like
        A ``.parquet``, ``.csv``, ``.tsv`` or ``.npy`` file, or a folder of images.
    columns : sequence of str or int, default=None
        As in :func:`read`.
    array : str, default=None
        There so that both functions are called alike; an ``.npz`` file cannot be read in pieces.

    Returns
    -------
    SegmentedFile
        Segments are the row groups of a Parquet file, or about 16 MB of the others. Text is float64;
        otherwise types are as in :func:`read`. A Parquet column of whole numbers is float if the file does
        not say that it has no nulls.

    Raises
    ------
    DataError
        As :func:`read`, and if the format can only be read whole. A cell of text that is not a number is
        found when its piece is read, among the first rows at once.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from narrows import tables
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "long.csv"
    >>> _ = path.write_text("a,b\n" + "1,2\n" * 5)
    >>> file = tables.open_segments(path)
    >>> file.segment_rows, file.columns
    ([5], ['a', 'b'])
    >>> [piece.shape for piece in file.read(0, piece_rows=2)]
    [(2, 2), (2, 2), (1, 2)]
    """
    if Path(path).is_dir():
        from narrows.tables.folders import FolderSegments

        _refuse_choice(path, columns, array)
        return FolderSegments(Path(path))
    file = existing_file(path)
    kind = format_of(file)
    if kind in DELIMITERS and file.suffix.lower() != ".gz":
        from narrows.tables.text_stream import TextSegments

        _refuse_array(array, file)
        return TextSegments(file, DELIMITERS[kind], columns)
    if kind == "parquet":
        from narrows.tables.parquet import ParquetSegments

        _refuse_array(array, file)
        return ParquetSegments(file, columns)
    if kind == "npy":
        from narrows.tables.arrays import NpySegments

        _refuse_array(array, file)
        return NpySegments(file, columns)
    _refuse_picture(file)
    raise DataError(f"{file} cannot be read in pieces; {STREAMABLE} files can.")


def _refuse_array(array: str | None, file: Path) -> None:
    if array is not None:
        raise DataError(f"array= names an array of an npz file, and {file} is none.")
