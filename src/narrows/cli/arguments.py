"""Arguments that several verbs have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["AsJson", "Columns", "DataArgument", "Device", "ModelFile", "Out"]

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
