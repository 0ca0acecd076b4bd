"""The page of a lab: the numbers, what they say, and pictures, as one HTML file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from narrows.labs.results import table_of
from narrows.labs.sentences import Sentences
from narrows.report.html import Section, write_report
from narrows.report.theme import require_matplotlib

if TYPE_CHECKING:
    import os

    from narrows.labs.engine import LabResult, Part

__all__ = ["lab_sections", "write_lab_page"]


def write_lab_page(result: LabResult, path: str | os.PathLike[str]) -> None:
    """Write the page of a lab: one HTML file with its numbers, what they say, and pictures.

    Parameters
    ----------
    result : LabResult
        A lab that has been run.
    path : path-like
        The file.

    Raises
    ------
    DataError
        If matplotlib is missing or the file cannot be written.

    Examples
    --------
    >>> from narrows.labs import run_lab, write_lab_page
    >>> write_lab_page(run_lab("digits"), "report.html")  # doctest: +SKIP
    """
    require_matplotlib()
    first, *rest = lab_sections(result)
    titles = Sentences(result.lab.prose)["sections"]
    sections = [
        first,
        Section(titles["conclusions"], items=result.conclusions),
        *rest,
        Section(titles["notes"], items=result.notes),
        Section(titles["sources"], items=result.sources),
    ]
    write_report(path, result.text("title"), sections, lead=result.text("lead"))


def lab_sections(result: LabResult) -> list[Section]:
    """Return the parts of a lab's page that have a table or a figure; the command line prints the tables."""
    sections = (_section(result, part) for part in result.lab.parts)
    return [section for section in sections if section is not None]


def _section(result: LabResult, part: Part) -> Section | None:
    words = Sentences(result.lab.prose)["parts"][part.key]
    table = None
    if part.table is not None:
        table = part.table(result)
    elif part.columns:
        columns = part.columns if isinstance(part.columns, tuple) else part.columns(result)
        head = words.get("head", Sentences(result.lab.prose)["head"])
        table = table_of(result.entries, result.lab.measures, columns, Sentences(result.lab.prose)["headings"], head)
    draw = part.figure
    if draw is None and (table is None or not table.rows):
        return None
    title, text, caption = (result.fill(words.get(name, "")) for name in ("title", "text", "caption"))
    figure = None if draw is None else lambda theme: draw(result, theme)
    return Section(title, text, table, figure=figure, caption=caption)
