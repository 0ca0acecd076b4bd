"""Reading and writing what people have: csv, tsv, Parquet, npy, npz and idx files, images and folders of them.

:func:`read` takes a file into memory, :func:`open_segments` reads it in pieces of bounded size, and
:func:`write` puts an array into a file, whole or not at all. Everything ends up as one plain numeric array
with rows first.
"""

from narrows.tables.folders import write_images
from narrows.tables.named import read_named
from narrows.tables.pictures import read_image, write_image
from narrows.tables.reading import open_segments, read
from narrows.tables.table import SegmentedFile, Table
from narrows.tables.writing import write

__all__ = [
    "SegmentedFile",
    "Table",
    "open_segments",
    "read",
    "read_image",
    "read_named",
    "write",
    "write_image",
    "write_images",
]
