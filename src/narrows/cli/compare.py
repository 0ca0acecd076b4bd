"""``narrows compare``: PCA against autoencoder on the user's own data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from narrows.cli.arguments import AsJson, Columns, DataArgument  # noqa: TC001 - typer reads them at runtime
from narrows.cli.show import print_json
from narrows.cli.values import CommandError

if TYPE_CHECKING:
    from narrows.comparison import Comparison

__all__ = ["compare"]


def compare(
    data: DataArgument,
    n_components: Annotated[
        str, typer.Option("--n-components", metavar="K,K,...", help="Sizes of the code.")
    ] = "2,4,8,16,32,64",
    labels: Annotated[
        str | None,
        typer.Option("--labels", metavar="COLUMN|FILE", help="Classes to judge codes by: a column of DATA, or a file."),
    ] = None,
    columns: Columns = None,
    ordered: Annotated[
        bool, typer.Option("--ordered", help="Fit one ordered autoencoder for all sizes, instead of one for each.")
    ] = False,
    scaling: Annotated[
        str, typer.Option("--scaling", metavar="common|standard", help="standard weighs all columns alike.")
    ] = "common",
    max_epochs: Annotated[
        int | None, typer.Option("--max-epochs", min=1, help="Limit on the autoencoder's passes over the rows.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option("--report", metavar="PAGE.html", help="Write all of it as a page with pictures.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="PICTURE", help="Write the curves as .png, .svg or .pdf.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="TABLE.csv", help="Write the numbers as a table.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Fixes everything random.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Hold an autoencoder against PCA and a linear autoencoder on DATA, and say whether it is worth it.

    All is measured on rows held out: of a named data set its test rows, otherwise a fifth.
    """
    from narrows.cli import files
    from narrows.cli.mistakes import mistakes_of

    sizes = _sizes(n_components)
    if scaling not in ("common", "standard"):
        raise CommandError(f"--scaling must be common or standard, got {scaling!r}.")
    _check_places(report, plot, out)
    X, y, held, names = _data(data, labels, columns)
    if max_epochs is not None:
        held["max_epochs"] = max_epochs
    import narrows
    from narrows.fitting.progress import stage_progress

    if isinstance(X, files.Data):
        files.refuse_missing(X, data, fitting=True)
        X = X.images()
    with mistakes_of(names), stage_progress() as tell:
        held |= {"random_state": seed, "progress": tell, "feature_names": names}
        found = narrows.compare(X, sizes, y, ordered=ordered, scaling=scaling, **held)
    if report is not None:
        found.report(report)
    if plot is not None:
        _save_plot(found, plot)
    if out is not None:
        _write(found, out)
    if as_json:
        print_json(found.to_dict())
    else:
        _show(found, [path for path in (report, plot, out) if path is not None])


def _sizes(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise CommandError(f"--n-components must be whole numbers such as 2,8,32, got {text!r}.") from None


def _check_places(report: Path | None, plot: Path | None, out: Path | None) -> None:
    """Refuse what could not be written before the work, not after it."""
    from narrows.cli import files

    if report is not None or plot is not None:
        from narrows.report.theme import require_matplotlib

        require_matplotlib()
    for path in (report, plot):
        if path is not None:
            files.check_place(path)
    if plot is not None and plot.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise CommandError(f"{plot} must be a .png, .svg or .pdf file.")
    if out is not None:
        files.check_place(out)
        if out.suffix.lower() != ".csv":
            raise CommandError(f"{out} must be a .csv file, for its first column is text.")


def _data(data: str, labels: str | None, columns: str | None) -> tuple[Any, Any, dict[str, Any], list[str] | None]:
    """Return rows, classes, what is held out, and column names."""
    from narrows import datasets
    from narrows.cli import files
    from narrows.cli.labels import read_labels

    known = files.named_set(data)
    if known is not None:
        if labels is not None or columns is not None:
            raise CommandError(f"{known[0]} is a named data set and brings its labels: leave out --labels, --columns.")
        loaded = datasets.load(known[0])
        held: dict[str, Any] = {"X_test": loaded.test, "image_shape": loaded.shape if len(loaded.shape) > 1 else None}
        if loaded.train_labels is not None:
            held["y_test"] = loaded.test_labels
        return loaded.train, loaded.train_labels, held, None
    chosen = None if columns is None else [name.strip() for name in columns.split(",")]
    y, chosen = read_labels(data, labels, chosen)
    given = files.read_data(data, chosen)
    if isinstance(given.rows, Path):
        raise CommandError(f"{data} is too big to be compared in memory: compare a part of it.")
    return given, y, {}, given.columns


def _save_plot(found: Comparison, path: Path) -> None:
    from narrows.io.atomic import atomic_write

    with atomic_write(path) as temporary:
        found.plot().savefig(temporary, format=path.suffix[1:].lower(), dpi=160)


def _write(found: Comparison, path: Path) -> None:
    import csv
    from dataclasses import asdict

    from narrows.io.atomic import atomic_write

    records = [asdict(entry) for entry in found.results]
    with atomic_write(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(records[0]))
        writer.writeheader()
        writer.writerows(records)


def _show(found: Comparison, written: list[Path]) -> None:
    print(found)
    print()
    for note in found.notes:
        print(f"- {note}")
    for path in written:
        print(f"{path} written.")
