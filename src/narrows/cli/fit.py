"""``narrows fit``: its flags are the estimator's parameters."""

import sys
import time
from pathlib import Path
from typing import Any

import narrows
from narrows.cli import files, pairs
from narrows.cli.describe import summary_of
from narrows.cli.errors import CommandError
from narrows.cli.flags import construct, models, parse
from narrows.cli.labels import labels_of_set, read_labels
from narrows.cli.printing import note, print_record

_BESIDE = {
    "autoencoder": {"clean", "patches", "stream"},
    "vae": {"labels", "patches", "stream"},
    "detector": {"stream"},
    "recommender": {"items"},
}
"""Which flags that are no parameters each model takes."""


def fit(data: str, out: Path, model: str, *, quiet: bool, reading: dict[str, Any], as_json: bool, **given: Any) -> None:
    """Fit, save and say what came of it; ``given`` are the flags of one kind of model or another."""
    if model not in _BESIDE:
        raise CommandError(f"--model {model!r} is unknown; known are {', '.join(_BESIDE)}.")
    names = set().union(*_BESIDE.values())
    beside = {name: given.pop(name) for name in names}
    for name in sorted(names - _BESIDE[model]):
        if beside[name] not in (None, False):
            raise CommandError(f"--{name} is not an option of {model}.")
    options = parse(model, given)
    if "verbose" in models()[model].parameters:
        options["verbose"] = options.get("verbose", int(sys.stderr.isatty())) * (not quiet)
    if model == "recommender":
        if reading:
            raise CommandError(f"--{next(iter(reading)).replace('_', '-')} is not an option of recommender.")
        from narrows.cli.recommend.fit import fit_recommender

        told = fit_recommender(data, out, options, beside["items"])
    else:
        clean = beside.get("clean")
        files.check_model_place(out, files.file_of(data), None if clean is None else files.file_of(clean))
        work = _fit_detector if model == "detector" else _fit_autoencoder
        told = work(model, data, out, options, {name: beside[name] for name in _BESIDE[model]}, reading)
    if as_json or not quiet:
        print_record(told, as_json=as_json)


def _told(estimator: Any, out: Path, n_rows: int, seconds: float) -> dict[str, Any]:
    """Save an estimator, and return what is to be said of it."""
    estimator.save(out)
    record = narrows.describe(out)
    head = {"model": str(out), "bytes": out.stat().st_size, "class": record["class"], "rows": n_rows}
    return head | summary_of(record) | {"seconds": seconds}


def _fit_detector(
    _model: str, data: str, out: Path, options: dict[str, Any], beside: dict[str, Any], reading: dict[str, Any]
) -> dict[str, Any]:
    rows = files.read_data(data, reading, stream=beside["stream"] or None)
    start = time.perf_counter()
    detector = construct("detector", options).fit(rows.rows)
    return _told(detector, out, rows.n_rows(), time.perf_counter() - start)


def _fit_autoencoder(
    model: str,
    data: str,
    out: Path,
    options: dict[str, Any],
    beside: dict[str, Any],
    reading: dict[str, Any],
) -> dict[str, Any]:
    clean, stream, classes = beside.get("clean"), beside["stream"], None
    if model == "vae":
        classes, reading = _classes(data, beside["labels"], reading, options)
    rows, target = pairs.read_to_fit(
        data, clean, reading, stream=stream, patches=beside["patches"], seed=options.get("random_state")
    )
    estimator = construct(model, options)
    if beside.get("labels") is not None:
        _check_classes(classes, rows.n_rows(), beside["labels"])
    start = time.perf_counter()
    estimator.fit(rows.rows, classes if target is None else target.rows)
    told = _told(estimator, out, rows.n_rows(), time.perf_counter() - start)
    if estimator.stopped_ == "interrupted":
        note(f"narrows: interrupted; the best model so far is in {out}.")
    return told


def _classes(
    data: str, labels: str | None, reading: dict[str, Any], options: dict[str, Any]
) -> tuple[Any, dict[str, Any]]:
    """Return the labels of the rows, if there are any, and how DATA is read without them."""
    known = files.named_set(data)
    if known is not None:
        return labels_of_set(known, labels), reading
    if options.get("conditional") and labels is None:
        raise CommandError("--conditional needs --labels: a column of DATA, or a file, that says what each row is.")
    return read_labels(data, labels, reading)


def _check_classes(classes: Any, n_rows: int, labels: str) -> None:
    """Refuse labels that are no classes before the fit, which would pass over them."""
    from narrows.variational.generation import encode_labels

    if encode_labels(classes, n_rows) is None:
        count = len(set(classes.tolist()))
        raise CommandError(f"--labels {labels} holds no classes: {count:,} different values in {n_rows:,} rows.")
