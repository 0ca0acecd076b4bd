"""``narrows codec fit``: its flags are the codec's parameters."""

import time
from pathlib import Path
from typing import Any

import narrows
from narrows.cli import files
from narrows.cli.codec.files import read_to_code, require_coder
from narrows.cli.codec.info import summary_of_codec
from narrows.cli.errors import CommandError
from narrows.cli.flags import construct, parse
from narrows.cli.printing import print_record, working
from narrows.data.inputs import is_table
from narrows.data.opening import open_source


def fit(data: str, out: Path, columns: str | None, *, quiet: bool, as_json: bool, **given: Any) -> None:
    """Fit, save and say what the codec is worth; ``given`` are its parameters."""
    bounds = error_bounds(given.pop("max_error") or [])
    options = parse("codec", given) | ({} if bounds is None else {"max_error": bounds})
    _refuse_together(options)
    files.check_model_place(out, files.file_of(data))
    if isinstance(bounds, dict):
        options["max_error"] = _with_positions(bounds, data)
    require_coder()
    rows = read_to_code(data, columns)
    start = time.perf_counter()
    codec = construct("codec", options)
    with working(f"learning, about {codec.max_seconds:g} s", quiet=quiet) as tell:
        codec.set_params(callbacks=[tell]).fit(rows)
    codec.save(out)
    told = summary_of_codec(out, narrows.describe(out), codec.fingerprint_)
    if as_json or not quiet:
        print_record({"codec": str(out)} | told | {"seconds": time.perf_counter() - start}, as_json=as_json)


def _refuse_together(options: dict[str, Any]) -> None:
    if options.get("relative") and options.get("max_error") is None:
        raise CommandError("--relative says how --max-error is meant, and there is no --max-error.")
    if options.get("code_only") and options.get("max_error") is not None:
        raise CommandError("--code-only gives no bound on the error: leave --max-error or --code-only out.")
    if options.get("n_components") is not None and not options.get("code_only"):
        raise CommandError("--n-components is the size of the code that --code-only keeps: say --code-only too.")


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


def _with_positions(bounds: dict[Any, float], data: str) -> dict[Any, float]:
    """Take names that are numbers for positions, unless a column is called so."""
    place = files.file_of(data)
    known = open_source(place).arrow_schema.names if place is not None and is_table(place) else []
    return {int(name) if name.isdigit() and name not in known else name: bound for name, bound in bounds.items()}
