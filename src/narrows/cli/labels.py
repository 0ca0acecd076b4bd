"""Labels: which class each row is of, from a column of the data, from a file, or from a named data set."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from narrows.cli.values import CommandError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

__all__ = ["class_named", "labels_in_words", "labels_of_set", "read_labels"]

_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
_MOST_SHOWN = 12


def read_labels(data: str, labels: str | None, columns: list[str] | None) -> tuple[np.ndarray | None, list[str] | None]:
    """Read the labels of the rows of DATA.

    Parameters
    ----------
    data : str
        As on the command line.
    labels : str or None
        A column of DATA, by name or position, or a file of one column; None for no labels.
    columns : list of str or None
        The columns of DATA to use.

    Returns
    -------
    labels : ndarray of shape (n_rows,) or None
    columns : list of str or None
        Those to use, without the labels'.

    Raises
    ------
    CommandError
        If they are neither, or are missing for some row.
    """
    if labels is None:
        return None, columns
    from narrows.cli.files import file_of

    file_of(data)  # which says what is wrong with DATA itself
    path, file = Path(data), Path(labels)
    names = _column_names(path) if path.is_file() else None
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


def _column_names(path: Path) -> list[str] | None:
    """Return what the columns of a file go by, positions where it has no names; None if it has no columns."""
    from narrows import tables
    from narrows.cli.columns import text_head
    from narrows.tables.formats import format_of

    kind = format_of(path)
    if kind in ("csv", "tsv"):
        head = text_head(path)
        assert head is not None
        return head.names or [str(number) for number in range(head.n_columns)]
    if kind == "parquet":
        from narrows.tables.parquet import required_pyarrow

        required_pyarrow(path)
        import pyarrow.parquet as pq

        return list(pq.read_schema(path).names)
    if kind in ("npy", "npz"):
        table = tables.read(path)
        return table.columns or [str(number) for number in range(table.values.shape[1])]
    return None


def _column(path: Path, name: str) -> np.ndarray:
    """Read one column of any type."""
    import numpy as np

    from narrows import tables
    from narrows.cli.columns import read_cells, text_head
    from narrows.tables.columns import choose
    from narrows.tables.formats import format_of
    from narrows.tables.text import MISSING

    what = f"--labels {name!r}"
    head = text_head(path)
    if head is not None:
        [cells] = read_cells(path, head, choose([name], head.names, head.n_columns, str(path)))
        return _labels([None if cell in MISSING else cell for cell in cells], what)
    if format_of(path) == "parquet":
        import pyarrow.parquet as pq

        return _labels(pq.read_table(path, columns=[name]).column(0).to_pylist(), what)
    return _labels(np.asarray(tables.read(path, columns=[name]).values[:, 0]).tolist(), what)


def _labels(values: Sequence[Any], what: str) -> np.ndarray:
    """Make labels of values: whole numbers where all are, also as text."""
    import numpy as np

    missing = next((row for row, value in enumerate(values) if value is None or value != value), None)
    if missing is not None:
        raise CommandError(f"{what}: row {missing} (the first is 0) has none.")
    if all(isinstance(value, str) and _WHOLE.fullmatch(value) for value in values):
        return np.array([int(value) for value in values])
    if all(isinstance(value, float) and value.is_integer() for value in values):
        return np.array([int(value) for value in values])
    return np.asarray(values)


def _label_file(path: Path) -> np.ndarray:
    names = _column_names(path)
    if names is not None and len(names) != 1:
        raise CommandError(f"{path} has {len(names)} columns, and labels are one.")
    if names is not None:
        return _column(path, names[0])
    from narrows import tables

    table = tables.read(path)
    if table.values.shape[1] != 1:
        raise CommandError(f"{path} has {table.values.shape[1]} columns, and labels are one.")
    return table.values[:, 0]


def labels_of_set(known: tuple[str, str], labels: str | None) -> np.ndarray | None:
    """Return the labels that a part of a named data set brings; it takes no others.

    Parameters
    ----------
    known : tuple of two str
        Its name, and "train" or "test".
    labels : str or None
        What was asked for beside it.
    """
    from narrows import datasets

    if labels is not None:
        raise CommandError(f"{known[0]} is a named data set and brings its labels: leave out --labels.")
    loaded = datasets.load(known[0])
    return loaded.train_labels if known[1] == "train" else loaded.test_labels


def class_named(fitted: Any, text: str | None, model: Path) -> Any:
    """Return the label of a model that a text means, None for none.

    Raises
    ------
    CommandError
        If the model has no labels, or none such.
    """
    if text is None:
        return None
    if not hasattr(fitted, "classes_"):
        raise CommandError(f"{model} knows no labels, so --label {text} says nothing: fit it with --labels.")
    known = fitted.classes_.tolist()
    found = next((label for label in known if str(label).lower() == text.strip().lower()), None)
    if found is None:
        found = next((label for label in known if _same_number(label, text)), None)
    if found is None:
        raise CommandError(f"--label {text} was not among the labels of the fit: {labels_in_words(known)}.")
    return found


def _same_number(label: Any, text: str) -> bool:
    try:
        return not isinstance(label, (str, bool)) and float(text) == label
    except ValueError:
        return False


def labels_in_words(classes: Sequence[Any]) -> str:
    """List labels, the first dozen of many.

    Examples
    --------
    >>> labels_in_words([0, 1, 2])
    '0, 1, 2'
    """
    return ", ".join(map(str, classes[:_MOST_SHOWN])) + (", ..." if len(classes) > _MOST_SHOWN else "")
