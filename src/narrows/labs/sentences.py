"""The words of labs: one JSON a lab and language, of templates that are filled in with what was found."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from narrows.labs.conclusions import Comparison, Conclusion

__all__ = ["Sentences"]


@cache
def _read(lab: str, language: str) -> dict[str, Any]:
    folder = resources.files("narrows.labs") / "sentences"
    common, own = (
        json.loads((folder / f"{name}.{language}.json").read_text(encoding="utf-8")) for name in ("common", lab)
    )
    found: dict[str, Any] = common | own
    return found


class Sentences:
    """The words of a lab in one language.

    Parameters
    ----------
    lab : str
        Whose ``sentences/<lab>.<language>.json``, which has all keys of the English one.
    language : str, default "en"
        Which language.
    """

    def __init__(self, lab: str, language: str = "en") -> None:
        self._templates = _read(lab, language)

    def __getitem__(self, key: str) -> Any:
        """Return a template, or a list or mapping of templates."""
        return self._templates[key]

    def fill(self, template: str, values: Mapping[str, Any]) -> str:
        """Return a template with values; comparisons among them become words."""
        words = {name: self.relation(value) if hasattr(value, "relation") else value for name, value in values.items()}
        return template.format_map(words)

    def relation(self, comparison: Comparison) -> str:
        """Return a comparison as words to be followed by what the other value is."""
        template: str = self["relations"][comparison.relation]
        return template.format(ratio=comparison.ratio, change=comparison.change)

    def conclusion(self, conclusion: Conclusion) -> str:
        """Return a conclusion as a sentence, with the ending for its order."""
        templates = self["conclusions"][conclusion.key]
        ending = templates.get({1: "better", 0: "same", -1: "worse"}[conclusion.order], ".")
        return self.fill(templates["text"] + ending, conclusion.values)
