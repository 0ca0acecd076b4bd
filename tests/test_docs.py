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


def test_the_readme_s_example_prints_what_it_says(capsys) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    code, expected = re.search(r"```python\n(.*?)```\s*```text\n(.*?)```", text, re.DOTALL).groups()
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "README.md", "exec"), {})
    numbers = re.compile(r"\d+\.\d+")
    assert numbers.sub("#", printed.getvalue().strip()) == numbers.sub("#", expected.strip())
    said, found = (list(map(float, numbers.findall(part))) for part in (expected, printed.getvalue()))
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
