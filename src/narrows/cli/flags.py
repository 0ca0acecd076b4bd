"""The flags of ``narrows fit``: the parameters of all that it fits, merged by name."""

from __future__ import annotations

import inspect
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from narrows.cli.signature import Parameter, parameters
from narrows.cli.values import CommandError, from_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["MODELS", "derived_flags", "flag_parameters", "value_of", "with_flags"]

MODELS = {
    "autoencoder": ("narrows.autoencoder", "Autoencoder"),
    "vae": ("narrows.variational.estimator", "VariationalAutoencoder"),
    "detector": ("narrows.anomaly.detector", "AnomalyDetector"),
    "recommender": ("narrows.recommend.recommender", "Recommender"),
}
"""What ``--model`` knows: where each class is. A new one is one line here."""

_NOT_FLAGS = {"callbacks", "autoencoder"}
_APART = {"detector", "recommender"}
"""Models that share next to no option with the others: help says which are theirs, and not that the others are not."""


def flag_parameters() -> dict[str, Parameter]:
    """Return every parameter that gets a flag, as the first class that has it."""
    return {name: next(iter(owners.values())) for name, owners in _owners().items()}


def value_of(parameter: Parameter, text: str) -> Any:
    """Turn a flag's text into a value, and refuse a word that the parameter does not know.

    Where a parameter takes several of its words, they have commas between them.
    """
    several = "," in text and "tuple[str, ...]" in parameter.atoms
    words = [word.strip() for word in text.split(",")] if several else [text]
    if parameter.choices and any(word not in parameter.choices for word in words):
        raise CommandError(f"{parameter.flag} must be {' or '.join(parameter.choices)}, got {text!r}.")
    if parameter.atoms == ("Any",):
        # What it may be is then said in words alone.
        parameter = replace(parameter, atoms=tuple(re.findall(r"\b(?:int|float|str|None)\b", parameter.kind)))
    return tuple(words) if several else from_text(parameter, text)


def _owners() -> dict[str, dict[str, Parameter]]:
    """Return, by name, a parameter as each model has it."""
    found: dict[str, dict[str, Parameter]] = {}
    for model, home in MODELS.items():
        for parameter in parameters(*home):
            if parameter.name not in _NOT_FLAGS:
                found.setdefault(parameter.name, {})[model] = parameter
    return found


def derived_flags() -> list[inspect.Parameter]:
    """Return the flags for typer. None means that one was not given, so that the constructor's default holds."""
    return [_flag(owners) for owners in _owners().values()]


def _flag(owners: dict[str, Parameter]) -> inspect.Parameter:
    first = next(iter(owners.values()))
    flag, kinds = first.flag, {parameter.atoms for parameter in owners.values()}
    kind: type = str
    if kinds == {("bool",)}:
        flag, kind = f"{flag}/--no-{flag.removeprefix('--')}", bool
    elif kinds in ({("int",)}, {("float",)}):
        kind = int if kinds == {("int",)} else float
    metavar = None if kind is bool else _metavar(list(owners.values()))
    option = typer.Option(flag, help=_help(owners), metavar=metavar, show_default=False)
    return inspect.Parameter(
        first.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, option]
    )


def _help(owners: dict[str, Parameter]) -> str:
    """Say what a flag does; what is not so of all models begins with the name of the one it is true of."""
    texts: dict[str, list[str]] = {}
    for model, parameter in owners.items():
        texts.setdefault(re.sub(r":\w+:`([^`]*)`", r"\1", parameter.help), []).append(model)
    most = [model for model in MODELS if model not in _APART]
    said = [text if models[: len(most)] == most else f"({', '.join(models)}) {text}" for text, models in texts.items()]
    members = _unique(member for parameter in owners.values() for member in parameter.family)
    known = [f"{member.name}({', '.join(member.fields)})".removesuffix("()") for member in members]
    choice = f" Known: {', '.join(known)}." if known else ""
    return " ".join(said) + choice + _defaults(owners)


def _defaults(owners: dict[str, Parameter]) -> str:
    shown: dict[str, list[str]] = {}
    for model, parameter in owners.items():
        if parameter.default is not None:
            value = parameter.default
            shown.setdefault(f"{value:g}" if isinstance(value, float) else str(value).lower(), []).append(model)
    if not shown:
        return ""
    if len(shown) == 1:
        return f" [default: {next(iter(shown))}]"
    said = [f"{value} of {' and '.join(models)}" for value, models in shown.items()]
    return f" [default: {', '.join(said)}]"


def _metavar(found: list[Parameter]) -> str:
    if all(parameter.choices for parameter in found):
        return "|".join(_unique(choice for parameter in found for choice in parameter.choices))
    if any(parameter.family for parameter in found):
        # The words of a model that knows a few only; those of the others stand in the text.
        return "|".join(_unique(choice for parameter in found for choice in parameter.choices)) or "NAME"
    words = {"int": "INT", "float": "NUMBER", "os.PathLike[str]": "FILE", "tuple[int, ...]": "H,W[,C]"}
    parts = _unique(word for parameter in found for atom, word in words.items() if atom in parameter.atoms)
    defaults = _unique(parameter.default for parameter in found)
    parts += [default for default in defaults if isinstance(default, str) and parts]
    parts += _unique(word for p in found for word in re.findall('"([a-z]+)"', p.kind) if parts and word not in parts)
    return "|".join(parts) or "TEXT"


def _unique(values: Iterable[Any]) -> list[Any]:
    """Drop repetitions and keep the order."""
    found: list[Any] = []
    for value in values:
        if value not in found:
            found.append(value)
    return found


def with_flags(verb: Callable[..., None], flags: list[inspect.Parameter]) -> Callable[..., None]:
    """Return a verb that takes ``**given`` with flags of its own in that place, for typer to read.

    Parameters
    ----------
    verb : callable
        Its other parameters are annotated for typer.
    flags : list of inspect.Parameter
        Keyword-only, annotated for typer.
    """
    hints = get_type_hints(verb, include_extras=True)
    plain = [
        parameter.replace(annotation=hints[parameter.name])
        for parameter in inspect.signature(verb).parameters.values()
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD
    ]

    def run(**given: Any) -> None:
        verb(**given)

    run.__doc__ = verb.__doc__
    run.__signature__ = inspect.Signature([*plain, *flags])  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in [*plain, *flags]}
    return run
