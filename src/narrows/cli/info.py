"""``narrows info`` and ``describe``: what a model file says of itself, and what the columns of data are."""

from pathlib import Path
from typing import Any

import numpy as np

import narrows
from narrows.cli import files
from narrows.cli.codec.info import summary_of_codec
from narrows.cli.describe import describe_changed, summary_of
from narrows.cli.printing import describe_shape, print_json, print_record, print_table
from narrows.cli.recommend.fit import summary_of_file
from narrows.data.places import format_of
from narrows.data.schema import Column

_LAST_RECORDS = 5
_LEVELS = 6
_HISTORY = ("step", "epoch", "seconds", "loss", "val_loss", "ndcg@100", "learning_rate")
# In nats a row; "loss" alone would hide which part of it is what.
_VARIATIONAL = ("step", "epoch", "seconds", "loss", "val_reconstruction_loss", "val_kl_loss", "active_components")


def describe(data: str, *, reading: dict[str, Any], as_json: bool) -> None:
    """Print the schema of a table, or what an array or a folder of images holds."""
    given = files.read_data(data, reading)
    table = given.table
    if table is not None and as_json:
        print_json(table.schema.to_json())
    elif table is not None:
        rows = [_said(column) for column in table.schema.columns]
        head = [name for name in rows[0] if any(row[name] for row in rows)]
        print_table(head, [[row[name] for name in head] for row in rows], title=f"{table.n_rows:,} rows")
    else:
        shape = getattr(given.rows, "shape", np.shape(given.rows))[1:] if isinstance(given.rows, np.ndarray) else ()
        shape = shape or tuple(given.rows.shape)
        what = {"images": describe_shape(shape)} if len(shape) > 1 else {"columns": shape[0]}
        print_record({"rows": given.n_rows(), **what, "type": str(given.rows.dtype)}, as_json=as_json)


def _said(column: Column) -> dict[str, Any]:
    """Return what is to be said of a column: its kind and the reason, what is missing, and its values."""
    if column.levels is not None:
        shown = ", ".join(map(str, column.levels[:_LEVELS])) + (", ..." if len(column.levels) > _LEVELS else "")
    elif column.low is None:
        shown = ""
    else:
        shown = str(column.low) if column.low == column.high else f"{_short(column.low)} to {_short(column.high)}"
    missing = f"{column.missing:.1%}" if column.missing else ""
    used = "" if column.is_feature else " (left out)"
    return {"column": column.name, "kind": column.kind + used, "missing": missing, "values": shown, "why": column.why}


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value).removesuffix("T00:00:00")


def info(model: Path, *, reading: dict[str, Any], as_json: bool) -> None:
    """Print it: all of the file's head for machines, a summary for people."""
    if model.is_dir() or files.named_set(str(model)) or format_of(model.name):
        describe(str(model), reading=reading, as_json=as_json)
        return
    record = narrows.describe(model)
    head = {"file": str(model), "bytes": model.stat().st_size}
    changed = describe_changed(record)
    if record["class"] == "Codec":
        told = summary_of_codec(model, record)
    elif record["class"] == "Recommender":
        told = summary_of_file(model, record)
    else:
        told = summary_of(record)
    if as_json:
        said = {"changed_options": changed, "in_words": told.get("in_words", told.get("reason"))}
        print_json(head | record | told | said)
        return
    history = record["fitted"].get("history", [])
    known = _VARIATIONAL if any("val_kl_loss" in entry for entry in history) else _HISTORY
    last = [{name: entry[name] for name in known if name in entry} for entry in history[-_LAST_RECORDS:]]
    options = ", ".join(f"{name}={text}" for name, text in changed.items()) or "all by default"
    about = {"narrows": record["narrows"], "class": record["class"], "options": options}
    print_record(head | about | told | {"history": last}, as_json=False)
