"""``narrows info``: what a model file says of itself."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads it at runtime
from typing import Annotated, Any

import typer

from narrows.cli.arguments import AsJson  # noqa: TC001 - typer reads it at runtime
from narrows.cli.codec_fit import HOME
from narrows.cli.codec_info import in_words, show_codec
from narrows.cli.flags import MODELS
from narrows.cli.labels import labels_in_words
from narrows.cli.show import (
    baselines_in_words,
    bounds_in_words,
    code_in_words,
    file_size,
    print_json,
    print_rows,
    print_table,
)
from narrows.cli.signature import Parameter, parameters
from narrows.cli.summary import (
    calibration_in_words,
    likelihood_in_words,
    prior_in_words,
    taken_in_words,
    threshold_in_words,
)
from narrows.cli.values import option_to_text

__all__ = ["info"]

_LAST_RECORDS = 5
_COLUMNS_SHOWN = 8
_ITEMS_SHOWN = 3
# What does not change the model.
_SILENT = {"callbacks", "checkpoint", "checkpoint_seconds", "verbose", "device"}


def info(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="The model file that fit wrote.")],
    as_json: AsJson = False,
) -> None:
    """Say what a model file holds.

    Sizes, the options that differ from the defaults, how it compares with PCA, how it was trained; of a variational
    model also its likelihood, what new rows are drawn from, and its labels; of a detector its threshold, and what its
    p-values compare with; of a recommender its items, what ranks them, and why; of a codec what it is worth.
    """
    import narrows

    record = narrows.describe(model)
    if as_json:
        size = {"file": str(model), "bytes": model.stat().st_size}
        print_json(size | record | {"changed_options": _changed(record), "in_words": _in_words(record)})
        return
    if _is_detector(record):
        _show_detector(model, record)
        return
    if _is_recommender(record):
        _show_recommender(model, record)
        return
    if _is_codec(record):
        show_codec(model, record)
        return
    fitted = record["fitted"]
    rows: list[tuple[str, object]] = [
        ("file", _file(model, record)),
        ("class", record["class"]),
        ("data", _data(fitted)),
        ("code", _code(record)),
        *_variational(record),
        ("weights", f"{record['n_parameters']:,}"),
        ("options", _options(record)),
        ("training", f"{fitted['n_steps']:,} steps; ended by: {fitted['stopped']}"),
        ("compared", _in_words(record)),
    ]
    print_rows(rows)
    _show_history(fitted["history"])


def _file(model: Path, record: dict[str, Any]) -> str:
    return f"{model}, {file_size(model)}, written by narrows {record['narrows']}"


def _options(record: dict[str, Any]) -> str:
    return ", ".join(f"{name}={text}" for name, text in _changed(record).items()) or "all by default"


def _is_detector(record: dict[str, Any]) -> bool:
    return record["class"] == "AnomalyDetector"


def _show_detector(model: Path, record: dict[str, Any]) -> None:
    fitted, options, inner = record["fitted"], record["options"], record["autoencoder"]["fitted"]
    contamination = options["contamination"]
    words = {"neighbors": "distance to the nearest rows", "ranks": "the same by ranks", "reconstruction": "residual"}
    code = code_in_words(inner["n_components"], has_code=True)
    print_rows(
        [
            ("file", _file(model, record)),
            ("class", record["class"]),
            ("data", _data(fitted)),
            ("score", ", or ".join(words.get(part, part) for part in fitted["middles"])),
            ("taken for", taken_in_words(contamination)),
            ("threshold", _in_words(record)),
            ("calibration", calibration_in_words(fitted["n_calibration"], contamination)),
            ("autoencoder", f"{code}; {record['n_parameters']:,} weights, {inner['n_steps']:,} steps"),
            ("options", _options(record)),
        ]
    )


def _is_recommender(record: dict[str, Any]) -> bool:
    return record["class"] == "Recommender"


def _is_codec(record: dict[str, Any]) -> bool:
    return record["class"] == "Codec"


def _show_recommender(model: Path, record: dict[str, Any]) -> None:
    from narrows.cli.recommender import liked_in_words, load_recommender, method_in_words, scale_in_words

    # The ids and titles of items are no part of what the file says in its head.
    fitted = load_recommender(model, "cpu")
    some = [fitted.titles_.get(item, str(item)) for item in list(fitted._places)[:_ITEMS_SHOWN]]
    titles = f", {len(fitted.titles_):,} with titles" if fitted.titles_ else ", without titles"
    more = ", ..." if len(fitted.items_) > _ITEMS_SHOWN else ""
    print_rows(
        [
            ("file", _file(model, record)),
            ("class", record["class"]),
            ("items", f"{len(fitted.items_):,}{titles}: {', '.join(some)}{more}"),
            ("users", "not listed: whoever has a history is served, by that alone"),
            ("liked", liked_in_words(fitted.positive_from_)),
            ("ratings", scale_in_words(fitted)),
            ("method", method_in_words(fitted.method_)),
            ("reason", fitted.reason_),
            ("weights", f"{record['n_parameters']:,}"),
            ("options", _options(record)),
        ]
    )
    if fitted.candidates_:
        ranked = sorted(fitted.candidates_, key=lambda candidate: -candidate["ndcg@100"])
        rows = [[c["method"], f"{c['ndcg@100']:.4f}", f"{c['error']:.4f}"] for c in ranked]
        print()
        print_table(["method", "NDCG@100", "standard error"], rows, title="on validation users of the fit")
    _show_history(record["fitted"]["history"])


def _code(record: dict[str, Any]) -> str:
    from narrows.networks import Network

    network = record["options"]["network"]
    own = not isinstance(network, dict) or network["option"] == "Modules"
    fitted = record["fitted"]
    has_code = own or Network.from_json(network).has_code
    return code_in_words(fitted["n_components"], has_code=has_code, active=fitted.get("n_active_components"))


def _variational(record: dict[str, Any]) -> list[tuple[str, object]]:
    """Return what a variational model has and others do not."""
    fitted = record["fitted"]
    if "n_active_components" not in fitted:
        return []
    classes, prior = fitted.get("classes"), record["options"]["prior"]
    name = str(prior["option"] if isinstance(prior, dict) else prior).lower()
    told = "; the decoder is told of them" if fitted.get("n_labels") else ""
    labels = [("labels", f"{len(classes):,}: {labels_in_words(classes)}{told}")] if classes else []
    return [
        ("likelihood", likelihood_in_words(fitted["likelihood"])),
        ("new rows", f"from {prior_in_words(name, labelled=bool(classes))}"),
        *labels,
    ]


def _in_words(record: dict[str, Any]) -> str:
    fitted = record["fitted"]
    if _is_recommender(record):
        return str(fitted["reason"])
    if _is_codec(record):
        return in_words(fitted | {"kind": record["engine"]["kind"]})
    if _is_detector(record):
        options = record["options"]
        return threshold_in_words(-fitted["offset"], options["contamination"], options["false_positive_rate"])
    if "n_active_components" in fitted:
        return bounds_in_words(fitted["baselines"], fitted["n_components"])
    stayed = bool(fitted.get("stayed_linear"))
    return baselines_in_words(fitted["baselines"], fitted["n_components"], stayed=stayed)


def _data(fitted: dict[str, Any]) -> str:
    from narrows.cli.files import shape_in_words

    columns, shape = f"{fitted['n_features_in']:,} columns", fitted.get("image_shape")
    names = fitted.get("feature_names_in")
    if shape:
        return f"{columns}, images of {shape_in_words(shape)}"
    if not names:
        return columns
    more = ", ..." if len(names) > _COLUMNS_SHOWN else ""
    return f"{columns}: {', '.join(names[:_COLUMNS_SHOWN])}{more}"


def _changed(record: dict[str, Any]) -> dict[str, str]:
    """Return the options that differ from the defaults, as the command line takes them."""
    home = next((home for home in (*MODELS.values(), HOME) if home[1] == record["class"]), None)
    known = {parameter.name: parameter for parameter in parameters(*home)} if home else {}
    return {
        name: _text(value, known.get(name))
        for name, value in record["options"].items()
        if name not in _SILENT and (name not in known or _text(value, known[name]) != str(known[name].default))
    }


def _text(value: Any, parameter: Parameter | None) -> str:
    if isinstance(value, dict) and "option" in value:
        return option_to_text(value, parameter.family if parameter else ())
    if isinstance(value, list):
        return ",".join(map(str, value))
    return str(value)


def _show_history(history: list[dict[str, Any]]) -> None:
    known: tuple[str, ...] = ("step", "epoch", "seconds", "loss", "val_loss", "ndcg@100", "learning_rate")
    if any("val_kl_loss" in record for record in history):
        # In nats a row; "loss" alone would hide which part of it is what.
        known = ("step", "epoch", "seconds", "loss", "val_reconstruction_loss", "val_kl_loss", "active_components")
    short = {"val_reconstruction_loss": "val_rebuilt", "val_kl_loss": "val_kl", "active_components": "active"}
    names = [name for name in known if any(name in record for record in history)]
    rows = [[record.get(name, "") for name in names] for record in history[-_LAST_RECORDS:]]
    if rows:
        skipped = len(history) - len(rows)
        print_table(
            [short.get(name, name) for name in names],
            rows,
            title=f"history, after {skipped:,} earlier records" if skipped else "history",
        )
