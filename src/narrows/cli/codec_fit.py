"""``narrows codec fit``: its flags are the codec's parameters."""

from __future__ import annotations

import inspect
import re
import sys
import time
from contextlib import contextmanager
from pathlib import Path  # noqa: TC003 - typer reads it at runtime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from narrows.cli.arguments import AsJson, Columns, DataArgument  # noqa: TC001 - typer reads them at runtime
from narrows.cli.flags import value_of, with_flags
from narrows.cli.show import print_json
from narrows.cli.signature import Parameter, parameters
from narrows.cli.values import CommandError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["HOME", "command", "error_bounds", "fit"]

HOME = ("narrows.codec.codec", "Codec")
"""Where the codec is: its signature is the list of options."""

_NOT_FLAGS = {"callbacks"}
_MORE_FLAGS = {"n_components": ["-n"], "random_state": ["--seed"]}
# What is written otherwise on the command line than in Python.
_HELP = {
    "max_error": "How far off floats may come back at the most; COLUMN=NUMBER, which may be given several times, says "
    "so of one column, by name or position. Without it every bit is restored.",
    "n_components": "How many numbers the code of --code-only has; none chooses.",
}
_METAVARS = {"max_error": "NUMBER|COLUMN=NUMBER", "image_shape": "H,W[,C]", "max_seconds": "NUMBER"}


def fit(
    data: DataArgument,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="CODEC", help="The codec file to write.")],
    columns: Columns = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show neither progress nor summary.")] = False,
    as_json: AsJson = False,
    **flags: Any,
) -> None:
    """Learn from DATA how to make data like it small, and save that.

    Pictures of eight bits, and tables of whole numbers, categories, text and decimals come back bit for bit. What it
    is worth is measured on rows that are held out: bits per value, against general compressors on the same rows, and
    after how many rows the codec's own file has paid for itself.
    """
    from narrows.cli import codec_files, codec_info, files
    from narrows.cli.mistakes import mistakes_of, warnings_as_lines

    options = _options({name: value for name, value in flags.items() if value not in (None, [])})
    files.check_model_place(out, files.file_of(data))
    options["max_error"] = _with_positions(options.get("max_error"), data)
    codec_files.require_coder()
    from narrows.codec import Codec

    given = codec_files.read_to_code(data, columns)
    start = time.perf_counter()
    with mistakes_of(), warnings_as_lines():
        codec = Codec(**options)
        with _progress(codec.max_seconds, quiet=quiet) as tell:
            codec.set_params(callbacks=[tell]).fit(given)
        codec.save(out)
    told = codec_info.summary_of(codec, time.perf_counter() - start, out)
    if as_json:
        print_json(told)
    elif not quiet:
        codec_info.show_summary(told)


def _options(given: dict[str, Any]) -> dict[str, Any]:
    """Turn flags into what the constructor takes, and refuse what does not go together."""
    own = {parameter.name: parameter for parameter in parameters(*HOME)}
    options = {
        name: error_bounds(value)
        if name == "max_error"
        else value_of(own[name], value)
        if isinstance(value, str)
        else value
        for name, value in given.items()
    }
    if options.get("relative") and options.get("max_error") is None:
        raise CommandError("--relative says how --max-error is meant, and there is no --max-error.")
    if options.get("code_only") and options.get("max_error") is not None:
        raise CommandError("--code-only gives no bound on the error: leave --max-error or --code-only out.")
    if options.get("n_components") is not None and not options.get("code_only"):
        raise CommandError("--n-components is the size of the code that --code-only keeps: say --code-only too.")
    return options


def error_bounds(texts: list[str]) -> float | dict[Any, float] | None:
    """Read what was written after each ``--max-error``.

    Examples
    --------
    >>> error_bounds(["0.01"])
    0.01
    >>> error_bounds(["height=0.5", "weight=0.1"])
    {'height': 0.5, 'weight': 0.1}
    """
    found: dict[Any, float] = {}
    for text in texts:
        name, sign, number = text.rpartition("=")
        if not sign and len(texts) > 1:
            raise CommandError(
                f"--max-error {text!r} is for all columns and stands beside others: write COLUMN=NUMBER for each."
            )
        if not sign and number.lower() == "none":
            return None
        bound = _bound(text, number)
        if not sign:
            return bound
        if not name.strip() or name.strip() in found:
            raise CommandError(f"--max-error {text!r} names {'a column twice' if name.strip() else 'no column'}.")
        found[name.strip()] = bound
    return found or None


def _bound(text: str, number: str) -> float:
    try:
        bound = float(number)
    except ValueError:
        bound = -1.0
    if not 0 < bound < float("inf"):
        raise CommandError(f"--max-error must be a number above 0, or COLUMN=NUMBER, got {text!r}.")
    return bound


def _with_positions(bounds: Any, data: str) -> Any:
    """Take names that are numbers for positions, unless a column is called so."""
    if not isinstance(bounds, dict) or not any(name.isdigit() for name in bounds):
        return bounds
    from narrows.cli import files
    from narrows.cli.columns import text_head

    place = files.file_of(data)
    head = None if place is None or place.is_dir() else text_head(place)
    known = (head.names if head is not None else None) or []
    return {int(name) if name.isdigit() and name not in known else name: bound for name, bound in bounds.items()}


@contextmanager
def _progress(max_seconds: float, *, quiet: bool) -> Iterator[Callable[[Any], None]]:
    """Yield what is told how a fit goes, and show on a terminal the time and the bits per value so far."""
    if quiet or not sys.stderr.isatty():
        yield lambda _record: None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    shown = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), TextColumn("{task.fields[last]}"))
    with Progress(*shown, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(f"learning, about {max_seconds:g} s", total=None, last="")
        yield lambda record: progress.update(task, last=_record_in_words(record))


def _record_in_words(record: Any) -> str:
    """Say what a model noted: a line of its own, or the step and the bits per value of its record."""
    if not isinstance(record, dict):
        return str(record)
    parts = [f"step {record['step']:,}"] if "step" in record else []
    parts += [f"{record['bits_per_value']:.4f} bits per value"] if "bits_per_value" in record else []
    return ", ".join(parts)


def command() -> Callable[..., None]:
    """Return ``codec fit`` with a flag for each parameter of the codec, for typer to read."""
    return with_flags(fit, [_flag(parameter) for parameter in parameters(*HOME) if parameter.name not in _NOT_FLAGS])


def _flag(parameter: Parameter) -> inspect.Parameter:
    """Return a flag for typer. None means that it was not given, so that the constructor's default holds."""
    name = parameter.name
    metavar: str | None = _METAVARS.get(name, "INT")
    kind: Any = str
    if parameter.atoms == ("bool",):
        kind, metavar = bool, None
    elif name == "max_error":
        kind = list[str]
    said = _HELP.get(name) or re.sub(r":\w+:`([^`]*)`", r"\1", parameter.help)
    said = said.replace("max_error", "--max-error").replace("None", "none")
    if isinstance(parameter.default, float):
        said += f" [default: {parameter.default:g}]"
    option = typer.Option(parameter.flag, *_MORE_FLAGS.get(name, []), help=said, metavar=metavar, show_default=False)
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, option]
    )
