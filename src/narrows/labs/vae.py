"""The lab on generating: a variational autoencoder as courses teach it, and narrows'.

The course baseline has a two-dimensional code, so that all it can draw fits on one page; narrows' defaults have as
many components, and more. All are measured on the same test images, and held against independent pixels, PCA, a plain
autoencoder, and images sampled from PCA.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from narrows.autoencoder import Autoencoder
from narrows.errors import DataError
from narrows.labs import vae_figures as figures
from narrows.labs.classifier import n_fitted
from narrows.labs.conclusions import Compare
from narrows.labs.engine import Lab, Part, System, fit
from narrows.labs.images import load_images
from narrows.labs.results import Measure, proportion_error
from narrows.labs.samples import MOST_IMAGES, N_READ, ImageClassifier, LinearGenerator, SampleJudge, shuffled_pixels
from narrows.networks import Dense
from narrows.report.generation import plot_manifold
from narrows.training.optimisers import Adam
from narrows.variational import VariationalAutoencoder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


__all__ = ["VaeLab"]

SMALL = 2
"""Components of the course baseline: all images that it can draw fit on a page."""

NETWORK = Dense()
"""Layers of the kind that is taught; convolutional ones, narrows' default for images, take several times as long."""

SIZES: dict[str, dict[str, Any]] = {
    "digits": {"n_components": 8, "hidden": 64, "reader_hidden": 32, "reader_epochs": 200}
    | {"course_epochs": 200, "small_epochs": None, "large_epochs": None, "plain_epochs": None}
    | {"n_importance": 360, "repeats": 5},
    "mnist": {"n_components": 32, "hidden": 512, "reader_hidden": 64, "reader_epochs": 20}
    | {"course_epochs": 30, "small_epochs": 15, "large_epochs": 20, "plain_epochs": 10}
    | {"n_importance": 500, "repeats": 3},
}
"""Of each data set; epochs of None leave narrows its own budget."""

_CUT = ("course_epochs", "small_epochs", "large_epochs", "plain_epochs")
_MOST_MAPPED = 5_000

N_DRAWS = 200
"""Draws for each image, of importance sampling."""


class VaeLab(Lab):
    """The lab on variational autoencoders, on digits (under a minute) or MNIST (minutes)."""

    name, prose = "vae", "vae"
    datasets = tuple(SIZES)
    measures: ClassVar[dict[str, Measure]] = {
        **{key: Measure(f"{{{key}:.1f}}") for key in ("reconstruction", "kl")},
        **{key: Measure(f"{{{key}:.1f}}", -1) for key in ("total", "importance")},
        "bits": Measure("{bits:.3f}", -1),
        "active": Measure("{n_active} of {n_code}"),
        "seconds": Measure("{seconds:.0f} s"),
        "test_mse": Measure("{test_mse:.4f}", -1),
        "times_mean": Measure("{times_mean:.2f}", -1),
        # The sources are of many kinds, so that none is shown as the best.
        "distance": Measure("{distance:.2f}", -1, mark=False),
        "read": Measure("{read:.0%}", 1, mark=False),
    }
    parts = (
        Part("costs", ("reconstruction", "kl", "total", "bits", "importance", "active", "seconds")),
        Part("training", figure=figures.plot_training),
        Part("reconstructions", ("test_mse", "times_mean"), figure=figures.plot_images),
        Part("manifold", figure=lambda result, theme: plot_manifold(result.artifacts["models"]["course"], theme=theme)),
        Part(
            "small_manifold",
            figure=lambda result, theme: plot_manifold(result.artifacts["models"]["small"], theme=theme),
        ),
        Part("maps", figure=figures.plot_maps),
        Part("interpolation", figure=figures.plot_pairs),
        Part("traversal", figure=figures.plot_traversal),
        Part("distances", ("distance", "read")),
        Part("course_samples", figure=lambda result, theme: figures.plot_sampled(result, "course", theme)),
        Part("samples", figure=lambda result, theme: figures.plot_sampled(result, "narrows", theme)),
        Part("by_digit", figure=figures.plot_by_digit),
    )
    comparisons = (
        Compare("floor"),
        Compare("cost", ("course", "independent"), "total"),
        Compare("ending", order="ending"),
        Compare("small", ("small", "course"), "total"),
        Compare("larger", ("narrows", "small"), "total", order="unused"),
        Compare("importance"),
        Compare("course_error", ("course", "pca_2", "plain_2"), "test_mse"),
        Compare("error", ("narrows", "plain", "pca"), "test_mse"),
        Compare("prior", ("narrows_mixture", "narrows_normal"), "distance"),
        Compare("pca", ("narrows_mixture", "pca_mixture"), "distance"),
        Compare("read", ("narrows_mixture", "pca_mixture"), "read"),
    )

    def prepare(
        self, *, data: str | None = None, n_components: int | None = None, max_epochs: int | None = None
    ) -> None:
        """Load the images, with pixels from 0 to 1."""
        data = data or "digits"
        if data not in SIZES:
            raise DataError(f"The lab vae runs on {' or '.join(SIZES)}, not on {data!r}.")
        sizes = dict(SIZES[data])
        images = load_images(data)
        self.train, self.test = images.train, images.test
        self.labels, self.test_labels = images.train_labels, images.test_labels
        n_pixels = self.test[0].size
        sizes["n_components"] = n_components or sizes["n_components"]
        if not SMALL < sizes["n_components"] < n_pixels:
            raise DataError(
                f"The larger code of this lab may have {SMALL + 1} to {n_pixels - 1} components, not {n_components}."
            )
        if max_epochs is not None:
            sizes |= {name: min(max_epochs, sizes[name] or max_epochs) for name in sizes if name in _CUT}
        self.widths = NETWORK.widths(n_pixels, posterior=True)
        pixels = self.test.reshape(len(self.test), -1).astype(np.float64)
        self.facts |= sizes | {
            "data": "MNIST" if data == "mnist" else data,
            "n_train": len(self.train),
            "n_test": len(self.test),
            "n_importance": min(sizes["n_importance"], len(self.test)),
            "n_mapped": min(len(self.test), _MOST_MAPPED),
            "n_pixels": n_pixels,
            "widths": " and ".join(map(str, self.widths)),
            "floor": float(_cross_entropy(pixels, pixels.clip(1e-12, 1 - 1e-12)).mean()),
        }
        self.artifacts |= {"images": self.test[:_MOST_MAPPED], "labels": self.test_labels[:_MOST_MAPPED], "models": {}}
        self.sources = (images.source,)

    def systems(self) -> Iterable[System]:
        """Return the classifier that judges, the simple answers, and the models, by the size of their codes."""
        facts, size = self.facts, self.facts["n_components"]
        course = VariationalAutoencoder(
            SMALL,
            network=Dense((facts["hidden"],), activation="relu", linear_path=False, init="glorot"),
            likelihood="bernoulli",
            kl_warmup=0.0,
            prior="normal",
            scaling="none",
            optimizer=Adam(eps=1e-7),
            learning_rate=1e-3,
            schedule="constant",
            batch_size=128,
            max_epochs=facts["course_epochs"],
            early_stopping=False,
            random_state=self.seed,
        )
        small, large = (
            VariationalAutoencoder(
                n_components,
                network=NETWORK,
                likelihood="bernoulli",
                max_epochs=facts[epochs] or "auto",
                random_state=self.seed,
            )
            for n_components, epochs in ((SMALL, "small_epochs"), (size, "large_epochs"))
        )
        return (
            System("real", self._fit_judge),
            System("independent", lambda: None),
            System("mean", lambda: self.train.mean(0, dtype=np.float64)),
            System("pca_2", self._pca(SMALL)),
            System("plain_2", self._plain(SMALL)),
            System("course", self._vae(course)),
            System("small", self._vae(small)),
            System("pca", self._pca(size)),
            System("plain", self._plain(size)),
            System("narrows", self._vae(large)),
        )

    def _fit_judge(self) -> ImageClassifier:
        sizes = {"hidden": self.facts["reader_hidden"], "epochs": self.facts["reader_epochs"]}
        return ImageClassifier.fit(self.train, self.labels, seed=self.seed, **sizes)

    def _pca(self, n_components: int) -> Callable[[], Any]:
        from sklearn.decomposition import PCA

        return lambda: PCA(n_components, random_state=self.seed).fit(self.train.reshape(len(self.train), -1))

    def _plain(self, n_components: int) -> Callable[[], Autoencoder]:
        epochs, network = self.facts["plain_epochs"] or "auto", Dense(self.widths)
        model = Autoencoder(n_components, network=network, max_epochs=epochs, random_state=self.seed)
        return lambda: fit(model, self.train, tell=self.tell)

    def _vae(self, model: VariationalAutoencoder) -> Callable[[], VariationalAutoencoder]:
        return lambda: fit(model, self.train, self.labels, tell=self.tell)

    def measure(self, key: str, fitted: Any) -> None:
        """Measure what a system costs, how well it reconstructs, and how near its samples are to the test images."""
        test = self.test.reshape(len(self.test), -1)
        if key == "real":
            self._measure_real(fitted)
        elif key == "independent":
            # One more of each, so that nothing is impossible (Laplace).
            probability = (self.train.reshape(len(self.train), -1).astype(np.float64).sum(0) + 1) / (
                len(self.train) + 2
            )
            self._record_total(key, float(_cross_entropy(test.astype(np.float64), probability).mean()))
        elif key == "mean":
            self._record_error(key, fitted)
        elif isinstance(fitted, (Autoencoder, VariationalAutoencoder)):
            self._record_error(key, fitted.reconstruct(self.test))
        else:
            self._record_error(key, fitted.inverse_transform(fitted.transform(test)).reshape(self.test.shape))
        if key == "pca":
            size = self.facts["n_components"]
            self._measure_samples(key, LinearGenerator.fit(self.train, self.labels, size, self.seed))
        if isinstance(fitted, VariationalAutoencoder):
            self.artifacts["models"][key] = fitted
            self._measure_bound(key, fitted)
            unseen = self.train[n_fitted(len(self.train)) :][:MOST_IMAGES]
            distance = self.judge.distance(fitted.reconstruct(unseen))
            self.record(f"{key}_reconstructed", {"distance": distance})
            self._measure_samples(key, fitted)

    def _record_error(self, key: str, reconstructed: np.ndarray) -> None:
        error = float(np.square(reconstructed.astype(np.float64) - self.test).mean())
        mean = error if key == "mean" else self.entries["mean"]["test_mse"]
        self.record(key, {"test_mse": error, "times_mean": error / mean})

    def _record_total(self, key: str, total: float) -> None:
        self.record(key, {"total": total, "bits": total / (self.facts["n_pixels"] * math.log(2))})

    def _measure_real(self, classifier: ImageClassifier) -> None:
        """Hold other real images, and images of shuffled pixels, against the test images."""
        unseen = self.train[n_fitted(len(self.train)) :][:MOST_IMAGES]
        real = classifier.features(self.test[:MOST_IMAGES])
        self.judge = SampleJudge(classifier, real, len(unseen), self.facts["repeats"], self.seed)
        read = float((classifier.predict(self.test) == self.test_labels).mean())
        self.record("real", {"distance": self.judge.distance(unseen), "read": read})
        self.record("shuffled", self.judge.judge(lambda seed: shuffled_pixels(self.train, len(unseen), seed)))

    def _measure_samples(self, key: str, source: Any) -> None:
        self.record(f"{key}_normal", self.judge.judge_samples(source, "normal"))
        read = self.judge.read_as_meant(source)
        errors = {"read": read, "read_error": proportion_error(read, N_READ)}
        self.record(f"{key}_mixture", self.judge.judge_samples(source, "mixture") | errors)

    def _measure_bound(self, key: str, model: VariationalAutoencoder) -> None:
        bound = model.elbo(self.test)
        few = self.test[: self.facts["n_importance"]]
        last = model.history_[-1]
        entry = self.record(
            key,
            {
                "reconstruction": -float(bound.reconstruction.mean()),
                "kl": float(bound.kl.mean()),
                "importance": -float(model.log_likelihood(few, N_DRAWS).mean()),
                "importance_total": -float(bound.total[: len(few)].mean()),
                "n_code": int(model.n_components_),
                "n_active": int(model.n_active_components_),
                "epochs": int(model.n_steps_) * last["epoch"] / last["step"],
            },
        )
        self._record_total(key, -float(bound.total.mean()))
        entry.samples["total"] = -bound.total

    def finish(self) -> None:
        """Find out how the course baseline's training ended, and whether the larger code is used."""
        records = [record for record in self.artifacts["models"]["course"].history_ if "val_total_loss" in record]
        values = np.array([record["val_total_loss"] for record in records])
        fall = values[len(values) * 4 // 5 - 1] - values[-1]
        overfits = values[-1] > 1.01 * values.min()
        narrows = self.entries["narrows"]
        self.facts |= {
            "best_epoch": records[int(values.argmin())]["epoch"],
            "best_loss": float(values.min()),
            "last_loss": float(values[-1]),
            "ending": -1 if overfits else int(fall > 0.002 * values[-1]),
            "unused": int(narrows["n_active"] == narrows["n_code"]),
        }


def _cross_entropy(pixels: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Return the cross-entropy of each image, in nats."""
    entropy: np.ndarray = -(pixels * np.log(probability) + (1 - pixels) * np.log1p(-probability)).sum(1)
    return entropy
