"""``narrows info``: what a model file says of itself."""

from pathlib import Path

import narrows
from narrows.cli.codec.info import summary_of_codec
from narrows.cli.describe import describe_changed, summary_of
from narrows.cli.printing import print_json, print_record
from narrows.cli.recommend.fit import summary_of_file

_LAST_RECORDS = 5
_HISTORY = ("step", "epoch", "seconds", "loss", "val_loss", "ndcg@100", "learning_rate")
# In nats a row; "loss" alone would hide which part of it is what.
_VARIATIONAL = ("step", "epoch", "seconds", "loss", "val_reconstruction_loss", "val_kl_loss", "active_components")


def info(model: Path, *, as_json: bool) -> None:
    """Print it: all of the file's head for machines, a summary for people."""
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
