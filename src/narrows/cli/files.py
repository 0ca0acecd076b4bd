"""What verbs read and write: data by name or from a file, models, and places checked before the work starts."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from narrows.cli.values import CommandError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

__all__ = [
    "Data",
    "check_model_place",
    "check_place",
    "check_table_place",
    "file_of",
    "load_model",
    "read_codes",
    "read_data",
    "read_for",
    "refuse_missing",
    "shape_in_words",
]

STREAM_BYTES = 256 * 2**20
"""Bigger files are read as a stream, where their format can be."""


@dataclass(frozen=True)
class Data:
    """Rows to work on.

    Attributes
    ----------
    rows : ndarray or path
        The rows, or the file to stream them from.
    columns : list of str or None
        Column names, where there are any.
    shape : tuple of int
        The shape of one row, of two or three numbers for an image; empty where it is not known.
    names : list of str or None
        The files that the rows are, of a folder of images.
    """

    rows: np.ndarray | Path
    columns: list[str] | None
    shape: tuple[int, ...] = ()
    names: list[str] | None = None

    def images(self) -> np.ndarray | Path:
        """Return rows that are images as an array of these, so that a fit learns their shape; others as they are."""
        if isinstance(self.rows, Path) or len(self.shape) not in (2, 3):
            return self.rows
        return self.rows.reshape(-1, *self.shape)


def check_place(out: Path, *inputs: Path | None) -> None:
    """Refuse a file that could not be written, before the work rather than after it.

    Parameters
    ----------
    out : Path
        The file to come.
    *inputs : Path or None
        Files that are read and must not be replaced.
    """
    folder = out.parent
    if out.is_dir():
        raise CommandError(f"{out} is a folder, so no file can be written there.")
    if not folder.is_dir():
        raise CommandError(f"{out} cannot be written: the folder {folder} does not exist.")
    if not os.access(folder, os.W_OK):
        raise CommandError(f"{out} cannot be written: the folder {folder} may not be written to.")
    for file in inputs:
        if file is not None and out.exists() and file.exists() and out.samefile(file):
            raise CommandError(f"{out} is read and would be replaced: choose another name with -o.")


def check_table_place(out: Path, *inputs: Path | None) -> None:
    """Refuse a table that could not be written; as :func:`check_place`, and by its extension."""
    from narrows.tables.formats import WRITABLE, format_of

    kind = format_of(out)
    if kind in (None, "idx") or out.suffix.lower() == ".gz":
        raise CommandError(f"{out} is of a kind narrows does not write; it writes {WRITABLE}.")
    check_place(out, *inputs)
    if kind == "parquet":
        from narrows.tables.parquet import required_pyarrow

        required_pyarrow(out)


def check_model_place(out: Path, *inputs: Path | None) -> None:
    """Refuse a model file that could not be written, or whose name says it is a table."""
    from narrows.tables.formats import format_of

    if format_of(out) is not None:
        raise CommandError(f"{out} is a name for data; give the model file another one, such as {out.stem}.narrows.")
    check_place(out, *inputs)


def named_set(data: str) -> tuple[str, str] | None:
    """Return the data set and its part that ``digits`` or ``digits:test`` means, None for a file."""
    from narrows.datasets import names

    name, colon, part = data.partition(":")
    if name not in names():
        return None
    if colon and part not in ("train", "test"):
        raise CommandError(f"{name} has the parts train and test, not {part!r}: write {name}:test.")
    return name, part or "train"


def file_of(data: str) -> Path | None:
    """Return the file or folder that DATA means, None for a named data set; what is none of these is refused.

    Raises
    ------
    DataError
        If there is no such file and, for a bare word, no such data set.
    """
    from narrows import datasets
    from narrows.datasets.records import RATINGS
    from narrows.tables.formats import existing_file

    if named_set(data):
        return None
    path = Path(data)
    if not path.exists() and path.name == data and not path.suffix:
        if data in RATINGS:
            raise CommandError(
                f"{data} is a log of users and items, and rows are needed: narrows recommend, evaluate and "
                "fit --model recommender take it."
            )
        try:
            datasets.describe(data)
        except ValueError as error:
            raise CommandError(f"There is no file {data!r}, and: {error}") from error
    return path if path.is_dir() else existing_file(path)


def read_data(data: str, columns: Sequence[str] | None = None, *, stream: bool = False, whole: bool = False) -> Data:
    """Read DATA, or leave it on the disk to be streamed.

    Parameters
    ----------
    data : str
        A named data set, a file, or a folder of images.
    columns : sequence of str, optional
        The columns to take, by name or position.
    stream : bool, default False
        Whether to stream also what is small.
    whole : bool, default False
        Whether to read also what is big into memory, because something has to stand beside each row.

    Notes
    -----
    Small files are read whole, for a fit then holds out rows by folds and shuffles perfectly. They come as a plain
    array, and the names beside it, because pandas is an extra and a frame would only carry the names.
    """
    from narrows import datasets, tables

    file = file_of(data)
    known = named_set(data)
    if file is None and known:
        if columns is not None or stream:
            raise CommandError(
                f"--{'stream' if stream else 'columns'} is for files, and {known[0]} is a named data set."
            )
        loaded = datasets.load(known[0])
        return Data(loaded.train if known[1] == "train" else loaded.test, None, loaded.shape)
    path = Path(data)
    if columns is not None and stream:
        raise CommandError("--columns and --stream do not go together: a stream has all columns of its file.")
    if stream or (columns is None and not whole and _is_big(path)):
        source = tables.open_segments(path)
        return Data(path, source.columns, source.shape, _names_of_images(path))
    table = tables.read(path, columns=columns)
    return Data(table.values, table.columns, table.shape, _names_of_images(path))


def _names_of_images(path: Path) -> list[str] | None:
    from narrows.tables.folders import image_files

    return [file.name for file in image_files(path)] if path.is_dir() else None


def _is_big(path: Path) -> bool:
    """Whether a file is better streamed, and can be."""
    from narrows.tables import open_segments
    from narrows.tables.formats import format_of

    if path.is_dir():
        source = open_segments(path)
        return sum(source.segment_rows) * source.n_features * source.dtype.itemsize > STREAM_BYTES
    if path.stat().st_size <= STREAM_BYTES:
        return False
    return format_of(path) in ("csv", "tsv", "parquet", "npy") and path.suffix.lower() != ".gz"


def _names_in(path: Path | None) -> list[str] | None:
    """Return a table file's column names without reading its rows, where that can be done."""
    from narrows import tables
    from narrows.tables.formats import format_of
    from narrows.tables.text import read_head

    kind = None if path is None else format_of(path)
    if path is None or path.is_dir() or kind in ("npy", "idx"):
        return None
    if kind in ("csv", "tsv"):
        # The head alone: columns of text that the model does not need are no hindrance.
        return read_head(path, "," if kind == "csv" else "\t").names
    return (tables.open_segments(path) if kind == "parquet" else tables.read(path)).columns


def read_for(model: Any, data: str, *, whole: bool = False) -> Data:
    """Read the rows of DATA that a model can take; ``whole`` as in :func:`read_data`.

    A file with column names gives the columns the model was fitted to, in their order, whatever else it has; one
    without names must have as many columns.

    Raises
    ------
    CommandError
        If a column is missing, their number differs, or rows are images of another shape than those of the fit.
    """
    if getattr(getattr(model, "_form", None), "columns", None) is not None:
        raise CommandError("The model was fitted to a frame with categories, which the command line does not read.")
    file = file_of(data)
    wanted = [str(name) for name in getattr(model, "feature_names_in_", [])]
    found = _names_in(file)
    if wanted and found is not None:
        lacking = [name for name in wanted if name not in found]
        if lacking:
            more = f" (and {len(lacking) - 1} more)" if len(lacking) > 1 else ""
            raise CommandError(f"{data} lacks the column {lacking[0]!r}{more} that the model was fitted to.")
        given = read_data(data, None if found == wanted else wanted, whole=whole)
    else:
        given = read_data(data, whole=whole)
    known = getattr(model, "image_shape_", None)
    if known and len(given.shape) > 1 and (*given.shape, 1)[:3] != tuple(known):
        raise CommandError(
            f"{data} has images of {shape_in_words(given.shape)}, but the model was fitted to images of "
            f"{shape_in_words(known)}."
        )
    if not isinstance(given.rows, Path) and given.rows.shape[1] != model.n_features_in_:
        raise CommandError(
            f"{data} has {_columns(given.rows.shape[1])}, but the model was fitted to {_columns(model.n_features_in_)}."
        )
    if getattr(model, "missing", "mask") == "error":
        refuse_missing(given, data, fitting=False)
    return given


def shape_in_words(shape: Sequence[int]) -> str:
    """Say what images are: width, height, and colours unless there is one."""
    height, width, *channels = shape
    what = {1: "", 3: ", RGB"}.get(channels[0] if channels else 1, f", {channels[0] if channels else 1} channels")
    return f"{width} x {height} pixels{what}"


def _columns(number: int) -> str:
    return f"{number:,} column{'s' * (number != 1)}"


def refuse_missing(given: Data, what: str, *, fitting: bool) -> None:
    """Refuse missing values by the column's name, before scikit-learn does so at length.

    A stream is not looked through: a fit to one names the column itself.
    """
    import numpy as np

    if isinstance(given.rows, Path) or given.rows.dtype.kind != "f":
        return
    missing = np.isnan(given.rows).any(axis=0)
    if missing.any():
        number = int(missing.argmax())
        name = f"column {given.columns[number]!r}" if given.columns else f"column {number}"
        way = "fit with --missing mask" if fitting else "the model was fitted without --missing mask"
        raise CommandError(f"{what} has missing values in {name}: {way}, or fill them in first.")


def read_codes(model: Any, codes: Path) -> np.ndarray:
    """Read codes: by their names where the file has them (so that more columns do no harm), otherwise by position."""
    from narrows import tables

    table = tables.read(codes)
    names = [str(name) for name in model.get_feature_names_out()]
    if table.columns is not None and set(names) <= set(table.columns):
        return tables.read(codes, columns=names).values
    if table.values.shape[1] != model.n_components_:
        raise CommandError(
            f"{codes} has {_columns(table.values.shape[1])}, but a code of this model has {model.n_components_}."
        )
    return table.values


def load_model(path: Path, device: str) -> Any:
    """Load a model file."""
    import narrows

    return narrows.load(path, device=device)
