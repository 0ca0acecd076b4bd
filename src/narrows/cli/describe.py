"""What a model file says of itself: after ``narrows fit``, and in ``narrows info``."""

from typing import Any

from narrows.cli.flags import Parameter, models, option_to_text
from narrows.cli.printing import count, describe_shape

# What does not change the model.
_SILENT = {"callbacks", "checkpoint", "checkpoint_seconds", "verbose", "device", "n_jobs"}
_SAME = 0.01
"""Errors that differ by less than one per cent are called the same."""


def summary_of(record: dict[str, Any]) -> dict[str, Any]:
    """Return what is to be said of ``narrows.describe``'s record of an autoencoder or a detector."""
    fitted, options = record["fitted"], record["options"]
    found: dict[str, Any] = {"columns": fitted["n_features_in"], "names": fitted.get("feature_names_in")}
    if "offset" in fitted:
        found |= {name: options[name] for name in ("contamination", "false_positive_rate")}
        found |= {"threshold": -fitted["offset"], "n_calibration": fitted["n_calibration"]}
    else:
        if fitted.get("image_shape"):
            found |= {"image_shape": fitted["image_shape"], "images": describe_shape(fitted["image_shape"])}
        names = ("n_components", "n_active_components", "stayed_linear", "baselines", "stopped")
        found |= {name: fitted[name] for name in names if name in fitted} | {"has_code": _has_code(options)}
        run = max([entry.get("step", 0) for entry in fitted["history"]], default=0)
        found |= {"steps": fitted["n_steps"], "steps_run": max(run, fitted["n_steps"])}
    if "n_active_components" in fitted:
        prior = options["prior"]
        found |= {
            "likelihood": _text(fitted["likelihood"], None, "Likelihood").lower(),
            "scaling": fitted["plan"]["scaling"],
            "prior": str(prior["option"] if isinstance(prior, dict) else prior).lower(),
            "labels": fitted.get("classes"),
            "conditional": bool(fitted.get("n_labels")),
        }
    return found | {"n_parameters": record["n_parameters"], "in_words": in_words(record)}


def _has_code(options: dict[str, Any]) -> bool:
    from narrows.networks import Network

    network = options["network"]
    own = not isinstance(network, dict) or network["option"] == "Modules"
    return own or bool(Network.from_json(network).has_code)


def in_words(record: dict[str, Any]) -> str:
    """Say in one sentence what a model is worth, or of a detector from which score on a row is an anomaly."""
    fitted, options = record["fitted"], record["options"]
    if "offset" in fitted:
        return describe_threshold(-fitted["offset"], options["contamination"], options["false_positive_rate"])
    baselines, n_components = fitted["baselines"], fitted["n_components"]
    where = f"{baselines['rows']:,} {'held-out rows' if baselines['held_out'] else 'rows it was fitted to'}"
    names = {"pca": f"PCA with {count(n_components, 'component')}", "autoencoder": "a plain autoencoder"}
    names |= {"mean": "the mean row", "input": "the noisy input"}
    ratios = [describe_ratio(baselines["model"], baselines[key], names[key]) for key in names if key in baselines]
    kept = " Training brought no gain, so the model has kept to PCA, within the bounds of the data."
    nats = _describe_nats(baselines.get("nats_per_row") or {})
    return f"On {where} the model has {', and '.join(ratios)}{nats}.{kept * bool(fitted.get('stayed_linear'))}"


def _describe_nats(costs: dict[str, float]) -> str:
    """Say how well a variational model describes rows."""
    names = {"independent": "independent columns would", "ppca": "probabilistic PCA"}
    gains = {name: costs[key] - costs["model"] for key, name in names.items() if key in costs}
    parts = [
        f"as well as {name}"
        if abs(gain) < _SAME
        else f"by {abs(gain):.3g} nats {'better' if gain > 0 else 'worse'} than {name}"
        for name, gain in gains.items()
    ]
    return f"; it describes a row {' and '.join(parts)}" if parts else ""


def describe_ratio(model: float, other: float, name: str) -> str:
    """Say how a model's error compares with another's.

    Examples
    --------
    >>> describe_ratio(1.0, 2.5, "PCA"), describe_ratio(1.0, 1.0, "PCA")
    ('2.5 times less error than PCA', 'the same error as PCA')
    """
    if model == other or abs(model - other) < _SAME * other:
        return f"the same error as {name}"
    if min(model, other) <= 0:
        return f"{'no error, unlike' if model < other else 'more error than'} {name}"
    better, ratio = model < other, max(model, other) / min(model, other)
    much = f"{ratio:.3g} times" if ratio >= 2 else f"{1 - model / other if better else model / other - 1:.0%}"
    return f"{much} {'less' if better else 'more'} error than {name}"


def describe_threshold(threshold: float, contamination: float | str | None, rate: float) -> str:
    """Say from which score on a row is an anomaly, and where that comes from."""
    if contamination is None:
        return f"a score above {threshold:.4g}, as about {100 * rate:.3g}% of normal rows have"
    if isinstance(contamination, str):
        return f"a score above {threshold:.4g}, far outside the bulk of the rows of the fit"
    return f"a score above {threshold:.4g}, as {100 * contamination:.3g}% of the rows of the fit have"


def describe_changed(record: dict[str, Any]) -> dict[str, str]:
    """Return the options that differ from the defaults, as the command line takes them."""
    known = next((model.parameters for model in models().values() if model.name == record["class"]), {})
    return {
        name: _text(value, known.get(name))
        for name, value in record["options"].items()
        if name not in _SILENT and (name not in known or _text(value, known[name]) != str(known[name].default))
    }


def _text(value: Any, parameter: Parameter | None, family: str | None = None) -> str:
    if isinstance(value, dict) and "option" in value:
        return option_to_text(value, parameter.family if parameter else family)
    if isinstance(value, dict) and "columns" in value:
        return " ".join(f"{name}:{bound:g}" for name, bound in value["columns"])
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
