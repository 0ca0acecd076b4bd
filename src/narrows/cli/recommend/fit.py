"""A recommender on the command line: fitted, loaded, and described."""

from __future__ import annotations

import contextlib
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np

import narrows
from narrows.cli.files import check_model_place, load_model
from narrows.cli.flags import construct, option_to_text
from narrows.cli.printing import describe_bytes, first_of
from narrows.cli.recommend.ratings_input import ROLES, column_names, file_of_log, read_ratings

if TYPE_CHECKING:
    from pathlib import Path

    from narrows.cli.recommend.ratings_input import RatingsInput

MOST_SOLVED = 6000
"""EASE is fitted for comparison only where as many users or items make that a matter of seconds."""

_ITEMS_SHOWN = 3


def fit_recommender(
    data: str, out: Path, options: dict[str, Any], items: Path | None
) -> tuple[dict[str, Any], list[tuple[str, object]]]:
    """Fit a recommender, save it, and return what is to be said of it: for machines, and for people."""
    # None leaves a column out, which the flags say by a word.
    named = {f"{role}_column": options[role] or "none" for role in ROLES if role in options}
    check_model_place(out, file_of_log(data), items)
    given = read_ratings(data, column_names(**named), items)
    start = time.perf_counter()
    model = fitted_recommender(given, options)
    seconds = time.perf_counter() - start
    model.save(out)
    log, compared = given.log, candidate_rows(model)
    n_titles = len(set(model.item_index_) & set(model.titles_))
    told = {
        "model": str(out),
        "class": type(model).__name__,
        "log": given.describe(),
        "entries": len(log),
        "users": len(log.users),
        "items": len(log.items),
        "rated": log.rated,
        "titles": n_titles,
        "method": describe_method(model.method_),
        "reason": model.reason_,
        "positive_from": model.positive_from_,
        "candidates": model.candidates_,
        "in_words": dict(compared).get("NDCG@100", ""),
        "seconds": seconds,
        "bytes": out.stat().st_size,
    }
    rows: list[tuple[str, object]] = [
        ("log", told["log"]),
        ("titles", f"{n_titles:,}, of {len(log.items):,} items" if n_titles else "none"),
        *method_rows(model),
        *compared,
        ("time", f"{seconds:.1f} s"),
        ("file", f"{out}, {describe_bytes(told['bytes'])}"),
    ]
    return told, rows


def fitted_recommender(given: RatingsInput, options: dict[str, Any], *, compared: bool = True) -> Any:
    """Fit a recommender; ``compared`` adds popularity and EASE to ``candidates_``, on the same validation users."""
    model = construct("recommender", {"random_state": 0} | options)
    # What it tells of its progress is no result.
    with contextlib.redirect_stdout(sys.stderr):
        model.fit(given.log, titles=given.titles or None)
        if compared:
            model.candidates_ = _beside_simple(model, given)
    return model


def _beside_simple(model: Any, given: RatingsInput) -> list[dict[str, Any]]:
    """Return the candidates of a fit, and with them popularity and EASE on the same validation users."""
    from narrows.recommend.evaluation import fold_ndcg
    from narrows.recommend.linear import EASE_L2, fit_linear
    from narrows.recommend.scorers import ConstantScorer, popularity_of
    from narrows.recommend.splits import make_folds
    from narrows.validation import resolve_device, resolve_seed

    found: list[dict[str, Any]] = list(model.candidates_)
    known = {candidate["method"].partition(" ")[0] for candidate in found}
    if not found or not isinstance(model.random_state, int):
        return found
    positives = model.positives(given.log.matrix, rated=given.log.rated)
    positives = positives[np.diff(positives.indptr) > 0]
    fraction = None if isinstance(model.validation_fraction, str) else float(model.validation_fraction)
    device = resolve_device(model.device)
    folds = make_folds(positives, fraction, resolve_seed(model.random_state))
    simple: dict[str, Any] = {}
    if "popularity" not in known:
        simple["popularity"] = lambda rows: ConstantScorer(popularity_of(rows))
    if "EASE" not in known and min(positives.shape) <= MOST_SOLVED:
        simple[f"EASE (l2={EASE_L2:g})"] = lambda rows: fit_linear(rows, EASE_L2, 0.0, None)
    for name, scorer_of in simple.items():
        values = np.concatenate([fold_ndcg(scorer_of(fold.train).to(device), fold, device) for fold in folds])
        error = float(values.std() / np.sqrt(len(values)))
        found.append({"method": name, "ndcg@100": float(values.mean()), "error": error})
    return found


def load_recommender(path: Path, device: str) -> Any:
    """Load a recommender, and refuse a model of another class."""
    otherwise = "recommends nothing: fit a recommender with narrows fit --model recommender, or leave -m out"
    return load_model(path, device, "recommend", otherwise)


def rows_of_file(path: Path, record: dict[str, Any]) -> list[tuple[str, object]]:
    """Return what ``narrows info`` says of a recommender's file."""
    # The ids and titles of items are no part of what the file says in its head.
    model = narrows.load(path, device="cpu")
    items = first_of([model.titles_.get(item, str(item)) for item in model.item_index_], _ITEMS_SHOWN)
    titles = f", {len(model.titles_):,} with titles" if model.titles_ else ", without titles"
    return [
        ("items", f"{len(model.items_):,}{titles}: {items}"),
        ("users", "not listed: whoever has a history is served, by that alone"),
        *method_rows(model),
        ("ratings", describe_scale(model)),
        ("weights", f"{record['n_parameters']:,}"),
    ]


def method_rows(model: Any) -> list[tuple[str, object]]:
    """Say what ranks and why, and what counts as positive."""
    return [
        ("positive", describe_positives(model.positive_from_)),
        ("method", f"{describe_method(model.method_)}; {model.reason_}"),
    ]


def describe_method(method: Any) -> str:
    """Write what ranks as the command line takes it, without what is as by default.

    Examples
    --------
    >>> from narrows.recommend import Linear
    >>> describe_method(Linear(l2=200.0))
    'linear(l2=200.0)'
    """
    return option_to_text(method.to_json(), "Method")


def candidate_rows(model: Any) -> list[tuple[str, str]]:
    """Return the row of a summary that holds what ranks against EASE and popularity, the best first, or none."""
    beginnings = (_beginning(model.method_), "EASE", "popularity")
    found = [c for c in model.candidates_ if c["method"].startswith(beginnings)]
    ranked = sorted(found, key=lambda candidate: -candidate["ndcg@100"])
    said = ", ".join(f"{c['method']} {c['ndcg@100']:.3f} ± {c['error']:.3f}" for c in ranked)
    return [("NDCG@100", f"{said}; on validation users")] if found else []


def _beginning(method: Any) -> str:
    """Return how the candidate begins that a method was."""
    kind = type(method).__name__
    if kind == "Ensemble":
        return f"ensemble ({' + '.join(type(part).__name__.lower() for part in method.parts)},"
    return {"Multinomial": "Mult-"}.get(kind, kind.lower())


def describe_positives(positive_from: float | None) -> str:
    """Say which entries count as positive.

    Examples
    --------
    >>> describe_positives(3.5)
    'ratings of 3.5 and more'
    """
    return "every entry" if positive_from is None else f"ratings of {positive_from:.3g} and more"


def describe_scale(model: Any) -> str:
    """Say what ratings there were in the fit."""
    if model.rating_scale_ is None:
        return "none in the log, so none are predicted"
    least, mean, most = model.rating_scale_
    return f"{least:g} to {most:g}, {mean:.2f} in the mean"
