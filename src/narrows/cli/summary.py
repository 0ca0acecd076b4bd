"""What ``narrows fit`` says when it is done, of each kind of model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from narrows.cli.labels import labels_in_words
from narrows.cli.show import baselines_in_words, bounds_in_words, code_in_words, file_size, print_rows
from narrows.cli.signature import members
from narrows.cli.values import option_to_text

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "calibration_in_words",
    "likelihood_in_words",
    "prior_in_words",
    "show",
    "summary_of",
    "summary_of_detector",
    "taken_in_words",
    "threshold_in_words",
]

_STOPPED = {
    "budget": "it had taken all its steps",
    "patience": "held-out rows no longer improved",
    "time": "its time was up",
    "callback": "a callback asked for it",
    "interrupted": "it was interrupted; the model is the best so far",
}


def summary_of(estimator: Any, n_rows: int, seconds: float, out: Path) -> dict[str, Any]:
    """Return what is to be said of a fitted estimator.

    Parameters
    ----------
    estimator : estimator
        Fitted, and saved.
    n_rows : int
        How many rows it was fitted to.
    seconds : float
        How long that took.
    out : Path
        Its file.
    """
    variational = hasattr(estimator, "n_active_components_")
    own = _of_variational(estimator) if variational else _of_autoencoder(estimator)
    return {
        "model": str(out),
        "class": type(estimator).__name__,
        "rows": n_rows,
        "columns": estimator.n_features_in_,
        "image_shape": estimator.image_shape_,
        "n_components": estimator.n_components_,
        "baselines": estimator.baselines_,
        **own,
        "stopped": estimator.stopped_,
        "steps": estimator.n_steps_,
        "seconds": seconds,
        "bytes": out.stat().st_size,
    }


def _of_autoencoder(estimator: Any) -> dict[str, Any]:
    stayed = estimator.stayed_linear_
    words = baselines_in_words(estimator.baselines_, estimator.n_components_, stayed=stayed)
    return {"in_words": words, "stayed_linear": stayed}


def _of_variational(estimator: Any) -> dict[str, Any]:
    from narrows.priors import Prior

    classes = estimator.classes_.tolist() if hasattr(estimator, "classes_") else None
    prior = Prior.resolve(estimator.prior).to_json()["option"].lower()
    return {
        "n_active_components": estimator.n_active_components_,
        "likelihood": estimator.plan_["likelihood"],
        "scaling": estimator.plan_["scaling"],
        "prior": prior,
        "labels": classes,
        "in_words": bounds_in_words(estimator.baselines_, estimator.n_components_),
    }


def summary_of_detector(detector: Any, n_rows: int, seconds: float, out: Path) -> dict[str, Any]:
    """Return what is to be said of a fitted detector of anomalies; the parameters are those of :func:`summary_of`."""
    return {
        "model": str(out),
        "class": type(detector).__name__,
        "rows": n_rows,
        "columns": detector.n_features_in_,
        "contamination": detector.contamination,
        "false_positive_rate": detector.false_positive_rate,
        "threshold": -detector.offset_,
        "n_calibration": len(detector._calibration),
        "seconds": seconds,
        "bytes": out.stat().st_size,
    }


def show(summary: dict[str, Any], *, has_code: bool) -> None:
    """Print a summary."""
    from narrows.cli.files import shape_in_words

    if "threshold" in summary:
        _show_detector(summary)
        return
    if "candidates" in summary:
        from narrows.cli.recommender import show_recommender

        show_recommender(summary)
        return
    shape = summary["image_shape"]
    images = f", images of {shape_in_words(shape)}" if shape else ""
    variational = "n_active_components" in summary
    code = code_in_words(summary["n_components"], has_code=has_code, active=summary.get("n_active_components"))
    print_rows(
        [
            ("data", f"{summary['rows']:,} rows of {summary['columns']:,} columns{images}"),
            *([("labels", _labels(summary["labels"]))] if summary.get("labels") else []),
            ("code", code),
            *(_measures(summary) if variational else [("error", _errors(summary))]),
            ("", summary["in_words"]),
            ("stopped", f"{_STOPPED.get(summary['stopped'], summary['stopped'])} ({summary['steps']:,} steps)"),
            ("time", f"{summary['seconds']:.1f} s"),
            ("file", f"{summary['model']}, {file_size(summary['model'])}"),
        ]
    )


def _show_detector(summary: dict[str, Any]) -> None:
    contamination = summary["contamination"]
    print_rows(
        [
            ("data", f"{summary['rows']:,} rows of {summary['columns']:,} columns"),
            ("taken for", taken_in_words(contamination)),
            ("threshold", threshold_in_words(summary["threshold"], contamination, summary["false_positive_rate"])),
            ("calibration", calibration_in_words(summary["n_calibration"], contamination)),
            ("time", f"{summary['seconds']:.1f} s"),
            ("file", f"{summary['model']}, {file_size(summary['model'])}"),
        ]
    )


def taken_in_words(contamination: float | str | None) -> str:
    """Say what a detector took the rows of its fit for.

    Examples
    --------
    >>> taken_in_words(0.1)
    'rows of which 10% are anomalies'
    """
    if contamination is None:
        return "ordinary rows, without anomalies among them"
    if isinstance(contamination, str):
        return "rows with anomalies among them, no one knows how many"
    return f"rows of which {100 * contamination:.3g}% are anomalies"


def threshold_in_words(threshold: float, contamination: float | str | None, rate: float) -> str:
    """Say from which score on a row is an anomaly, and where that comes from.

    Examples
    --------
    >>> threshold_in_words(2.5, None, 0.01)
    'a score above 2.5, as about 1% of ordinary rows have'
    """
    if contamination is None:
        return f"a score above {threshold:.4g}, as about {100 * rate:.3g}% of ordinary rows have"
    if isinstance(contamination, str):
        return f"a score above {threshold:.4g}, far outside the bulk of the rows of the fit"
    return f"a score above {threshold:.4g}, as {100 * contamination:.3g}% of the rows of the fit have"


def calibration_in_words(n_rows: int, contamination: float | str | None) -> str:
    """Say which rows p-values compare with.

    Examples
    --------
    >>> calibration_in_words(999, None)
    'p-values by 999 rows of the fit: 0.001 at least'
    """
    least = f"p-values by {n_rows:,} rows of the fit: {1 / (n_rows + 1):.2g} at least"
    return least if contamination is None else f"{least}; too large, for anomalies are among these rows"


def _labels(classes: list[Any]) -> str:
    return f"{len(classes):,}: {labels_in_words(classes)}"


def _errors(summary: dict[str, Any]) -> str:
    labels = {
        "model": "model",
        "pca": f"PCA with {summary['n_components']}",
        "autoencoder": "plain autoencoder",
        "mean": "mean row",
        "input": "noisy input",
    }
    errors = summary["baselines"]
    return "   ".join(f"{label} {errors[key]:.5g}" for key, label in labels.items() if key in errors)


def _measures(summary: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what a variational model costs, in both units, and how well it rebuilds rows."""
    baselines = summary["baselines"]
    units = {"nats a row": "nats_per_row", "bits a value": "bits_per_feature"}
    costs = [(unit, _costs(baselines[key])) for unit, key in units.items() if key in baselines]
    unit = "   (of standardised columns)" if summary["scaling"] == "standard" else ""
    return [
        ("likelihood", likelihood_in_words(summary["likelihood"])),
        ("new rows", f"from {prior_in_words(summary['prior'], labelled=bool(summary['labels']))}"),
        *costs,
        ("squared error", _errors(summary) + unit),
    ]


def _costs(costs: dict[str, float]) -> str:
    labels = {"model": "model", "ppca": "probabilistic PCA", "independent": "independent columns"}
    return "   ".join(f"{label} {costs[key]:.5g}" for key, label in labels.items() if key in costs)


def likelihood_in_words(record: dict[str, Any] | str) -> str:
    """Write a likelihood as the command line takes it.

    Examples
    --------
    >>> likelihood_in_words({"option": "Gaussian", "bounds": "auto", "variance": "column"})
    'gaussian(variance=column)'
    """
    if isinstance(record, str):
        return record.lower()
    return option_to_text(record, members("narrows.likelihoods", "Likelihood"))


def prior_in_words(name: str, *, labelled: bool) -> str:
    """Say what new codes are drawn from.

    Examples
    --------
    >>> prior_in_words("mixture", labelled=True)
    'a mixture of normal distributions for each label'
    """
    if name == "mixture":
        return f"a mixture of normal distributions{' for each label' * labelled}"
    mixture = ", or a mixture of its own for a label that is asked for" if labelled else ""
    return f"the standard normal distribution{mixture}"
