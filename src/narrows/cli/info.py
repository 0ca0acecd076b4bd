"""``narrows info``: what a model file says of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import narrows
from narrows.cli.codec.info import show_codec, summary_of_file
from narrows.cli.describe import describe_changed, in_words, rows_of
from narrows.cli.printing import describe_file, print_json, print_rows, print_table
from narrows.cli.recommend.fit import rows_of_file

if TYPE_CHECKING:
    from pathlib import Path

_LAST_RECORDS = 5


def info(model: Path, *, as_json: bool) -> None:
    """Print it."""
    record = narrows.describe(model)
    if record["class"] == "Codec":
        if as_json:
            print_json(record | summary_of_file(model, record) | {"changed_options": describe_changed(record)})
        else:
            show_codec(model, record)
        return
    recommender = record["class"] == "Recommender"
    if as_json:
        said = str(record["fitted"]["reason"]) if recommender else in_words(record)
        size = {"file": str(model), "bytes": model.stat().st_size}
        print_json(size | record | {"changed_options": describe_changed(record), "in_words": said})
        return
    options = ", ".join(f"{name}={text}" for name, text in describe_changed(record).items())
    print_rows(
        [
            ("file", f"{describe_file(model)}, written by narrows {record['narrows']}"),
            ("class", record["class"]),
            *(rows_of_file(model, record) if recommender else rows_of(record)),
            ("options", options or "all by default"),
        ]
    )
    if recommender and record["fitted"]["candidates"]:
        ranked = sorted(record["fitted"]["candidates"], key=lambda candidate: -candidate["ndcg@100"])
        rows = [[c["method"], f"{c['ndcg@100']:.4f}", f"{c['error']:.4f}"] for c in ranked]
        print_table(["method", "NDCG@100", "standard error"], rows, title="on validation users of the fit")
    _show_history(record["fitted"].get("history", []))


def _show_history(history: list[dict[str, Any]]) -> None:
    known: tuple[str, ...] = ("step", "epoch", "seconds", "loss", "val_loss", "ndcg@100", "learning_rate")
    if any("val_kl_loss" in record for record in history):
        # In nats a row; "loss" alone would hide which part of it is what.
        known = ("step", "epoch", "seconds", "loss", "val_reconstruction_loss", "val_kl_loss", "active_components")
    short = {"val_reconstruction_loss": "val_reconstruction", "val_kl_loss": "val_kl", "active_components": "active"}
    names = [name for name in known if any(name in record for record in history)]
    rows = [[record.get(name, "") for name in names] for record in history[-_LAST_RECORDS:]]
    if rows:
        skipped = len(history) - len(rows)
        title = f"history, after {skipped:,} earlier records" if skipped else "history"
        print_table([short.get(name, name) for name in names], rows, title=title)
