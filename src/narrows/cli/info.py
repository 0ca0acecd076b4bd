"""``narrows info``: what a model file says of itself."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads it at runtime
from typing import Annotated, Any

import typer

from narrows.cli.arguments import AsJson  # noqa: TC001 - typer reads it at runtime
from narrows.cli.fit import MODELS
from narrows.cli.show import baselines_in_words, code_in_words, file_size, print_json, print_rows, print_table
from narrows.cli.signature import Parameter, parameters
from narrows.cli.values import option_to_text

__all__ = ["info"]

_LAST_RECORDS = 5
_COLUMNS_SHOWN = 8
# What does not change the model.
_SILENT = {"callbacks", "checkpoint", "checkpoint_seconds", "verbose", "device"}


def info(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="The model file that fit wrote.")],
    as_json: AsJson = False,
) -> None:
    """Say what a model file holds.

    Sizes, the options that differ from the defaults, how it compares with PCA, how it was trained.
    """
    import narrows

    record = narrows.describe(model)
    if as_json:
        size = {"file": str(model), "bytes": model.stat().st_size}
        print_json(size | record | {"changed_options": _changed(record), "in_words": _in_words(record)})
        return
    fitted = record["fitted"]
    rows: list[tuple[str, object]] = [
        ("file", f"{model}, {file_size(model)}, written by narrows {record['narrows']}"),
        ("class", record["class"]),
        ("data", f"{fitted['n_features_in']:,} columns{_names(fitted.get('feature_names_in'))}"),
        ("code", _code(record)),
        ("weights", f"{record['n_parameters']:,}"),
        ("options", ", ".join(f"{name}={text}" for name, text in _changed(record).items()) or "all by default"),
        ("training", f"{fitted['n_steps']:,} steps; ended by: {fitted['stopped']}"),
        ("compared", _in_words(record)),
    ]
    print_rows(rows)
    _show_history(fitted["history"])


def _code(record: dict[str, Any]) -> str:
    from narrows.networks import Network

    network = record["options"]["network"]
    own = not isinstance(network, dict) or network["option"] == "Modules"
    return code_in_words(record["fitted"]["n_components"], has_code=own or Network.from_json(network).has_code)


def _in_words(record: dict[str, Any]) -> str:
    fitted = record["fitted"]
    stayed = bool(fitted.get("stayed_linear"))
    return baselines_in_words(fitted["baselines"], fitted["n_components"], stayed=stayed)


def _names(names: list[str] | None) -> str:
    if not names:
        return ""
    more = ", ..." if len(names) > _COLUMNS_SHOWN else ""
    return f": {', '.join(names[:_COLUMNS_SHOWN])}{more}"


def _changed(record: dict[str, Any]) -> dict[str, str]:
    """Return the options that differ from the defaults, as the command line takes them."""
    home = next((home for home in MODELS.values() if home[1] == record["class"]), None)
    known = {parameter.name: parameter for parameter in parameters(*home)} if home else {}
    return {
        name: _text(value, known.get(name))
        for name, value in record["options"].items()
        if name not in _SILENT and (name not in known or _text(value, known[name]) != str(known[name].default))
    }


def _text(value: Any, parameter: Parameter | None) -> str:
    if isinstance(value, dict) and "option" in value:
        return option_to_text(value, parameter.family if parameter else ())
    if isinstance(value, list):
        return ",".join(map(str, value))
    return str(value)


def _show_history(history: list[dict[str, Any]]) -> None:
    known = ("step", "epoch", "seconds", "loss", "val_loss", "learning_rate")
    names = [name for name in known if any(name in record for record in history)]
    rows = [[record.get(name, "") for name in names] for record in history[-_LAST_RECORDS:]]
    if rows:
        skipped = len(history) - len(rows)
        print_table(names, rows, title=f"history, after {skipped:,} earlier records" if skipped else "history")
