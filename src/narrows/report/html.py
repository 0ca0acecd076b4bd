"""A report as one HTML file: nothing in it is fetched from elsewhere, and no script runs."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from narrows.io.atomic import atomic_write
from narrows.report.theme import DARK, LIGHT, Theme

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Section", "Table", "render_report", "render_table", "write_report"]

DOTS_PER_INCH = 160


@dataclass(frozen=True)
class Table:
    """A table of texts.

    Attributes
    ----------
    columns : tuple of str
        Heads.
    rows : tuple of tuple of str
        Cells. All but the first column are set as numbers, to the right.
    best : tuple of int or None, default ()
        For each column the row to set in bold, or None.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    best: tuple[int | None, ...] = ()


@dataclass(frozen=True)
class Section:
    """One part of a report. Everything but the title may be left out; all text is plain text.

    Attributes
    ----------
    title : str
        Its heading.
    text : str
        A sentence or a paragraph.
    table : Table or None
        Comes after the text.
    items : tuple of str
        A list of sentences.
    figure : callable or None
        Given ``"light"`` or ``"dark"``, draws the figure in that theme.
    caption : str
        What the figure shows; also its text for those who do not see it.
    """

    title: str
    text: str = ""
    table: Table | None = None
    items: tuple[str, ...] = ()
    figure: Callable[[str], Figure] | None = None
    caption: str = ""


def write_report(path: str | os.PathLike[str], title: str, sections: Sequence[Section], *, lead: str = "") -> None:
    """Write a report to a file, whole or not at all.

    Parameters
    ----------
    path : path-like
        The file.
    title : str
        Its heading.
    sections : sequence of Section
        Its parts.
    lead : str, default ""
        A sentence below the heading.

    Raises
    ------
    DataError
        If it cannot be written.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from narrows.report import Section, write_report
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "report.html"
    >>> write_report(file, "A < B", [Section("Numbers", "One & two.")])
    >>> "A &lt; B" in file.read_text(encoding="utf-8")
    True
    """
    text = render_report(title, sections, lead=lead)
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def render_report(title: str, sections: Sequence[Section], *, lead: str = "") -> str:
    """Return what :func:`write_report` writes: styles and images are in it, light or dark as the reader's system is."""
    body = "\n".join(_section(section) for section in sections)
    heading = f"<h1>{escape(title)}</h1>" + (f'\n<p class="lead">{escape(lead)}</p>' if lead else "")
    return _PAGE.format(title=escape(title), style=_STYLE, heading=heading, body=body)


def _section(section: Section) -> str:
    parts = [f"<h2>{escape(section.title)}</h2>"]
    if section.text:
        parts.append(f"<p>{escape(section.text)}</p>")
    if section.table is not None:
        parts.append(render_table(section.table))
    if section.items:
        parts.append("<ul>" + "".join(f"<li>{escape(item)}</li>" for item in section.items) + "</ul>")
    if section.figure is not None:
        parts.append(_figure(section.figure, section.caption))
    return "<section>\n" + "\n".join(parts) + "\n</section>"


def render_table(table: Table) -> str:
    """Return a table as HTML."""
    best = table.best or (None,) * len(table.columns)
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in table.columns)
    lines = []
    for number, row in enumerate(table.rows):
        cells = [f'<th scope="row">{escape(row[0])}</th>']
        for cell, winner in zip(row[1:], best[1:], strict=True):
            text = escape(cell)
            cells.append(f"<td><strong>{text}</strong></td>" if winner == number else f"<td>{text}</td>")
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'


def _figure(draw: Callable[[str], Figure], caption: str) -> str:
    light, dark = (_data_address(draw(theme)) for theme in ("light", "dark"))
    image = (
        f'<picture><source media="(prefers-color-scheme: dark)" srcset="{dark}">'
        f'<img src="{light}" alt="{escape(caption)}"></picture>'
    )
    return f"<figure>{image}<figcaption>{escape(caption)}</figcaption></figure>"


def _data_address(figure: Figure) -> str:
    """Return a figure as an address that holds the whole image."""
    buffer = io.BytesIO()
    # No metadata: it would name the version of matplotlib.
    figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _variables(theme: Theme) -> str:
    return f"--paper:{theme.paper};--ink:{theme.ink};--faint:{theme.faint};--line:{theme.line}"


_STYLE = (
    f":root{{color-scheme:light dark;{_variables(LIGHT)}}}"
    f"@media (prefers-color-scheme:dark){{:root{{{_variables(DARK)}}}}}"
    """
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);
 font:17px/1.6 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
main{max-width:58rem;margin:0 auto;padding:3rem 1.25rem 4rem}
h1{font-size:2.1rem;line-height:1.2;margin:0 0 .6rem}
h2{font-size:1.3rem;line-height:1.3;margin:3rem 0 .6rem}
p,ul{max-width:42rem}
.lead{font-size:1.15rem;color:var(--faint);margin:0}
ul{padding-left:1.2rem} li{margin:.45rem 0}
.wide{overflow-x:auto}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.95rem;margin:1rem 0}
th,td{padding:.45rem .9rem;text-align:right;border-bottom:1px solid var(--line);font-weight:400}
thead th{color:var(--faint);font-size:.85rem;vertical-align:bottom}
th:first-child{text-align:left;padding-left:0;white-space:nowrap}
figure{margin:1.2rem 0 0} img{max-width:100%;height:auto;display:block}
figcaption{color:var(--faint);font-size:.92rem;margin-top:.5rem;max-width:42rem}
@media print{section{break-inside:avoid}}
"""
)

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
{heading}
{body}
</main>
</body>
</html>
"""
