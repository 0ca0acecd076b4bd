"""Small files for tests, written and read plainly: an array of numbers and the names of its columns."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa

from narrows.data import read_image, write_image, write_images
from narrows.data.folders import ImageFolder
from narrows.data.opening import open_source
from narrows.data.output import write_table

__all__ = ["read", "read_image", "read_named", "write", "write_image", "write_images"]


def read(path, columns=None):
    """Return the numbers of a file as ``values``, and the names of its columns, None where it has none."""
    path = Path(path)
    if path.suffix == ".npy":
        values = np.load(path)
        return SimpleNamespace(values=values.reshape(len(values), -1), columns=None, shape=values.shape[1:])
    if path.is_dir():
        images = ImageFolder(path).images()
        return SimpleNamespace(values=images.reshape(len(images), -1), columns=None, shape=images.shape[1:])
    source = open_source(path, columns=columns)
    table = source.table()
    values = np.column_stack([column.to_numpy() for column in table.columns])
    return SimpleNamespace(values=values, columns=table.column_names if source.origin.named else None)


def read_named(path):
    """Return the columns of a file by their names, texts as arrays of texts."""
    table = open_source(path).table()
    plain = {name: table.column(name).to_numpy() for name in table.column_names}
    return {name: values.astype(str) if values.dtype == object else values for name, values in plain.items()}


def write(path, values, columns=None):
    """Write an array; text without ``columns`` has no header."""
    path, values = Path(path), np.asarray(values)
    if path.suffix == ".npy":
        np.save(path, values)
    elif path.suffix == ".npz":
        np.savez(path, X=values)
    elif columns is None and path.suffix in (".csv", ".tsv"):
        mark = "," if path.suffix == ".csv" else "\t"
        rows = values.reshape(len(values), -1).tolist()
        path.write_text("".join(mark.join("" if x != x else repr(x) for x in row) + "\n" for row in rows))
    else:
        names = columns or [f"x{number}" for number in range(values.shape[1])]
        arrays = [pa.array(column) for column in values.T]
        fields = [pa.field(str(name), array.type) for name, array in zip(names, arrays, strict=True)]
        write_table(path, pa.Table.from_arrays(arrays, schema=pa.schema(fields)))
