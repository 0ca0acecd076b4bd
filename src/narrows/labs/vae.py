"""The lab on generating: a variational autoencoder as courses teach it, and as it can be done.

A network with a code of two numbers, so that all it can draw fits on one page; narrows' own defaults with as many
numbers, and with more. All of them are measured on the same test images, and held against independent pixels, PCA, a
plain autoencoder, and images sampled from PCA.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from narrows import datasets
from narrows.autoencoder import Autoencoder
from narrows.labs.fits import Progress, fit_quietly
from narrows.labs.samples import Reader
from narrows.labs.vae_recipes import SMALL, VaeRecipe, recipe_for
from narrows.labs.vae_results import SimpleEntry, VaeEntry, VaeExhibits, VaeResult
from narrows.labs.vae_samples import READ_IMAGES, LinearGenerator, all_scores
from narrows.networks import Dense
from narrows.training.optimisers import Adam
from narrows.variational import VariationalAutoencoder

if TYPE_CHECKING:
    from narrows.datasets import Dataset

__all__ = ["run_vae_lab"]

KEPT_IMAGES = 5_000

NETWORK = Dense()
"""Layers of the kind that is taught; convolutional ones, narrows' default for images, take several times as long."""


@dataclass(frozen=True)
class _Images:
    """The data of a lab, pixels from 0 to 1, and what to do with it."""

    train: np.ndarray
    test: np.ndarray
    train_labels: np.ndarray
    test_labels: np.ndarray
    recipe: VaeRecipe
    seed: int
    progress: Progress


def run_vae_lab(
    data: str = "digits",
    *,
    seed: int = 0,
    n_components: int | None = None,
    max_epochs: int | None = None,
    progress: Progress = lambda stage, detail: None,  # noqa: ARG005
) -> VaeResult:
    """Run the lab on variational autoencoders on a data set.

    Parameters
    ----------
    data : {"digits", "mnist"}, default "digits"
        ``"digits"`` comes with scikit-learn and takes under a minute; ``"mnist"`` is downloaded once and takes
        minutes.
    seed : int, default 0
        Fixes everything random: a second run gives the same numbers, apart from times.
    n_components : int, optional
        Numbers in the larger code; 8 for digits and 32 for MNIST.
    max_epochs : int, optional
        Passes of each fit at most, for a quick look.
    progress : callable, optional
        Told what is being done: a stage, and how far it is (may be empty).

    Returns
    -------
    VaeResult
        Numbers, sentences about them (``lessons``), and the fitted models (``exhibits.models``).

    Raises
    ------
    DataError
        If there is no such data set here, or the larger code is none.

    Examples
    --------
    >>> from narrows.labs import run_vae_lab
    >>> result = run_vae_lab("digits", max_epochs=10)
    >>> result["narrows"].total < result.independent
    True
    >>> result.exhibits.models["narrows"].sample(3, y=7, random_state=0).shape
    (3, 8, 8)
    """
    recipe = recipe_for(data, n_components, max_epochs)
    progress("loading the images", "")
    loaded = datasets.load(data)
    images = _scaled(loaded, recipe, seed, progress)
    fitted = [_taught(images), _default("small", SMALL, images), _default("narrows", recipe.n_components, images)]
    models = {entry.key: model for entry, model in fitted}
    measured = [_measure(entry, model, images) for entry, model in fitted]
    progress("training the classifier of images", "")
    reader = Reader.train(
        images.train, images.train_labels, hidden=recipe.reader_hidden, epochs=recipe.reader_epochs, seed=seed
    )
    linear = LinearGenerator.fit(images.train, images.train_labels, recipe.n_components, seed)
    progress("sampling images and comparing them", "")
    names = {entry.key: entry.name for entry, _ in fitted}
    scores = all_scores(
        reader, (images.train, images.test, images.test_labels), linear, models, names, recipe.repeats, seed
    )
    return VaeResult(
        data=data,
        seed=seed,
        n_train=len(images.train),
        n_test=len(images.test),
        shape=loaded.shape,
        entries=tuple(entry for entry, _ in measured),
        simple=_simple(images),
        independent=_independent_cost(images),
        floor=_least_cost(images.test),
        scores=scores,
        importance_rows=min(recipe.importance_rows, len(images.test)),
        importance_draws=recipe.importance_draws,
        read_images=READ_IMAGES,
        notes=_notes(images),
        source=f"{loaded.citation}. Licence: {loaded.licence}.",
        exhibits=VaeExhibits(
            models=models,
            images=images.test[:KEPT_IMAGES],
            labels=images.test_labels[:KEPT_IMAGES],
            totals={entry.key: totals for entry, totals in measured},
        ),
    )


def _scaled(data: Dataset, recipe: VaeRecipe, seed: int, progress: Progress) -> _Images:
    assert data.train_labels is not None
    assert data.test_labels is not None
    train, test = (
        (rows.astype(np.float32) / np.float32(recipe.white)).reshape(-1, *data.shape)
        for rows in (data.train, data.test)
    )
    # Whole numbers of the usual kind: a label is then written as 7, not as an unsigned one.
    labels = (data.train_labels.astype(np.int64), data.test_labels.astype(np.int64))
    return _Images(train, test, *labels, recipe, seed, progress)


def _notes(images: _Images) -> tuple[str, ...]:
    recipe = images.recipe
    return (
        "All models are fitted to the same training images and measured on the same test images, pixels from 0 to 1.",
        "The loss is the courses': cross-entropy summed over pixels, KL summed over the code, means over images.",
        *(note.format_map(vars(recipe)) for note in recipe.notes),
        "narrows' fits have dense layers, as taught, and its defaults otherwise; for images it would take others.",
        "As taught but for the start: the untrained network draws the average image, where in Keras it draws grey.",
        "Losses of test images are means over 8 codes drawn from the posterior of each.",
        "Mixtures are fitted after the training, to the codes of each digit's training images.",
        "No network is told of digits: a mixture's digit is where its codes come from.",
        f"Distances are Fréchet distances of the {recipe.reader_hidden} hidden units of a small classifier.",
        "They are in its own units, and compare with each other, not with figures from elsewhere.",
        "The classifier learns from four fifths of the training images; the last fifth are the other real images.",
        f"Of sampled images, distances are means over {recipe.repeats} sets as large as that fifth, at most 10,000.",
        "The plain autoencoders have narrows' layers and defaults, and minimise the squared error itself.",
        f"All numbers come from one seed, {images.seed}; another seed shows how far they move.",
    )


# Fits


def _taught(images: _Images) -> tuple[VaeEntry, VariationalAutoencoder]:
    recipe = images.recipe
    model = VariationalAutoencoder(
        SMALL,
        network=Dense((recipe.taught_hidden,), activation="relu", linear_path=False, init="glorot"),
        likelihood="bernoulli",
        kl_warmup=0.0,
        prior="normal",
        scaling="none",
        optimizer=Adam(eps=1e-7),
        learning_rate=1e-3,
        schedule="constant",
        batch_size=128,
        max_epochs=recipe.taught_epochs,
        early_stopping=False,
        random_state=images.seed,
    )
    text = (
        f"one hidden layer of {recipe.taught_hidden} ReLU units there and back, Adam at 0.001, batches of 128, "
        f"{recipe.taught_epochs} passes, the whole KL from the start"
    )
    return _fitted("taught", f"as taught, {SMALL} numbers", text, (recipe.taught_hidden,), model, images)


def _default(key: str, size: int, images: _Images) -> tuple[VaeEntry, VariationalAutoencoder]:
    recipe = images.recipe
    epochs = recipe.small_epochs if key == "small" else recipe.large_epochs
    model = VariationalAutoencoder(
        size,
        network=NETWORK,
        likelihood="bernoulli",
        max_epochs="auto" if epochs is None else epochs,
        random_state=images.seed,
    )
    widths = _default_widths(images)
    text = (
        f"hidden layers of {' and '.join(map(str, widths))} units, the KL warmed up, a falling rate, the weights that "
        "did best on held-out images"
    )
    return _fitted(key, f"narrows, {size} numbers", text, widths, model, images)


def _default_widths(images: _Images) -> tuple[int, ...]:
    return NETWORK.widths(images.train[0].size, posterior=True)


def _fitted(
    key: str, name: str, text: str, hidden: tuple[int, ...], model: VariationalAutoencoder, images: _Images
) -> tuple[VaeEntry, VariationalAutoencoder]:
    stage = f"fitting {name}"

    def tell(record: dict[str, Any]) -> None:
        # A plain autoencoder is fitted for comparison afterwards, and reports in its own units.
        plain = "kl_loss" not in record and "val_kl_loss" not in record
        loss = "its plain autoencoder" if plain else f"loss {record.get('val_loss', record.get('loss')):.1f}"
        images.progress(stage, f"pass {record['epoch']:.3g}, {loss}")

    images.progress(stage, "")
    began = time.perf_counter()
    warning = fit_quietly(model.set_params(callbacks=(tell,)), images.train, images.train_labels)
    seconds = time.perf_counter() - began
    model.set_params(callbacks=())
    last = model.history_[-1]
    steps = int(model.n_steps_)
    unknown = math.nan
    entry = VaeEntry(
        key,
        name,
        text,
        hidden,
        n_components=int(model.n_components_),
        n_active=int(model.n_active_components_),
        reconstruction=unknown,
        kl=unknown,
        total=unknown,
        bits_per_pixel=unknown,
        importance=unknown,
        importance_total=unknown,
        test_mse=unknown,
        seconds=seconds,
        steps=steps,
        passes=steps * last["epoch"] / last["step"],
        warning=warning,
    )
    return entry, model


# Measurements


def _measure(entry: VaeEntry, model: VariationalAutoencoder, images: _Images) -> tuple[VaeEntry, np.ndarray]:
    """Fill in what is measured, and return the total of each test image as well."""
    images.progress(f"measuring {entry.name}", "")
    test, recipe = images.test, images.recipe
    bound = model.elbo(test)
    few = test[: recipe.importance_rows]
    likelihood = model.log_likelihood(few, recipe.importance_draws)
    error = np.square(model.reconstruct(test).astype(np.float64) - test).mean()
    entry = replace(
        entry,
        reconstruction=-float(bound.reconstruction.mean()),
        kl=float(bound.kl.mean()),
        total=-float(bound.total.mean()),
        bits_per_pixel=-float(bound.total.mean()) / (test[0].size * math.log(2)),
        importance=-float(likelihood.mean()),
        importance_total=-float(bound.total[: len(few)].mean()),
        test_mse=float(error),
    )
    return entry, -bound.total


def _simple(images: _Images) -> tuple[SimpleEntry, ...]:
    from sklearn.decomposition import PCA

    train, test = images.train.reshape(len(images.train), -1), images.test.reshape(len(images.test), -1)
    mean = train.mean(0, dtype=np.float64)
    entries = [SimpleEntry("mean", "mean image", None, float(np.square(test - mean).mean()))]
    hidden = _default_widths(images)
    for size in (SMALL, images.recipe.n_components):
        images.progress(f"fitting PCA and a plain autoencoder with {size} numbers", "")
        epochs = images.recipe.plain_epochs
        plain = Autoencoder(
            size,
            network=Dense(hidden),
            max_epochs="auto" if epochs is None else epochs,
            random_state=images.seed,
        )
        fit_quietly(plain, images.train)
        pca = PCA(size, random_state=images.seed).fit(train)
        rebuilt = {
            "pca": pca.inverse_transform(pca.transform(test)),
            "autoencoder": plain.reconstruct(images.test).reshape(test.shape),
        }
        for key, name in (("pca", "PCA"), ("autoencoder", "plain autoencoder")):
            error = float(np.square(rebuilt[key].astype(np.float64) - test).mean())
            entries.append(SimpleEntry(key, f"{name}, {size} numbers", size, error))
    return tuple(entries)


def _independent_cost(images: _Images) -> float:
    """Return the cross-entropy of a test image when each pixel has a chance of its own, in nats."""
    train = images.train.reshape(len(images.train), -1).astype(np.float64)
    # One more of each, so that nothing is impossible (Laplace).
    chance = (train.sum(0) + 1) / (len(train) + 2)
    test = images.test.reshape(len(images.test), -1).astype(np.float64)
    return float(-(test * np.log(chance) + (1 - test) * np.log1p(-chance)).sum(1).mean())


def _least_cost(test: np.ndarray) -> float:
    """Return the cross-entropy of test images with themselves, in nats an image."""
    pixels = test.reshape(len(test), -1).astype(np.float64)
    inside = pixels.clip(1e-12, 1 - 1e-12)
    return float(-(pixels * np.log(inside) + (1 - pixels) * np.log1p(-inside)).sum(1).mean())
