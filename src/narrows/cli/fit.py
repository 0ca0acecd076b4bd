"""``narrows fit``: its flags are the estimator's parameters."""

from __future__ import annotations

import sys
import time
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from narrows.cli.arguments import AsJson, Columns, DataArgument, Titles  # noqa: TC001 - typer reads them at runtime
from narrows.cli.flags import MODELS, derived_flags, flag_parameters, value_of, with_flags
from narrows.cli.show import note, print_json
from narrows.cli.signature import parameters
from narrows.cli.values import CommandError, build

if TYPE_CHECKING:
    from collections.abc import Callable

    from narrows.cli.files import Data

__all__ = ["MODELS", "command", "fit", "fitted_detector", "flag_parameters", "takes_labels"]

_Labels = Annotated[
    str | None,
    typer.Option(
        "--labels",
        metavar="COLUMN|FILE",
        help="Classes to draw rows of, for vae: a column of DATA, or a file; a named data set brings its own.",
    ),
]
_Clean = Annotated[
    str | None,
    typer.Option("--clean", metavar="CLEAN", help="DATA without its noise, row by row: what the model is to give."),
]
_Patches = Annotated[
    int | None,
    typer.Option(
        "--patches",
        metavar="N",
        min=1,
        help="Of a folder of photographs take 10,000 squares of N x N pixels, cut out at random.",
    ),
]


def fit(
    data: DataArgument,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="MODEL", help="The model file to write.")],
    model: Annotated[
        str,
        typer.Option(
            "--model",
            metavar="|".join(MODELS),
            help="What to fit; sample draws new rows from vae, anomalies finds them by detector, recommend is for "
            "recommender, whose DATA is a log of users and items.",
        ),
    ] = "autoencoder",
    columns: Columns = None,
    labels: _Labels = None,
    clean: _Clean = None,
    patches: _Patches = None,
    items: Titles = None,
    stream: Annotated[
        bool, typer.Option("--stream", help="Read the file as a stream, in bounded memory; done for big files anyway.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show neither progress nor summary.")] = False,
    as_json: AsJson = False,
    **flags: Any,
) -> None:
    """Fit a model to DATA and save it.

    Option values are written as in Python, where words need no quotes: --network 'dense(hidden=(256, 128),
    activation=relu)', --corruption 'gaussian(0.3)'. A model's name in brackets, (vae), begins what is said of that
    model alone; detector, which narrows anomalies puts to use, has those that begin with (detector) and no others, and
    recommender those that begin with (recommender).
    """
    from narrows.cli import files, pairs, summary
    from narrows.cli.mistakes import mistakes_of, warnings_as_lines

    given = _options(model, {name: value for name, value in flags.items() if value is not None}, quiet=quiet)
    if model == "recommender":
        _refuse_beside_log(
            {"labels": labels, "clean": clean, "patches": patches, "columns": columns, "stream": stream or None}
        )
        _tell(_fit_recommender(data, out, given, items), quiet=quiet, as_json=as_json)
        return
    if items is not None:
        raise CommandError(f"--items is not an option of {model}, but of recommender.")
    _check_companions(model, labels, clean, patches)
    files.check_model_place(out, files.file_of(data), None if clean is None else files.file_of(clean))
    chosen = None if columns is None else [name.strip() for name in columns.split(",")]
    if model == "detector":
        told = _fit_detector(data, out, given, chosen, stream=stream)
        _tell(told, quiet=quiet, as_json=as_json)
        return
    classes, chosen = _labels(model, data, labels, chosen, given, stream=stream)
    rows, target = pairs.read_to_fit(
        data, clean, chosen, stream=stream, patches=patches, seed=given.get("random_state")
    )
    if given.get("missing", "error") == "error":
        files.refuse_missing(rows, data, fitting=True)
        if target is not None:
            files.refuse_missing(target, str(clean), fitting=True)
    with mistakes_of(rows.columns):
        estimator = _estimator(model, given)
        if labels is not None:
            _check_classes(classes, _n_rows(rows.rows), labels)
        start = time.perf_counter()
        with warnings_as_lines():
            estimator.fit(rows.images(), classes if target is None else target.images())
        seconds = time.perf_counter() - start
    _name_columns(estimator, rows.columns)
    _type_columns(estimator, data, chosen, rows.rows)
    estimator.save(out)
    if estimator.stopped_ == "interrupted":
        note(f"narrows: interrupted; the best model so far is in {out}.")
    told = summary.summary_of(estimator, _n_rows(rows.rows), seconds, out)
    _tell(told, quiet=quiet, as_json=as_json, has_code=_has_code(estimator))


def _tell(told: dict[str, Any], *, quiet: bool, as_json: bool, has_code: bool = True) -> None:
    from narrows.cli import summary

    if as_json:
        print_json(told)
    elif not quiet:
        summary.show(told, has_code=has_code)


def _fit_detector(
    data: str, out: Path, options: dict[str, Any], columns: list[str] | None, *, stream: bool
) -> dict[str, Any]:
    """Fit a detector, save it, and return what is to be said of it."""
    from narrows.cli import summary
    from narrows.cli.mixed import read_mixed

    rows = read_mixed(data, columns, stream=stream)
    start = time.perf_counter()
    detector = fitted_detector(rows, options)
    seconds = time.perf_counter() - start
    detector.save(out)
    return summary.summary_of_detector(detector, _n_rows(rows.rows), seconds, out)


def _fit_recommender(data: str, out: Path, options: dict[str, Any], items: Path | None) -> dict[str, Any]:
    """Fit a recommender, save it, and return what is to be said of it."""
    from narrows.cli import files
    from narrows.cli.logs import column_names, file_of_log, read_ratings
    from narrows.cli.recommender import fitted_recommender, summary_of_recommender

    # None leaves a column out, which the flags say by a word.
    named = {role: options[role] or "none" for role in ("user", "item", "rating", "timestamp") if role in options}
    files.check_model_place(out, file_of_log(data), items)
    given = read_ratings(data, column_names(**named), items)
    start = time.perf_counter()
    model = fitted_recommender(given, options)
    seconds = time.perf_counter() - start
    model.save(out)
    return summary_of_recommender(model, given, seconds, out)


def _refuse_beside_log(given: dict[str, Any]) -> None:
    asked = next((name for name, value in given.items() if value is not None), None)
    if asked is not None:
        more = ", which takes --user-column, --item-column, ..." if asked == "columns" else ""
        raise CommandError(f"--{asked} is not an option of recommender{more}.")


def fitted_detector(rows: Data, options: dict[str, Any]) -> Any:
    """Return a detector that is fitted to rows as :func:`narrows.cli.mixed.read_mixed` reads them.

    Parameters
    ----------
    rows : Data
        The rows.
    options : dict
        Of the constructor.
    """
    from narrows.cli.mistakes import mistakes_of, warnings_as_lines

    with mistakes_of(rows.columns):
        detector = _estimator("detector", options)
        with warnings_as_lines():
            detector.fit(rows.images())
    if detector.autoencoder_.stopped_ == "interrupted":
        # Of a detector whose autoencoder is half trained nothing is kept: a fit takes seconds.
        raise KeyboardInterrupt
    _name_columns(detector, rows.columns)
    return detector


def takes_labels(model: str) -> bool:
    """Say whether a model is fitted with labels: its decoder may then be told of them."""
    return any(parameter.name == "conditional" for parameter in parameters(*MODELS[model]))


def _check_companions(model: str, labels: str | None, clean: str | None, patches: int | None) -> None:
    """Refuse what this model has no use for beside its rows."""
    if model == "detector" and (clean is not None or patches is not None):
        raise CommandError(f"--{'patches' if clean is None else 'clean'} is not an option of {model}.")
    if labels is not None and not takes_labels(model):
        raise CommandError(f"--labels is not an option of {model}, which learns without.")
    if clean is not None and takes_labels(model):
        raise CommandError(
            f"--clean is not an option of {model}: it learns from clean rows, which --corruption spoils."
        )


def _labels(
    model: str, data: str, labels: str | None, columns: list[str] | None, given: dict[str, Any], *, stream: bool
) -> tuple[Any, list[str] | None]:
    """Return the labels of the rows, if the model takes any, and the columns that are left to fit to."""
    from narrows.cli.files import named_set
    from narrows.cli.labels import labels_of_set, read_labels

    if not takes_labels(model):
        return None, columns
    known = named_set(data)
    if known is not None:
        return labels_of_set(known, labels), columns
    if given.get("conditional") and labels is None:
        raise CommandError("--conditional needs --labels: a column of DATA, or a file, that says what each row is.")
    found, rest = read_labels(data, labels, columns)
    if stream and rest != columns:
        raise CommandError("--stream has all columns of its file, so --labels must be a file of its own.")
    return found, rest


def _check_classes(classes: Any, n_rows: int, labels: str) -> None:
    """Refuse labels that are no classes before the fit, which would pass over them."""
    from narrows.variational.labels import encode_labels

    if encode_labels(classes, n_rows) is None:
        count = len(set(classes.tolist()))
        raise CommandError(f"--labels {labels} holds no classes: {count:,} different values in {n_rows:,} rows.")


def _options(model: str, given: dict[str, Any], *, quiet: bool) -> dict[str, Any]:
    """Turn flags into values, before anything heavy is imported."""
    if model not in MODELS:
        raise CommandError(f"--model {model!r} is unknown; known are {', '.join(MODELS)}.")
    own = {parameter.name: parameter for parameter in parameters(*MODELS[model])}
    options = {}
    for name, value in given.items():
        if name not in own:
            others = [other for other in MODELS if name in {parameter.name for parameter in parameters(*MODELS[other])}]
            flag = flag_parameters()[name].flag
            raise CommandError(f"{flag} is not an option of {model}, but of {' and '.join(others)}.")
        options[name] = value_of(own[name], value) if isinstance(value, str) else value
    if "verbose" in own:
        options.setdefault("verbose", int(sys.stderr.isatty()))
        options["verbose"] *= not quiet
    return options


def _estimator(model: str, options: dict[str, Any]) -> Any:
    module, name = MODELS[model]
    own = {parameter.name: parameter for parameter in parameters(module, name)}
    built = {key: build(own[key], value) for key, value in options.items()}
    return getattr(import_module(module), name)(**built)


def _name_columns(estimator: Any, columns: list[str] | None) -> None:
    """Give the model the names of its columns, as fitting to a frame would."""
    import numpy as np

    if columns is not None and not hasattr(estimator, "feature_names_in_"):
        estimator.feature_names_in_ = np.asarray(columns, dtype=object)


def _type_columns(estimator: Any, data: str, chosen: list[str] | None, rows: Any) -> None:
    """Tell a model that makes new rows what each column of its file holds, as fitting to a frame would."""
    from narrows.cli.columns import column_types
    from narrows.cli.files import file_of

    form, file = getattr(estimator, "_form", None), file_of(data)
    if form is None or form.container != "array" or file is None:
        return
    kinds = column_types(file, chosen, rows)
    if kinds is not None and set(kinds) != set(form.dtypes):
        form.container, form.dtypes = "columns", kinds


def _has_code(estimator: Any) -> bool:
    from narrows.fitting.settings import resolve_network

    return resolve_network(estimator).has_code


def _n_rows(rows: Any) -> int:
    if not isinstance(rows, Path):
        return len(rows)
    from narrows.tables import open_segments

    return sum(open_segments(rows).segment_rows)


def command() -> Callable[..., None]:
    """Return ``fit`` with the flags of all classes in its signature, for typer to read."""
    return with_flags(fit, derived_flags())
