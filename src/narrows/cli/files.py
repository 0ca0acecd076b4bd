"""What verbs read and write: data by name or from a file, models, and places checked before the work starts."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import narrows
from narrows import datasets, tables
from narrows.cli.columns import names_in
from narrows.cli.errors import CommandError
from narrows.cli.printing import count, describe_shape
from narrows.datasets.records import RATINGS
from narrows.tables.folders import image_files
from narrows.tables.formats import WRITABLE, existing_file, format_of

STREAM_BYTES = 256 * 2**20
"""Bigger files are read as a stream, where their format can be."""

PICTURES = (".png", ".svg", ".pdf")


@dataclass(frozen=True)
class Data:
    """Rows to work on: an array, a frame, or the file to stream them from.

    ``columns`` are their names, if any; ``shape`` is that of one row, empty where it is not known; ``names`` are the
    files of a folder of images.
    """

    rows: Any
    columns: list[str] | None
    shape: tuple[int, ...] = ()
    names: list[str] | None = None

    def images(self) -> np.ndarray | Path:
        """Return rows that are images as an array of these, so that a fit learns their shape; others as they are."""
        if isinstance(self.rows, Path) or len(self.shape) not in (2, 3):
            return self.rows
        return self.rows.reshape(-1, *self.shape)

    def n_rows(self) -> int:
        """Return how many rows there are."""
        return sum(tables.open_segments(self.rows).segment_rows) if isinstance(self.rows, Path) else len(self.rows)


def check_place(out: Path | None, *inputs: Path | None, endings: Sequence[str] = ()) -> None:
    """Refuse a file that could not be written, or that is read, before the work rather than after it."""
    if out is None:
        return
    folder = out.parent
    if endings and out.suffix.lower() not in endings:
        known = " or ".join([", ".join(endings[:-1]), endings[-1]] if endings[1:] else endings)
        raise CommandError(f"{out} must be a {known} file.")
    if out.is_dir():
        raise CommandError(f"{out} is a folder, so no file can be written there.")
    if not folder.is_dir():
        raise CommandError(f"{out} cannot be written: the folder {folder} does not exist.")
    if not os.access(folder, os.W_OK):
        raise CommandError(f"{out} cannot be written: the folder {folder} may not be written to.")
    for file in inputs:
        if file is not None and out.exists() and file.exists() and out.samefile(file):
            raise CommandError(f"{out} is read and would be replaced: choose another name with -o.")


def check_table_place(out: Path | None, *inputs: Path | None, text: bool = False) -> None:
    """Refuse a table that could not be written; as :func:`check_place`, and by its extension."""
    if out is None:
        return
    kind = format_of(out)
    if kind in (None, "idx") or out.suffix.lower() == ".gz":
        raise CommandError(f"{out} is of a kind narrows does not write; it writes {WRITABLE}.")
    if text and kind in ("npy", "npz"):
        raise CommandError(f"{out} must be a .csv, .tsv or .parquet file, for some of its columns are text.")
    check_place(out, *inputs)


def check_model_place(out: Path | None, *inputs: Path | None, ending: str = "narrows") -> None:
    """Refuse a model (or compressed) file that could not be written, or whose name says it is a table."""
    if out is not None and format_of(out) is not None:
        raise CommandError(f"{out} is a name for data; give the file another one, such as {out.stem}.{ending}.")
    check_place(out, *inputs)


def check_pages(report: Path | None, plot: Path | None, *inputs: Path | None) -> None:
    """Refuse a page or a picture that could not be written, or not without matplotlib."""
    if report is not None or plot is not None:
        from narrows.report.theme import require_matplotlib

        require_matplotlib()
    check_place(report, *inputs)
    check_place(plot, *inputs, endings=PICTURES)


def named_set(data: str) -> tuple[str, str] | None:
    """Return the data set and its part that ``digits`` or ``digits:test`` means, None for a file."""
    name, colon, part = data.partition(":")
    if name not in datasets.names():
        return None
    if colon and part not in ("train", "test"):
        raise CommandError(f"{name} has the parts train and test, not {part!r}: write {name}:test.")
    return name, part or "train"


def file_of(data: str) -> Path | None:
    """Return the file or folder that DATA means, None for a named data set; what is none of these is refused."""
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

    Small files are read whole, for a fit then holds out rows by folds and shuffles perfectly; with ``whole`` also big
    ones, because something has to stand beside each row. They come as a plain array, and the names beside it, because
    pandas is an extra and a frame would only carry the names.
    """
    file, known = file_of(data), named_set(data)
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
    images = [image.name for image in image_files(path)] if path.is_dir() else None
    if stream or (columns is None and not whole and _is_big(path)):
        source = tables.open_segments(path)
        return Data(path, source.columns, source.shape, images)
    try:
        table = tables.read(path, columns=columns)
    except MemoryError as error:
        raise CommandError(f"{data} does not fit into memory: {error}") from error
    return Data(table.values, table.columns, table.shape, images)


def _is_big(path: Path) -> bool:
    """Whether a file is better streamed, and can be."""
    if path.is_dir():
        source = tables.open_segments(path)
        return sum(source.segment_rows) * source.n_features * source.dtype.itemsize > STREAM_BYTES
    if path.stat().st_size <= STREAM_BYTES:
        return False
    return format_of(path) in ("csv", "tsv", "parquet", "npy") and path.suffix.lower() != ".gz"


def read_for(model: Any, data: str, *, whole: bool = False) -> Data:
    """Read the rows of DATA that a model can take; ``whole`` as in :func:`read_data`.

    A file with column names gives the columns the model was fitted to, in their order, whatever else it has; one
    without names must have as many columns.
    """
    if getattr(getattr(model, "_form", None), "columns", None) is not None:
        raise CommandError("The model was fitted to a frame with categories, which the command line does not read.")
    file = file_of(data)
    wanted = [str(name) for name in getattr(model, "feature_names_in_", [])]
    found = None if file is None or not wanted else names_in(file)
    if wanted and found is not None:
        check_names(data, wanted, found, "the model")
        given = read_data(data, None if found == wanted else wanted, whole=whole)
    else:
        given = read_data(data, whole=whole)
    known = getattr(model, "image_shape_", None)
    if known and len(given.shape) > 1 and (*given.shape, 1)[:3] != tuple(known):
        raise CommandError(
            f"{data} has images of {describe_shape(given.shape)}, but the model was fitted to images of "
            f"{describe_shape(known)}."
        )
    if not isinstance(given.rows, Path) and given.rows.shape[1] != model.n_features_in_:
        theirs, ours = count(given.rows.shape[1], "column"), count(model.n_features_in_, "column")
        raise CommandError(f"{data} has {theirs}, but the model was fitted to {ours}.")
    if getattr(model, "missing", "mask") == "error":
        refuse_missing(given, data, fitting=False)
    return given


def check_names(data: str, wanted: Sequence[str], found: Sequence[str], what: str) -> None:
    """Refuse a table that lacks columns of the fit."""
    lacking = [name for name in wanted if name not in found]
    if lacking:
        more = f" (and {len(lacking) - 1} more)" if len(lacking) > 1 else ""
        raise CommandError(f"{data} lacks the column {lacking[0]!r}{more} that {what} was fitted to.")


def refuse_missing(given: Data, what: str, *, fitting: bool) -> None:
    """Refuse missing values by the column's name, before scikit-learn does so at length.

    A stream is not looked through: a fit to one names the column itself.
    """
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
    table = tables.read(codes)
    names = [str(name) for name in model.get_feature_names_out()]
    if table.columns is not None and set(names) <= set(table.columns):
        return tables.read(codes, columns=names).values
    if table.values.shape[1] != model.n_components_:
        theirs = count(table.values.shape[1], "column")
        raise CommandError(f"{codes} has {theirs}, but a code of this model has {model.n_components_}.")
    return table.values


_USES = {
    "recommend": "narrows recommend",
    "compress": "narrows compress",
    "anomaly_score": "narrows anomalies",
    "transform": "narrows encode",
}


def load_model(path: Path, device: str, method: str, otherwise: str) -> Any:
    """Load a model file, and refuse a model without a method; ``otherwise`` says what to do then."""
    fitted = narrows.load(path, device=device)
    if not hasattr(fitted, method):
        use = next((verb for name, verb in _USES.items() if hasattr(fitted, name)), "narrows info")
        kind = type(fitted).__name__
        raise CommandError(f"{path} holds the model class {kind}, which {otherwise}; {use} puts it to use.")
    return fitted
