"""What verbs read and write: data by name or from a file, models, and places checked before the work starts."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import narrows
from narrows import datasets
from narrows.cli.errors import CommandError, in_flags
from narrows.cli.printing import count, describe_shape, note
from narrows.data.folders import image_files
from narrows.data.inputs import is_table, open_later, open_rows
from narrows.data.opening import open_source
from narrows.data.output import check_writable
from narrows.data.places import format_of
from narrows.data.table import Table
from narrows.data.table import read as read_table
from narrows.datasets.records import RATINGS
from narrows.io.files import existing_file

PICTURES = (".png", ".svg", ".pdf")


@dataclass(frozen=True)
class Data:
    """Rows to work on: a table, an array, images, or pieces of a large file; ``names`` are the files of a folder."""

    rows: Any
    names: list[str] | None = None

    @property
    def table(self) -> Table | None:
        """The table that the rows are, None for arrays and images."""
        return self.rows if isinstance(self.rows, Table) else None

    def n_rows(self) -> int:
        """Return how many rows there are."""
        rows = self.rows
        return rows.n_rows if isinstance(rows, Table) else sum(getattr(rows, "segment_rows", [])) or len(rows)


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
    if check_writable(out) in ("npy", "npz") and text:
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
    if data == "-" or "://" in data or any(mark in data for mark in "*?["):
        return None
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


def read_data(data: str, reading: Mapping[str, Any] | None = None, *, stream: bool | None = None) -> Data:
    """Read DATA, or open it to be streamed; what was assumed of a table is said.

    ``reading`` are the flags that say how a table is to be read; see :func:`narrows.data.read`. Small files are read
    whole, for a fit then holds out rows by folds and shuffles perfectly.
    """
    options = dict(reading or {})
    file, known = file_of(data), named_set(data)
    if known:
        if options or stream:
            flag = next(iter(options), "stream").replace("_", "-")
            raise CommandError(f"--{flag} is for files, and {known[0]} is a named data set.")
        loaded = datasets.load(known[0])
        rows = loaded.train if known[1] == "train" else loaded.test
        return Data(rows.reshape(-1, *loaded.shape) if len(loaded.shape) > 1 else rows)
    # An array may have columns chosen as well.
    if is_table(data) or (set(options) - {"array"} and file is not None and file.is_file()):
        table = read_table(data, stream=stream, **options)
        for text in table.schema.describe():
            note(f"Note: {in_flags(text).removesuffix('.')}.")
        return Data(table)
    array = options.pop("array", None)
    if options:
        raise CommandError(f"--{next(iter(options)).replace('_', '-')} is for tables, and {data} is none.")
    try:
        rows = open_rows(data, array=array, stream=stream or None)
    except MemoryError as error:
        raise CommandError(f"{data} does not fit into memory: {error}") from error
    return Data(rows, [image.name for image in image_files(file)] if file is not None and file.is_dir() else None)


def read_for(model: Any, data: str, reading: Mapping[str, Any] | None = None) -> Data:
    """Read the rows of DATA for a fitted model, which takes the columns of its fit by their names."""
    schema, reading = getattr(model, "schema_", None), dict(reading or {})
    if reading.pop("kinds", None):
        raise CommandError("--kinds is for fitting: what columns are stands in the model.")
    if schema is None or named_set(data) or not is_table(data):
        given = read_data(data, reading)
    else:
        file_of(data)
        source = open_later(data, schema, **reading)
        # What the columns are was decided by the fit.
        given = Data(Table(source, schema, source.segment_rows()))
    known, shape = getattr(model, "image_shape_", None), getattr(given.rows, "shape", ())
    shape = shape[1:] if isinstance(given.rows, np.ndarray) else shape
    if shape and (n_values := int(np.prod(shape))) != model.n_features_in_:
        theirs, ours = count(n_values, "column"), count(model.n_features_in_, "column")
        raise CommandError(f"{data} has {theirs}, but the model was fitted to {ours}.")
    if known and len(shape) > 1 and (*shape, 1)[:3] != tuple(known):
        wanted = describe_shape(known)
        raise CommandError(f"{data} has images of {describe_shape(shape)}, but the model was fitted to {wanted}.")
    return given


def read_codes(model: Any, codes: Path) -> np.ndarray:
    """Read codes: by their names where the file has them (so that more columns do no harm), otherwise by position."""
    names = [str(name) for name in model.get_feature_names_out()]
    if not is_table(codes):
        values: np.ndarray = open_rows(codes, stream=False)
    else:
        source = open_source(codes)
        columns = source.arrow_schema.names
        chosen = names if set(names) <= set(columns) else columns
        values = np.column_stack([_as_numbers(column, codes) for column in source.table(chosen).columns])
    if values.shape[1] != model.n_components_:
        theirs = count(values.shape[1], "column")
        raise CommandError(f"{codes} has {theirs}, but a code of this model has {model.n_components_}.")
    return values


def _as_numbers(column: Any, codes: Path) -> np.ndarray:
    try:
        return np.asarray(column.cast("float64").to_numpy())
    except (ValueError, NotImplementedError) as error:
        raise CommandError(f"{codes} holds something that is no number: {error}") from error


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
