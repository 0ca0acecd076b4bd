"""The front door: what people hand in becomes typed columns, rows of numbers or images; and back out as it came.

:func:`read` takes a frame, a file, a folder, a URL or anything else with columns, and decides what each column is (a
:class:`Schema`). Estimators do so by themselves; reading first shows what was decided, and can overrule it.
"""

from __future__ import annotations

from narrows.data.folders import image_files, write_images
from narrows.data.opening import open_source
from narrows.data.output import write_table
from narrows.data.pictures import read_image, write_image
from narrows.data.schema import Column, Schema
from narrows.data.table import Table, read

__all__ = [
    "Column",
    "Schema",
    "Table",
    "image_files",
    "open_source",
    "read",
    "read_image",
    "write_image",
    "write_images",
    "write_table",
]
