"""Lab 1: handwritten digits through a narrow code, as courses teach it and as it can be done.

Four ways of rebuilding the same test images from the same number of numbers, each measured in the same way: the mean
image, PCA, the autoencoder of a first course, and narrows' own fit of the same layer sizes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from narrows import datasets
from narrows.autoencoder import Autoencoder
from narrows.errors import DataError
from narrows.labs.classifier import CodeClassifier, classify_codes
from narrows.labs.fits import Progress, fit_quietly
from narrows.labs.results import Entry, Exhibits, LabResult
from narrows.likelihoods import Gaussian
from narrows.networks import Dense
from narrows.training.optimisers import Adam

if TYPE_CHECKING:
    from narrows.datasets import Dataset

__all__ = ["LABS", "run_lab"]

SHOWN_IMAGES = 12
KEPT_CODES = 5_000

Transform = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Recipe:
    """The sizes of one lab."""

    n_components: int
    hidden: int
    epochs: int
    classifier_epochs: int
    white: float
    notes: tuple[str, ...] = ()


LABS = {
    "digits": Recipe(
        n_components=8,
        hidden=32,
        epochs=40,
        classifier_epochs=200,
        white=16.0,
        notes=(
            "An image has 64 pixels where MNIST's has 784: the code is {n_components} numbers (in the course, 32).",
            "The hidden layer has {hidden} units (in the course, 128).",
            "There are 1/40 of MNIST's rows: the network as taught takes {epochs} passes (in the course, 5).",
            "For the same reason the classifier takes {classifier_epochs} passes (in the course, 20).",
        ),
    ),
    "mnist": Recipe(n_components=32, hidden=128, epochs=5, classifier_epochs=20, white=255.0),
}


@dataclass
class _Model:
    """A fitted way through the code."""

    entry: Entry
    decode: Transform
    encode: Transform | None = None
    history: list[dict[str, Any]] | None = None


@dataclass(frozen=True)
class _Images:
    """The data of a lab, pixels from 0 to 1, and what to do with it."""

    train: np.ndarray
    test: np.ndarray
    train_labels: np.ndarray
    test_labels: np.ndarray
    recipe: Recipe
    seed: int
    progress: Progress


def run_lab(
    name: str,
    *,
    seed: int = 0,
    n_components: int | None = None,
    progress: Progress = lambda stage, detail: None,  # noqa: ARG005
) -> LabResult:
    """Run Lab 1 on a data set.

    Parameters
    ----------
    name : {"digits", "mnist"}
        ``"digits"`` comes with scikit-learn and takes seconds; ``"mnist"`` is downloaded once and takes minutes.
    seed : int, default 0
        Fixes everything random: a second run gives the same numbers, apart from times.
    n_components : int, optional
        Numbers in the code; 8 for digits and 32 for MNIST.
    progress : callable, optional
        Told what is being done: a stage, and how far it is (may be empty).

    Returns
    -------
    LabResult
        Numbers, sentences about them (``lessons``), and what the report shows.

    Raises
    ------
    DataError
        If there is no such lab, or the code is not smaller than an image.

    Examples
    --------
    >>> from narrows.labs import run_lab
    >>> result = run_lab("digits")
    >>> result["narrows"].test_mse < result["pca"].test_mse < result["mean"].test_mse
    True
    """
    if name not in LABS:
        raise DataError(f"There is no lab {name!r}; there are {' and '.join(LABS)}.")
    recipe = LABS[name] if n_components is None else replace(LABS[name], n_components=n_components)
    width = int(np.prod(datasets.describe(name).shape))
    if not 1 <= recipe.n_components < width:
        raise DataError(f"The code of this lab may have 1 to {width - 1} numbers, not {recipe.n_components}.")
    progress("loading the images", "")
    data = datasets.load(name)
    images = _scaled(data, recipe, seed, progress)
    models = [_mean(images), _pca(images), _taught(images), _default(images)]
    entries, errors, codes = [], {}, {}
    for model in models:
        entry, error = _measure(model, images)
        entries.append(entry)
        errors[entry.key] = error
        if model.encode is not None:
            codes[entry.key] = model.encode(images.test[:KEPT_CODES])
    shown = images.test[:SHOWN_IMAGES]
    return LabResult(
        name=name,
        seed=seed,
        n_components=recipe.n_components,
        hidden=recipe.hidden,
        n_train=len(images.train),
        n_test=len(images.test),
        shape=data.shape,
        notes=_notes(recipe, seed),
        entries=tuple(entries),
        source=f"{data.citation}. Licence: {data.licence}.",
        exhibits=Exhibits(
            images=shown,
            rebuilt={model.entry.key: model.decode(shown) for model in models},
            errors=errors,
            codes=codes,
            code_labels=images.test_labels[:KEPT_CODES],
            histories={model.entry.key: model.history for model in models if model.history},
        ),
    )


def _scaled(data: Dataset, recipe: Recipe, seed: int, progress: Progress) -> _Images:
    assert data.train_labels is not None
    assert data.test_labels is not None
    train, test = (rows.astype(np.float32) / np.float32(recipe.white) for rows in (data.train, data.test))
    return _Images(train, test, data.train_labels, data.test_labels, recipe, seed, progress)


def _notes(recipe: Recipe, seed: int) -> tuple[str, ...]:
    return (
        "All models are fitted to the same training images and measured on the same test images, pixels from 0 to 1.",
        *(note.format_map(vars(recipe)) for note in recipe.notes),
        f"The classifier sees the codes only: 128 ReLU units, softmax, RMSprop, {recipe.classifier_epochs} passes.",
        "It is trained on the first four fifths of the training images and validated on the last fifth.",
        f"All numbers come from one seed, {seed}; another seed shows how far they move.",
    )


def _mean(images: _Images) -> _Model:
    began = time.perf_counter()
    mean = images.train.mean(0, dtype=np.float64).astype(np.float32)
    seconds = time.perf_counter() - began
    entry = _entry("mean", "mean image", "the average training image, whatever the input", seconds)
    return _Model(entry, lambda rows: np.broadcast_to(mean, rows.shape))


def _pca(images: _Images) -> _Model:
    from sklearn.decomposition import PCA

    size = images.recipe.n_components
    images.progress(f"fitting PCA with {size} numbers", "")
    began = time.perf_counter()
    pca = PCA(size, random_state=images.seed).fit(images.train)
    entry = _entry("pca", "PCA", f"the best linear code of {size} numbers", time.perf_counter() - began)
    return _Model(entry, lambda rows: pca.inverse_transform(pca.transform(rows)), pca.transform)


def _taught(images: _Images) -> _Model:
    recipe = images.recipe
    model = Autoencoder(
        recipe.n_components,
        network=Dense(
            (recipe.hidden,), activation="relu", code_activation="relu", output_activation="sigmoid", init="glorot"
        ),
        likelihood=Gaussian(bounds="none"),
        scaling="none",
        optimizer=Adam(eps=1e-7),
        schedule="constant",
        learning_rate=1e-3,
        batch_size=32,
        max_epochs=recipe.epochs,
        early_stopping=False,
        validation_fraction=0,
        random_state=images.seed,
    )
    text = (
        f"{_layers(images)}, ReLU, ReLU code, sigmoid output; Adam at 0.001, batches of 32, {recipe.epochs} passes, "
        "squared error"
    )
    return _autoencoder("taught", "as taught", text, model, images)


def _default(images: _Images) -> _Model:
    model = Autoencoder(images.recipe.n_components, network=Dense((images.recipe.hidden,)), random_state=images.seed)
    text = f"{_layers(images)}, and a linear path; starts at PCA, stops where held-out images say so"
    return _autoencoder("narrows", "narrows", text, model, images)


def _layers(images: _Images) -> str:
    width, recipe = images.train.shape[1], images.recipe
    return "-".join(str(size) for size in (width, recipe.hidden, recipe.n_components, recipe.hidden, width))


def _autoencoder(key: str, name: str, description: str, model: Autoencoder, images: _Images) -> _Model:
    stage = f"fitting the network {name}" if key == "taught" else f"fitting {name}' defaults"

    def tell(record: dict[str, Any]) -> None:
        loss = record.get("val_loss", record.get("loss"))
        images.progress(stage, f"pass {record['epoch']:.3g}, error {loss:.4f}")

    images.progress(stage, "")
    began = time.perf_counter()
    warning = fit_quietly(model.set_params(callbacks=(tell,)), images.train)
    seconds = time.perf_counter() - began
    entry = _entry(key, name, description, seconds)
    steps = int(model.n_steps_)
    passes = steps * int(model.plan_["batch_size"]) / len(images.train)
    stayed = bool(model.stayed_linear_)
    entry = replace(entry, warning=warning, steps=steps, passes=passes, stayed_linear=stayed)
    return _Model(entry, model.reconstruct, model.transform, model.history_)


def _entry(key: str, name: str, description: str, seconds: float) -> Entry:
    return Entry(key, name, description, test_mse=float("nan"), clipped_mse=float("nan"), seconds=seconds)


def _measure(model: _Model, images: _Images) -> tuple[Entry, np.ndarray]:
    """Fill in what is measured in the same way for all, and return each test image's error as well."""
    rebuilt = model.decode(images.test)
    errors = np.square(rebuilt.astype(np.float64) - images.test).mean(1)
    clipped = float(np.square(rebuilt.clip(0, 1).astype(np.float64) - images.test).mean())
    entry = replace(model.entry, test_mse=float(errors.mean()), clipped_mse=clipped)
    if model.encode is None:
        return entry, errors
    stage = f"training the classifier on the codes: {entry.name}"
    images.progress(stage, "")
    codes, test_codes = model.encode(images.train), model.encode(images.test)
    classifier = CodeClassifier(epochs=images.recipe.classifier_epochs, seed=images.seed)
    given = (codes, images.train_labels, test_codes, images.test_labels, classifier)
    accuracy = classify_codes(*given)
    images.progress(stage, "codes standardised first")
    entry = replace(
        entry,
        accuracy=accuracy,
        accuracy_standardised=classify_codes(*given, standardise=True),
        dead_units=int((test_codes == 0).all(0).sum()),
        zero_share=float((test_codes == 0).mean()),
    )
    return entry, errors
