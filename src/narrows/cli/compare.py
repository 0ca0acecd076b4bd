"""``narrows compare``: PCA against autoencoder on the user's own data."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa

import narrows
from narrows.cli import files
from narrows.cli.errors import CommandError
from narrows.cli.labels import read_labels
from narrows.cli.printing import print_json
from narrows.data.output import write_table
from narrows.io.atomic import atomic_write


def compare(
    data: str,
    n_components: str,
    scaling: str,
    report: Path | None,
    plot: Path | None,
    out: Path | None,
    *,
    labels: str | None,
    ordered: bool,
    max_epochs: int | None,
    seed: int,
    reading: dict[str, Any],
    as_json: bool,
) -> None:
    """Compare, and print or write what came of it."""
    sizes = _sizes(n_components)
    if scaling not in ("common", "standard"):
        raise CommandError(f"--scaling must be common or standard, got {scaling!r}.")
    files.check_pages(report, plot)
    files.check_place(out, endings=(".csv",))
    X, y, held = _data(data, labels, reading)
    if max_epochs is not None:
        held["max_epochs"] = max_epochs
    from narrows.fitting.progress import stage_progress

    with stage_progress() as tell:
        held |= {"random_state": seed, "progress": tell}
        found = narrows.compare(X, sizes, y, ordered=ordered, scaling=scaling, **held)
    if report is not None:
        found.report(report)
    if plot is not None:
        with atomic_write(plot) as temporary:
            found.plot().savefig(temporary, format=plot.suffix[1:].lower(), dpi=160)
    if out is not None:
        write_table(out, pa.Table.from_pylist([asdict(entry) for entry in found.results]))
    if as_json:
        print_json(found.to_dict())
    else:
        _show(found, [path for path in (report, plot, out) if path is not None])


def _sizes(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise CommandError(f"--n-components must be whole numbers such as 2,8,32, got {text!r}.") from None


def _data(data: str, labels: str | None, reading: dict[str, Any]) -> tuple[Any, Any, dict[str, Any]]:
    """Return rows, classes, and what is held out."""
    known = files.named_set(data)
    if known is not None:
        if labels is not None or reading:
            raise CommandError(
                f"{known[0]} is a named data set and brings its labels: leave out --labels and --columns."
            )
        loaded = narrows.datasets.load(known[0])
        held: dict[str, Any] = {"X_test": loaded.test, "image_shape": loaded.shape if len(loaded.shape) > 1 else None}
        if loaded.train_labels is not None:
            held["y_test"] = loaded.test_labels
        return loaded.train, loaded.train_labels, held
    y, reading = read_labels(data, labels, reading)
    return files.read_data(data, reading, stream=False).rows, y, {}


def _show(found: Any, written: list[Path]) -> None:
    print(found)
    print()
    for note in found.notes:
        print(f"- {note}")
    for path in written:
        print(f"{path} written.")
