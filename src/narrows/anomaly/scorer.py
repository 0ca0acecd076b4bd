"""From rows to anomaly scores, and from scores to p-values and decisions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any, NotRequired, TypedDict

import numpy as np
import torch
from scipy.special import ndtri
from scipy.stats import false_discovery_control
from torch import Tensor

from narrows.anomaly.column_scaler import ColumnScaler
from narrows.anomaly.denoiser import Denoiser
from narrows.anomaly.reference_set import ReferenceSet
from narrows.autoencoder import Autoencoder
from narrows.errors import ModelFileError
from narrows.estimator.state import SchemaRecord
from narrows.schema import Count, Number, Range, Share

__all__ = ["PARTS", "DetectorMetadata", "Scorer", "conformal_p_values", "discoveries"]

PARTS = ("neighbors", "ranks", "reconstruction")

CLEARLY = 0.25
"""So much more than the others, in standard deviations, the ranks must say: they see no gaps between values."""

SCALER_TENSORS = ("center", "scale", "knots", "normal_scores", "probabilities")


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
    schema: NotRequired[SchemaRecord]
    medians: dict[str, float]
    stds: dict[str, Positive]
    references: dict[str, ReferenceRecord]
    block_sizes: list[Count]
    discrete_fraction: Share
    n_calibration: Number


class DetectorMetadata(TypedDict):
    """What the JSON in the file of a detector must be; the autoencoder is described as in a file of its own."""

    options: dict[str, Any]
    fitted: FittedValues
    autoencoder: dict[str, Any]


@dataclass(frozen=True)
class Scorer:
    """A fitted detector's way from rows to scores: the largest of its parts, each in its own standard deviations."""

    denoiser: Denoiser
    references: dict[str, ReferenceSet]
    medians: dict[str, float]  # of each part over normal rows
    stds: dict[str, float]  # likewise, told by quantiles
    calibration: Tensor  # (m,): scores, rising, of rows of the fit by autoencoders that were not fitted to them

    @classmethod
    def uncalibrated(cls, denoiser: Denoiser, references: dict[str, ReferenceSet], parts: tuple[str, ...]) -> Scorer:
        """Return a scorer whose parts are as they come."""
        return cls(denoiser, references, dict.fromkeys(parts, 0.0), dict.fromkeys(parts, 1.0), torch.zeros(0))

    def scores(self, x: Tensor) -> Tensor:
        """Return the scores of rows in the data's units, float64, shape (n,): 0 for a typical one."""
        return self.combine(self.parts(x))

    def parts(self, x: Tensor) -> dict[str, Tensor]:
        """Return what each part says of rows: a logarithm of a distance or of a residual."""
        return {
            part: self.references[part].log_distance(view)
            if part in self.references
            else self.denoiser.log_residual(view)
            for part, view in self.denoiser.views(x, self.medians).items()
        }

    def combine(self, parts: dict[str, Tensor]) -> Tensor:
        """Return the largest of the parts, each in standard deviations of normal rows from their median."""
        scaled = {part: (values - self.medians[part]) / self.stds[part] for part, values in parts.items()}
        if "ranks" in scaled and len(scaled) > 1:
            scaled["ranks"] = scaled["ranks"] - CLEARLY
        return torch.stack(list(scaled.values())).amax(0)

    def calibrate(self, parts: dict[str, Tensor], *, contaminated: bool = False) -> Scorer:
        """Set medians and standard deviations by what is said of rows, and keep their scores.

        Of rows with anomalies among them the lower half tells.
        """
        medians, stds = {}, {}
        for part, values in parts.items():
            low, median, high = (float(q) for q in np.quantile(values.numpy(), (0.16, 0.5, 0.84)))
            std, least = (median - low, 1e-9) if contaminated else ((high - low) / 2, 5e-10)
            medians[part], stds[part] = median, std if std > least else 1.0
        scaled = replace(self, medians=medians, stds=stds)
        return replace(scaled, calibration=scaled.combine(parts).sort().values)

    def threshold_at_rate(self, rate: float) -> float:
        """Return the score that new normal rows pass at this rate.

        A score above it has a conformal p-value of ``rate`` or less. With fewer than ``1 / rate - 1`` calibration rows
        no score can be told to be that rare; it is then their highest, which new rows pass more often.
        """
        known = self.calibration.numpy()
        place = max(1, int(np.floor(rate * (len(known) + 1) + 1e-9)))
        return float(known[-min(place, len(known))])

    def threshold_far_out(self, rate: float) -> float:
        """Return the score that normal rows would pass at this rate if their scores had a normal distribution.

        For scores among which are those of anomalies: the distribution is told by their lower three quarters alone, by
        the wider of the two sides of the middle.
        """
        low, median, high = np.quantile(self.calibration.numpy(), (0.16, 0.5, 0.75))
        std = max((low - median) / ndtri(0.16), (high - median) / ndtri(0.75))
        return float(median - ndtri(rate) * std)

    def to_state(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Return all but the autoencoder as JSON values and tensors."""
        denoiser, scaler = self.denoiser, self.denoiser.scaler
        tensors = {f"scaler/{name}": getattr(scaler, name) for name in SCALER_TENSORS}
        tensors |= {"residual_std/": denoiser.residual_std, "examples/": denoiser.examples}
        tensors["calibration/"] = self.calibration
        references = {}
        for part, known in self.references.items():
            tensors |= {f"{part}/rows": known.rows, f"{part}/local_distances": known.local_distances}
            references[part] = {"n_neighbors": known.n_neighbors, "power": known.power, "farthest": known.farthest}
        return {
            "medians": self.medians,
            "stds": self.stds,
            "references": references,
            "block_sizes": list(scaler.block_sizes),
            "discrete_fraction": scaler.discrete_fraction,
            "n_calibration": len(self.calibration),
        }, tensors

    @classmethod
    def from_state(cls, state: dict[str, Any], tensors: dict[str, Tensor], autoencoder: Autoencoder) -> Scorer:
        """Rebuild a scorer from what :meth:`to_state` gave; parts that contradict each other are refused."""
        scaler = ColumnScaler(
            **{name: tensors[f"scaler/{name}"] for name in SCALER_TENSORS},
            block_sizes=tuple(state["block_sizes"]),
            discrete_fraction=state["discrete_fraction"],
        )
        denoiser = Denoiser(scaler, autoencoder, tensors["residual_std/"], tensors["examples/"])
        references = {
            part: ReferenceSet(tensors[f"{part}/rows"], tensors[f"{part}/local_distances"], **options)
            for part, options in state["references"].items()
        }
        scorer = cls(denoiser, references, state["medians"], state["stds"], tensors["calibration/"])
        single = ("/rows", "examples/", "residual_std/")
        if any(t.dtype != (torch.float32 if name.endswith(single) else torch.float64) for name, t in tensors.items()):
            raise ModelFileError("the parts of the detector are not of the kinds that they should be")
        scorer._check()
        normal = torch.cat([scaler.center, torch.zeros(sum(scaler.block_sizes), dtype=torch.float64)])
        if not bool(scorer.scores(normal[None]).isfinite().all()):
            raise ModelFileError("the detector gives no numbers")
        return scorer

    def _check(self) -> None:
        """Refuse parts that do not fit together."""
        scaler, denoiser = self.denoiser.scaler, self.denoiser
        n_numbers, n_values = scaler.n_numbers, scaler.n_numbers + sum(scaler.block_sizes)
        widths = {"neighbors": 2 * n_values, "ranks": n_values}
        good = (
            self.medians.keys() == self.stds.keys()
            and set(self.medians) <= set(PARTS)
            and len(self.medians) > 0
            and set(self.references) == set(self.medians) - {"reconstruction"}
            and all(float(std) > 0 for std in self.stds.values())
            and all(size > 0 for size in scaler.block_sizes)
            and denoiser.autoencoder.n_features_in_ == n_values
            and scaler.scale.shape == (n_numbers,)
            and scaler.knots.shape == scaler.normal_scores.shape == (n_numbers, scaler.knots.shape[1])
            and scaler.probabilities.shape == (n_values - n_numbers,)
            and bool(((scaler.probabilities >= 0) & (scaler.probabilities <= 1)).all())
            and bool((scaler.scale >= 0).all() and (denoiser.residual_std >= 0).all())
            and denoiser.residual_std.shape == denoiser.examples.shape[1:] == (n_values,)
            and self.calibration.ndim == 1
            and len(self.calibration) > 0
        )
        for part, known in self.references.items():
            good = good and known.rows.shape == (len(known.local_distances), widths[part])
            good = good and len(known.rows) > 0 and known.n_neighbors >= 1 and 0 <= known.power <= 1
        if not good:
            raise ModelFileError("the parts of the detector do not fit together")


def conformal_p_values(scores: np.ndarray, calibration: np.ndarray) -> np.ndarray:
    """Return how likely a normal row has such a score or a higher one: between 1 / (m + 1) and 1.

    ``(1 + how many of the m calibration scores are as high) / (m + 1)``: of normal rows these are as good as uniform,
    or larger (Vovk, Gammerman and Shafer 2005; for outliers Bates et al. 2023).
    """
    as_high = len(calibration) - np.searchsorted(calibration, scores, side="left")
    return (1 + as_high) / (len(calibration) + 1)


def discoveries(p_values: np.ndarray, fdr: float) -> np.ndarray:
    """Say which p-values are discoveries, of which a fraction ``fdr`` is expected to be false at most.

    By the step-up procedure of Benjamini and Hochberg (1995). Conformal p-values depend on each other in the way that
    leaves its guarantee in force (Bates et al. 2023).
    """
    # These p-values are multiples of one number, so that ties are common: rounding must not break them.
    return false_discovery_control(p_values) <= fdr * (1 + 1e-12)
