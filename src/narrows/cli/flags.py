"""Flags: how a verb declares what it takes, and how the text of a flag becomes a value. Nothing is ever evaluated.

An option value is written as in Python, where words need no quotes: ``dense``, ``dense(hidden=(256, 128))``,
``gaussian(0.3)``, ``Dense(hidden=(128,), activation='relu')``. What a constructor takes stands in ``options.json``, so
that ``--help`` need not import it; see :mod:`narrows.cli.options`.
"""

import ast
import inspect
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from narrows.cli.errors import CommandError

REQUIRED = ...
_WORDS = {"true": True, "false": False, "none": None}


@dataclass(frozen=True)
class Flag:
    """An argument or an option of a verb.

    ``names`` are ``"--model -m MODEL"`` for an option that takes something, a word in capitals for an argument;
    ``parameter`` is what the verb's function calls it, by default the first name.
    """

    names: str
    help: str
    kind: Any = str
    default: Any = None
    least: int | None = None
    parameter: str = ""

    @property
    def name(self) -> str:
        """The name of the parameter."""
        return self.parameter or self.names.split()[0].partition("/")[0].lstrip("-").replace("-", "_").lower()

    def for_typer(self) -> inspect.Parameter:
        """Return it as typer reads a parameter."""
        *names, last = self.names.split()
        option = (names or [last])[0].startswith("-")
        about: dict[str, Any] = {"help": self.help, "metavar": last, "min": self.least}
        if last.startswith("-"):
            about["metavar"] = None
            names.append(last)
        made = typer.Option(*names, **about) if option else typer.Argument(**about)
        kind = self.kind | None if self.default is None else self.kind
        default = inspect.Parameter.empty if self.default is REQUIRED else self.default
        return inspect.Parameter(
            self.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, made]
        )


@dataclass(frozen=True)
class Verb:
    """A verb: where its function is, what it takes, and what ``--help`` says of it.

    ``reads`` are the flags that say how a table is read, which the function is given as one dictionary.
    """

    home: str
    flags: tuple[Flag, ...]
    help: str
    reads: tuple[Flag, ...] = ()

    def function(self) -> Callable[..., None]:
        """Import the function that does the work."""
        module, name = self.home.split(":")
        found: Callable[..., None] = getattr(import_module(f"narrows.cli.{module}"), name)
        return found

    def command(self) -> Callable[..., None]:
        """Return what typer makes a command of."""
        own = [flag.for_typer() for flag in (*self.flags, *self.reads)]

        def run(**given: Any) -> None:
            if self.reads:
                asked = {flag.name: given.pop(flag.name) for flag in self.reads}
                given["reading"] = {
                    name: reading_option(name, value) for name, value in asked.items() if value is not None
                }
            self.function()(**given)

        run.__doc__ = self.help
        run.__signature__ = inspect.Signature(own)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in own}
        return run


# What constructors take


@dataclass(frozen=True)
class Parameter:
    """A parameter of a constructor: its flag, default, types, its words if it takes nothing else, and its family."""

    name: str
    flag: str
    default: Any
    types: tuple[str, ...]
    choices: tuple[str, ...] = ()
    family: str | None = None


@dataclass(frozen=True)
class Model:
    """A class that can be fitted: where it is, and its parameters by name."""

    module: str
    name: str
    parameters: dict[str, Parameter]


@cache
def _options() -> Any:
    return json.loads(Path(__file__).with_name("options.json").read_text(encoding="utf-8"))


@cache
def models() -> dict[str, Model]:
    """Return what can be fitted, by the names of the command line."""
    found = {}
    for key, record in _options()["models"].items():
        parameters = {name: Parameter(name, **_frozen(own)) for name, own in record["parameters"].items()}
        found[key] = Model(record["module"], record["name"], parameters)
    return found


def _frozen(record: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in record.items()}


@cache
def members(family: str) -> dict[str, dict[str, Any]]:
    """Return the option values of a family, by name: their settings and defaults."""
    return {name: _frozen(settings) for name, settings in _options()["families"][family]["members"].items()}


def constructor_flags(verb: str) -> tuple[Flag, ...]:
    """Return the flags of a verb that are parameters of what it fits; those not given leave the default."""
    kinds = {"bool": bool, "int": int, "float": float, "str": str, "list": list[str]}
    return tuple(
        Flag(names, text, kinds[kind], parameter=name)
        for name, (names, text, kind) in _options()["flags"][verb].items()
    )


def parse(model: str, given: dict[str, Any]) -> dict[str, Any]:
    """Turn flags into what the constructor takes, or refuse them; None is a flag that was not given."""
    own = models()[model].parameters
    found = {}
    for name, value in given.items():
        if value is None:
            continue
        if name not in own:
            others = [key for key, other in models().items() if name in other.parameters and key != "codec"]
            flag = models()[others[0]].parameters[name].flag
            raise CommandError(f"{flag} is not an option of {model}, but of {' and '.join(others)}.")
        found[name] = _value(own[name], value) if isinstance(value, str) else value
    return found


def construct(model: str, options: dict[str, Any]) -> Any:
    """Make an estimator of options as :func:`parse` gives them."""
    known = models()[model]
    built = {name: _built(known.parameters[name], value) for name, value in options.items()}
    return getattr(import_module(known.module), known.name)(**built)


def _built(parameter: Parameter, value: Any) -> Any:
    if not isinstance(value, dict) or parameter.family is None:
        return value
    home = _options()["families"][parameter.family]["module"]
    try:
        return getattr(import_module(home), parameter.family).from_json(value)
    except (ValueError, TypeError) as error:
        raise CommandError(f"{parameter.flag} {value['option']}: {error}") from error


def _value(parameter: Parameter, text: str) -> Any:
    """Turn text into a value; where a parameter takes several of its words, they have commas between them."""
    types = parameter.types
    if parameter.choices:
        several = "," in text and "tuple[str, ...]" in types
        words = [word.strip() for word in text.split(",")] if several else [text]
        if any(word not in parameter.choices for word in words):
            raise CommandError(f"{parameter.flag} must be {' or '.join(parameter.choices)}, got {text!r}.")
        return tuple(words) if several else text
    if "None" in types and text.lower() == "none":
        return None
    return _option(parameter, text) if parameter.family else _plain_value(parameter, text)


def _plain_value(parameter: Parameter, text: str) -> Any:
    types = parameter.types
    for name, kind in (("int", int), ("float", float)):
        if name in types:
            try:
                return kind(text)
            except ValueError:
                continue
    if "tuple[int, ...]" in types:
        return _numbers(parameter, text)
    if types == ("bool",) and (word := text.lower()) in ("0", "1", "true", "false"):
        return word in ("1", "true")
    if "str" in types:
        return text
    said = {"int": "a whole number", "float": "a number", "None": "none", "bool": "0 or 1"}
    what = " or ".join(words for name, words in said.items() if name in types)
    raise CommandError(f"{parameter.flag} must be {what}, got {text!r}.")


def _numbers(parameter: Parameter, text: str) -> tuple[int, ...]:
    """Read whole numbers with commas between them, in brackets or not."""
    try:
        return tuple(int(part) for part in text.strip("() ").split(",") if part.strip())
    except ValueError:
        raise CommandError(f"{parameter.flag} must be whole numbers such as 28,28, got {text!r}.") from None


def _option(parameter: Parameter, text: str) -> Any:
    """Read ``name`` or ``name(setting=value, ...)`` as the record that the family's ``from_json`` takes."""
    if "str" in parameter.types and parameter.default == text:
        return text
    known = members(str(parameter.family))
    parts = re.fullmatch(r"\s*([\w-]+)\s*(\(.*\))?\s*", text, re.DOTALL)
    name = re.sub(r"[-_]", "", parts.group(1).lower()) if parts else ""
    if parts is None or name not in known:
        also = [parameter.default] if isinstance(parameter.default, str) and parameter.default not in known else []
        raise CommandError(f"{parameter.flag} {text!r} is unknown; known are {', '.join([*also, *known])}.")
    return {"option": name, **_settings(parameter.flag, name, known[name], parts.group(2) or "()")}


def _settings(flag: str, member: str, defaults: dict[str, Any], arguments: str) -> dict[str, Any]:
    """Read the settings of an option value as Python reads the arguments of a call."""
    try:
        call = _call(arguments)
        positional = [_plain(node) for node in call.args]
        named = [(keyword.arg or "**", _plain(keyword.value)) for keyword in call.keywords]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        example = option_to_text({"option": member, **defaults})
        raise CommandError(f"{flag} {member}{arguments} cannot be read; write the settings as {example}.") from None
    has = f"it has {', '.join(defaults)}" if defaults else "it has none"
    if len(positional) > len(defaults):
        raise CommandError(f"{flag} {member} was given {len(positional)} settings; {has}.")
    given = dict(zip(defaults, positional, strict=False))
    for name, value in named:
        if name not in defaults:
            raise CommandError(f"{flag} {member} has no setting {name!r}; {has}.")
        if name in given:
            raise CommandError(f"{flag} {member} was given {name!r} twice.")
        given[name] = value
    for name, value in given.items():
        if _is_number(defaults[name]) and not _is_number(value):
            raise CommandError(f"{flag} {member}: {name} must be a number, got {value!r}.")
    return given


def _call(arguments: str) -> ast.Call:
    call = ast.parse(f"f{arguments}", mode="eval").body
    if isinstance(call, ast.Call) and isinstance(call.func, ast.Name):
        return call
    raise ValueError(arguments)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


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


def option_to_text(record: dict[str, Any], family: str | None = None) -> str:
    """Write what ``to_json`` gave as the command line takes it, such as gaussian(sigma=0.3), without the defaults."""
    name = str(record["option"]).lower()
    defaults = members(family).get(name, {}) if family else {}
    parts: list[str] = []
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


def split_names(text: str | None) -> list[str] | None:
    """Return words that were written with commas between them, None for none."""
    return None if text is None else [word.strip() for word in text.split(",")]


def reading_option(name: str, value: Any) -> Any:
    """Turn the text of a flag that says how a table is read into what :func:`narrows.data.read` takes."""
    if name in ("columns", "drop", "missing_values"):
        return [word.strip() for word in value.split(",")]
    if name == "kinds":
        pairs = [word.partition("=") for word in value.split(",")]
        if any(not sign or not kind for _, sign, kind in pairs):
            raise CommandError(f"--kinds must be COLUMN=KIND,..., such as zip=category, got {value!r}.")
        return {column.strip(): kind.strip() for column, _, kind in pairs}
    if name == "delimiter":
        return {"tab": "\t", "\\t": "\t", "space": " "}.get(value, value)
    return False if name == "index" and value == "none" else value


def refuse_beside_model(what: str, given: dict[str, Any]) -> None:
    """Refuse flags that are for fitting beside ``-m``, which names what is fitted; None is a flag not given."""
    asked = next((flag for flag, value in given.items() if value is not None), None)
    if asked is not None:
        raise CommandError(f"{asked} is for fitting{what}, and -m names one that is fitted: leave one of them out.")


def refuse_together(given: Iterable[str], why: str) -> None:
    """Refuse more than one of some flags."""
    named = list(given)
    if len(named) > 1:
        raise CommandError(f"{' and '.join(named)} do not go together: {why}.")
