"""``narrows compare``: PCA against autoencoder on the user's own data."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import narrows
from narrows.cli import files
from narrows.cli.columns import write_text
from narrows.cli.errors import CommandError, named_columns
from narrows.cli.flags import split_names
from narrows.cli.labels import read_labels
from narrows.cli.printing import print_json
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
    columns: str | None,
    ordered: bool,
    max_epochs: int | None,
    seed: int,
    as_json: bool,
) -> None:
    """Compare, and print or write what came of it."""
    sizes = _sizes(n_components)
    if scaling not in ("common", "standard"):
        raise CommandError(f"--scaling must be common or standard, got {scaling!r}.")
    files.check_pages(report, plot)
    files.check_place(out, endings=(".csv",))
    X, y, held, names = _data(data, labels, columns)
    if max_epochs is not None:
        held["max_epochs"] = max_epochs
    from narrows.fitting.progress import stage_progress

    with named_columns(names), stage_progress() as tell:
        held |= {"random_state": seed, "progress": tell, "feature_names": names}
        found = narrows.compare(X, sizes, y, ordered=ordered, scaling=scaling, **held)
    if report is not None:
        found.report(report)
    if plot is not None:
        with atomic_write(plot) as temporary:
            found.plot().savefig(temporary, format=plot.suffix[1:].lower(), dpi=160)
    if out is not None:
        records = [asdict(entry) for entry in found.results]
        write_text(out, records[0], (record.values() for record in records))
    if as_json:
        print_json(found.to_dict())
    else:
        _show(found, [path for path in (report, plot, out) if path is not None])


def _sizes(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise CommandError(f"--n-components must be whole numbers such as 2,8,32, got {text!r}.") from None


def _data(data: str, labels: str | None, columns: str | None) -> tuple[Any, Any, dict[str, Any], list[str] | None]:
    """Return rows, classes, what is held out, and column names."""
    known = files.named_set(data)
    if known is not None:
        if labels is not None or columns is not None:
            raise CommandError(f"{known[0]} is a named data set and brings its labels: leave out --labels, --columns.")
        loaded = narrows.datasets.load(known[0])
        held: dict[str, Any] = {"X_test": loaded.test, "image_shape": loaded.shape if len(loaded.shape) > 1 else None}
        if loaded.train_labels is not None:
            held["y_test"] = loaded.test_labels
        return loaded.train, loaded.train_labels, held, None
    y, chosen = read_labels(data, labels, split_names(columns))
    given = files.read_data(data, chosen)
    if isinstance(given.rows, Path):
        raise CommandError(f"{data} is too big to be compared in memory: compare a part of it.")
    files.refuse_missing(given, data, fitting=True)
    return given.images(), y, {}, given.columns


def _show(found: Any, written: list[Path]) -> None:
    print(found)
    print()
    for note in found.notes:
        print(f"- {note}")
    for path in written:
        print(f"{path} written.")
