"""A recommender on the command line: fitted, loaded, and put in words."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any

from narrows.cli.flags import MODELS, value_of
from narrows.cli.show import file_size, print_rows
from narrows.cli.signature import members, parameters
from narrows.cli.values import CommandError, build, option_to_text

if TYPE_CHECKING:
    from pathlib import Path

    from narrows.cli.logs import Given

__all__ = [
    "candidate_rows",
    "candidates_in_words",
    "fitted_recommender",
    "liked_in_words",
    "load_recommender",
    "method_in_words",
    "options_of",
    "scale_in_words",
    "show_recommender",
    "summary_of_recommender",
]

MOST_SOLVED = 6000
"""EASE is fitted for comparison only where as many users or items make that a matter of seconds."""


def options_of(given: dict[str, Any]) -> dict[str, Any]:
    """Turn flags into what the constructor takes; None is a flag that was not given."""
    own = {parameter.name: parameter for parameter in parameters(*MODELS["recommender"])}
    return {
        name: value_of(own[name], value) if isinstance(value, str) else value
        for name, value in given.items()
        if value is not None
    }


def fitted_recommender(given: Given, options: dict[str, Any], *, compared: bool = True) -> Any:
    """Fit a recommender.

    Parameters
    ----------
    given : Given
        The log, and titles.
    options : dict
        Of the constructor, as :func:`options_of` gives them.
    compared : bool, default True
        Whether to add popularity and EASE to ``candidates_``, measured on the same validation users.
    """
    from narrows.cli.logs import log_mistakes
    from narrows.cli.mistakes import warnings_as_lines
    from narrows.recommend import Recommender

    own = {parameter.name: parameter for parameter in parameters(*MODELS["recommender"])}
    built = {name: build(own[name], value) for name, value in ({"random_state": 0} | options).items()}
    # What it tells of its progress is no result.
    with log_mistakes(), warnings_as_lines(), contextlib.redirect_stdout(sys.stderr):
        model = Recommender(**built).fit(given.log, titles=given.titles or None)
        if compared:
            model.candidates_ = _beside_simple(model, given)
    return model


def _beside_simple(model: Any, given: Given) -> list[dict[str, Any]]:
    """Return the candidates of a fit, and with them popularity and EASE on the same validation users."""
    import numpy as np
    import torch

    from narrows.recommend.linear import fit_linear
    from narrows.recommend.recommender import EASE_L2
    from narrows.recommend.scorers import ConstantScorer, popularity_of
    from narrows.recommend.splits import make_folds, ndcg_of
    from narrows.validation import resolve_device, resolve_seed

    found: list[dict[str, Any]] = list(model.candidates_)
    known = {candidate["method"].partition(" ")[0] for candidate in found}
    if not found or not isinstance(model.random_state, int):
        return found
    liked = model._liked(given.log.matrix, rated=given.log.rated)
    liked = liked[np.diff(liked.indptr) > 0]
    fraction = None if isinstance(model.validation_fraction, str) else float(model.validation_fraction)
    folds, device = make_folds(liked, fraction, resolve_seed(model.random_state)), resolve_device(model.device)
    simple: dict[str, Any] = {}
    if "popularity" not in known:
        simple["popularity"] = lambda rows: ConstantScorer(torch.from_numpy(popularity_of(rows).astype(np.float32)))
    if "EASE" not in known and min(liked.shape) <= MOST_SOLVED:
        simple[f"EASE (l2={EASE_L2:g})"] = lambda rows: fit_linear(rows, EASE_L2, 0.0, None)
    for name, scorer_of in simple.items():
        values = np.concatenate([ndcg_of(scorer_of(fold.train).to(device), fold, device) for fold in folds])
        error = float(values.std() / np.sqrt(len(values)))
        found.append({"method": name, "ndcg@100": float(values.mean()), "error": error})
    return found


def load_recommender(path: Path, device: str) -> Any:
    """Load a recommender, and refuse a model of another class."""
    from narrows.cli.files import load_model

    fitted = load_model(path, device)
    if not hasattr(fitted, "recommend"):
        raise CommandError(
            f"{path} holds the model class {type(fitted).__name__}, which recommends nothing: fit a recommender with "
            "narrows fit --model recommender, or leave -m out."
        )
    return fitted


def method_in_words(method: Any) -> str:
    """Write what ranks as the command line takes it, without what is as by default.

    Examples
    --------
    >>> from narrows.recommend import Linear
    >>> method_in_words(Linear(l2=200.0))
    'linear(l2=200.0)'
    """
    return option_to_text(method.to_json(), members("narrows.recommend.methods", "Method"))


def candidates_in_words(candidates: list[dict[str, Any]]) -> str:
    """Say what was measured on validation users, the best first.

    Examples
    --------
    >>> candidates_in_words([{"method": "popularity", "ndcg@100": 0.25, "error": 0.01}])
    'popularity 0.250 ± 0.010'
    """
    ranked = sorted(candidates, key=lambda candidate: -candidate["ndcg@100"])
    return ", ".join(f"{c['method']} {c['ndcg@100']:.3f} ± {c['error']:.3f}" for c in ranked)


def candidate_rows(model: Any) -> list[tuple[str, str]]:
    """Return the row of a summary that holds what ranks against EASE and popularity, or none."""
    beginnings = (_name_of(model.method_), "EASE", "popularity")
    found = [c for c in model.candidates_ if c["method"].startswith(beginnings)]
    return [("NDCG@100", f"{candidates_in_words(found)}; on validation users")] if found else []


def _name_of(method: Any) -> str:
    """Return how the candidate begins that a method was."""
    kind = type(method).__name__
    if kind == "Ensemble":
        return f"ensemble ({' + '.join(type(part).__name__.lower() for part in method.parts)},"
    return {"Multinomial": "Mult-"}.get(kind, kind.lower())


def liked_in_words(positive_from: float | None) -> str:
    """Say what counts as liked.

    Examples
    --------
    >>> liked_in_words(3.5)
    'ratings of 3.5 and more'
    """
    return "whatever was taken" if positive_from is None else f"ratings of {positive_from:.3g} and more"


def scale_in_words(model: Any) -> str:
    """Say what ratings there were in the fit."""
    if model._rater is None:
        return "none in the log, so none are predicted"
    mean, *_, least, most = model._rater.numbers.tolist()
    return f"{least:g} to {most:g}, {mean:.2f} in the mean"


def summary_of_recommender(model: Any, given: Given, seconds: float, out: Path) -> dict[str, Any]:
    """Return what is to be said of a recommender that was fitted, and saved."""
    return {
        "model": str(out),
        "class": type(model).__name__,
        "log": given.in_words(),
        "entries": len(given.log),
        "users": len(given.log.users),
        "items": len(given.log.items),
        "rated": given.log.rated,
        "titles": len(set(model._places) & set(model.titles_)),
        "method": method_in_words(model.method_),
        "reason": model.reason_,
        "positive_from": model.positive_from_,
        "candidates": model.candidates_,
        "in_words": dict(candidate_rows(model)).get("NDCG@100", ""),
        "seconds": seconds,
        "bytes": out.stat().st_size,
    }


def show_recommender(summary: dict[str, Any]) -> None:
    """Print such a summary."""
    titles = f"{summary['titles']:,}, of {summary['items']:,} items" if summary["titles"] else "none"
    print_rows(
        [
            ("log", summary["log"]),
            ("titles", titles),
            ("liked", liked_in_words(summary["positive_from"])),
            ("method", f"{summary['method']}; {summary['reason']}"),
            *([("NDCG@100", summary["in_words"])] if summary["in_words"] else []),
            ("time", f"{summary['seconds']:.1f} s"),
            ("file", f"{summary['model']}, {file_size(summary['model'])}"),
        ]
    )
