"""Arguments that several verbs have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from narrows.cli.signature import members

__all__ = [
    "AsJson",
    "Columns",
    "DataArgument",
    "Device",
    "ItemColumn",
    "ModelFile",
    "Out",
    "RatingColumn",
    "RatingMethod",
    "TimestampColumn",
    "Titles",
    "UserColumn",
]

DataArgument = Annotated[
    str, typer.Argument(metavar="DATA", help="A file, a folder of images, or a named data set: digits, mnist:test, ...")
]
ModelFile = Annotated[Path, typer.Option("--model", "-m", metavar="MODEL", help="The model file that fit wrote.")]
Out = Annotated[
    Path, typer.Option("--out", "-o", metavar="OUT", help="The file to write: .csv, .tsv, .parquet, .npy or .npz.")
]
Device = Annotated[str, typer.Option("--device", help="Where to compute: auto, cpu, cuda, ...")]
Columns = Annotated[
    str | None, typer.Option("--columns", metavar="A,B,...", help="Columns to use, by name or by position from 0.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
UserColumn = Annotated[
    str | None,
    typer.Option("--user-column", metavar="NAME", help="The column of users; else the usual names, or the first."),
]
ItemColumn = Annotated[
    str | None,
    typer.Option("--item-column", metavar="NAME", help="The column of items; else the usual names, or the second."),
]
RatingColumn = Annotated[
    str | None,
    typer.Option("--rating-column", metavar="NAME|none", help="The column of ratings; else the usual names, if any."),
]
TimestampColumn = Annotated[
    str | None,
    typer.Option("--timestamp-column", metavar="NAME|none", help="The column of times; else the usual names, if any."),
]
Titles = Annotated[
    Path | None,
    typer.Option("--items", metavar="FILE", help="Titles of items: a table with a column of ids and one of titles."),
]
RatingMethod = Annotated[
    str | None,
    typer.Option(
        "--method",
        metavar="|".join(["auto", *(member.name for member in members("narrows.recommend.methods", "Method"))]),
        help="What ranks; settings as in 'linear(l2=200)' [default: auto, the best on validation users].",
        show_default=False,
    ),
]
