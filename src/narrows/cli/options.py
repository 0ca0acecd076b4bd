"""Writes ``options.json``: the parameters of everything that can be fitted, read from the constructors.

The constructor's signature is the only list of options, but importing it brings torch and scikit-learn along, which
``--help`` must not wait for. So signatures and the first sentences of their docstrings are kept beside this file; run
``python -m narrows.cli.options`` after a change of either. A test fails while the file is out of date.
"""

import inspect
import json
import re
from collections.abc import Iterable
from dataclasses import MISSING, fields
from importlib import import_module
from pathlib import Path
from typing import Any

from narrows.options import Option

CLASSES = {
    "autoencoder": ("narrows.autoencoder", "Autoencoder"),
    "vae": ("narrows.variational.variational_autoencoder", "VariationalAutoencoder"),
    "detector": ("narrows.anomaly.detector", "AnomalyDetector"),
    "recommender": ("narrows.recommend.recommender", "Recommender"),
    "codec": ("narrows.codec.codec", "Codec"),
}
_NOT_FLAGS = {"callbacks", "autoencoder"}
_COLUMNS = ("user", "item", "rating", "timestamp")
_APART = {"detector", "recommender"}
"""Models that share next to no option with the others: help says which are theirs, and not that the others are not."""
_CODEC = {
    "max_error": (
        "NUMBER|COLUMN=NUMBER",
        "How far off floats may come back; COLUMN=NUMBER, which may be repeated, says so of one column.",
    ),
    "n_components": ("-n INT", "How many numbers the code of --code-only has; none chooses."),
    "random_state": ("--seed INT", ""),
}
"""What the codec's flags are called and say otherwise than in Python."""

Found = dict[str, dict[str, Any]]


def text() -> str:
    """Return what ``options.json`` has to hold."""
    classes = {key: getattr(import_module(module), name) for key, (module, name) in CLASSES.items()}
    families = {family.__name__: family for family in Option.__subclasses__() if family.__module__ != __name__}
    found = {key: _parameters(cls, families) for key, cls in classes.items()}
    used = sorted({own["family"] for parameters in found.values() for own in parameters.values() if own["family"]})
    members = {name: _members(families[name]) for name in used}
    kept = ("flag", "default", "types", "choices", "family")
    record = {
        "models": {
            key: {
                "module": CLASSES[key][0],
                "name": CLASSES[key][1],
                "parameters": {name: {part: own[part] for part in kept} for name, own in parameters.items()},
            }
            for key, parameters in found.items()
        },
        "families": {name: {"module": families[name].__module__, "members": members[name]} for name in used},
        "flags": {
            "fit": _flags({key: found[key] for key in found if key != "codec"}, members),
            "codec fit": _flags({"codec": found["codec"]}, members),
        },
    }
    return json.dumps(record, indent=1, ensure_ascii=False) + "\n"


def _parameters(cls: type, families: dict[str, type]) -> Found:
    told = _documented(inspect.getdoc(cls) or "")
    found = {}
    for name, parameter in inspect.signature(cls).parameters.items():
        kind, said = told.get(name, ("", ""))
        types = str(parameter.annotation).split(" | ")
        if types == ["Any"]:
            # What it may be is then said in words alone.
            types = re.findall(r"\b(?:int|float|str|None)\b", kind)
        family = next((atom for atom in types if atom in families), None)
        fixed = kind.startswith("{") and family is None
        found[name] = {
            "flag": f"--{name}-column" if name in _COLUMNS else "--" + name.replace("_", "-"),
            "default": parameter.default if parameter.default is not inspect.Parameter.empty else "(required)",
            "types": types,
            "choices": re.findall(r'"([^"]*)"', kind) if fixed else [],
            "family": family,
            "kind": kind,
            "help": said,
        }
    return found


def _members(family: Any) -> dict[str, dict[str, Any]]:
    """Return the option values that a text can name: their settings and defaults."""
    found = {}
    for name, member in sorted(family._members.items()):
        # A setting that is made of option values cannot be written inside another one.
        own = [part for part in fields(member) if part.default_factory is MISSING]
        if family in member.__bases__ and all(part.type != "Any" for part in own):
            found[name] = {
                part.name: "(required)" if part.default is MISSING else part.default
                for part in own
                if not isinstance(part.default, tuple) or not any(isinstance(v, Option) for v in part.default)
            }
    return found


def _documented(docstring: str) -> dict[str, tuple[str, str]]:
    """Return the type and the first sentence of each parameter in a numpydoc docstring."""
    found = {}
    section = re.search(r"^Parameters\n-+\n(.*?)(?=^\S[^\n]*\n-{3,}$|\Z)", docstring, re.MULTILINE | re.DOTALL)
    heads = r"^(\w[\w, ]*?) ?: ?([^\n]*)\n((?:[ \t]+[^\n]*\n?|\n)*)"
    for names, kind, told in re.findall(heads, section.group(1) if section else "", re.MULTILINE):
        plain = re.sub(r"``([^`]*)``", r"\1", " ".join(told.split()))
        # Where to read more belongs in the documentation, and its "et al." ends no sentence.
        plain = re.sub(r" \([^()]*\b(?:19|20)\d\d[^()]*\)", "", plain)
        first = re.sub(r":\w+:`([^`]*)`", r"\1", re.split(r"(?<=[.!?])\s", plain, maxsplit=1)[0])
        first = first.replace("max_error", "--max-error").replace("None", "none")
        for name in names.split(","):
            found[name.strip()] = (re.sub(r",? default.*", "", kind).strip(), first)
    return found


# The flags of fit: the parameters of all models, merged by name


def _flags(found: dict[str, Found], members: dict[str, Any]) -> dict[str, list[Any]]:
    owners: dict[str, Found] = {}
    for model, parameters in found.items():
        for name, own in parameters.items():
            if name not in _NOT_FLAGS:
                owners.setdefault(name, {})[model] = own
    return {name: _flag(name, own, members) for name, own in owners.items()}


def _flag(name: str, owners: Found, members: dict[str, Any]) -> list[Any]:
    """Return the names and the metavar of a flag, its help and its kind."""
    flag = next(iter(owners.values()))["flag"]
    types = {tuple(own["types"]) for own in owners.values()}
    said = _said(owners, members)
    if types == {("bool",)}:
        return [flag if "codec" in owners else f"{flag}/--no-{flag.removeprefix('--')}", said, "bool"]
    kind = "int" if types == {("int",)} else "float" if types == {("float",)} else "str"
    if "codec" in owners and name in _CODEC:
        return [f"{flag} {_CODEC[name][0]}", _CODEC[name][1] or said, "list" if name == "max_error" else kind]
    return [f"{flag} {_metavar(list(owners.values()))}", said, kind]


def _said(owners: Found, members: dict[str, Any]) -> str:
    """Say what a flag does; what is not so of all models begins with the name of the one it is true of."""
    texts: dict[str, list[str]] = {}
    for model, own in owners.items():
        texts.setdefault(own["help"], []).append(model)
    most = [model for model in CLASSES if model not in _APART and model != "codec"]
    plain = [most, ["codec"]]
    said = [text if models[: len(most)] in plain else f"({', '.join(models)}) {text}" for text, models in texts.items()]
    families = _unique(own["family"] for own in owners.values() if own["family"])
    known = [f"{name}({', '.join(own)})".removesuffix("()") for f in families for name, own in members[f].items()]
    return " ".join(said) + (f" Known: {', '.join(known)}." if known else "") + _defaults(owners)


def _defaults(owners: Found) -> str:
    shown: dict[str, list[str]] = {}
    for model, own in owners.items():
        if (value := own["default"]) is not None and not (model == "codec" and value is False):
            shown.setdefault(f"{value:g}" if isinstance(value, float) else str(value).lower(), []).append(model)
    if len(shown) < 2:
        return f" [default: {next(iter(shown))}]" if shown else ""
    said = [f"{value} of {' and '.join(models)}" for value, models in shown.items()]
    return f" [default: {', '.join(said)}]"


def _metavar(found: list[dict[str, Any]]) -> str:
    choices = "|".join(_unique(choice for own in found for choice in own["choices"]))
    if all(own["choices"] for own in found):
        return choices
    if any(own["family"] for own in found):
        # The words of a model that knows a few only; those of the others stand in the text.
        return choices or "NAME"
    words = {"int": "INT", "float": "NUMBER", "os.PathLike[str]": "FILE", "tuple[int, ...]": "H,W[,C]"}
    parts = _unique(word for own in found for kind, word in words.items() if kind in own["types"])
    if parts:
        parts += _unique(own["default"] for own in found if isinstance(own["default"], str))
        parts = _unique([*parts, *(word for own in found for word in re.findall('"([a-z]+)"', own["kind"]))])
    return "|".join(parts) or "TEXT"


def _unique(values: Iterable[Any]) -> list[Any]:
    return list(dict.fromkeys(values))


if __name__ == "__main__":
    Path(__file__).with_name("options.json").write_text(text(), encoding="utf-8")
