"""What an estimator can be told, read from its source text and never by importing it.

A constructor's signature is the only list of options, but importing it brings torch and scikit-learn along, which
``--help`` must not wait for. So the source is parsed: the arguments of ``__init__`` with their annotations and
defaults, the sentences about them in the class's docstring, and the members of each family of option values (the
dataclasses that may stand for ``network``, say) with their fields.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

__all__ = ["Member", "Parameter", "members", "parameters"]

REQUIRED = "(required)"
"""Stands for the default of a parameter that has none."""

_COLUMNS = ("user", "item", "rating", "timestamp")
"""Parameters that name a column of a log; their flags say so, for --user is someone."""


@dataclass(frozen=True)
class Member:
    """One class of a family of option values.

    Attributes
    ----------
    name : str
        What the family's ``resolve`` knows it by: the class's name in lower case.
    fields : dict
        Its settings and their defaults, in order.
    """

    name: str
    fields: dict[str, Any]


@dataclass(frozen=True)
class Parameter:
    """One parameter of a constructor.

    Attributes
    ----------
    name : str
        Its name in Python.
    default : object
        Its default, a plain value.
    atoms : tuple of str
        The parts of its annotation, of ``int | str | None`` "int", "str" and "None".
    kind : str
        What the docstring says it may be, without the default.
    help : str
        The first sentence about it.
    family : tuple of Member
        For an option value, what it may be; otherwise empty.
    home : tuple of str
        For an option value, the module and the name of the family's base class; otherwise empty.
    """

    name: str
    default: Any
    atoms: tuple[str, ...]
    kind: str
    help: str
    family: tuple[Member, ...] = ()
    home: tuple[str, ...] = ()

    @property
    def flag(self) -> str:
        """The flag on the command line."""
        return f"--{self.name}-column" if self.name in _COLUMNS else "--" + self.name.replace("_", "-")

    @property
    def choices(self) -> tuple[str, ...]:
        """The words it may be, where it may be nothing else."""
        fixed = self.kind.startswith("{") and not self.family
        return tuple(re.findall(r'"([^"]*)"', self.kind)) if fixed else ()


@cache
def parameters(module: str, name: str) -> tuple[Parameter, ...]:
    """Read the parameters of a class's constructor.

    Parameters
    ----------
    module, name : str
        Where the class is and what it is called: ``"narrows.autoencoder", "Autoencoder"``.

    Returns
    -------
    tuple of Parameter
        In the order of the signature, without ``self``.
    """
    tree = _tree(_origin(module))
    body = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)
    init = next(node for node in body.body if isinstance(node, ast.FunctionDef) and node.name == "__init__")
    told = _docstring_parameters(ast.get_docstring(body) or "")
    homes = _imports(tree)
    found = []
    for argument, default in _arguments(init):
        atoms = tuple(_atoms(argument.annotation))
        kind, text = told.get(argument.arg, ("", ""))
        home = next(((homes[atom], atom) for atom in atoms if atom in homes), ())
        family = members(*home) if home else ()
        found.append(Parameter(argument.arg, _literal(default), atoms, kind, text, family, home))
    return tuple(found)


@cache
def members(module: str, family: str) -> tuple[Member, ...]:
    """Read the members of a family of option values.

    Parameters
    ----------
    module, family : str
        Where the family's base class is and what it is called: ``"narrows.corruption", "Corruption"``. Of a
        package, all modules are looked through.

    Returns
    -------
    tuple of Member
        By name. One that holds things no text can name, such as torch modules, is left out.
    """
    origin = _origin(module)
    files = sorted(origin.parent.glob("*.py")) if origin.name == "__init__.py" else [origin]
    found = []
    for file in files:
        for node in _tree(file).body:
            if isinstance(node, ast.ClassDef) and family in {ast.unparse(base) for base in node.bases}:
                fields = [part for part in node.body if isinstance(part, ast.AnnAssign) and _is_field(part)]
                # A setting that is made of option values cannot be written inside another one.
                fields = [part for part in fields if not _is_made(part.value)]
                if all(ast.unparse(part.annotation) != "Any" for part in fields):
                    settings = {ast.unparse(part.target): _literal(part.value) for part in fields}
                    found.append(Member(node.name.lower(), settings))
    return tuple(sorted(found, key=lambda member: member.name))


def _origin(module: str) -> Path:
    """Find a module's source below the package it is in, without importing anything."""
    top, *parts = module.split(".")
    spec = find_spec(top)
    if spec is not None and spec.origin is not None:
        place = Path(spec.origin).parent.joinpath(*parts)
        for file in (place / "__init__.py", place.with_suffix(".py")):
            if file.is_file():
                return file
    raise ModuleNotFoundError(f"there is no module {module}")


@cache
def _tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def _imports(tree: ast.Module) -> dict[str, str]:
    """Return which module of narrows each imported class comes from, also what is imported for types only."""
    return {
        alias.asname or alias.name: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("narrows.")
        for alias in node.names
    }


def _arguments(init: ast.FunctionDef) -> list[tuple[ast.arg, ast.expr | None]]:
    plain = init.args.args[1:]
    spare: list[ast.expr | None] = [None] * (len(plain) - len(init.args.defaults))
    return [
        *zip(plain, spare + list(init.args.defaults), strict=True),
        *zip(init.args.kwonlyargs, init.args.kw_defaults, strict=True),
    ]


def _atoms(annotation: ast.expr | None) -> list[str]:
    if annotation is None:
        return []
    if isinstance(annotation, ast.BinOp) and isinstance(annotation.op, ast.BitOr):
        return _atoms(annotation.left) + _atoms(annotation.right)
    return [ast.unparse(annotation)]


def _literal(node: ast.expr | None) -> Any:
    return REQUIRED if node is None else ast.literal_eval(node)


def _is_field(node: ast.AnnAssign) -> bool:
    return not ast.unparse(node.annotation).startswith("ClassVar")


def _is_made(node: ast.expr | None) -> bool:
    return node is not None and any(isinstance(part, ast.Call) for part in ast.walk(node))


def _docstring_parameters(docstring: str) -> dict[str, tuple[str, str]]:
    """Return the type and the first sentence of each parameter in a numpydoc docstring."""
    found = {}
    section = re.search(r"^Parameters\n-+\n(.*?)(?=^\S[^\n]*\n-{3,}$|\Z)", docstring, re.MULTILINE | re.DOTALL)
    heads = r"^(\w[\w, ]*?) ?: ?([^\n]*)\n((?:[ \t]+[^\n]*\n?|\n)*)"
    for names, kind, text in re.findall(heads, section.group(1) if section else "", re.MULTILINE):
        for name in names.split(","):
            found[name.strip()] = (re.sub(r",? default.*", "", kind).strip(), _first_sentence(text))
    return found


def _first_sentence(text: str) -> str:
    plain = re.sub(r"``([^`]*)``", r"\1", " ".join(text.split()))
    # Where to read more belongs in the documentation, and its "et al." ends no sentence.
    plain = re.sub(r" \([^()]*\b(?:19|20)\d\d[^()]*\)", "", plain)
    return re.split(r"(?<=[.!?])\s", plain, maxsplit=1)[0]
