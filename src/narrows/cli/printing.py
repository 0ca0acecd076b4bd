"""What the command line says: results on the standard output, everything else on the standard error."""

import json
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

_ROWS_SHOWN = 10
_VALUES_SHOWN = 8


def note(text: str) -> None:
    """Write one line to the standard error."""
    print(one_line(text), file=sys.stderr)


def one_line(text: object) -> str:
    """Return a message without its line breaks."""
    return " ".join(str(text).split())


def print_json(record: Any) -> None:
    """Write a record as JSON."""
    print(json_text(record))


def json_text(record: Any) -> str:
    """Return a record as JSON; numbers JSON lacks (NaN, infinite) become null."""
    return json.dumps(_plain(record), indent=2, ensure_ascii=False, allow_nan=False)


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


def print_record(record: dict[str, Any], *, as_json: bool) -> None:
    """Write a record: as JSON, or its names and values for people, with a table for each list of records in it.

    What is None or empty is left out, and of long lists only the beginning is shown.
    """
    if as_json:
        print_json(record)
        return
    nested = {name: value for name, value in record.items() if _is_table(value)}
    shown = {name: value for name, value in record.items() if name not in nested and value not in (None, "", [], {})}
    if shown:
        print_rows((name.replace("_", " "), _said(name, value)) for name, value in shown.items())
    for name, rows in nested.items():
        head = list(rows[0])
        title = name.replace("_", " ") + (f", {_ROWS_SHOWN} of {len(rows):,}" if len(rows) > _ROWS_SHOWN else "")
        cells = [[_cell(row.get(key)) for key in head] for row in rows[:_ROWS_SHOWN]]
        print_table([key.replace("_", " ") for key in head], cells, title=title)


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and len(value) > 0 and all(isinstance(row, dict) for row in value)


def _said(name: str, value: Any) -> str:
    if name.endswith("bytes"):
        return describe_bytes(value)
    return f"{value:.1f} s" if name == "seconds" else _cell(value)


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return "   ".join(f"{key} {_cell(part)}" for key, part in value.items() if part is not None)
    if isinstance(value, (list, tuple)):
        return first_of([_cell(part) for part in value], _VALUES_SHOWN)
    if isinstance(value, float):
        return "-" if math.isnan(value) else f"{value:.5g}"
    return "" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


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
    """Write a table with a head; columns that hold numbers only are aligned right."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    listed = [[_cell(value) for value in row] for row in rows]
    if title:
        # Not as the table's own title, which is wrapped to the width of the table.
        print(f"\n{title}")
    table = Table(box=box.SIMPLE, pad_edge=False)
    for number, name in enumerate(head):
        numeric = all(row[number].lstrip("-")[:1].isdigit() or row[number] in ("", "-") for row in listed)
        table.add_column(Text(name), justify="right" if numeric else "left", overflow="fold")
    for row in listed:
        table.add_row(*map(Text, row))
    _print(table)


def _print(table: Any) -> None:
    from rich.console import Console

    Console(file=sys.stdout, highlight=False, soft_wrap=False).print(table)


@contextmanager
def working(what: str, *, quiet: bool = False) -> Iterator[Callable[[object], None]]:
    """Show on the standard error, if it is a terminal, that work goes on and for how long; yield what adds to that."""
    if quiet or not sys.stderr.isatty():
        yield lambda _text: None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    shown = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), TextColumn("{task.fields[last]}"))
    with Progress(*shown, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=None, last="")
        yield lambda last: progress.update(task, last=_cell(last))


def count(number: int, what: str) -> str:
    """Return a number of things, as in "1 row" and "1,200 rows"."""
    return f"{number:,} {what}{'s' * (number != 1)}"


def first_of(values: Sequence[Any], most: int) -> str:
    """List values, the first of many only."""
    return ", ".join(map(str, values[:most])) + (", ..." if len(values) > most else "")


def describe_bytes(size: float) -> str:
    """Return a number of bytes in words: "1.23 MB"."""
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}" if unit != "bytes" else f"{size:.0f} bytes"
        size /= 1000
    return f"{size:.3g} GB"


def describe_shape(shape: Sequence[int]) -> str:
    """Say what images are: "50 x 32 pixels, RGB"."""
    height, width, *channels = shape
    what = {1: "", 3: ", RGB"}.get(channels[0] if channels else 1, f", {channels[0] if channels else 1} channels")
    return f"{width} x {height} pixels{what}"
