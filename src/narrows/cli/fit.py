"""``narrows fit``: its flags are the estimator's parameters."""

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import narrows
from narrows.cli import files, pairs
from narrows.cli.columns import column_types
from narrows.cli.describe import summary_of
from narrows.cli.errors import CommandError, named_columns
from narrows.cli.files import Data
from narrows.cli.flags import construct, models, parse, split_names
from narrows.cli.labels import labels_of_set, read_labels
from narrows.cli.mixed import read_mixed
from narrows.cli.printing import note, print_record

_BESIDE = {
    "autoencoder": {"columns", "clean", "patches", "stream"},
    "vae": {"columns", "labels", "patches", "stream"},
    "detector": {"columns", "stream"},
    "recommender": {"items"},
}
"""Which flags that are no parameters each model takes."""


def fit(data: str, out: Path, model: str, *, quiet: bool, as_json: bool, **given: Any) -> None:
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
        from narrows.cli.recommend.fit import fit_recommender

        told = fit_recommender(data, out, options, beside["items"])
    else:
        clean = beside.get("clean")
        files.check_model_place(out, files.file_of(data), None if clean is None else files.file_of(clean))
        work = _fit_detector if model == "detector" else _fit_autoencoder
        told = work(model, data, out, options, {name: beside[name] for name in _BESIDE[model]})
    if as_json or not quiet:
        print_record(told, as_json=as_json)


def _told(estimator: Any, out: Path, n_rows: int, seconds: float) -> dict[str, Any]:
    """Save an estimator, and return what is to be said of it."""
    estimator.save(out)
    record = narrows.describe(out)
    head = {"model": str(out), "bytes": out.stat().st_size, "class": record["class"], "rows": n_rows}
    return head | summary_of(record) | {"seconds": seconds}


def _fit_detector(_model: str, data: str, out: Path, options: dict[str, Any], beside: dict[str, Any]) -> Any:
    rows = read_mixed(data, split_names(beside["columns"]), stream=beside["stream"])
    start = time.perf_counter()
    detector = fitted_detector(rows, options)
    return _told(detector, out, rows.n_rows(), time.perf_counter() - start)


def fitted_detector(rows: Data, options: dict[str, Any]) -> Any:
    """Fit a detector of anomalies to rows as read."""
    with named_columns(rows.columns):
        detector = construct("detector", options).fit(rows.rows)
    _name_columns(detector, rows.columns)
    return detector


def _fit_autoencoder(
    model: str,
    data: str,
    out: Path,
    options: dict[str, Any],
    beside: dict[str, Any],
) -> dict[str, Any]:
    clean, stream = beside.get("clean"), beside["stream"]
    columns, classes = split_names(beside["columns"]), None
    if model == "vae":
        classes, columns = _classes(data, beside["labels"], columns, options, stream=stream)
    rows, target = pairs.read_to_fit(
        data, clean, columns, stream=stream, patches=beside["patches"], seed=options.get("random_state")
    )
    if options.get("missing", "error") == "error":
        files.refuse_missing(rows, data, fitting=True)
        if target is not None:
            files.refuse_missing(target, str(clean), fitting=True)
    with named_columns(rows.columns):
        estimator = construct(model, options)
        if beside.get("labels") is not None:
            _check_classes(classes, rows.n_rows(), beside["labels"])
        start = time.perf_counter()
        estimator.fit(rows.images(), classes if target is None else target.images())
    seconds = time.perf_counter() - start
    _name_columns(estimator, rows.columns)
    _type_columns(estimator, data, columns, rows.rows)
    told = _told(estimator, out, rows.n_rows(), seconds)
    if estimator.stopped_ == "interrupted":
        note(f"narrows: interrupted; the best model so far is in {out}.")
    return told


def _classes(
    data: str, labels: str | None, columns: list[str] | None, options: dict[str, Any], *, stream: bool
) -> tuple[Any, list[str] | None]:
    """Return the labels of the rows, if there are any, and the columns that are left to fit to."""
    known = files.named_set(data)
    if known is not None:
        return labels_of_set(known, labels), columns
    if options.get("conditional") and labels is None:
        raise CommandError("--conditional needs --labels: a column of DATA, or a file, that says what each row is.")
    found, rest = read_labels(data, labels, columns)
    if stream and rest != columns:
        raise CommandError("--stream has all columns of its file, so --labels must be a file of its own.")
    return found, rest


def _check_classes(classes: Any, n_rows: int, labels: str) -> None:
    """Refuse labels that are no classes before the fit, which would pass over them."""
    from narrows.variational.generation import encode_labels

    if encode_labels(classes, n_rows) is None:
        count = len(set(classes.tolist()))
        raise CommandError(f"--labels {labels} holds no classes: {count:,} different values in {n_rows:,} rows.")


def _name_columns(estimator: Any, columns: list[str] | None) -> None:
    """Give the model the names of its columns, as fitting to a frame would."""
    if columns is not None and not hasattr(estimator, "feature_names_in_"):
        estimator.feature_names_in_ = np.asarray(columns, dtype=object)


def _type_columns(estimator: Any, data: str, chosen: list[str] | None, rows: Any) -> None:
    """Tell a model that makes new rows what each column of its file holds, as fitting to a frame would."""
    form, file = getattr(estimator, "_form", None), files.file_of(data)
    if form is None or form.container != "array" or file is None:
        return
    kinds = column_types(file, chosen, rows)
    if kinds is not None and set(kinds) != set(form.dtypes):
        form.container, form.dtypes = "columns", kinds
