"""Lab 1: handwritten digits through a narrow code.

Four ways of reconstructing the same test images from codes of the same size: the mean image, PCA, the autoencoder of a
first course, and narrows' defaults at the same layer sizes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from narrows.autoencoder import Autoencoder
from narrows.labs.classifier import CodeClassifier, classify_codes
from narrows.labs.conclusions import Compare, Measure, proportion_error
from narrows.labs.course_baseline import course_autoencoder
from narrows.labs.engine import Lab, LabResult, Part, System, fit
from narrows.labs.images import load_images
from narrows.networks import Dense
from narrows.report import plot_code_map, plot_errors, plot_history, plot_reconstructions

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["DigitsLab", "MnistLab"]

N_SHOWN, MOST_CODES = 12, 5_000


def _by_name(result: LabResult, artifact: str) -> dict[str, Any]:
    return {result[key].name: value for key, value in result.artifacts[artifact].items()}


def _plot_images(result: LabResult, theme: str) -> Figure:
    images = result.artifacts["images"]
    return plot_reconstructions(images, _by_name(result, "reconstructed"), shape=images.shape[1:], theme=theme)


def _plot_training(result: LabResult, theme: str) -> Figure:
    levels, label = {"PCA, test images": result["pca"]["test_mse"]}, "mean squared error per pixel"
    return plot_history(_by_name(result, "histories"), references=levels, ylabel=label, theme=theme)


def _plot_errors(result: LabResult, theme: str) -> Figure:
    label = "mean squared error of a test image, per pixel"
    return plot_errors(_by_name(result, "errors"), xlabel=label, theme=theme)


def _plot_maps(result: LabResult, theme: str) -> Figure:
    return plot_code_map(_by_name(result, "codes"), result.artifacts["code_labels"], theme=theme)


class DigitsLab(Lab):
    """The lab on scikit-learn's digits, 1,797 images of 64 pixels: seconds."""

    name, prose = "digits", "digits"
    sizes: ClassVar[dict[str, int]] = {"n_components": 8, "hidden": 32, "epochs": 40, "classifier_epochs": 200}
    measures: ClassVar[dict[str, Measure]] = {
        "test_mse": Measure("{test_mse:.4f}", -1),
        "times_pca": Measure("{times_pca:.2f}", -1),
        "seconds": Measure("{seconds:.1f}"),
        **{key: Measure(f"{{{key}:.3f}}", 1) for key in ("validation_accuracy", "accuracy", "standardised")},
        "worst_mse": Measure("{worst_mse:.4f}", -1),
    }
    parts = (
        Part("numbers", ("test_mse", "times_pca", "seconds", "validation_accuracy", "accuracy", "standardised")),
        Part("reconstructions", figure=_plot_images),
        Part("training", figure=_plot_training),
        Part("errors", figure=_plot_errors),
        Part("maps", figure=_plot_maps),
    )
    comparisons = (
        Compare("pca", ("pca", "mean"), "test_mse"),
        Compare("course", ("course", "pca"), "test_mse"),
        Compare("narrows", ("narrows", "pca", "course"), "test_mse"),
        Compare("worst", ("narrows", "pca"), "worst_mse"),
        Compare("accuracy", ("course", "pca"), "accuracy"),
        Compare("narrows_accuracy", ("narrows", "course", "pca"), "accuracy"),
        Compare("standardised", measure="standardised"),
    )

    def prepare(self, *, n_components: int | None = None, max_epochs: int | None = None) -> None:
        """Load the images, flat."""
        self.images, self.max_epochs = load_images(self.name), max_epochs
        self.train, self.test = (part.reshape(len(part), -1) for part in (self.images.train, self.images.test))
        sizes = dict(self.sizes)
        if max_epochs is not None:
            sizes |= {key: min(max_epochs, sizes[key]) for key in ("epochs", "classifier_epochs")}
        self.facts |= sizes | self.images.facts(sizes["n_components"] if n_components is None else n_components)
        self.facts["n_codes"] = min(MOST_CODES, len(self.test))
        self.sources = (self.images.source,)
        self.artifacts = {name: {} for name in ("reconstructed", "errors", "codes", "histories")}
        labels = self.images.test_labels[:MOST_CODES]
        self.artifacts |= {"images": self.images.test[:N_SHOWN], "code_labels": labels}

    def systems(self) -> Iterable[System]:
        """Return the mean image, PCA, the course baseline and narrows."""
        from sklearn.decomposition import PCA

        hidden, size, epochs = self.facts["hidden"], self.facts["n_components"], self.max_epochs or "auto"
        course = course_autoencoder(size, hidden, epochs=self.facts["epochs"], seed=self.seed)
        narrows = Autoencoder(size, network=Dense((hidden,)), max_epochs=epochs, random_state=self.seed)
        return (
            System("mean", lambda: self.train.mean(0, dtype=np.float64).astype(np.float32)),
            System("pca", lambda: PCA(size, random_state=self.seed).fit(self.train)),
            System("course", lambda: fit(course, self.train, tell=self.tell)),
            System("narrows", lambda: fit(narrows, self.train, tell=self.tell)),
        )

    def measure(self, key: str, fitted: Any) -> None:
        """Measure reconstructions, and how well a classifier reads the codes."""
        if isinstance(fitted, np.ndarray):
            reconstructed = np.broadcast_to(fitted, self.test.shape)
        else:
            codes = fitted.transform(self.test)
            self.record(key, self._measure_codes(fitted.transform(self.train), codes))
            self.artifacts["codes"][key] = codes[:MOST_CODES]
            reconstructed = fitted.inverse_transform(codes)
        if isinstance(fitted, Autoencoder):
            reconstructed = fitted.reconstruct(self.test)
            self.artifacts["histories"][key] = fitted.history_
            self.record(key, {"epochs": int(fitted.n_steps_) * fitted.plan_["batch_size"] / len(self.train)})
        errors = np.square(reconstructed.astype(np.float64) - self.test).mean(1)
        clipped = np.square(reconstructed.clip(0, 1).astype(np.float64) - self.test).mean()
        values = {"test_mse": float(errors.mean()), "clipped_mse": float(clipped), "worst_mse": float(errors.max())}
        self.record(key, values)
        self.artifacts["errors"][key] = errors
        self.artifacts["reconstructed"][key] = reconstructed[:N_SHOWN]

    def _measure_codes(self, train: np.ndarray, test: np.ndarray) -> dict[str, float]:
        data = train, self.images.train_labels, test, self.images.test_labels
        classifier = CodeClassifier(epochs=self.facts["classifier_epochs"], seed=self.seed)
        plain = classify_codes(*data, classifier)
        return {
            "dead_units": int((test == 0).all(0).sum()),
            "validation_accuracy": plain.validation,
            "accuracy": plain.test,
            "accuracy_error": proportion_error(plain.test, len(test)),
            "standardised": classify_codes(*data, classifier, standardise=True).test,
        }

    def finish(self) -> None:
        """Hold the models against PCA."""
        for entry in self.entries.values():
            entry.values["times_pca"] = entry["test_mse"] / self.entries["pca"]["test_mse"]
        errors = self.artifacts["errors"]
        self.facts["n_worse"] = int((errors["narrows"] > errors["pca"]).sum())


class MnistLab(DigitsLab):
    """The lab on MNIST, 70,000 images of 784 pixels, at the sizes of the course: a download, and minutes."""

    name = "mnist"
    sizes: ClassVar[dict[str, int]] = {"n_components": 32, "hidden": 128, "epochs": 5, "classifier_epochs": 20}
