"""What the command line says: results on the standard output, everything else on the standard error."""

from __future__ import annotations

import json
import math
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = [
    "baselines_in_words",
    "bounds_in_words",
    "code_in_words",
    "file_size",
    "note",
    "one_line",
    "print_json",
    "print_rows",
    "print_table",
    "ratio_in_words",
]

_SAME = 0.01
"""Errors that differ by less than one per cent are called the same."""


def note(text: str) -> None:
    """Write one line to the standard error."""
    print(one_line(text), file=sys.stderr)


def one_line(text: object) -> str:
    """Return a message without its line breaks."""
    return " ".join(str(text).split())


def print_json(record: Any) -> None:
    """Write a record as JSON; numbers JSON lacks (NaN, infinite) become null."""
    print(json.dumps(_plain(record), indent=2, ensure_ascii=False, allow_nan=False))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, bool) or not hasattr(value, "__float__"):
        return value
    if hasattr(value, "item"):
        value = value.item()
    return value if isinstance(value, int) or math.isfinite(value) else None


def print_rows(rows: Iterable[tuple[str, object]]) -> None:
    """Write names and values as a small table without a head."""
    from rich.table import Table
    from rich.text import Text

    table = Table(show_header=False, box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        # As Text, so that a file called [red] is not taken for a colour.
        table.add_row(Text(name), Text(str(value)))
    _print(table)


def print_table(head: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None) -> None:
    """Write a table with a head; columns after the first that hold numbers only are aligned right."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    listed = [list(row) for row in rows]
    if title:
        # Not as the table's own title, which is wrapped to the width of the table.
        print(title)
    table = Table(box=box.SIMPLE, pad_edge=False)
    for number, name in enumerate(head):
        numeric = all(isinstance(row[number], (int, float)) for row in listed)
        table.add_column(Text(name), justify="right" if numeric else "left", overflow="fold")
    for row in listed:
        table.add_row(*(Text(_cell(value)) for value in row))
    _print(table)


def _cell(value: object) -> str:
    return f"{value:.5g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def _print(table: Any) -> None:
    from rich.console import Console

    Console(file=sys.stdout, highlight=False, soft_wrap=False).print(table)


def file_size(path: str | os.PathLike[str]) -> str:
    """Return the size of a file in words."""
    size = float(Path(path).stat().st_size)
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}" if unit != "bytes" else f"{size:.0f} bytes"
        size /= 1000
    return f"{size:.3g} GB"


def ratio_in_words(model: float, other: float, name: str) -> str:
    """Say how a model's error compares with another's.

    Examples
    --------
    >>> ratio_in_words(1.0, 2.5, "PCA")
    '2.5 times less error than PCA'
    >>> ratio_in_words(1.0, 1.0, "PCA")
    'the same error as PCA'
    """
    if model == other or abs(model - other) < _SAME * other:
        return f"the same error as {name}"
    if min(model, other) <= 0:
        return f"{'no error, unlike' if model < other else 'more error than'} {name}"
    better, ratio = model < other, max(model, other) / min(model, other)
    if ratio >= 2:
        return f"{ratio:.3g} times {'less' if better else 'more'} error than {name}"
    share = 1 - model / other if better else model / other - 1
    return f"{share:.0%} {'less' if better else 'more'} error than {name}"


def code_in_words(n_components: int, *, has_code: bool, active: int | None = None) -> str:
    """Return the size of a code and, of a variational model, how much of it is used.

    Examples
    --------
    >>> code_in_words(1, has_code=True)
    '1 number a row'
    >>> code_in_words(8, has_code=True, active=5)
    '8 numbers a row, 5 of them used'
    """
    if not has_code:
        return "none: the network has skips"
    used = "" if active is None else ", all used" if active == n_components else f", {active:,} of them used"
    return f"{n_components:,} number{'s' * (n_components != 1)} a row{used}"


def baselines_in_words(baselines: dict[str, Any], n_components: int, *, stayed: bool) -> str:
    """Return the measured errors as one plain sentence.

    Examples
    --------
    >>> errors = {"model": 1.0, "pca": 2.0, "mean": 4.0, "input": 3.0, "rows": 10, "held_out": True}
    >>> baselines_in_words(errors, 2, stayed=False).split(";")[1]
    ' 3 times less error than the noisy input.'
    """
    where, numbers = _where(baselines), _pca(n_components)
    against = ratio_in_words(baselines["model"], baselines["pca"], numbers)
    mean = ratio_in_words(baselines["model"], baselines["mean"], "the mean row")
    noisy = (
        f"; {ratio_in_words(baselines['model'], baselines['input'], 'the noisy input')}" if "input" in baselines else ""
    )
    kept = " Training brought no gain, so the model has kept to PCA, within the bounds of the data." if stayed else ""
    return f"On {where} the model has {against}, and {mean}{noisy}.{kept}"


def bounds_in_words(baselines: dict[str, Any], n_components: int) -> str:
    """Return what a variational model was held against as one plain sentence.

    Examples
    --------
    >>> bounds = {"model": 90.0, "independent": 120.0}
    >>> errors = {"model": 1.0, "pca": 2.0, "mean": 4.0, "autoencoder": 0.8, "rows": 10, "held_out": True}
    >>> bounds_in_words(errors | {"nats_per_row": bounds}, 2).split(";")[0]
    'On 10 held-out rows the model describes a row by 30 nats better than independent columns would'
    """
    costs = baselines.get("nats_per_row")
    if costs is None:
        return baselines_in_words(baselines, n_components, stayed=False)
    names = {"independent": "independent columns would", "ppca": "probabilistic PCA"}
    parts = [_gain_in_words(costs[key] - costs["model"], name) for key, name in names.items() if key in costs]
    rebuilt = {"pca": _pca(n_components), "autoencoder": "a plain autoencoder"}
    ratios = [
        ratio_in_words(baselines["model"], baselines[key], name) for key, name in rebuilt.items() if key in baselines
    ]
    return (
        f"On {_where(baselines)} the model describes a row {' and '.join(parts)}; rows that it rebuilds have "
        f"{', and '.join(ratios)}."
    )


def _gain_in_words(nats: float, than: str) -> str:
    if abs(nats) < _SAME:
        return f"as well as {than}"
    return f"by {abs(nats):.3g} nats {'better' if nats > 0 else 'worse'} than {than}"


def _where(baselines: dict[str, Any]) -> str:
    return f"{baselines['rows']:,} {'held-out rows' if baselines['held_out'] else 'rows it was fitted to'}"


def _pca(n_components: int) -> str:
    return f"PCA with {n_components} number{'s' * (n_components != 1)}"
