"""The lab on generating: a variational autoencoder as courses teach it, and narrows'.

The course baseline has a two-dimensional code, so that all it can draw fits on one page; narrows' defaults have as
many components, and more. All are measured on the same test images, and held against independent pixels, PCA, a plain
autoencoder, and images sampled from PCA.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import numpy as np

from narrows.autoencoder import Autoencoder
from narrows.labs import images
from narrows.labs import vae_figures as figures
from narrows.labs.conclusions import Compare, Measure, proportion_error
from narrows.labs.engine import Lab, Part, System, fit
from narrows.networks import Dense
from narrows.report.generation import plot_manifold
from narrows.training.optimisers import Adam
from narrows.variational import VariationalAutoencoder

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
        """Load the images, and settle the sizes."""
        self.images = loaded = images.load_images(data or "digits")
        sizes = dict(SIZES[data or "digits"])
        if max_epochs is not None:
            sizes |= {name: min(max_epochs, sizes[name] or max_epochs) for name in sizes if name in _CUT}
        self.train, self.test, self.labels = loaded.train, loaded.test, loaded.train_labels
        self.flat = loaded.test.reshape(len(loaded.test), -1)
        self.facts |= sizes | loaded.facts(n_components or sizes["n_components"], least=SMALL + 1)
        self.widths = NETWORK.widths(self.facts["n_pixels"], posterior=True)
        pixels = self.flat.astype(np.float64)
        self.facts |= {
            "n_importance": min(sizes["n_importance"], len(self.test)),
            "n_mapped": min(len(self.test), _MOST_MAPPED),
            "widths": " and ".join(map(str, self.widths)),
            "floor": _cross_entropy(pixels, pixels.clip(1e-12, 1 - 1e-12)),
        }
        labels = loaded.test_labels[:_MOST_MAPPED]
        self.artifacts |= {"images": self.test[:_MOST_MAPPED], "labels": labels, "models": {}}
        self.sources = (loaded.source,)

    def systems(self) -> Iterable[System]:
        """Return the classifier that judges, the simple answers, and the models, by the size of their codes."""
        from sklearn.decomposition import PCA

        facts, size, flat = self.facts, self.facts["n_components"], self.train.reshape(len(self.train), -1)
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
        options: dict[str, Any] = {"network": NETWORK, "likelihood": "bernoulli", "random_state": self.seed}
        small = VariationalAutoencoder(SMALL, max_epochs=facts["small_epochs"] or "auto", **options)
        large = VariationalAutoencoder(size, max_epochs=facts["large_epochs"] or "auto", **options)
        reader = {"hidden": facts["reader_hidden"], "epochs": facts["reader_epochs"], "repeats": facts["repeats"]}
        return (
            System("real", lambda: images.SampleJudge(self.images, seed=self.seed, **reader)),
            # One more of each, so that nothing is impossible (Laplace).
            System("independent", lambda: (flat.astype(np.float64).sum(0) + 1) / (len(flat) + 2)),
            System("mean", lambda: self.train.mean(0, dtype=np.float64)),
            System("pca_2", lambda: PCA(SMALL, random_state=self.seed).fit(flat)),
            System("plain_2", self._plain(SMALL)),
            System("course", lambda: fit(course, self.train, self.labels, tell=self.tell)),
            System("small", lambda: fit(small, self.train, self.labels, tell=self.tell)),
            System("pca", lambda: PCA(size, random_state=self.seed).fit(flat)),
            System("plain", self._plain(size)),
            System("narrows", lambda: fit(large, self.train, self.labels, tell=self.tell)),
        )

    def _plain(self, n_components: int) -> Callable[[], Autoencoder]:
        epochs, network = self.facts["plain_epochs"] or "auto", Dense(self.widths)
        model = Autoencoder(n_components, network=network, max_epochs=epochs, random_state=self.seed)
        return lambda: fit(model, self.train, tell=self.tell)

    def measure(self, key: str, fitted: Any) -> None:
        """Measure what a system costs, how well it reconstructs, and how near its samples are to the test images."""
        if key == "real":
            self._measure_real(fitted)
        elif key == "independent":
            self._record_total(key, _cross_entropy(self.flat.astype(np.float64), fitted))
        elif key == "mean":
            self._record_error(key, fitted)
        elif isinstance(fitted, (Autoencoder, VariationalAutoencoder)):
            self._record_error(key, fitted.reconstruct(self.test))
        else:
            self._record_error(key, fitted.inverse_transform(fitted.transform(self.flat)).reshape(self.test.shape))
        if key == "pca":
            size = self.facts["n_components"]
            self._measure_samples(key, images.LinearGenerator.fit(self.train, self.labels, size, self.seed))
        if isinstance(fitted, VariationalAutoencoder):
            self.artifacts["models"][key] = fitted
            self._measure_bound(key, fitted)
            distance = self.judge.distance(fitted.reconstruct(self.judge.unseen))
            self.record(f"{key}_reconstructed", {"distance": distance})
            self._measure_samples(key, fitted)

    def _record_error(self, key: str, reconstructed: np.ndarray) -> None:
        error = float(np.square(reconstructed.astype(np.float64) - self.test).mean())
        mean = error if key == "mean" else self.entries["mean"]["test_mse"]
        self.record(key, {"test_mse": error, "times_mean": error / mean})

    def _record_total(self, key: str, total: float) -> None:
        self.record(key, {"total": total, "bits": total / (self.facts["n_pixels"] * math.log(2))})

    def _measure_real(self, judge: images.SampleJudge) -> None:
        """Hold other real images, and images of shuffled pixels, against the test images."""
        self.judge, n_images = judge, len(judge.unseen)
        read = float((judge.predict(self.test) == self.images.test_labels).mean())
        self.record("real", {"distance": judge.distance(judge.unseen), "read": read})
        self.record("shuffled", judge.judge(lambda seed: images.shuffled_pixels(self.train, n_images, seed)))

    def _measure_samples(self, key: str, source: Any) -> None:
        for prior in ("normal", "mixture"):
            self.record(f"{key}_{prior}", self.judge.judge_samples(source, prior))
        read = self.judge.read_as_meant(source)
        self.record(f"{key}_mixture", {"read": read, "read_error": proportion_error(read, images.N_READ)})

    def _measure_bound(self, key: str, model: VariationalAutoencoder) -> None:
        bound, last = model.elbo(self.test), model.history_[-1]
        few = self.test[: self.facts["n_importance"]]
        values = {
            "reconstruction": -float(bound.reconstruction.mean()),
            "kl": float(bound.kl.mean()),
            "importance": -float(model.log_likelihood(few, N_DRAWS).mean()),
            "importance_total": -float(bound.total[: len(few)].mean()),
            "n_code": int(model.n_components_),
            "n_active": int(model.n_active_components_),
            "epochs": int(model.n_steps_) * last["epoch"] / last["step"],
        }
        self.record(key, values).samples["total"] = -bound.total
        self._record_total(key, -float(bound.total.mean()))

    def finish(self) -> None:
        """Find out how the course baseline's training ended, and whether the larger code is used."""
        losses = [record["total_loss"] for record in self.artifacts["models"]["course"].history_]
        fall = losses[len(losses) * 4 // 5 - 1] - losses[-1]
        narrows = self.entries["narrows"]
        self.facts |= {"fall": fall, "last_loss": losses[-1], "ending": int(fall > 0.002 * losses[-1])}
        self.facts["unused"] = int(narrows["n_active"] == narrows["n_code"])


def _cross_entropy(pixels: np.ndarray, probability: np.ndarray) -> float:
    """Return the mean cross-entropy of an image, in nats."""
    return float(-(pixels * np.log(probability) + (1 - pixels) * np.log1p(-probability)).sum(1).mean())
