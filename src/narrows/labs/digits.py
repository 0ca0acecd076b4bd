"""Lab 1: handwritten digits through a narrow code.

Four ways of reconstructing the same test images from codes of the same size: the mean image, PCA, the autoencoder of a
first course, and narrows' defaults at the same layer sizes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from narrows.autoencoder import Autoencoder
from narrows.errors import DataError
from narrows.labs.classifier import CodeClassifier, classify_codes
from narrows.labs.conclusions import Compare
from narrows.labs.course_baseline import course_autoencoder
from narrows.labs.engine import Lab, LabResult, Part, System, fit
from narrows.labs.images import load_images
from narrows.labs.results import Measure, proportion_error
from narrows.networks import Dense
from narrows.report.images import plot_reconstructions
from narrows.report.maps import plot_code_map
from narrows.report.plots import plot_errors, plot_history

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from matplotlib.figure import Figure

__all__ = ["DigitsLab", "MnistLab"]

N_SHOWN, MOST_CODES = 12, 5_000


@dataclass(frozen=True)
class Fitted:
    """A fitted way through a code: rows to codes, and rows to reconstructions."""

    reconstruct: Callable[[np.ndarray], np.ndarray]
    encode: Callable[[np.ndarray], np.ndarray] | None = None
    model: Autoencoder | None = None


def _by_name(result: LabResult, artifact: str) -> dict[str, Any]:
    return {result[key].name: value for key, value in result.artifacts[artifact].items()}


def _images(result: LabResult, theme: str) -> Figure:
    images = result.artifacts["images"]
    return plot_reconstructions(images, _by_name(result, "reconstructed"), shape=images.shape[1:], theme=theme)


def _training(result: LabResult, theme: str) -> Figure:
    levels, label = {"PCA, test images": result["pca"]["test_mse"]}, "mean squared error per pixel"
    return plot_history(_by_name(result, "histories"), references=levels, ylabel=label, theme=theme)


def _errors(result: LabResult, theme: str) -> Figure:
    label = "mean squared error of a test image, per pixel"
    return plot_errors(_by_name(result, "errors"), xlabel=label, theme=theme)


def _maps(result: LabResult, theme: str) -> Figure:
    return plot_code_map(_by_name(result, "codes"), result.artifacts["code_labels"], theme=theme)


class DigitsLab(Lab):
    """The lab on scikit-learn's digits, 1,797 images of 64 pixels: seconds."""

    name, prose = "digits", "digits"
    sizes: ClassVar[dict[str, int]] = {"n_components": 8, "hidden": 32, "epochs": 40, "classifier_epochs": 200}
    measures: ClassVar[dict[str, Measure]] = {
        "test_mse": Measure("{test_mse:.4f}", -1),
        "times_pca": Measure("{times_pca:.2f}", -1),
        "seconds": Measure("{seconds:.1f}"),
        "validation_accuracy": Measure("{validation_accuracy:.3f}", 1),
        "accuracy": Measure("{accuracy:.3f}", 1),
        "standardised": Measure("{standardised:.3f}", 1),
        "worst_mse": Measure("{worst_mse:.4f}", -1),
    }
    parts = (
        Part("numbers", ("test_mse", "times_pca", "seconds", "validation_accuracy", "accuracy", "standardised")),
        Part("reconstructions", figure=_images),
        Part("training", figure=_training),
        Part("errors", figure=_errors),
        Part("maps", figure=_maps),
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
        """Load the images, with pixels from 0 to 1."""
        images = load_images(self.name)
        n_pixels = int(np.prod(images.train.shape[1:]))
        sizes = self.sizes | ({} if n_components is None else {"n_components": n_components})
        if not 1 <= sizes["n_components"] < n_pixels:
            raise DataError(f"The code of this lab may have 1 to {n_pixels - 1} components, not {n_components}.")
        if max_epochs is not None:
            sizes |= {name: min(max_epochs, sizes[name]) for name in ("epochs", "classifier_epochs")}
        self.max_epochs = "auto" if max_epochs is None else max_epochs
        self.train, self.test = (part.reshape(len(part), -1) for part in (images.train, images.test))
        self.train_labels, self.test_labels = images.train_labels, images.test_labels
        self.facts |= sizes | {
            "data": "MNIST" if self.name == "mnist" else self.name,
            "n_train": len(self.train),
            "n_test": len(self.test),
            "n_codes": min(MOST_CODES, len(self.test)),
            "n_pixels": n_pixels,
        }
        self.sources = (images.source,)
        self.artifacts |= {"images": images.test[:N_SHOWN], "code_labels": self.test_labels[:MOST_CODES]}
        self.artifacts |= {name: {} for name in ("reconstructed", "errors", "codes", "histories")}

    def systems(self) -> Iterable[System]:
        """Return the mean image, PCA, the course baseline and narrows."""
        hidden, size = self.facts["hidden"], self.facts["n_components"]
        course = course_autoencoder(size, hidden, epochs=self.facts["epochs"], seed=self.seed)
        network = Dense((hidden,))
        narrows = Autoencoder(size, network=network, max_epochs=self.max_epochs, random_state=self.seed)
        return (
            System("mean", self._fit_mean),
            System("pca", self._fit_pca),
            System("course", lambda: self._fit(course)),
            System("narrows", lambda: self._fit(narrows)),
        )

    def _fit_mean(self) -> Fitted:
        mean = self.train.mean(0, dtype=np.float64).astype(np.float32)
        return Fitted(lambda rows: np.broadcast_to(mean, rows.shape))

    def _fit_pca(self) -> Fitted:
        from sklearn.decomposition import PCA

        pca = PCA(self.facts["n_components"], random_state=self.seed).fit(self.train)
        return Fitted(lambda rows: pca.inverse_transform(pca.transform(rows)), pca.transform)

    def _fit(self, model: Autoencoder) -> Fitted:
        fit(model, self.train, tell=self.tell)
        return Fitted(model.reconstruct, model.transform, model)

    def measure(self, key: str, fitted: Fitted) -> None:
        """Measure reconstructions, and how well a classifier reads the codes."""
        reconstructed = fitted.reconstruct(self.test)
        errors = np.square(reconstructed.astype(np.float64) - self.test).mean(1)
        clipped = np.square(reconstructed.clip(0, 1).astype(np.float64) - self.test).mean()
        values = {"test_mse": float(errors.mean()), "clipped_mse": float(clipped), "worst_mse": float(errors.max())}
        self.artifacts["errors"][key] = errors
        self.artifacts["reconstructed"][key] = fitted.reconstruct(self.test[:N_SHOWN])
        if fitted.model is not None:
            self.artifacts["histories"][key] = fitted.model.history_
            values["epochs"] = int(fitted.model.n_steps_) * fitted.model.plan_["batch_size"] / len(self.train)
        if fitted.encode is not None:
            values |= self._measure_codes(key, fitted.encode)
        self.record(key, values)

    def _measure_codes(self, key: str, encode: Callable[[np.ndarray], np.ndarray]) -> dict[str, float]:
        self.artifacts["codes"][key] = encode(self.test[:MOST_CODES])
        codes = encode(self.test)
        data = encode(self.train), self.train_labels, codes, self.test_labels
        classifier = CodeClassifier(epochs=self.facts["classifier_epochs"], seed=self.seed)
        plain = classify_codes(*data, classifier)
        return {
            "dead_units": int((codes == 0).all(0).sum()),
            "validation_accuracy": plain.validation,
            "accuracy": plain.test,
            "accuracy_error": proportion_error(plain.test, len(codes)),
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
