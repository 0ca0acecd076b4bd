"""From a fitted recommender to what a model file holds, and back: items and weights, no one's ratings."""

from __future__ import annotations

import json
from dataclasses import astuple
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from narrows.errors import ModelFileError
from narrows.estimator.serialization import UNSAVED_OPTIONS
from narrows.estimator.state import option_to_json
from narrows.recommend.base import BaseRecommender
from narrows.recommend.factors import FactorScorer
from narrows.recommend.interactions import Columns
from narrows.recommend.linear import LinearScorer
from narrows.recommend.methods import Ensemble, Factors, Linear, Method, Multinomial, Rating
from narrows.recommend.multinomial import MultinomialScorer
from narrows.recommend.queries import id_array
from narrows.recommend.rating import RatingScorer
from narrows.recommend.scorers import BiasScorer, EnsembleScorer, Scorer
from narrows.schema import conform
from narrows.validation import resolve_device

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["from_file", "to_file"]

M = TypeVar("M", bound=BaseRecommender)

RATING_PARTS = ("weights", "covariances", "features", "directions", "prior", "center", "scale", "numbers")

DOUBLE = ("numbers", "prior", "center", "scale", "popularity/", "item_means/")
"""Tensors of double precision; all others are single."""


def to_file(model: BaseRecommender) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return all of a fitted recommender as JSON values and tensors."""
    options = {
        name: option_to_json(name, value)
        for name, value in model.get_params(deep=False).items()
        if name not in UNSAVED_OPTIONS
    }
    options["method"] = model.method if isinstance(model.method, str) else model.method.to_json()
    ids = list(model.item_index_)
    if not all(isinstance(item, (str, int, float)) for item in ids):
        kind = type(ids[0]).__name__
        raise ModelFileError(f"ids of type {kind} cannot be written to a file: make them text or numbers")
    fitted = {
        "method": model.method_.to_json(),
        "positive_from": model.positive_from_,
        "rating_scale": model.rating_scale_ and list(model.rating_scale_),
        "candidates": model.candidates_,
        "baselines": model.baselines_,
        "reason": model.reason_,
        "history": model.history_,
        "library": model._library,
        "columns": None if model._names is None else list(astuple(model._names)),
        "n_items": len(ids),
    }
    titles = [model.titles_.get(item) for item in ids] if model.titles_ else []
    tensors = {"ids/": _pack(ids), "titles/": _pack(titles), "popularity/": torch.from_numpy(model._popularity)}
    if model._ranker is not None:
        tensors |= {f"ranker.{name}": part for name, part in model._ranker.state_dict().items()}
    if model.rating_scale_ is not None:
        tensors |= {f"rater.{name}": part for name, part in model._rating_scorer().state_dict().items()}
        tensors |= {"item_means/": torch.from_numpy(model._item_means), "biases/": model._biases.items}
    return {"options": options, "fitted": fitted}, {name: part.clone() for name, part in tensors.items()}


def from_file(cls: type[M], metadata: dict[str, Any], tensors: dict[str, Tensor], *, device: str) -> M:
    """Rebuild a fitted recommender from what :func:`to_file` gave."""
    options = {name: value for name, value in metadata["options"].items() if name not in UNSAVED_OPTIONS}
    options["method"] = _method(options["method"])
    _check_columns(options)
    model, fitted, place = cls(**(options | {"device": device})), metadata["fitted"], resolve_device(device)
    _check_facts(fitted)
    ids, titles = _unpack(tensors["ids/"]), _unpack(tensors["titles/"])
    n_items = fitted["n_items"]
    if len(ids) != n_items or (titles and len(titles) != n_items):
        raise ModelFileError("the file contradicts itself about the number of items")
    items = id_array(ids)
    model._set_items(items)
    if items.shape != (n_items,) or len(model.item_index_) != n_items:
        raise ModelFileError("the file holds items that are no ids, or the same twice")
    model.titles_ = {item: str(title) for item, title in zip(ids, titles, strict=False) if title is not None}
    for name in ("positive_from", "reason", "candidates", "baselines", "history"):
        setattr(model, f"{name}_", fitted[name])
    model.method_, model._library = Method.from_json(fitted["method"]), fitted["library"]
    model._names = None if fitted["columns"] is None else Columns(*fitted["columns"])
    model._popularity = _checked(tensors, {"popularity/": (n_items,)})["popularity/"].numpy()
    rank_by = None if isinstance(model.method_, Rating) else _ranker(model.method_, _below(tensors, "ranker."), n_items)
    model._ranker = None if rank_by is None else rank_by.to(place)
    model.rating_scale_ = model._item_means = model._biases = model._rater = None
    if fitted["rating_scale"] is not None:
        least, mean, most = fitted["rating_scale"]
        model.rating_scale_ = (float(least), float(mean), float(most))
        own = _checked(tensors, {"item_means/": (n_items,), "biases/": (n_items,)})
        model._item_means, model._biases = own["item_means/"].numpy(), BiasScorer(own["biases/"]).to(place)
        model._rater = _rater(_below(tensors, "rater."), n_items).to(place)
    elif model._ranker is None:
        raise ModelFileError("the file does not say how the model ranks")
    model._log = model._ease = model._user_index = None
    return model


def _pack(values: list[Any]) -> Tensor:
    """Put a list of texts or numbers into bytes; the header of the file is too small for some catalogues."""
    return torch.frombuffer(bytearray(json.dumps(values, ensure_ascii=False).encode()), dtype=torch.uint8)


def _unpack(tensor: Tensor) -> list[Any]:
    found = json.loads(tensor.numpy().tobytes().decode())
    if not isinstance(found, list) or not all(isinstance(value, (str, int, float, type(None))) for value in found):
        raise ModelFileError("the file holds no list where the ids of items should be")
    return found


def _method(record: Any) -> Any:
    return record if isinstance(record, str) else Method.from_json(record)


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): part for name, part in tensors.items() if name.startswith(prefix)}


def _checked(tensors: dict[str, Tensor], shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Return the tensors of these names; refuse a file in which one is missing or of another shape or type."""
    for name, shape in shapes.items():
        part = tensors[name]
        kind = torch.float64 if name in DOUBLE else torch.float32
        if tuple(part.shape) != shape or part.dtype != kind or not part.isfinite().all():
            raise ModelFileError(f"the file contradicts itself: {name} is not of shape {shape}, {kind} and finite")
    return {name: tensors[name] for name in shapes}


def _ranker(method: Method, parts: dict[str, Tensor], n_items: int) -> Scorer:
    """Rebuild what ranks; all sizes are checked against the tensors before anything is made."""
    if isinstance(method, Ensemble):
        scorers = [_ranker(part, _below(parts, f"parts.{k}."), n_items) for k, part in enumerate(method.parts)]
        weights = _checked(parts, {"weights": (len(scorers),)})["weights"]
        return EnsembleScorer(scorers, weights.tolist())
    if isinstance(method, Multinomial):
        hidden = len(parts["middle"])
        with torch.device("meta"):
            model = MultinomialScorer(
                n_items, parts["decoder"].shape[-1] - hidden, hidden, variational=method.variational
            )
        shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
        model.load_state_dict(_checked(parts, shapes), assign=True)
        return model.eval().requires_grad_(requires_grad=False)
    if isinstance(method, Factors):
        size = min(parts["decoder"].shape[-1], n_items)
        return FactorScorer(**_checked(parts, {"decoder": (n_items, size), "numbers": (2,)}))
    if not isinstance(method, Linear):
        raise ModelFileError("the file does not say how the model ranks")
    low_rank = "decoder" in parts
    size = parts["encoder"].shape[-1] if low_rank else n_items
    shapes = {"encoder": (n_items, size), "precision": (n_items,), "units": (n_items,)}
    decoder = _checked(parts, {"decoder": (n_items, size)})["decoder"] if low_rank else None
    return LinearScorer(decoder=decoder, **_checked(parts, shapes))


def _rater(parts: dict[str, Tensor], n_items: int) -> RatingScorer:
    size, n_inputs = parts["weights"].shape[-1], parts["features"].shape[-1] + 1
    shapes: dict[str, tuple[int, ...]] = {
        "weights": (n_items, size),
        "covariances": (n_items, size**2),
        "features": (n_items, n_inputs - 1),
        "directions": (n_items, parts["directions"].shape[-1]),
        "prior": (n_inputs, size - 1),
        "center": (n_inputs,),
        "scale": (n_inputs,),
        "numbers": (6,),
    }
    found = RatingScorer(**_checked(parts, shapes))
    if not (found.scale > 0).all() or not (found.numbers[1:4] > 0).all():
        raise ModelFileError("the file contradicts itself: a scale of ratings is not above 0")
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < float("inf")


def _check_columns(options: dict[str, Any]) -> None:
    for name in ("user", "item", "rating", "timestamp"):
        conform(options[name], str | int | None, name)


def _check_facts(fitted: dict[str, Any]) -> None:
    """Refuse a file that says of the model what no recommender would."""
    good = isinstance(fitted["n_items"], int) and isinstance(fitted["reason"], str)
    good = good and fitted["library"] in ("pandas", "polars")
    good = good and (fitted["positive_from"] is None or _is_number(fitted["positive_from"]))
    records = [*fitted["candidates"], *fitted["history"]]
    good = good and isinstance(fitted["candidates"], list) and all(isinstance(record, dict) for record in records)
    for candidate in fitted["candidates"]:
        good = good and isinstance(candidate["method"], str)
        good = good and _is_number(candidate["ndcg@100"]) and _is_number(candidate["error"])
    good = good and all(map(_is_number, fitted["baselines"].values()))
    good = good and (fitted["rating_scale"] is None or all(map(_is_number, fitted["rating_scale"])))
    good = good and all(isinstance(name, (str, type(None))) for name in fitted["columns"] or ())
    if not good:
        raise ModelFileError("the file says of the model what no recommender would")
