"""The page of a lab: the numbers, what they say, and pictures, as one HTML file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from narrows.report.html import Section, Table, write_report
from narrows.report.theme import require_matplotlib

if TYPE_CHECKING:
    from narrows.labs.conclusions import Entry, Measure
    from narrows.labs.engine import LabResult, Part

__all__ = ["lab_sections", "table_of", "write_lab_page"]


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
    told = [Section(title, items=getattr(result, name)) for name, title in result.lab.sentences()["sections"].items()]
    write_report(path, result.text("title"), [first, told[0], *rest, *told[1:]], lead=result.text("lead"))


def lab_sections(result: LabResult) -> list[Section]:
    """Return the parts of a lab's page that have a table or a figure; the command line prints the tables."""
    sections = (_section(result, part) for part in result.lab.parts)
    return [section for section in sections if section is not None]


def _section(result: LabResult, part: Part) -> Section | None:
    words = result.lab.sentences()
    words |= words["parts"][part.key]
    table = None
    if part.table is not None:
        table = part.table(result)
    elif part.columns:
        table = table_of(result.entries, result.lab.measures, part.columns, words)
    draw = part.figure
    if draw is None and (table is None or not table.rows):
        return None
    title, text, caption = (result.fill(words["parts"][part.key].get(key, "")) for key in ("title", "text", "caption"))
    return Section(title, text, table, figure=draw and (lambda theme: draw(result, theme)), caption=caption)


def table_of(
    entries: Iterable[Entry], measures: Mapping[str, Measure], columns: Sequence[str], words: Mapping[str, Any]
) -> Table:
    """Return a table of the entries that have any of the measures, and the measures that any has, the best marked."""
    rows = [entry for entry in entries if any(entry.cell(measures[key]) for key in columns if key != "seconds")]
    columns = [key for key in columns if any(row.cell(measures[key]) for row in rows)]
    best: list[int | None] = [None]
    for column in columns:
        better = measures[column].better * measures[column].mark
        ranked = [(better * row[column], -number) for number, row in enumerate(rows) if column in row.values]
        best.append(-max(ranked)[1] if better and ranked else None)
    cells = tuple((row.name, *(row.cell(measures[column]) for column in columns)) for row in rows)
    return Table((words["head"], *(words["headings"][column] for column in columns)), cells, tuple(best))
