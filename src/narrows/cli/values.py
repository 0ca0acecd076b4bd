"""From the text of a flag to a value, by the parameter's own annotation. Nothing is ever evaluated.

An option value is written as in Python, where words need no quotes: ``dense``, ``dense(hidden=(256, 128))``,
``gaussian(0.3)``, ``Dense(hidden=(128,), activation='relu')``.
"""

from __future__ import annotations

import ast
import re
from importlib import import_module
from typing import TYPE_CHECKING, Any

from narrows.errors import NarrowsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from narrows.cli.signature import Member, Parameter

__all__ = ["CommandError", "build", "from_text", "option_to_text"]

_WORDS = {"true": True, "false": False, "none": None}
_TRUTH = {"1": True, "0": False}


class CommandError(NarrowsError):
    """Something on the command line that cannot be meant."""


def from_text(parameter: Parameter, text: str) -> Any:
    """Turn a flag's text into what the constructor takes.

    Parameters
    ----------
    parameter : Parameter
        Says what types may be meant.
    text : str
        What was written after the flag.

    Returns
    -------
    object
        None, a number, a text, or for an option value with settings the record that :func:`build` takes.

    Raises
    ------
    CommandError
        If it can be none of these.
    """
    atoms = parameter.atoms
    if "None" in atoms and text.lower() == "none":
        return None
    if parameter.family:
        return _option(parameter, text)
    for atom, kind in (("int", int), ("float", float)):
        if atom in atoms:
            try:
                return kind(text)
            except ValueError:
                continue
    if "tuple[int, ...]" in atoms:
        return _numbers(parameter, text)
    if atoms == ("bool",) and (word := text.lower()) in (*_TRUTH, "true", "false"):
        return _WORDS[word] if word in _WORDS else _TRUTH[word]
    if "str" in atoms:
        return text
    what = [
        word
        for atom, word in (("int", "a whole number"), ("float", "a number"), ("None", "none"), ("bool", "0 or 1"))
        if atom in atoms
    ]
    raise CommandError(f"{parameter.flag} must be {' or '.join(what)}, got {text!r}.")


def _numbers(parameter: Parameter, text: str) -> tuple[int, ...]:
    """Read whole numbers with commas between them, in brackets or not."""
    try:
        return tuple(int(part) for part in text.strip("() ").split(",") if part.strip())
    except ValueError:
        raise CommandError(f"{parameter.flag} must be whole numbers such as 28,28, got {text!r}.") from None


def _option(parameter: Parameter, text: str) -> Any:
    """Read ``name`` or ``name(setting=value, ...)``."""
    parts = re.fullmatch(r"\s*([\w-]+)\s*(\(.*\))?\s*", text, re.DOTALL)
    name = re.sub(r"[-_]", "", parts.group(1).lower()) if parts else ""
    known = {member.name: member for member in parameter.family}
    if "str" in parameter.atoms and parameter.default == text:
        return text
    if parts is None or name not in known:
        also = [str(parameter.default)] if isinstance(parameter.default, str) and parameter.default not in known else []
        raise CommandError(f"{parameter.flag} {text!r} is unknown; known are {', '.join([*also, *known])}.")
    return {"option": name, **_settings(parameter.flag, known[name], parts.group(2) or "()")}


def _settings(flag: str, member: Member, arguments: str) -> dict[str, Any]:
    """Read the settings of an option value as Python reads the arguments of a call."""
    try:
        call = _call(arguments)
        positional = [_plain(node) for node in call.args]
        named = [(keyword.arg or "**", _plain(keyword.value)) for keyword in call.keywords]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise CommandError(
            f"{flag} {member.name}{arguments} cannot be read; write the settings as {_example(member)}."
        ) from None
    names = list(member.fields)
    has = f"it has {', '.join(names)}" if names else "it has none"
    if len(positional) > len(names):
        raise CommandError(f"{flag} {member.name} was given {len(positional)} settings; {has}.")
    given = dict(zip(names, positional, strict=False))
    for name, value in named:
        if name not in names:
            raise CommandError(f"{flag} {member.name} has no setting {name!r}; {has}.")
        if name in given:
            raise CommandError(f"{flag} {member.name} was given {name!r} twice.")
        given[name] = value
    for name, value in given.items():
        default = member.fields[name]
        numeric = isinstance(default, (int, float)) and not isinstance(default, bool)
        if numeric and (isinstance(value, bool) or not isinstance(value, (int, float))):
            raise CommandError(f"{flag} {member.name}: {name} must be a number, got {value!r}.")
    return given


def _call(arguments: str) -> ast.Call:
    call = ast.parse(f"f{arguments}", mode="eval").body
    if isinstance(call, ast.Call) and isinstance(call.func, ast.Name):
        return call
    raise ValueError(arguments)


def build(parameter: Parameter, value: Any) -> Any:
    """Make the option value that a record stands for; anything else is what it is.

    Raises
    ------
    CommandError
        If a setting is not what its class takes.
    """
    if not isinstance(value, dict):
        return value
    module, family = parameter.home
    try:
        return getattr(import_module(module), family).from_json(value)
    except (ValueError, TypeError) as error:
        raise CommandError(f"{parameter.flag} {value['option']}: {error}") from error


def _plain(node: ast.expr) -> Any:
    """Return the value of a literal; a bare word is itself, or true, false, none."""
    if isinstance(node, ast.Name):
        return _WORDS.get(node.id.lower(), node.id)
    if isinstance(node, (ast.Tuple, ast.List)):
        return tuple(_plain(part) for part in node.elts)
    value = ast.literal_eval(node)
    if not isinstance(value, (int, float, str, type(None))):
        raise ValueError(f"{value!r} is no plain value")
    return value


def _example(member: Member) -> str:
    return option_to_text({"option": member.name, **member.fields})


def option_to_text(record: dict[str, Any], family: Sequence[Member] = ()) -> str:
    """Write an option value as the command line takes it, without the settings that are as by default.

    Parameters
    ----------
    record : dict
        What ``to_json`` gave.
    family : sequence of Member
        Knows the defaults; settings it does not know are all written.
    """
    name = str(record["option"]).lower()
    defaults = next((member.fields for member in family if member.name == name), {})
    parts = []
    for setting in dict.fromkeys([*defaults, *record]):
        value = record.get(setting, defaults.get(setting))
        if isinstance(value, (list, tuple)) and value and all(isinstance(part, dict) for part in value):
            # Of several option values in one, each says what it is.
            parts += [option_to_text(part, family) for part in value]
            continue
        plain = tuple(value) if isinstance(value, list) else value
        if setting != "option" and (setting not in defaults or defaults[setting] != plain):
            parts.append(f"{setting}={plain}")
    return f"{name}({', '.join(parts)})" if parts else name
