"""``narrows lab``: the exercises of a first course on this machine, held against the simple answers."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console

    from narrows.labs import AnomalyResult, LabResult, MoviesResult, VaeResult
    from narrows.report import Table

    Result = AnomalyResult | LabResult | MoviesResult | VaeResult

__all__ = ["lab"]

_LABS = ("digits", "mnist", "vae", "anomalies", "movies")
_DATA = {"vae": ("digits", "mnist"), "movies": ("movielens-small", "made-up")}
"""The data of the labs that run on several sets, the default first."""


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
    """Run a lab: a network as courses teach it, against the simple answers and narrows' own."""
    import json

    from narrows.errors import DataError
    from narrows.report.theme import require_matplotlib

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
        _report(result, out)
    if as_json:
        typer.echo(json.dumps(result.to_dict() | {"report": None if skipped else str(out)}, indent=2))
        if skipped and not no_report:
            typer.echo(skipped, err=True)
        return
    _show(result)
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

    if name not in _LABS:
        raise DataError(f"There is no lab {name!r}; there are {', '.join(_LABS[:-1])} and {_LABS[-1]}.")
    if data is None:
        return
    if name not in _DATA:
        on = "digits and a table" if name == "anomalies" else name
        raise DataError(f"--data is for the labs {' and '.join(_DATA)}: the lab {name} is one on {on} already.")
    if data not in _DATA[name]:
        raise DataError(f"The lab {name} runs on {' or '.join(_DATA[name])}, not on {data!r}.")


def _run(name: str, data: str | None, seed: int) -> "Result":
    import torch

    from narrows.labs import run_anomaly_lab, run_lab, run_movies_lab, run_vae_lab

    on = data or _DATA["vae"][0]
    threads = torch.get_num_threads()
    try:
        if name == "anomalies" or (name != "movies" and "digits" in (name, on)):
            # Its layers are too small to share out: threads would mostly wait for each other.
            torch.set_num_threads(1)
        with _progress() as tell:
            if name == "vae":
                return run_vae_lab(on, seed=seed, progress=tell)
            if name == "movies":
                return run_movies_lab(data, seed=seed, progress=tell)
            if name == "anomalies":
                return run_anomaly_lab(seed=seed, progress=tell)
            return run_lab(name, seed=seed, progress=tell)
    finally:
        torch.set_num_threads(threads)


def _report(result: "Result", out: Path) -> None:
    from narrows.labs import AnomalyResult, LabResult, MoviesResult
    from narrows.report import anomaly_lab_report, lab_report, movies_lab_report, vae_lab_report

    if isinstance(result, LabResult):
        lab_report(result, out)
    elif isinstance(result, AnomalyResult):
        anomaly_lab_report(result, out)
    elif isinstance(result, MoviesResult):
        movies_lab_report(result, out)
    else:
        vae_lab_report(result, out)


def _progress() -> Any:
    """Show on the standard error what is being done: a line that changes on a terminal, else a line for each stage."""
    from contextlib import contextmanager

    from rich.console import Console

    console = Console(stderr=True, highlight=False, markup=False)

    @contextmanager
    def watching() -> "Iterator[Callable[[str, str], None]]":
        if not console.is_terminal:
            yield lambda stage, detail: None if detail else console.print(stage)
            return
        with console.status("") as status:
            yield lambda stage, detail: status.update(stage + (f": {detail}" if detail else ""))

    return watching()


def _show(result: "Result") -> None:
    from rich.console import Console
    from rich.text import Text

    from narrows.labs import AnomalyResult, LabResult, MoviesResult
    from narrows.report.anomaly_lab import anomaly_tables
    from narrows.report.lab import lab_table
    from narrows.report.movies_lab import movies_tables
    from narrows.report.vae_lab import vae_tables

    console = Console(highlight=False)
    if isinstance(result, LabResult):
        title = f"Lab 1 on {result.name}: a code of {result.n_components} numbers"
        tables = {"": lab_table(result)}
    elif isinstance(result, AnomalyResult):
        title = "Anomalies: the lab on digits and a table"
        tables = anomaly_tables(result)
    elif isinstance(result, MoviesResult):
        what = "made-up ratings, not those of people" if result.made_up else result.data
        title = f"Lab 2, films: {what}, {result.taught.n_users:,} users and {result.taught.n_items:,} films"
        tables = movies_tables(result)
    else:
        title = f"Variational autoencoders: the lab on {result.data}"
        tables = vae_tables(result)
    console.print(Text(f"\n{title}", style="bold"))
    for heading, found in tables.items():
        if heading:
            console.print(Text(heading))
        console.print(_table(found))
    _list(console, "What this says", result.lessons)
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
