"""Every example in the documentation runs and prints what it says."""

from __future__ import annotations

import contextlib
import doctest
import importlib
import io
import pkgutil
import re
from pathlib import Path

import pytest

import narrows

ROOT = Path(__file__).parent.parent
MODULES = sorted(module.name for module in pkgutil.walk_packages(narrows.__path__, "narrows."))
WITH_EXAMPLES = [
    name
    for name in MODULES
    if ">>>" in Path(importlib.util.find_spec(name).origin).read_text(encoding="utf-8")  # type: ignore[union-attr, arg-type]
]


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_docstring_examples(name: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert result.attempted > 0
    assert result.failed == 0


def test_the_readme_s_examples_print_what_they_say(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    examples = re.findall(r"```python\n(.*?)```(?:\s*```text\n(.*?)```)?", text, re.DOTALL)
    assert len(examples) >= 3
    names: dict = {}
    for code, expected in examples:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, "README.md", "exec"), names)
        if expected:
            _assert_as_said(printed.getvalue(), expected)


def _assert_as_said(printed: str, expected: str) -> None:
    numbers = re.compile(r"\d+\.\d+")
    assert numbers.sub("#", printed.strip()) == numbers.sub("#", expected.strip())
    said, found = (list(map(float, numbers.findall(part))) for part in (expected, printed))
    # Another machine may round its sums differently, and training spreads that a little.
    assert found == pytest.approx(said, rel=0.15)


def test_the_readme_s_commands_are_those_of_the_command_line(capsys) -> None:
    from narrows.cli import main

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    shell = "\n".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL))
    verbs = set(re.findall(r"^narrows (\w+)", shell, re.MULTILINE))
    assert {"fit", "encode", "score", "info"} <= verbs
    for verb in verbs:
        assert main([verb, "--help"]) == 0


def test_everything_public_is_documented() -> None:
    for name in narrows.__all__:
        thing = getattr(narrows, name)
        if name != "__version__":
            assert thing.__doc__, name
    for method in ("fit", "partial_fit", "transform", "inverse_transform", "reconstruct", "reconstruction_error"):
        text = getattr(narrows.Autoencoder, method).__doc__
        assert "Parameters" in text


def test_every_option_is_documented() -> None:
    documented = narrows.Autoencoder.__doc__
    for name in narrows.Autoencoder._get_param_names():
        assert re.search(rf"^    {name} : ", documented, re.MULTILINE), name
