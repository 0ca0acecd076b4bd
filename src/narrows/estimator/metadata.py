"""What the JSON in the file of an autoencoder must be; :func:`narrows.schema.conform` holds it against this."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

from narrows.schema import Count, Number

__all__ = ["AutoencoderMetadata"]


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


class FrameRecord(TypedDict):
    """How the columns of a frame with categories became numbers."""

    names: list[str]
    levels: list[list[str | float] | None]
    others: NotRequired[bool]


class FormRecord(TypedDict):
    """What sampled rows are to look like."""

    container: Literal["array", "columns", "pandas", "polars"]
    dtypes: list[str]
    draws: bool
    columns: FrameRecord | None


ClassesType = Literal["str", "object", "bool", "float16", "float32", "float64", "int8", "int16", "int32", "int64"]
UnsignedType = Literal["uint8", "uint16", "uint32", "uint64"]


class FittedValues(TypedDict):
    """The fitted values that are not tensors; from ``posterior`` on, those of a variational autoencoder."""

    n_components: Count
    n_features_in: Count
    n_values: Count
    feature_names_in: NotRequired[list[str]]
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
