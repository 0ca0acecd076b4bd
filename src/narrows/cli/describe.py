"""What a model file says of itself, in words: after ``narrows fit``, and in ``narrows info``."""

from __future__ import annotations

from typing import Any

from narrows.cli.flags import Parameter, models, option_to_text
from narrows.cli.printing import count, describe_shape, first_of

_STOPPED = {
    "budget": "it had taken all its steps",
    "patience": "held-out rows no longer improved",
    "time": "its time was up",
    "callback": "a callback asked for it",
    "interrupted": "it was interrupted; the model is the best so far",
}
_SCORES = {"neighbors": "distance to the nearest rows", "ranks": "the same by ranks", "reconstruction": "residual"}
# What does not change the model.
_SILENT = {"callbacks", "checkpoint", "checkpoint_seconds", "verbose", "device", "n_jobs"}
_LABELS_SHOWN = 12
_COLUMNS_SHOWN = 8
_SAME = 0.01
"""Errors that differ by less than one per cent are called the same."""


def rows_of(record: dict[str, Any], n_rows: int | None = None) -> list[tuple[str, object]]:
    """Return what ``narrows.describe`` gave of an autoencoder or a detector as names and values."""
    fitted = record["fitted"]
    data = ("data", _describe_data(fitted, n_rows))
    if "offset" in fitted:
        contamination, inner = record["options"]["contamination"], record["autoencoder"]["fitted"]
        network = f"{record['n_parameters']:,} weights, {inner['n_steps']:,} steps"
        return [
            data,
            ("score", ", or ".join(_SCORES.get(part, part) for part in fitted["middles"])),
            ("taken for", describe_contamination(contamination)),
            ("threshold", in_words(record)),
            ("calibration", describe_calibration(fitted["n_calibration"], contamination)),
            ("autoencoder", f"{describe_code(inner['n_components'], has_code=True)}; {network}"),
        ]
    variational = "n_active_components" in fitted
    return [
        data,
        ("code", describe_code(fitted["n_components"], has_code=_has_code(record), active=active_of(fitted))),
        *(_variational_rows(record) if variational else [("error", _describe_errors(fitted))]),
        ("compared", in_words(record)),
        ("training", _describe_training(fitted)),
        ("weights", f"{record['n_parameters']:,}"),
    ]


def summary_of(record: dict[str, Any], n_rows: int) -> dict[str, Any]:
    """Return the same for machines."""
    fitted, options = record["fitted"], record["options"]
    names = ("image_shape", "n_components", "baselines", "stayed_linear", "n_active_components", "stopped")
    found = {name: fitted[name] for name in names if name in fitted}
    if "offset" in fitted:
        found = {name: options[name] for name in ("contamination", "false_positive_rate")}
        found |= {"threshold": -fitted["offset"], "n_calibration": fitted["n_calibration"]}
    else:
        found["steps"] = fitted["n_steps"]
    if "n_active_components" in fitted:
        found |= {"likelihood": fitted["likelihood"], "scaling": fitted["plan"]["scaling"]}
        found |= {"prior": _prior_name(options), "labels": fitted.get("classes")}
    plain = {"class": record["class"], "rows": n_rows, "columns": fitted["n_features_in"]}
    return plain | found | {"in_words": in_words(record)}


def in_words(record: dict[str, Any]) -> str:
    """Say in one sentence what a model is worth, or of a detector from which score on a row is an anomaly."""
    fitted, options = record["fitted"], record["options"]
    if "offset" in fitted:
        return describe_threshold(-fitted["offset"], options["contamination"], options["false_positive_rate"])
    if "n_active_components" in fitted:
        return describe_bounds(fitted["baselines"], fitted["n_components"])
    return describe_baselines(fitted["baselines"], fitted["n_components"], stayed=bool(fitted.get("stayed_linear")))


def describe_changed(record: dict[str, Any]) -> dict[str, str]:
    """Return the options that differ from the defaults, as the command line takes them."""
    known = next((model.parameters for model in models().values() if model.name == record["class"]), {})
    return {
        name: _text(value, known.get(name))
        for name, value in record["options"].items()
        if name not in _SILENT and (name not in known or _text(value, known[name]) != str(known[name].default))
    }


def _text(value: Any, parameter: Parameter | None) -> str:
    if isinstance(value, dict) and "option" in value:
        return option_to_text(value, parameter.family if parameter else None)
    if isinstance(value, dict) and "columns" in value:
        return " ".join(f"{name}:{bound:g}" for name, bound in value["columns"])
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _describe_data(fitted: dict[str, Any], n_rows: int | None) -> str:
    said = "" if n_rows is None else f"{count(n_rows, 'row')} of "
    said += count(fitted["n_features_in"], "column")
    if fitted.get("image_shape"):
        return f"{said}, images of {describe_shape(fitted['image_shape'])}"
    names = fitted.get("feature_names_in")
    return f"{said}: {first_of(names, _COLUMNS_SHOWN)}" if names else said


def _has_code(record: dict[str, Any]) -> bool:
    from narrows.networks import Network

    network = record["options"]["network"]
    own = not isinstance(network, dict) or network["option"] == "Modules"
    return own or Network.from_json(network).has_code


def active_of(fitted: dict[str, Any]) -> int | None:
    """Return how many dimensions of the code are used, None where that is not known."""
    return fitted.get("n_active_components")


def _describe_training(fitted: dict[str, Any]) -> str:
    run = max([record.get("step", 0) for record in fitted["history"]], default=0)
    kept = fitted["n_steps"]
    steps = f"{kept:,} steps" if run <= kept else f"{run:,} steps run, of which the first {kept:,} are kept"
    return f"{steps}; {_STOPPED.get(fitted['stopped'], fitted['stopped'])}"


def _variational_rows(record: dict[str, Any]) -> list[tuple[str, object]]:
    """Return what a variational model costs, in both units, and what new rows are drawn from."""
    fitted = record["fitted"]
    baselines, classes = fitted["baselines"], fitted.get("classes")
    told = "; the decoder is told of them" if fitted.get("n_labels") else ""
    labels = [("labels", f"{len(classes):,}: {first_of(classes, _LABELS_SHOWN)}{told}")] if classes else []
    units = {"nats a row": "nats_per_row", "bits a value": "bits_per_feature"}
    unit = "   (of standardised columns)" if fitted["plan"]["scaling"] == "standard" else ""
    return [
        *labels,
        ("likelihood", describe_likelihood(fitted["likelihood"])),
        ("new rows", f"from {describe_prior(_prior_name(record['options']), labelled=bool(classes))}"),
        *((name, _describe_costs(baselines[key])) for name, key in units.items() if key in baselines),
        ("squared error", _describe_errors(fitted) + unit),
    ]


def _prior_name(options: dict[str, Any]) -> str:
    prior = options["prior"]
    return str(prior["option"] if isinstance(prior, dict) else prior).lower()


def _describe_errors(fitted: dict[str, Any]) -> str:
    names = {"model": "model", "pca": f"PCA with {fitted['n_components']}", "autoencoder": "plain autoencoder"}
    return _listed(names | {"mean": "mean row", "input": "noisy input"}, fitted["baselines"])


def _describe_costs(costs: dict[str, float]) -> str:
    return _listed({"model": "model", "ppca": "probabilistic PCA", "independent": "independent columns"}, costs)


def _listed(names: dict[str, str], values: dict[str, Any]) -> str:
    return "   ".join(f"{name} {values[key]:.5g}" for key, name in names.items() if key in values)


def describe_ratio(model: float, other: float, name: str) -> str:
    """Say how a model's error compares with another's.

    Examples
    --------
    >>> describe_ratio(1.0, 2.5, "PCA")
    '2.5 times less error than PCA'
    >>> describe_ratio(1.0, 1.0, "PCA")
    'the same error as PCA'
    """
    if model == other or abs(model - other) < _SAME * other:
        return f"the same error as {name}"
    if min(model, other) <= 0:
        return f"{'no error, unlike' if model < other else 'more error than'} {name}"
    better, ratio = model < other, max(model, other) / min(model, other)
    much = f"{ratio:.3g} times" if ratio >= 2 else f"{1 - model / other if better else model / other - 1:.0%}"
    return f"{much} {'less' if better else 'more'} error than {name}"


def describe_code(n_components: int, *, has_code: bool, active: int | None = None) -> str:
    """Return the size of a code and, of a variational model, how much of it is used.

    Examples
    --------
    >>> describe_code(8, has_code=True, active=5)
    '8 dimensions, 5 of them used'
    """
    if not has_code:
        return "none: the network has skips"
    used = "" if active is None else ", all used" if active == n_components else f", {active:,} of them used"
    return count(n_components, "dimension") + used


def describe_baselines(baselines: dict[str, Any], n_components: int, *, stayed: bool) -> str:
    """Return the measured errors as one plain sentence."""
    names = {"pca": _pca(n_components), "mean": "the mean row", "input": "the noisy input"}
    ratios = [describe_ratio(baselines["model"], baselines[key], names[key]) for key in names if key in baselines]
    kept = " Training brought no gain, so the model has kept to PCA, within the bounds of the data." if stayed else ""
    return f"On {_where(baselines)} the model has {', and '.join(ratios)}.{kept}"


def describe_bounds(baselines: dict[str, Any], n_components: int) -> str:
    """Return what a variational model was held against as one plain sentence."""
    costs = baselines.get("nats_per_row")
    if costs is None:
        return describe_baselines(baselines, n_components, stayed=False)
    names = {"independent": "independent columns would", "ppca": "probabilistic PCA"}
    gains = {name: costs[key] - costs["model"] for key, name in names.items() if key in costs}
    parts = [
        f"as well as {name}"
        if abs(nats) < _SAME
        else f"by {abs(nats):.3g} nats {'better' if nats > 0 else 'worse'} than {name}"
        for name, nats in gains.items()
    ]
    rebuilt = {"pca": _pca(n_components), "autoencoder": "a plain autoencoder"}
    ratios = [describe_ratio(baselines["model"], baselines[key], rebuilt[key]) for key in rebuilt if key in baselines]
    return (
        f"On {_where(baselines)} the model describes a row {' and '.join(parts)}; its reconstructions have "
        f"{', and '.join(ratios)}."
    )


def _where(baselines: dict[str, Any]) -> str:
    return f"{baselines['rows']:,} {'held-out rows' if baselines['held_out'] else 'rows it was fitted to'}"


def _pca(n_components: int) -> str:
    return f"PCA with {count(n_components, 'component')}"


def describe_contamination(contamination: float | str | None) -> str:
    """Say what a detector took the rows of its fit for.

    Examples
    --------
    >>> describe_contamination(0.1)
    'rows of which 10% are anomalies'
    """
    if contamination is None:
        return "normal rows, without anomalies among them"
    if isinstance(contamination, str):
        return "rows with anomalies among them, no one knows how many"
    return f"rows of which {100 * contamination:.3g}% are anomalies"


def describe_threshold(threshold: float, contamination: float | str | None, rate: float) -> str:
    """Say from which score on a row is an anomaly, and where that comes from.

    Examples
    --------
    >>> describe_threshold(2.5, None, 0.01)
    'a score above 2.5, as about 1% of normal rows have'
    """
    if contamination is None:
        return f"a score above {threshold:.4g}, as about {100 * rate:.3g}% of normal rows have"
    if isinstance(contamination, str):
        return f"a score above {threshold:.4g}, far outside the bulk of the rows of the fit"
    return f"a score above {threshold:.4g}, as {100 * contamination:.3g}% of the rows of the fit have"


def describe_calibration(n_rows: int, contamination: float | str | None) -> str:
    """Say which rows p-values compare with."""
    least = f"p-values by {n_rows:,} rows of the fit: {1 / (n_rows + 1):.2g} at least"
    return least if contamination is None else f"{least}; too large, for anomalies are among these rows"


def describe_likelihood(record: dict[str, Any] | str) -> str:
    """Write a likelihood as the command line takes it.

    Examples
    --------
    >>> describe_likelihood({"option": "Gaussian", "bounds": "auto", "variance": "column"})
    'gaussian(variance=column)'
    """
    return record.lower() if isinstance(record, str) else option_to_text(record, "Likelihood")


def describe_prior(name: str, *, labelled: bool) -> str:
    """Say what new codes are drawn from.

    Examples
    --------
    >>> describe_prior("mixture", labelled=True)
    'a mixture of normal distributions for each label'
    """
    if name == "mixture":
        return f"a mixture of normal distributions{' for each label' * labelled}"
    mixture = ", or a mixture of its own for a label that is asked for" if labelled else ""
    return f"the standard normal distribution{mixture}"
