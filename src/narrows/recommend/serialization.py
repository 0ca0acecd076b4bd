"""From a fitted recommender to what a model file holds, and back: items and weights, no one's ratings."""

import json
from dataclasses import astuple
from typing import Any, Literal, TypedDict, TypeVar

import torch
from torch import Tensor

from narrows.errors import ModelFileError
from narrows.estimator.serialization import UNSAVED_OPTIONS
from narrows.estimator.state import check_names, option_to_json
from narrows.recommend.base import BaseRecommender, FittedState
from narrows.recommend.ids import Ids, id_array
from narrows.recommend.interactions import Columns
from narrows.recommend.linear import FactorScorer, LinearScorer
from narrows.recommend.methods import Ensemble, Factors, Linear, Method, Multinomial, Rating
from narrows.recommend.multinomial import MultinomialScorer
from narrows.recommend.rating import RatingScorer
from narrows.recommend.scorers import BiasScorer, EnsembleScorer, Scorer
from narrows.schema import Number
from narrows.validation import resolve_device

M = TypeVar("M", bound=BaseRecommender)

DOUBLE = ("numbers", "prior", "center", "scale", "popularity/", "item_means/")
"""Tensors of double precision; all others are single."""

PUBLIC = ("positive_from", "rating_scale", "reason", "candidates", "baselines", "history")
"""Attributes of the model that the file holds as they are."""

_Candidate = TypedDict("_Candidate", {"method": str, "ndcg@100": float, "error": float})


class _Options(TypedDict):
    method: str | dict[str, Any]
    positive_from: float | str
    user: str | int
    item: str | int
    rating: str | int | None
    timestamp: str | int | None
    validation_fraction: float | str
    random_state: int | None


class _Fitted(TypedDict):
    method: dict[str, Any]
    positive_from: float | None
    rating_scale: tuple[float, float, float] | None
    reason: str
    candidates: list[_Candidate]
    baselines: dict[str, float]
    history: list[dict[str, Any]]
    library: Literal["pandas", "polars"]
    columns: tuple[str | None, str | None, str | None, str | None] | None
    n_items: Number


class RecommenderMetadata(TypedDict):
    """What a file says of a recommender in JSON."""

    options: _Options
    fitted: _Fitted


def to_file(model: BaseRecommender, state: FittedState) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return all of a fitted recommender as JSON values and tensors."""
    options = {
        name: option_to_json(name, value)
        for name, value in model.get_params(deep=False).items()
        if name not in UNSAVED_OPTIONS
    }
    options["method"] = model.method if isinstance(model.method, str) else model.method.to_json()
    ids = list(model.item_index_)
    fitted = {name: getattr(model, f"{name}_") for name in PUBLIC} | {
        "method": model.method_.to_json(),
        "library": state.library,
        "columns": None if state.names is None else list(astuple(state.names)),
        "n_items": len(ids),
    }
    titles = [model.titles_.get(item) for item in ids] if model.titles_ else []
    tensors = {"ids/": _pack(ids), "titles/": _pack(titles), "popularity/": torch.from_numpy(state.popularity)}
    if state.ranker is not None:
        tensors |= {f"ranker.{name}": part for name, part in state.ranker.state_dict().items()}
    if state.item_means is not None and state.biases is not None and state.rater is not None:
        tensors |= {f"rater.{name}": part for name, part in state.rater.state_dict().items()}
        tensors |= {"item_means/": torch.from_numpy(state.item_means), "biases/": state.biases.items}
    return {"options": options, "fitted": fitted}, {name: part.clone() for name, part in tensors.items()}


def from_file(
    cls: type[M], metadata: dict[str, Any], tensors: dict[str, Tensor], *, device: str
) -> tuple[M, FittedState]:
    """Rebuild a fitted recommender from what :func:`to_file` gave: the estimator, and what its fit found."""
    options, fitted, place = dict(metadata["options"]), metadata["fitted"], resolve_device(device)
    check_names(cls, options)
    if isinstance(options["method"], dict):
        options["method"] = Method.from_json(options["method"])
    model = cls(**(options | {"device": device}))
    ids, titles, n_items = _unpack(tensors["ids/"]), _unpack(tensors["titles/"]), fitted["n_items"]
    if len(ids) != n_items or (titles and len(titles) != n_items):
        raise ModelFileError("the file contradicts itself about the number of items")
    items = Ids(id_array(ids))
    if items.values.shape != (n_items,) or len(items.index) != n_items:
        raise ModelFileError("the file holds items that are no ids, or the same twice")
    for name in PUBLIC:
        setattr(model, f"{name}_", fitted[name])
    model.method_ = Method.from_json(fitted["method"])
    model.titles_ = {item: str(title) for item, title in zip(ids, titles, strict=False) if title is not None}
    names = None if fitted["columns"] is None else Columns(*fitted["columns"])
    popularity = _checked(tensors, {"popularity/": (n_items,)})["popularity/"].numpy()
    state = FittedState(items, names, fitted["library"], popularity)
    if not isinstance(model.method_, Rating):
        state.ranker = _ranker(model.method_, _below(tensors, "ranker."), n_items).to(place)
    if fitted["rating_scale"] is not None:
        model.rating_scale_ = tuple(fitted["rating_scale"])
        own = _checked(tensors, {"item_means/": (n_items,), "biases/": (n_items,)})
        state.item_means, state.biases = own["item_means/"].numpy(), BiasScorer(own["biases/"]).to(place)
        state.rater = _rater(_below(tensors, "rater."), n_items).to(place)
    elif state.ranker is None:
        raise ModelFileError("the file does not say how the model ranks")
    return model, state


def _pack(values: list[Any]) -> Tensor:
    """Put a list of texts or numbers into bytes; the header of the file is too small for some catalogues."""
    return torch.frombuffer(bytearray(json.dumps(values, ensure_ascii=False).encode()), dtype=torch.uint8)


def _unpack(tensor: Tensor) -> list[Any]:
    found = json.loads(tensor.numpy().tobytes().decode())
    if not isinstance(found, list) or not all(isinstance(value, (str, int, float, type(None))) for value in found):
        raise ModelFileError("the file holds no list where the ids of items should be")
    return found


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
