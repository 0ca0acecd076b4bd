"""What the JSON in the file of a detector must be; :func:`narrows.schema.conform` holds it against this."""

from __future__ import annotations

from typing import Annotated, Any, NotRequired, TypedDict

from narrows.estimator.metadata import FrameRecord  # noqa: TC001 -- looked up when a file is read
from narrows.schema import Count, Number, Range, Share

__all__ = ["DetectorMetadata"]

Positive = Annotated[float, Range(0, open_low=True)]


class ReferenceRecord(TypedDict):
    """How distances to a reference set are taken."""

    n_neighbors: Count
    power: Share
    farthest: bool


class FittedValues(TypedDict):
    """The fitted values that are not tensors."""

    n_features_in: Count
    feature_names_in: NotRequired[list[str]]
    offset: float
    form: FrameRecord | None
    medians: dict[str, float]
    stds: dict[str, Positive]
    references: dict[str, ReferenceRecord]
    block_sizes: list[Count]
    discrete_fraction: Share
    n_calibration: Number


class DetectorMetadata(TypedDict):
    """All of it; the description of the autoencoder is as in a file of its own."""

    options: dict[str, Any]
    fitted: FittedValues
    autoencoder: dict[str, Any]
