"""Figures of the lab on variational autoencoders."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from narrows.report.generation import plot_interpolation, plot_samples
from narrows.report.images import plot_reconstructions
from narrows.report.maps import plot_code_map
from narrows.report.plots import plot_losses

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from narrows.labs.engine import LabResult

__all__ = ["plot_by_digit", "plot_images", "plot_maps", "plot_pairs", "plot_sampled", "plot_training", "plot_traversal"]

_PAIRS = ((1, 7), (3, 8), (4, 9))
"""Digits that the interpolations lead from and to."""

_N_SAMPLED, _N_BY_DIGIT, _N_TRAVERSED = 36, 12, 5


def plot_training(result: LabResult, theme: str) -> Figure:
    """Draw the losses while training."""
    models = result.artifacts["models"]
    return plot_losses({result[key].name: models[key] for key in ("course", "narrows")}, theme=theme)


def plot_images(result: LabResult, theme: str) -> Figure:
    """Draw the first test images and their reconstructions."""
    images, models = result.artifacts["images"], result.artifacts["models"]
    named = {result[key].name: model for key, model in models.items()}
    return plot_reconstructions(images, named, shape=images.shape[1:], theme=theme)


def plot_maps(result: LabResult, theme: str) -> Figure:
    """Draw the two-dimensional codes of the test images."""
    images, models = result.artifacts["images"], result.artifacts["models"]
    codes = {result[key].name: models[key].transform(images) for key in ("course", "small")}
    return plot_code_map(codes, result.artifacts["labels"], theme=theme)


def plot_pairs(result: LabResult, theme: str) -> Figure:
    """Draw the ways between the first test images of a few digits and of those they become."""
    images, labels = result.artifacts["images"], result.artifacts["labels"]
    first = {digit: images[int(np.flatnonzero(labels == digit)[0])] for pair in _PAIRS for digit in pair}
    ends = (np.stack([first[pair[side]] for pair in _PAIRS]) for side in (0, 1))
    return plot_interpolation(result.artifacts["models"]["narrows"], *ends, theme=theme)


def plot_traversal(result: LabResult, theme: str) -> Figure:
    """Draw images along the components of narrows' larger code that are used most."""
    images, model = result.artifacts["images"], result.artifacts["models"]["narrows"]
    used = np.argsort(-model.transform(images).var(0), kind="stable")[:_N_TRAVERSED]
    ways = {f"component {component + 1}": model.traverse(images[0], int(component)) for component in used}
    return plot_samples(ways, rows=True, theme=theme)


def plot_sampled(result: LabResult, key: str, theme: str) -> Figure:
    """Draw images sampled from both priors of a model."""
    model = result.artifacts["models"][key]
    sampled = {
        result[f"{key}_{prior}"].name: model.sample(_N_SAMPLED, prior=prior, random_state=result.seed)
        for prior in ("normal", "mixture")
    }
    return plot_samples(sampled, n_images=_N_SAMPLED, theme=theme)


def plot_by_digit(result: LabResult, theme: str) -> Figure:
    """Draw images sampled for each digit."""
    model = result.artifacts["models"]["narrows"]
    rows = {str(digit): model.sample(_N_BY_DIGIT, y=digit, random_state=result.seed) for digit in model.classes_}
    return plot_samples(rows, rows=True, theme=theme)
