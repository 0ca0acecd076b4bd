"""From a fitted estimator to what a model file holds, and back."""

from __future__ import annotations

import numbers
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from narrows.corruption import Corruption
from narrows.errors import ModelFileError
from narrows.fitting.build import assemble
from narrows.fitting.settings import network_option, resolve_network
from narrows.likelihoods import Likelihood
from narrows.networks import LinearInit, Modules, Network, Standardise
from narrows.priors import Prior
from narrows.training.optimisers import Optimizer
from narrows.training.schedules import Schedule
from narrows.validation import resolve_device

if TYPE_CHECKING:
    from torch import Tensor

    from narrows.likelihoods import OutputDistribution
    from narrows.networks.model import EncoderDecoder

__all__ = ["FAMILIES", "from_file", "option_to_json", "to_file"]

FAMILIES: dict[str, type] = {
    "network": Network,
    "likelihood": Likelihood,
    "corruption": Corruption,
    "optimizer": Optimizer,
    "schedule": Schedule,
    "prior": Prior,
}


def to_file(estimator: Any) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return all of a fitted estimator as JSON values and tensors."""
    options = {}
    for name, value in estimator.get_params(deep=False).items():
        options[name] = option_to_json(name, value)
    model = estimator._model
    fitted = {
        "n_components": estimator.n_components_,
        "n_features_in": estimator.n_features_in_,
        "n_values": model.head.n_features,
        **{name: getattr(estimator, f"{name}_") for name in estimator._saved_attributes},
        "missing": model.standardise.missing,
        "likelihood": _likelihood_record(model.head),
        "few_rows": estimator._few_rows,
        "image_shape": estimator.image_shape_,
        "row_shape": list(estimator._row_shape),
        "ordered": model.ordered,
    }
    if hasattr(estimator, "feature_names_in_"):
        fitted["feature_names_in"] = [str(name) for name in estimator.feature_names_in_]
    return {"options": options, "fitted": fitted}, dict(model.state_dict())


def _likelihood_record(head: OutputDistribution) -> Any:
    """Return the likelihood that makes such a head, by its name alone where it has no settings of its own."""
    option = head.option()
    return type(option).__name__ if option == type(option)() else option.to_json()


def option_to_json(name: str, value: Any) -> Any:
    """Return an estimator's parameter as a plain value; None for what cannot be one and is not needed after a fit."""
    if name == "network" and isinstance(value, tuple):
        return Modules(*value).to_json()
    if name in FAMILIES and isinstance(value, FAMILIES[name]):
        return value.to_json()  # type: ignore[attr-defined]
    if name in ("callbacks", "checkpoint"):
        return None
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if name == "image_shape" and isinstance(value, (tuple, list)):
        return [int(size) for size in value]
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        return int(value)
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        return float(value)
    # A function or a random state cannot be written as plain values; nothing after the fit needs it.
    return value if isinstance(value, (str, bool, type(None))) else None


def from_file(
    cls: type[Any], metadata: dict[str, Any], tensors: dict[str, Tensor], *, network: Any, device: str
) -> Any:
    """Rebuild a fitted estimator from what :func:`to_file` gave."""
    options, fitted = dict(metadata["options"]), metadata["fitted"]
    for name, family in FAMILIES.items():
        if name in cls._get_param_names() and isinstance(options[name], dict):
            own = options[name]["option"] == "Modules"
            options[name] = _own_network(network) if own else family.from_json(options[name])  # type: ignore[attr-defined]
    known = cls._get_param_names()
    if unknown := set(options) - set(known):
        raise ModelFileError(f"the file has an option {min(unknown)!r} that this version of narrows does not know")
    options["callbacks"] = ()
    if isinstance(options.get("image_shape"), list):
        options["image_shape"] = tuple(options["image_shape"])
    estimator = cls(**(options | {"device": device}))
    # Files of before there were images have neither shape.
    shape = fitted.get("image_shape")
    estimator.image_shape_ = None if shape is None else tuple(shape)
    estimator._row_shape = tuple(fitted.get("row_shape", [fitted["n_features_in"]]))
    model = _empty_model(estimator, fitted, tensors)
    model.load_state_dict(tensors)
    estimator._set_model(model.to(resolve_device(device)).eval(), fitted["n_components"], few_rows=fitted["few_rows"])
    estimator.n_features_in_ = fitted["n_features_in"]
    if "feature_names_in" in fitted:
        estimator.feature_names_in_ = np.asarray(fitted["feature_names_in"], dtype=object)
    for name in cls._saved_attributes:
        setattr(estimator, f"{name}_", fitted[name])
    return estimator


def _own_network(network: Any) -> Network:
    if network is None:
        raise ModelFileError(
            "the model was fitted with torch modules of your own, whose code is not in the file: "
            "hand them in again as network=(encoder, decoder)"
        )
    return network_option(network)


def _empty_model(estimator: Any, fitted: dict[str, Any], tensors: dict[str, Tensor]) -> EncoderDecoder:
    """Build the pipeline in the right shape; its weights are still to be filled in."""
    # Where a frame has categories, each of them is a value.
    n_features, n_components = fitted.get("n_values", fitted["n_features_in"]), fitted["n_components"]
    if n_features != fitted["n_features_in"] and not fitted.get("form", {}).get("columns"):
        raise ModelFileError("the file contradicts itself about the number of features")
    prefix = "encoder.0."
    shift, scale = tensors[prefix + "shift64"], tensors[prefix + "scale64"]
    if len(shift) != n_features:
        raise ModelFileError("the file contradicts itself about the number of features")
    standardise = Standardise(shift, scale.expand(n_features), missing=fitted["missing"])
    likelihood = fitted["likelihood"]
    option = Likelihood.from_json(likelihood) if isinstance(likelihood, dict) else Likelihood.resolve(likelihood)
    head = option.unfitted_head(standardise)
    # The linear path is built whole; where the fitted one lacks a part, the state that is loaded lacks it too.
    center = torch.ones(n_features) if "encoder.1.center" in tensors else torch.zeros(n_features)
    zeros = torch.zeros(n_features, n_components, dtype=torch.float64)
    ones = torch.ones(n_features, dtype=torch.float64)
    start = LinearInit(
        zeros,
        ones.new_ones(n_components),
        center.double(),
        ones,
        fitted["few_rows"] and not fitted.get("posterior", False),
        estimator.image_shape_,
        None,
        fitted.get("ordered", False),
        posterior=fitted.get("posterior", False),
        n_labels=fitted.get("n_labels", 0),
    )
    own = resolve_network(estimator)
    if fitted.get("linear_path") is not None:
        own = replace(own, linear_path=fitted["linear_path"])  # type: ignore[call-arg]
    return assemble(own, standardise, start, head, torch.Generator())
