"""``narrows lab``: the exercises of a first course on this machine, held against the simple answers."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from narrows.cli.printing import note, working

if TYPE_CHECKING:
    from rich.console import Console

    from narrows.labs import LabResult
    from narrows.report import Table

__all__ = ["lab"]


def lab(
    name: Annotated[
        str,
        typer.Argument(
            help="Lab 1, an autoencoder against PCA, on digits (comes with narrows, seconds) or mnist (a download, "
            "minutes); vae, on variational autoencoders; anomalies, on finding them (comes with narrows, under a "
            "minute); or lab 2, movies, on recommending films (a small download, under two minutes)."
        ),
    ],
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            help="Of vae: digits (the default, under a minute) or mnist (minutes). Of movies: movielens-small (the "
            "default, where it is to be had) or made-up.",
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="Where the report goes.")] = Path("report.html"),
    seed: Annotated[int, typer.Option("--seed", min=0, help="Fixes everything random.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")] = False,
    no_report: Annotated[bool, typer.Option("--no-report", help="Write no report.")] = False,
) -> None:
    """Run a lab: the network of a first course, against the simple answers and narrows' own."""
    import json

    from narrows.errors import DataError
    from narrows.labs import write_lab_page
    from narrows.report import require_matplotlib

    _check_names(name, data)
    skipped = "No report was asked for." if no_report else ""
    if not no_report:
        try:
            require_matplotlib()
        except DataError as error:
            skipped = f"No report was written. {error}"
        else:
            _check_target(out)
    result = _run(name, data, seed)
    if not skipped:
        write_lab_page(result, out)
    if as_json:
        typer.echo(json.dumps(result.to_dict() | {"report": None if skipped else str(out)}, indent=2))
        if skipped and not no_report:
            typer.echo(skipped, err=True)
        return
    _print(result)
    if not no_report:
        typer.echo(skipped or f"Report: {out}")


def _check_target(out: Path) -> None:
    """Refuse a report that could not be written before the work is done rather than after."""
    from narrows.errors import DataError

    if out.is_dir():
        raise DataError(f"{out} is a folder, so no report can be written there.")
    if not out.absolute().parent.is_dir():
        raise DataError(f"{out} cannot be written: the folder {out.absolute().parent} does not exist.")


def _check_names(name: str, data: str | None) -> None:
    from narrows.errors import DataError
    from narrows.labs import LABS

    *names, last = LABS
    if name not in LABS:
        raise DataError(f"There is no lab {name!r}; there are {', '.join(names)} and {last}.")
    known = LABS[name].datasets
    if data is not None and not known:
        others = " and ".join(other for other in LABS if LABS[other].datasets)
        raise DataError(f"--data is for the labs {others}: the lab {name} has its own already.")
    if data is not None and data not in known:
        raise DataError(f"The lab {name} runs on {' or '.join(known)}, not on {data!r}.")


def _run(name: str, data: str | None, seed: int) -> "LabResult":
    import torch

    from narrows.labs import LABS, run_lab

    threads = torch.get_num_threads()
    try:
        if name == "anomalies" or "digits" in (name, data or (*LABS[name].datasets, "")[0]):
            # Its layers are too small to share out: threads would mostly wait for each other.
            torch.set_num_threads(1)
        with working(f"lab {name}") as shown:

            def tell(stage: str, detail: str) -> None:
                """Show on the standard error what is being done: on a terminal how far it is, else each stage."""
                shown(stage + (f": {detail}" if detail else ""))
                if not detail and not sys.stderr.isatty():
                    note(stage)

            return run_lab(name, seed=seed, progress=tell, **({} if data is None else {"data": data}))
    finally:
        torch.set_num_threads(threads)


def _print(result: "LabResult") -> None:
    from rich.console import Console
    from rich.text import Text

    from narrows.labs.page import lab_sections

    console = Console(highlight=False)
    console.print(Text(f"\n{result.text('title')}", style="bold"))
    for section in lab_sections(result):
        if section.table is not None:
            console.print(Text(section.title))
            console.print(_table(section.table))
    _list(console, "What this says", result.conclusions)
    _list(console, "How it was done", result.notes)


def _table(found: "Table") -> Any:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, padding=(0, 1), collapse_padding=True, pad_edge=False)
    for number, column in enumerate(found.columns):
        table.add_column(column, justify="right" if number else "left", no_wrap=not number)
    for number, row in enumerate(found.rows):
        cells = zip(row, found.best or (None,) * len(row), strict=True)
        table.add_row(*(Text(cell, style="bold" if winner == number else "") for cell, winner in cells))
    return table


def _list(console: "Console", title: str, sentences: tuple[str, ...]) -> None:
    from rich.text import Text

    console.print(Text(title, style="bold"))
    for sentence in sentences:
        for position, line in enumerate(Text(sentence).wrap(console, max(20, console.width - 4))):
            console.print(Text("    " if position else "  - ") + line)
    console.print()
