"""``narrows fit``: its flags are the estimator's parameters."""

from __future__ import annotations

import inspect
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from narrows.cli.arguments import AsJson, DataArgument  # noqa: TC001 - typer reads them at runtime
from narrows.cli.show import baselines_in_words, code_in_words, file_size, note, print_json, print_rows
from narrows.cli.signature import Parameter, parameters
from narrows.cli.values import CommandError, build, from_text

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MODELS", "command", "flag_parameters"]

MODELS = {"autoencoder": ("narrows.autoencoder", "Autoencoder")}
"""What ``--model`` knows: where each class is. A new one is one line here."""

_NOT_FLAGS = {"callbacks"}

_STOPPED = {
    "budget": "it had taken all its steps",
    "patience": "held-out rows no longer improved",
    "time": "its time was up",
    "callback": "a callback asked for it",
    "interrupted": "it was interrupted; the model is the best so far",
}


def flag_parameters() -> dict[str, Parameter]:
    """Return every parameter of every class that gets a flag."""
    found: dict[str, Parameter] = {}
    for home in MODELS.values():
        for parameter in parameters(*home):
            if parameter.name not in _NOT_FLAGS:
                found.setdefault(parameter.name, parameter)
    return found


def fit(
    data: DataArgument,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="MODEL", help="The model file to write.")],
    model: Annotated[str, typer.Option("--model", help=f"What to fit: {', '.join(MODELS)}.")] = "autoencoder",
    columns: Annotated[
        str | None, typer.Option("--columns", metavar="A,B,...", help="Columns to use, by name or by position from 0.")
    ] = None,
    clean: Annotated[
        str | None,
        typer.Option("--clean", metavar="CLEAN", help="DATA without its noise, row by row: what the model is to give."),
    ] = None,
    patches: Annotated[
        int | None,
        typer.Option(
            "--patches",
            metavar="N",
            min=1,
            help="Of a folder of photographs take 10,000 squares of N x N pixels, cut out at random.",
        ),
    ] = None,
    stream: Annotated[
        bool, typer.Option("--stream", help="Read the file as a stream, in bounded memory; done for big files anyway.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show neither progress nor summary.")] = False,
    as_json: AsJson = False,
    **flags: Any,
) -> None:
    """Fit a model to DATA and save it.

    Option values are written as in Python, where words need no quotes: --network 'dense(hidden=(256, 128),
    activation=relu)', --corruption 'gaussian(0.3)'.
    """
    from narrows.cli import files, pairs
    from narrows.cli.mistakes import mistakes_of, warnings_as_lines

    given = _options(model, {name: value for name, value in flags.items() if value is not None}, quiet=quiet)
    files.check_model_place(out, files.file_of(data), None if clean is None else files.file_of(clean))
    chosen = None if columns is None else [name.strip() for name in columns.split(",")]
    rows, target = pairs.read_to_fit(
        data, clean, chosen, stream=stream, patches=patches, seed=given.get("random_state")
    )
    if given.get("missing", "error") == "error":
        files.refuse_missing(rows, data, fitting=True)
        if target is not None:
            files.refuse_missing(target, str(clean), fitting=True)
    with mistakes_of(rows.columns):
        estimator = _estimator(model, given)
        start = time.perf_counter()
        with warnings_as_lines():
            estimator.fit(rows.images(), None if target is None else target.images())
        seconds = time.perf_counter() - start
    _name_columns(estimator, rows.columns)
    estimator.save(out)
    if estimator.stopped_ == "interrupted":
        note(f"narrows: interrupted; the best model so far is in {out}.")
    summary = _summary(estimator, _n_rows(rows.rows), seconds, out)
    if as_json:
        print_json(summary)
    elif not quiet:
        _show(summary, estimator.n_components_, has_code=_has_code(estimator))


def _options(model: str, given: dict[str, Any], *, quiet: bool) -> dict[str, Any]:
    """Turn flags into values, before anything heavy is imported."""
    if model not in MODELS:
        raise CommandError(f"--model {model!r} is unknown; known are {', '.join(MODELS)}.")
    own = {parameter.name: parameter for parameter in parameters(*MODELS[model])}
    options = {}
    for name, value in given.items():
        if name not in own:
            raise CommandError(f"{flag_parameters()[name].flag} is not an option of {model}.")
        options[name] = from_text(own[name], value) if isinstance(value, str) else value
        choices = own[name].choices
        if choices and value not in choices:
            raise CommandError(f"{own[name].flag} must be {' or '.join(choices)}, got {value!r}.")
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


def _has_code(estimator: Any) -> bool:
    from narrows.resolution import network_option

    return network_option(estimator.network).has_code


def _n_rows(rows: Any) -> int:
    if not isinstance(rows, Path):
        return len(rows)
    from narrows.tables import open_segments

    return sum(open_segments(rows).segment_rows)


def _summary(estimator: Any, n_rows: int, seconds: float, out: Path) -> dict[str, Any]:
    return {
        "model": str(out),
        "class": type(estimator).__name__,
        "rows": n_rows,
        "columns": estimator.n_features_in_,
        "image_shape": estimator.image_shape_,
        "n_components": estimator.n_components_,
        "baselines": estimator.baselines_,
        "in_words": baselines_in_words(estimator.baselines_, estimator.n_components_, stayed=estimator.stayed_linear_),
        "stayed_linear": estimator.stayed_linear_,
        "stopped": estimator.stopped_,
        "steps": estimator.n_steps_,
        "seconds": seconds,
        "bytes": out.stat().st_size,
    }


def _show(summary: dict[str, Any], n_components: int, *, has_code: bool) -> None:
    from narrows.cli.files import shape_in_words

    baselines, shape = summary["baselines"], summary["image_shape"]
    errors = {"model": "model", "pca": f"PCA with {n_components}", "mean": "mean row", "input": "noisy input"}
    images = f", images of {shape_in_words(shape)}" if shape else ""
    print_rows(
        [
            ("data", f"{summary['rows']:,} rows of {summary['columns']:,} columns{images}"),
            ("code", code_in_words(n_components, has_code=has_code)),
            ("error", "   ".join(f"{label} {baselines[key]:.5g}" for key, label in errors.items() if key in baselines)),
            ("", summary["in_words"]),
            ("stopped", f"{_STOPPED.get(summary['stopped'], summary['stopped'])} ({summary['steps']:,} steps)"),
            ("time", f"{summary['seconds']:.1f} s"),
            ("file", f"{summary['model']}, {file_size(summary['model'])}"),
        ]
    )


def command() -> Callable[..., None]:
    """Return ``fit`` with the flags of all classes in its signature, for typer to read."""
    hints = get_type_hints(fit, include_extras=True)
    plain = [
        parameter.replace(annotation=hints[parameter.name])
        for parameter in inspect.signature(fit).parameters.values()
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD
    ]
    derived = [_flag(parameter) for parameter in flag_parameters().values()]

    def run_fit(**given: Any) -> None:
        fit(**given)

    run_fit.__doc__ = fit.__doc__
    run_fit.__signature__ = inspect.Signature([*plain, *derived])  # type: ignore[attr-defined]
    run_fit.__annotations__ = {parameter.name: parameter.annotation for parameter in [*plain, *derived]}
    return run_fit


def _flag(parameter: Parameter) -> inspect.Parameter:
    """Make one flag. None means that it was not given, so that the constructor's own default holds."""
    flag = parameter.flag
    kind: type = str
    if parameter.atoms == ("bool",):
        flag, kind = f"{flag}/--no-{flag.removeprefix('--')}", bool
    elif parameter.atoms in (("int",), ("float",)):
        kind = int if parameter.atoms == ("int",) else float
    option = typer.Option(
        flag,
        help=_help(parameter),
        metavar=None if kind is bool else _metavar(parameter),
        show_default=False,
    )
    return inspect.Parameter(
        parameter.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, option]
    )


def _help(parameter: Parameter) -> str:
    known = [f"{member.name}({', '.join(member.fields)})".removesuffix("()") for member in parameter.family]
    choice = f" Known: {', '.join(known)}." if known else ""
    default = parameter.default
    shown = f"{default:g}" if isinstance(default, float) else str(default).lower()
    return parameter.help + choice + (f" [default: {shown}]" if default is not None else "")


def _metavar(parameter: Parameter) -> str:
    if parameter.choices:
        return "|".join(parameter.choices)
    if parameter.family:
        return "NAME"
    words = {"int": "INT", "float": "NUMBER", "os.PathLike[str]": "FILE", "tuple[int, ...]": "H,W[,C]"}
    parts = [word for atom, word in words.items() if atom in parameter.atoms]
    if isinstance(parameter.default, str) and parts:
        parts.append(parameter.default)
    return "|".join(parts) or "TEXT"
