"""``narrows codec fit``: its flags are the codec's parameters."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from narrows.cli import files
from narrows.cli.codec.files import read_to_code, require_coder
from narrows.cli.codec.info import show_summary, summary_of
from narrows.cli.columns import text_head
from narrows.cli.errors import CommandError
from narrows.cli.flags import construct, parse
from narrows.cli.printing import print_json, working

if TYPE_CHECKING:
    from pathlib import Path


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
        codec.set_params(callbacks=[lambda record: tell(describe_record(record))]).fit(rows)
    codec.save(out)
    told = summary_of(codec, time.perf_counter() - start, out)
    if as_json:
        print_json(told)
    elif not quiet:
        show_summary(told)


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
    head = None if place is None else text_head(place)
    known = (head.names if head is not None else None) or []
    return {int(name) if name.isdigit() and name not in known else name: bound for name, bound in bounds.items()}


def describe_record(record: Any) -> str:
    """Say what a model noted: a line of its own, or the step and the bits per value of its record.

    Examples
    --------
    >>> describe_record({"step": 1200, "bits_per_value": 1.25, "val_loss": 3.0})
    'step 1,200, 1.2500 bits per value'
    """
    if not isinstance(record, dict):
        return str(record)
    parts = [f"step {record['step']:,}"] if "step" in record else []
    parts += [f"{record['bits_per_value']:.4f} bits per value"] if "bits_per_value" in record else []
    return ", ".join(parts)
