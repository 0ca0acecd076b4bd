"""From a fitted recommender to what a model file holds, and back: items and weights, no one's ratings."""

from __future__ import annotations

import json
from dataclasses import astuple
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from narrows.errors import ModelFileError
from narrows.estimator import state
from narrows.recommend.factors import FactorScorer
from narrows.recommend.interactions import Columns, plain
from narrows.recommend.linear import LinearScorer
from narrows.recommend.methods import Ensemble, Factors, Method, Multinomial, Rating
from narrows.recommend.multinomial import MultinomialScorer
from narrows.recommend.rating import RatingScorer
from narrows.recommend.scorers import BiasScorer, EnsembleScorer
from narrows.validation import resolve_device

if TYPE_CHECKING:
    from torch import Tensor

    from narrows.recommend.recommender import Recommender

__all__ = ["from_file", "to_file"]

RATING_PARTS = ("weights", "covariances", "features", "directions", "prior", "center", "spread", "numbers")


def to_file(model: Recommender) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return all of a fitted recommender as JSON values and tensors."""
    options = {name: state.option_to_json(name, value) for name, value in model.get_params(deep=False).items()}
    options["method"] = model.method if isinstance(model.method, str) else _method_record(model.method)
    ids = [plain(item) for item in model.items_]
    if not all(isinstance(item, (str, int, float)) for item in ids):
        raise ModelFileError(
            f"ids of type {type(ids[0]).__name__} cannot be written to a file: make them text or numbers"
        )
    titles = [model.titles_.get(item) for item in ids] if model.titles_ else []
    fitted = {
        "method": _method_record(model.method_),
        "positive_from": model.positive_from_,
        "candidates": model.candidates_,
        "reason": model.reason_,
        "history": model.history_,
        "rated": model._rater is not None,
        "library": model._frames,
        "columns": None if model._names is None else list(astuple(model._names)),
        "n_items": len(ids),
    }
    tensors = {"ids/": _packed(ids), "titles/": _packed(titles), "shares/": torch.from_numpy(model._shares)}
    if model._ranker is not None:
        tensors |= {f"ranker.{name}": part for name, part in model._ranker.state_dict().items()}
    if model._rater is not None:
        tensors |= {f"rater.{name}": part for name, part in model._rater.state_dict().items()}
        tensors |= {"means/": torch.from_numpy(model._means), "biases/": model._biases.items}
    return {"options": options, "fitted": fitted}, {name: part.clone() for name, part in tensors.items()}


def _method_record(method: Any) -> dict[str, Any]:
    record: dict[str, Any] = method.to_json()
    return record


def _method(record: Any) -> Any:
    if isinstance(record, str):
        return record
    if record["option"] == "Ensemble":
        return Ensemble.from_record(record)
    return Method.from_json(record)


def _packed(values: list[Any]) -> Tensor:
    """Put a list of texts or numbers into bytes; the header of the file is too small for some catalogues."""
    return torch.frombuffer(bytearray(json.dumps(values, ensure_ascii=False).encode() or b"[]"), dtype=torch.uint8)


def _unpacked(tensor: Tensor) -> list[Any]:
    found = json.loads(tensor.numpy().tobytes().decode())
    if not isinstance(found, list):
        raise ModelFileError("the file holds no list where the ids of items should be")
    return found


def from_file(
    cls: type[Recommender], metadata: dict[str, Any], tensors: dict[str, Tensor], *, device: str
) -> Recommender:
    """Rebuild a fitted recommender from what :func:`to_file` gave."""
    options, fitted = dict(metadata["options"]), metadata["fitted"]
    options["method"] = _method(options["method"])
    model = cls(**(options | {"device": device}))
    ids, titles = _unpacked(tensors["ids/"]), _unpacked(tensors["titles/"])
    if len(ids) != fitted["n_items"] or (titles and len(titles) != len(ids)):
        raise ModelFileError("the file contradicts itself about the number of items")
    items = np.array(ids)
    # Whole numbers on both sides of 64 bits would become floats.
    model._take_items(items if items.tolist() == ids else np.array(ids, dtype=object))
    model.titles_ = {item: title for item, title in zip(ids, titles, strict=False) if title is not None}
    model._shares = tensors["shares/"].numpy()
    model.positive_from_, model.reason_ = fitted["positive_from"], fitted["reason"]
    model.candidates_, model.history_ = fitted["candidates"], fitted["history"]
    model.baselines_ = model._baselines() if isinstance(model.candidates_, list) else {}
    model.method_, model._frames = _method(fitted["method"]), fitted["library"]
    if not isinstance(model.method_, Method):
        raise ModelFileError("the file does not say how the model ranks")
    place = resolve_device(device)
    parts = {name.removeprefix("ranker."): part for name, part in tensors.items() if name.startswith("ranker.")}
    model._ranker = None if isinstance(model.method_, Rating) else _ranker(model.method_, parts).to(place)
    model._rater = model._biases = None
    if fitted["rated"]:
        model._rater = RatingScorer(**{name: tensors[f"rater.{name}"] for name in RATING_PARTS}).to(place)
        model._means, model._biases = tensors["means/"].numpy(), BiasScorer(tensors["biases/"]).to(place)
    _check(model)
    model._log = model._ease = model._user_places = None
    names = fitted["columns"]
    model._names = None if names is None else Columns(*names)
    return model


def _ranker(method: Method, parts: dict[str, Tensor]) -> nn.Module:
    if isinstance(method, Ensemble):
        scorers = []
        for number, part in enumerate(method.parts):
            start = f"parts.{number}."
            own = {name.removeprefix(start): tensor for name, tensor in parts.items() if name.startswith(start)}
            scorers.append(_ranker(part, own))
        return EnsembleScorer(scorers, parts["weights"].tolist())
    if isinstance(method, Multinomial):
        size = parts["decoder"].shape[1] - len(parts["middle"])
        model = MultinomialScorer(len(parts["bias"]), size, len(parts["middle"]), variational=method.variational)
        wanted = {name: tensor.shape for name, tensor in model.state_dict().items()}
        if wanted != {name: tensor.shape for name, tensor in parts.items()}:
            raise ModelFileError("the file contradicts itself about the sizes of the network")
        model.load_state_dict(parts)
        return model.eval().requires_grad_(requires_grad=False)
    if isinstance(method, Factors):
        if parts["decoder"].ndim != 2:
            raise ModelFileError("the file contradicts itself about the sizes of the factors")
        return FactorScorer(parts["decoder"], parts["numbers"])
    return LinearScorer(parts["encoder"], parts.get("decoder"), parts["precision"], parts["units"])


def _check_linear(scorer: LinearScorer, n_items: int) -> bool:
    tables = [scorer.encoder] if scorer.decoder is None else [scorer.encoder, scorer.decoder]
    wide = tables[0].ndim == 2 and (scorer.decoder is not None or tables[0].shape[1] == n_items)
    return wide and all(table.shape == tables[0].shape for table in tables) and scorer.units.shape == (n_items,)


def _check_rating(scorer: RatingScorer, n_items: int) -> bool:
    size = scorer.weights.shape[-1]
    told = scorer.features.shape[-1] + 1
    wanted = {
        "weights": (n_items, size),
        "covariances": (n_items, size**2),
        "features": (n_items, told - 1),
        "directions": (n_items, scorer.directions.shape[-1]),
        "prior": (told, size - 1),
        "center": (told,),
        "spread": (told,),
        "numbers": (6,),
    }
    return all(tuple(getattr(scorer, name).shape) == shape for name, shape in wanted.items())


def _check(model: Recommender) -> None:
    """Refuse a file whose parts do not fit each other."""
    n_items = len(model.items_)
    ranker: Any = model._ranker
    scorers = [] if ranker is None else list(ranker.parts) if isinstance(ranker, EnsembleScorer) else [ranker]
    facts = isinstance(model.method_, Method) and model._frames in ("pandas", "polars")
    facts = facts and isinstance(model.candidates_, list) and isinstance(model.history_, list)
    if not facts:
        raise ModelFileError("the file says of the model what no recommender would")
    good: Any = model._shares.shape == (n_items,) and len(model._places) == n_items
    good = good and (model.positive_from_ is None or isinstance(model.positive_from_, float))
    for scorer in scorers:
        good = good and scorer.n_items == n_items and len(next(iter(scorer.state_dict().values()))) > 0
        if isinstance(scorer, LinearScorer):
            good = good and len(scorer.encoder) == n_items and _check_linear(scorer, n_items)
        if isinstance(scorer, FactorScorer):
            good = good and scorer.decoder.ndim == 2 and scorer.numbers.shape == (2,)
    if isinstance(ranker, EnsembleScorer):
        good = good and ranker.weights.shape == (len(scorers),)
    if model._rater is not None:
        good = good and _check_rating(model._rater, n_items)
        good = (
            good
            and model._means is not None
            and model._means.shape == (n_items,)
            and model._biases.items.shape == (n_items,)
        )
    if not good:
        raise ModelFileError("the file contradicts itself: its parts are not of one size")
