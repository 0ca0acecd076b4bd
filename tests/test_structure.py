"""The shape of the source: no circle of imports, and nothing too long to be read in one go."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
import pytest

import narrows

SOURCE = Path(narrows.__path__[0])
MOST_LINES = 450
MOST_LINES_OF_A_FUNCTION = 60


def test_no_circle_of_imports() -> None:
    """Imports inside functions and those for types count as well."""
    graph = grimp.build_graph("narrows", cache_dir=None)
    imported = {
        # The face of a package gathers what is in it.
        module: {name for name in graph.find_modules_directly_imported_by(module) if not name.startswith(f"{module}.")}
        for module in graph.modules - {"narrows"}
    }
    try:
        TopologicalSorter(imported).prepare()
    except CycleError as error:
        pytest.fail(" <- ".join(error.args[1]))


def test_files_and_functions_are_short() -> None:
    too_long = []
    for path in SOURCE.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if text.count("\n") > MOST_LINES:
            too_long.append(str(path))
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                docstring = ast.get_docstring(node, clean=False)
                lines = node.end_lineno - node.lineno + 1 - (docstring.count("\n") + 1 if docstring else 0)
                if lines > MOST_LINES_OF_A_FUNCTION:
                    too_long.append(f"{path}:{node.lineno} {node.name}")
    assert not too_long
