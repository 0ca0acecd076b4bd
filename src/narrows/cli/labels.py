"""Labels: which class each row is of, from a column of the data, from a file, or from a named data set."""

import re
from pathlib import Path
from typing import Any

import numpy as np

from narrows import datasets, tables
from narrows.cli.columns import names_in, read_cells
from narrows.cli.errors import CommandError
from narrows.cli.files import file_of
from narrows.cli.printing import first_of
from narrows.tables.formats import DELIMITERS, format_of

_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
_MOST_SHOWN = 12


def read_labels(data: str, labels: str | None, columns: list[str] | None) -> tuple[np.ndarray | None, list[str] | None]:
    """Read the labels of the rows of DATA: a column of it, by name or position, or a file of one column.

    Returns
    -------
    labels : ndarray of shape (n_rows,) or None
    columns : list of str or None
        Those of DATA to use, without the labels'.
    """
    if labels is None:
        return None, columns
    file_of(data)  # which says what is wrong with DATA itself
    path, file = Path(data), Path(labels)
    names = names_in(path, positions=True) if path.is_file() else None
    if names is None or labels not in names:
        if file.is_file():
            return _label_file(file), columns
        if names is None:
            raise CommandError(f"--labels {labels!r}: {path} has no named columns, and there is no file {labels!r}.")
        raise CommandError(f"--labels {labels!r} is neither a column of {path} nor a file.")
    rest = [name for name in columns or names if name != labels]
    if not rest:
        raise CommandError(f"--labels {labels!r} is all there is to use of {path}: no column is left to fit to.")
    return _column(path, labels), rest


def _column(path: Path, name: str) -> np.ndarray:
    """Read one column of any type: whole numbers where all are, also as text."""
    if format_of(path) in (*DELIMITERS, "parquet"):
        [values] = read_cells(path, [name])
    else:
        values = np.asarray(tables.read(path, columns=[name]).values[:, 0]).tolist()
    missing = next((row for row, value in enumerate(values) if value is None or value != value), None)
    if missing is not None:
        raise CommandError(f"--labels {name!r}: row {missing} (the first is 0) has none.")
    if all(isinstance(value, str) and _WHOLE.fullmatch(value) for value in values):
        return np.array([int(value) for value in values])
    if all(isinstance(value, float) and value.is_integer() for value in values):
        return np.array([int(value) for value in values])
    return np.asarray(values)


def _label_file(path: Path) -> np.ndarray:
    names = names_in(path, positions=True)
    table = tables.read(path) if names is None else None
    n_columns = len(names) if names is not None else table.values.shape[1]  # type: ignore[union-attr]
    if n_columns != 1:
        raise CommandError(f"{path} has {n_columns} columns, and labels are one.")
    return _column(path, names[0]) if names is not None else table.values[:, 0]  # type: ignore[union-attr]


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
