"""From a fitted estimator to what a model file holds, and back; what its JSON must be stands as types."""

import math
import numbers
from dataclasses import replace
from typing import Any, Literal, NotRequired, TypedDict

import numpy as np
import torch
from sklearn.base import BaseEstimator
from torch import Tensor, nn

from narrows.corruption import Corruption
from narrows.data.schema import Schema
from narrows.errors import ModelFileError
from narrows.estimator.serialization import UNSAVED_OPTIONS
from narrows.fitting import settings
from narrows.fitting.build import assemble
from narrows.fitting.objectives import OrderedReconstruction, Reconstruction
from narrows.likelihoods import Likelihood, OutputDistribution, Standardise
from narrows.networks import LinearInit, Modules, Network
from narrows.networks.model import EncoderDecoder
from narrows.priors import Prior
from narrows.schema import Count, Number, Share, conform
from narrows.training.optimisers import Optimizer
from narrows.training.schedules import Schedule
from narrows.validation import resolve_device

FAMILIES: dict[str, type] = {
    "network": Network,
    "likelihood": Likelihood,
    "corruption": Corruption,
    "optimizer": Optimizer,
    "schedule": Schedule,
    "prior": Prior,
}


LIMITS = ("limits.low", "limits.high")
SCALING, DECODER_SCALING = "encoder.0.", "decoder.2.head.standardise."
"""One layer under two names; a file holds it once."""


class SizeErrors(TypedDict):
    """Squared errors with the first few numbers of an ordered code."""

    n_components: Count
    model: float
    pca: float


class Baselines(TypedDict):
    """What the model was measured against."""

    rows: Count
    held_out: bool
    model: float
    mean: float
    pca: NotRequired[float]
    input: NotRequired[float]
    autoencoder: NotRequired[float]
    sizes: NotRequired[list[SizeErrors]]
    equal_rows: NotRequired[Number]
    groups: NotRequired[Count]
    bits_per_feature: NotRequired[dict[str, float]]
    nats_per_row: NotRequired[dict[str, float]]


class Plan(TypedDict):
    """How the model was trained."""

    optimizer: dict[str, Any]
    schedule: dict[str, Any]
    learning_rate: float
    batch_size: Count
    steps: Number
    likelihood: NotRequired[dict[str, Any]]
    scaling: NotRequired[str]
    linear_path: NotRequired[bool | None]


class ColumnRecord(TypedDict):
    """A column of a table: what it is, and what is in it."""

    name: str
    kind: Literal[
        "number", "integer", "boolean", "category", "datetime", "time", "text", "identifier", "index", "group",
        "constant", "nested",
    ]  # fmt: skip
    why: str
    type: str
    missing: Share
    format: NotRequired[dict[str, str | bool]]
    levels: NotRequired[list[str | float | bool]]
    ordered: NotRequired[bool]
    decimals: NotRequired[Number]
    low: NotRequired[str | float]
    high: NotRequired[str | float]
    unit: NotRequired[Literal["D", "s", "us"]]
    note: NotRequired[str]


class SchemaRecord(TypedDict):
    """The columns of a table."""

    columns: list[ColumnRecord]
    n_rows: Count
    notes: list[str]
    options: dict[str, Any]
    library: str


class FormRecord(TypedDict):
    """What sampled rows are to look like."""

    dtype: str
    draws: bool


ClassesType = Literal["str", "object", "bool", "float16", "float32", "float64", "int8", "int16", "int32", "int64"]
UnsignedType = Literal["uint8", "uint16", "uint32", "uint64"]


class FittedValues(TypedDict):
    """The fitted values that are not tensors; from ``posterior`` on, those of a variational autoencoder."""

    n_components: Count
    n_features_in: Count
    n_values: Count
    feature_names_in: NotRequired[list[str]]
    schema: NotRequired[SchemaRecord]
    image_shape: tuple[Count, Count, Count] | None
    row_shape: list[Count]
    missing: bool
    likelihood: str | dict[str, Any]
    few_rows: bool
    ordered: bool
    history: list[dict[str, float | None]]
    baselines: Baselines
    stopped: Literal["budget", "patience", "time", "callback", "interrupted"]
    n_steps: Number
    plan: Plan
    stayed_linear: NotRequired[bool]
    posterior: NotRequired[Literal[True]]
    n_labels: NotRequired[Number]
    n_active_components: NotRequired[Number]
    linear_path: NotRequired[bool | None]
    classes: NotRequired[list[str | float | bool] | None]
    classes_dtype: NotRequired[ClassesType | UnsignedType | None]
    form: NotRequired[FormRecord]


class AutoencoderMetadata(TypedDict):
    """All of it."""

    options: dict[str, Any]
    fitted: FittedValues


def to_file(estimator: Any) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return all of a fitted estimator as JSON values and tensors."""
    options = saved_options(estimator)
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
    if hasattr(estimator, "schema_"):
        fitted["schema"] = estimator.schema_.to_json()
    if hasattr(estimator, "feature_names_in_"):
        fitted["feature_names_in"] = [str(name) for name in estimator.feature_names_in_]
    tensors = {name: t for name, t in model.state_dict().items() if not name.startswith(DECODER_SCALING)}
    limits = dict(zip(LIMITS, map(torch.from_numpy, estimator._limits), strict=True))
    return {"options": options, "fitted": fitted}, tensors | limits


def saved_options(estimator: BaseEstimator) -> dict[str, Any]:
    """Return the parameters of an estimator that a file holds, as plain values."""
    params = estimator.get_params(deep=False).items()
    return {name: option_to_json(name, value) for name, value in params if name not in UNSAVED_OPTIONS}


def _likelihood_record(head: OutputDistribution) -> Any:
    """Return the likelihood that makes such a head, by its name alone where it has no settings of its own."""
    option = head.option()
    return type(option).__name__ if option == type(option)() else option.to_json()


def option_to_json(name: str, value: Any) -> Any:
    """Return an estimator's parameter as a plain value; None for what cannot be one and is not needed after a fit."""
    if isinstance(value, np.generic):
        value = value.item()
    if name == "network" and isinstance(value, tuple):
        return Modules(*value).to_json()
    if name in FAMILIES and isinstance(value, FAMILIES[name]):
        return value.to_json()  # type: ignore[attr-defined]
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
    fitted = metadata["fitted"]
    conform({"options": metadata["options"], "fitted": fitted}, AutoencoderMetadata, "the description")
    estimator = cls(**(_options(cls, metadata["options"], network) | {"device": device}))
    n_columns = fitted["n_values"]
    if "schema" in fitted:
        estimator.schema_ = Schema.from_json(fitted["schema"])
        encoding = estimator._encoding
        n_columns = len(encoding.columns) if encoding.n_values == n_columns else 0
        if fitted.get("feature_names_in", encoding.names) != encoding.names:
            raise ModelFileError("the names of the columns are not those of the schema")
    if fitted["n_features_in"] != n_columns or len(fitted.get("feature_names_in", range(n_columns))) != n_columns:
        raise ModelFileError("the columns are not as many as the file says")
    shape, row_shape = fitted["image_shape"], fitted["row_shape"]
    if any(math.prod(sizes) != fitted["n_values"] for sizes in (shape, row_shape) if sizes is not None):
        raise ModelFileError("rows do not have as many values as their shape says")
    estimator.image_shape_ = None if shape is None else tuple(shape)
    estimator._row_shape = tuple(row_shape)
    estimator.n_features_in_ = fitted["n_features_in"]
    if "feature_names_in" in fitted:
        estimator.feature_names_in_ = np.asarray(fitted["feature_names_in"], dtype=object)
    settings.check_options(estimator)
    kind = OrderedReconstruction if fitted["ordered"] else Reconstruction
    objective = kind(settings.resolve_corruption(estimator.corruption))
    settings.resolve_config(estimator, fitted["n_values"], objective, names=None, shape=estimator.image_shape_)
    own = {name: tensor for name, tensor in tensors.items() if name not in LIMITS}
    if not set(LIMITS) <= set(tensors):
        raise ModelFileError("the ranges of the columns are missing")
    low, high = (tensors[name].double().numpy() for name in LIMITS)
    if low.shape != (fitted["n_values"],) or high.shape != low.shape:
        raise ModelFileError("the ranges of the columns are not one for each")
    estimator._limits = low, high
    model = _model(estimator, fitted, own)
    estimator._set_model(model.to(resolve_device(device)).eval(), fitted["n_components"], few_rows=fitted["few_rows"])
    Optimizer.from_json(fitted["plan"]["optimizer"])
    Schedule.from_json(fitted["plan"]["schedule"])
    for name in cls._saved_attributes:
        setattr(estimator, f"{name}_", fitted[name])
    return estimator


def check_names(cls: type[Any], options: dict[str, Any]) -> None:
    """Refuse options that are not just those that :func:`saved_options` gives."""
    known = set(cls._get_param_names()) - set(UNSAVED_OPTIONS)
    if strange := known ^ set(options):
        raise ModelFileError(f"the option {min(strange)!r} is not to be in the file, or is missing")


def _options(cls: type[Any], records: dict[str, Any], network: Any) -> dict[str, Any]:
    """Return the parameters of the constructor that a file holds."""
    options = dict(records)
    for name, family in FAMILIES.items():
        if isinstance(record := options.get(name), dict):
            own = name == "network" and record.get("option") == "Modules"
            options[name] = _own_network(network) if own else family.from_json(record)  # type: ignore[attr-defined]
    check_names(cls, options)
    conform(options["image_shape"], list[Count] | None, "image_shape")
    if isinstance(options["image_shape"], list):
        options["image_shape"] = tuple(options["image_shape"])
    return options


def _own_network(network: Any) -> Network:
    if network is None:
        raise ModelFileError(
            "the model was fitted with torch modules of your own, whose code is not in the file: "
            "hand them in again as network=(encoder, decoder)"
        )
    return settings.network_option(network)


def _model(estimator: Any, fitted: dict[str, Any], tensors: dict[str, Tensor]) -> EncoderDecoder:
    """Build the model in the right shape, and fill in the weights.

    It is built without memory, on the meta device: the shapes that the options ask for are held against those of the
    tensors in the file before anything is allocated.
    """
    n_features, n_components = fitted["n_values"], fitted["n_components"]
    shift, scale = tensors[SCALING + "shift64"], tensors[SCALING + "scale64"]
    if shift.shape != (n_features,) or scale.shape not in ((1,), (n_features,)) or not bool((scale > 0).all()):
        raise ModelFileError("the scales of the columns are not one positive number for each")
    network = settings.resolve_network(estimator)
    if fitted.get("linear_path") is not None:
        network = replace(network, linear_path=fitted["linear_path"])  # type: ignore[call-arg]
    if getattr(network, "blocks", 0) > len(tensors):
        raise ModelFileError("the network has more layers than the file has tensors")
    standardise = Standardise(shift, scale.expand(n_features), missing=fitted["missing"])
    likelihood = fitted["likelihood"]
    option = Likelihood.from_json(likelihood) if isinstance(likelihood, dict) else Likelihood.resolve(likelihood)
    head = option.unfitted_head(standardise).to("meta")
    posterior = fitted.get("posterior", False)
    with torch.device("meta"):
        start = LinearInit(
            components=torch.empty(n_features, n_components, dtype=torch.float64),
            component_std=torch.empty(n_components, dtype=torch.float64),
            center=torch.empty(n_features, dtype=torch.float64),
            std=torch.empty(n_features, dtype=torch.float64),
            freeze_linear=fitted["few_rows"] and not posterior,
            image_shape=estimator.image_shape_,
            ordered=fitted["ordered"],
            posterior=posterior,
            n_labels=fitted.get("n_labels", 0),
        )
        model = assemble(network, standardise, start, head, torch.Generator())
    again = {DECODER_SCALING + name.removeprefix(SCALING): t for name, t in tensors.items() if name.startswith(SCALING)}
    fill(model, tensors | again)
    _try(model.eval(), shift)
    return model


def _try(model: EncoderDecoder, shift: Tensor) -> None:
    """Refuse a model that cannot say anything of a row of zeros, in scaled units."""
    row = shift[None].float()
    with torch.inference_mode():
        z = model.standardise(row)
        output = model.output(z)
        found = torch.cat([model.head.mean(output), model.head.nll(output, row, z)])
    if not bool(torch.isfinite(found).all()):
        raise ModelFileError("the model gives no numbers")


def fill(module: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Give a module that was built on the meta device its weights, all of the shape and kind that they should be."""
    wanted = module.state_dict()
    absent = {name for name in wanted if not name.endswith(".center")} - set(tensors)
    if strange := absent | (set(tensors) - set(wanted)):
        raise ModelFileError(f"the tensor {min(strange)!r} is missing, or has no place in the network")
    for name, given in tensors.items():
        asked = wanted[name]
        if given.shape != asked.shape or given.dtype != asked.dtype:
            form, other = (f"{str(t.dtype).removeprefix('torch.')} {tuple(t.shape)}" for t in (given, asked))
            raise ModelFileError(f"the tensor {name!r} is {form}, but the options ask for {other}")
    # Copies lie in memory as fresh tensors do: products of matrices may depend on that in their last bit.
    module.load_state_dict({name: tensor.clone() for name, tensor in tensors.items()}, assign=True)
