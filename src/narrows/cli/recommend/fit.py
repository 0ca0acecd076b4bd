"""A recommender on the command line: fitted, loaded, and described."""

import contextlib
import sys
import time
from pathlib import Path
from typing import Any

import narrows
from narrows.cli.files import check_model_place, load_model
from narrows.cli.flags import construct, option_to_text
from narrows.cli.recommend.ratings_input import ROLES, RatingsInput, column_names, file_of_log, read_ratings

_ITEMS_SHOWN = 3


def fit_recommender(data: str, out: Path, options: dict[str, Any], items: Path | None) -> dict[str, Any]:
    """Fit a recommender, save it, and return what is to be said of it."""
    # None leaves a column out, which the flags say by a word.
    named = {f"{role}_column": options[role] or "none" for role in ROLES if role in options}
    check_model_place(out, file_of_log(data), items)
    given = read_ratings(data, column_names(**named), items)
    start = time.perf_counter()
    model = fitted_recommender(given, options)
    seconds = time.perf_counter() - start
    model.save(out)
    log, head = given.log, {"model": str(out), "bytes": out.stat().st_size, "class": "Recommender"}
    size = {"entries": len(log), "users": len(log.users), "items": len(log.items), "rated": log.rated}
    titles = {"titles": len(set(model.item_index_) & set(model.titles_))}
    return head | {"log": given.describe()} | size | titles | describe_model(model) | {"seconds": seconds}


def fitted_recommender(given: RatingsInput, options: dict[str, Any]) -> Any:
    """Fit a recommender; what it tells of its progress is no result."""
    model = construct("recommender", {"random_state": 0} | options)
    with contextlib.redirect_stdout(sys.stderr):
        return model.fit(given.log, titles=given.titles or None)


def load_recommender(path: Path, device: str) -> Any:
    """Load a recommender, and refuse a model of another class."""
    otherwise = "recommends nothing: fit a recommender with narrows fit --model recommender, or leave -m out"
    return load_model(path, device, "recommend", otherwise)


def summary_of_file(path: Path, record: dict[str, Any]) -> dict[str, Any]:
    """Return what ``narrows info`` says of a recommender's file."""
    # The ids and titles of items are no part of what the file says in its head.
    model = narrows.load(path, device="cpu")
    items = [model.titles_.get(item, str(item)) for item in model.item_index_]
    return {
        "n_items": len(model.items_),
        "titles": len(model.titles_),
        "items": items[:_ITEMS_SHOWN],
        "n_parameters": record["n_parameters"],
        **describe_model(model),
    }


def describe_model(model: Any) -> dict[str, Any]:
    """Say what ranks and why, which entries count as positive, and what ratings there were in the fit."""
    scale = model.rating_scale_
    return {
        # As the command line takes it, without what is as by default.
        "method": option_to_text(model.method_.to_json(), "Method"),
        "reason": model.reason_,
        "positive_from": model.positive_from_,
        "ratings": None if scale is None else dict(zip(("least", "mean", "most"), scale, strict=True)),
        "candidates": model.candidates_,
    }
