"""From a fitted recommender to what a model file holds, and back: items and weights, no one's ratings."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from narrows import state
from narrows.errors import ModelFileError
from narrows.recommend.fitting import EnsembleScorer
from narrows.recommend.linear import LinearScorer
from narrows.recommend.log import plain
from narrows.recommend.methods import Ensemble, Linear, Method, Multinomial, Rating
from narrows.recommend.multinomial import MultinomialScorer
from narrows.recommend.rating import RatingScorer
from narrows.recommend.simple import BiasScorer
from narrows.resolution import device_of

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
        "library": model._library,
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
    if isinstance(method, Ensemble):
        return {"option": "Ensemble", "linear": method.linear.to_json(), "multinomial": method.multinomial.to_json()}
    record: dict[str, Any] = method.to_json()
    return record


def _method(record: Any) -> Any:
    if isinstance(record, str):
        return record
    if record["option"] == "Ensemble":
        linear, network = Method.from_json(record["linear"]), Method.from_json(record["multinomial"])
        assert isinstance(linear, Linear)
        assert isinstance(network, Multinomial)
        return Ensemble(linear, network)
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
    model._take_items(np.array(ids))
    model.titles_ = {item: title for item, title in zip(ids, titles, strict=False) if title is not None}
    model._shares = tensors["shares/"].numpy()
    model.positive_from_, model.reason_ = fitted["positive_from"], fitted["reason"]
    model.candidates_, model.history_ = fitted["candidates"], fitted["history"]
    model.method_, model._library = _method(fitted["method"]), fitted["library"]
    place = device_of(device)
    parts = {name.removeprefix("ranker."): part for name, part in tensors.items() if name.startswith("ranker.")}
    model._ranker = None if isinstance(model.method_, Rating) else _ranker(model.method_, parts).to(place)
    model._rater = model._biases = None
    if fitted["rated"]:
        model._rater = RatingScorer(**{name: tensors[f"rater.{name}"] for name in RATING_PARTS}).to(place)
        model._means, model._biases = tensors["means/"].numpy(), BiasScorer(tensors["biases/"]).to(place)
    if len(model._shares) != len(ids) or any(
        scorer is not None and scorer.n_items != len(ids) for scorer in (model._ranker, model._rater)
    ):
        raise ModelFileError("the file contradicts itself about the number of items")
    model._log = model._ease = None
    return model


def _ranker(method: Method, parts: dict[str, Tensor]) -> nn.Module:
    if isinstance(method, Ensemble):
        of = {
            name: {key.removeprefix(name + "."): part for key, part in parts.items() if key.startswith(name + ".")}
            for name in ("linear", "multinomial")
        }
        both = _ranker(method.linear, of["linear"]), _ranker(method.multinomial, of["multinomial"])
        return EnsembleScorer(*both, float(parts["weight"]))
    if isinstance(method, Multinomial):
        size = parts["decoder"].shape[1] - len(parts["middle"])
        model = MultinomialScorer(len(parts["bias"]), size, len(parts["middle"]), variational=method.variational)
        model.load_state_dict(parts)
        return model.eval().requires_grad_(requires_grad=False)
    return LinearScorer(parts["encoder"], parts.get("decoder"), parts["precision"], parts["units"])
