"""From a fitted detector to what a model file holds, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import clone

from narrows.anomaly.columns import Columns
from narrows.anomaly.fitting import Scoring
from narrows.anomaly.neighbors import Neighbors
from narrows.anomaly.rebuilding import Rebuilder
from narrows.autoencoder import Autoencoder
from narrows.data.categories import FrameColumns
from narrows.estimator import state

if TYPE_CHECKING:
    from torch import Tensor

    from narrows.anomaly.detector import AnomalyDetector

__all__ = ["from_file", "to_file"]

COLUMNS = ("center", "scale", "knots", "scores", "chances")
INSIDE = "autoencoder."


def to_file(detector: AnomalyDetector) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return all of a fitted detector as JSON values and tensors."""
    scoring, form = detector._scoring, detector._form
    rebuilder = scoring.rebuilder
    inner, weights = state.to_file(detector.autoencoder_)
    tensors = {INSIDE + name: tensor for name, tensor in weights.items()}
    tensors |= {f"columns/{name}": getattr(rebuilder.columns, name) for name in COLUMNS}
    tensors |= {"spread/": rebuilder.spread, "examples/": rebuilder.examples, "calibration/": detector._calibration}
    asked = {}
    for part, known in scoring.neighbors.items():
        tensors |= {f"{part}/rows": known.rows, f"{part}/own": known.own}
        asked[part] = {"count": known.count, "power": known.power, "farthest": known.farthest}
    fitted: dict[str, Any] = {
        "n_features_in": detector.n_features_in_,
        "offset": detector.offset_,
        "middles": scoring.middles,
        "spreads": scoring.spreads,
        "neighbors": asked,
        "levels": list(rebuilder.columns.levels),
        "discrete": rebuilder.columns.discrete,
        "form": None if form is None else form.to_json(),
        "n_calibration": len(detector._calibration),
    }
    if hasattr(detector, "feature_names_in_"):
        fitted["feature_names_in"] = [str(name) for name in detector.feature_names_in_]
    options = {name: state.option_to_json(name, value) for name, value in detector.get_params(deep=False).items()}
    options["method"] = list(detector.method) if not isinstance(detector.method, str) else detector.method
    options["autoencoder"] = None if detector.autoencoder is None else "own"
    return {"options": options, "fitted": fitted, "autoencoder": inner}, tensors


def from_file(
    cls: type[AnomalyDetector], metadata: dict[str, Any], tensors: dict[str, Tensor], *, network: Any, device: str
) -> AnomalyDetector:
    """Rebuild a fitted detector from what :func:`to_file` gave."""
    options, fitted = dict(metadata["options"]), metadata["fitted"]
    weights = {name.removeprefix(INSIDE): t for name, t in tensors.items() if name.startswith(INSIDE)}
    autoencoder = state.from_file(Autoencoder, metadata["autoencoder"], weights, network=network, device=device)
    if options["autoencoder"] is not None:
        options["autoencoder"] = clone(autoencoder)
    if isinstance(options["method"], list):
        options["method"] = tuple(options["method"])
    detector = cls(**(options | {"device": device}))
    columns = Columns(
        **{name: tensors[f"columns/{name}"] for name in COLUMNS},
        levels=tuple(fitted["levels"]),
        discrete=fitted["discrete"],
    )
    rebuilder = Rebuilder(columns, autoencoder, tensors["spread/"], tensors["examples/"])
    neighbors = {
        part: Neighbors(tensors[f"{part}/rows"], tensors[f"{part}/own"], **asked)
        for part, asked in fitted["neighbors"].items()
    }
    detector._scoring = Scoring(rebuilder, neighbors, fitted["middles"], fitted["spreads"])
    detector._calibration = tensors["calibration/"]
    detector._form = None if fitted["form"] is None else FrameColumns(**fitted["form"])
    detector.autoencoder_ = autoencoder
    detector.offset_ = fitted["offset"]
    detector.n_features_in_ = fitted["n_features_in"]
    if "feature_names_in" in fitted:
        detector.feature_names_in_ = np.asarray(fitted["feature_names_in"], dtype=object)
    return detector
