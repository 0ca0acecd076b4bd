"""Labels: which class each row is of, from a column of the data, from a file, or from a named data set."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from narrows import datasets
from narrows.cli.errors import CommandError
from narrows.cli.files import file_of
from narrows.cli.printing import first_of
from narrows.data.inputs import is_table, open_rows
from narrows.data.opening import open_source

_MOST_SHOWN = 12
_OF_COLUMNS = ("columns", "drop", "kinds")


def read_labels(data: str, labels: str | None, reading: dict[str, Any]) -> tuple[np.ndarray | None, dict[str, Any]]:
    """Read the labels of the rows of DATA: a column of it, by name or position, or a file of one column.

    Returns them, and how DATA is then to be read: without that column.
    """
    if labels is None:
        return None, reading
    file_of(data)  # which says what is wrong with DATA itself
    file = Path(labels)
    own = _own_column(data, labels, reading)
    if own is not None:
        return own
    if not file.is_file():
        raise CommandError(f"--labels {labels!r} is neither a column of {data} nor a file.")
    if not is_table(labels):
        values = open_rows(labels, stream=False)
        if values.ndim != 2 or values.shape[1] != 1:
            raise CommandError(f"{file} has {int(np.prod(values.shape[1:]))} columns, and labels are one.")
        return values[:, 0], reading
    table = open_source(labels).table()
    if table.num_columns != 1:
        raise CommandError(f"{file} has {table.num_columns} columns, and labels are one.")
    return _values(table.column(0), labels), reading


def _own_column(data: str, labels: str, reading: dict[str, Any]) -> tuple[np.ndarray, dict[str, Any]] | None:
    """Return a column of DATA as labels, and how the rest is read; None where it has no such column."""
    if not is_table(data):
        values: np.ndarray = open_rows(data, stream=False) if labels.isdigit() else np.empty(0)
        if values.ndim == 2 and int(labels) < values.shape[1]:
            return _values(pa.array(values[:, int(labels)]), labels), reading | {"drop": [int(labels)]}
        return None
    source = open_source(data, **{name: value for name, value in reading.items() if name not in _OF_COLUMNS})
    names = source.arrow_schema.names
    if labels not in names and labels.isdigit() and int(labels) < len(names):
        labels = names[int(labels)]
    if labels not in names:
        return None
    rest = dict(reading)
    if "columns" in reading:
        rest["columns"] = [name for name in reading["columns"] if name != labels]
    else:
        rest["drop"] = [*reading.get("drop", []), labels]
    return _values(source.table([labels]).column(0), labels), rest


def _values(column: Any, name: str) -> np.ndarray:
    """Return labels as an array, whole numbers where all are."""
    values = column.to_pylist()
    missing = next((row for row, value in enumerate(values) if value is None or value != value), None)
    if missing is not None:
        raise CommandError(f"--labels {name!r}: row {missing} (the first is 0) has none.")
    if all(isinstance(value, float) and value.is_integer() for value in values):
        return np.array([int(value) for value in values])
    return np.asarray(values)


def labels_of_set(known: tuple[str, str], labels: str | None) -> np.ndarray | None:
    """Return the labels that a part ("train" or "test") of a named data set brings; it takes no others."""
    if labels is not None:
        raise CommandError(f"{known[0]} is a named data set and brings its labels: leave out --labels.")
    loaded = datasets.load(known[0])
    return loaded.train_labels if known[1] == "train" else loaded.test_labels


def class_named(fitted: Any, text: str | None, model: Path) -> Any:
    """Return the label of a model that a text means, None for none."""
    if text is None:
        return None
    if not hasattr(fitted, "classes_"):
        raise CommandError(f"{model} knows no labels, so --label {text} says nothing: fit it with --labels.")
    known = fitted.classes_.tolist()
    found = next((label for label in known if str(label).lower() == text.strip().lower()), None)
    if found is None:
        found = next((label for label in known if _same_number(label, text)), None)
    if found is None:
        raise CommandError(f"--label {text} was not among the labels of the fit: {first_of(known, _MOST_SHOWN)}.")
    return found


def _same_number(label: Any, text: str) -> bool:
    try:
        return not isinstance(label, (str, bool)) and float(text) == label
    except ValueError:
        return False
