"""Verbs that put a fitted model to use: ``encode``, ``decode``, ``reconstruct``, ``score``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from narrows.cli import files, images
from narrows.cli.errors import CommandError
from narrows.cli.files import Data
from narrows.cli.printing import print_record
from narrows.data.encoding import Encoding
from narrows.data.opening import open_source
from narrows.data.output import write_table

_WORST = 5
_QUANTILES = (0.0, 0.25, 0.5, 0.75, 0.95, 1.0)


def encode(data: str, model: Path, out: Path, device: str, *, reading: dict[str, Any], as_json: bool) -> None:
    """Write the codes of rows, beside what names them."""
    files.check_table_place(out, files.file_of(data), model)
    fitted = load_autoencoder(model, device)
    given = files.read_for(fitted, data, reading)
    codes = columns_as_table(fitted.transform(given.rows), list(fitted.get_feature_names_out()))
    _write(out, codes, carried(given, fitted), as_json=as_json)


def decode(codes: Path, model: Path, out: Path, device: str, *, as_json: bool) -> None:
    """Write the rows that codes stand for."""
    files.check_table_place(out, codes, model)
    fitted = load_autoencoder(model, device)
    rows = fitted.inverse_transform(files.read_codes(fitted, codes))
    _write(out, as_table(rows, fitted, out), as_json=as_json)


def reconstruct(data: str, model: Path, out: Path, device: str, *, reading: dict[str, Any], as_json: bool) -> None:
    """Write the reconstructions of rows."""
    images.check_place_of_rows(out, files.file_of(data), model)
    to_folder = images.is_folder_name(out)
    fitted = load_autoencoder(model, device)
    if to_folder:
        images.check_makes_images(fitted, out)
    given = files.read_for(fitted, data, reading)
    rows = fitted.reconstruct(given.rows)
    if not to_folder:
        _write(out, as_table(rows, fitted, out), carried(given, fitted), as_json=as_json)
        return
    number = images.write_rows(out, flat(rows), fitted.image_shape_, given)
    print_record({"folder": out, "images": number, "shape": fitted.image_shape_}, as_json=as_json)


def score(
    data: str,
    model: Path,
    out: Path | None,
    device: str,
    *,
    per_feature: bool,
    elbo: bool,
    reading: dict[str, Any],
    as_json: bool,
) -> None:
    """Write or sum up the reconstruction errors of rows, or their evidence lower bounds."""
    if elbo and per_feature:
        raise CommandError("--elbo and --per-feature do not go together: a bound is of whole rows.")
    files.check_table_place(out, files.file_of(data), model)
    fitted = load_autoencoder(model, device)
    if elbo and not hasattr(fitted, "elbo"):
        raise CommandError(f"{model} holds the model class {type(fitted).__name__}, which has no --elbo.")
    given = files.read_for(fitted, data, reading)
    names = columns_of(fitted) or [f"x{k}" for k in range(fitted.n_features_in_)]
    if elbo:
        values, columns = np.stack(fitted.elbo(given.rows), axis=1), ["elbo", "reconstruction", "kl"]
    else:
        values = fitted.reconstruction_error(given.rows, per_feature=per_feature)
        columns = names if per_feature else ["reconstruction_error"]
        values = flat(values) if per_feature else values
    if out is not None:
        _write(out, columns_as_table(values, columns), carried(given, fitted), as_json=as_json)
    elif elbo:
        means = dict(zip(columns, values.mean(0).tolist(), strict=True))
        worst = _worst(-values[:, 0], given, "elbo", -1.0)
        print_record({"rows": len(values), "mean": means, "worst": worst}, as_json=as_json)
    else:
        print_record(_summary(values, names, given), as_json=as_json)


def _summary(errors: np.ndarray, names: list[str], given: Data) -> dict[str, Any]:
    rows = _mean_observed(errors, 1) if errors.ndim > 1 else errors
    observed = rows[~np.isnan(rows)]
    quantiles = np.quantile(observed, _QUANTILES) if len(observed) else [float("nan")] * len(_QUANTILES)
    summary: dict[str, Any] = {
        "rows": len(rows),
        "mean": float(observed.mean()) if len(observed) else float("nan"),
        "quantiles": {f"{q:g}": float(value) for q, value in zip(_QUANTILES, quantiles, strict=True)},
        "worst": _worst(rows, given, "error"),
    }
    if errors.ndim > 1:
        means = _mean_observed(errors, 0)
        order = np.argsort(-np.nan_to_num(means, nan=-1.0), kind="stable")
        summary["features"] = [{"feature": names[k], "error": float(means[k])} for k in order]
    return summary


def _worst(values: np.ndarray, given: Data, name: str, sign: float = 1.0) -> list[dict[str, Any]]:
    """Return the rows of the largest values, and the files that they are of a folder of images."""
    order = np.argsort(-np.nan_to_num(values, nan=-np.inf), kind="stable")[:_WORST].tolist()
    files_of = [{} if given.names is None else {"file": given.names[row]} for row in order]
    return [{"row": r, name: sign * float(values[r]), **file} for r, file in zip(order, files_of, strict=True)]


def _mean_observed(errors: np.ndarray, axis: int) -> np.ndarray:
    """Return means over what was observed, NaN where nothing was."""
    return np.ma.filled(np.ma.masked_array(errors, np.isnan(errors)).mean(axis), np.nan)


def load_autoencoder(path: Path, device: str) -> Any:
    """Load a model that encodes rows and reconstructs them, which a detector of anomalies or a recommender does not."""
    return files.load_model(path, device, "reconstruct", "has no codes")


def columns_of(fitted: Any) -> list[str] | None:
    """Return the names of the columns a model was fitted to, where they had names."""
    names = getattr(fitted, "feature_names_in_", None)
    return None if names is None else [str(name) for name in names]


def flat(rows: np.ndarray) -> np.ndarray:
    """Return images as rows of a table."""
    return rows.reshape(len(rows), -1)


def columns_as_table(values: np.ndarray, names: Sequence[str] | None) -> Any:
    """Return columns of numbers as an Arrow table."""
    rows = values.reshape(len(values), -1)
    labels = names or [f"x{number}" for number in range(rows.shape[1])]
    return pa.table({name: rows[:, number] for number, name in enumerate(labels)})


def as_table(rows: Any, fitted: Any, out: Path | None = None) -> Any:
    """Return what a model gives, rows of numbers or a table, as an Arrow table; for a numpy file as numbers."""
    if isinstance(rows, np.ndarray):
        return columns_as_table(rows, columns_of(fitted))
    table = open_source(rows).table()
    encoding = Encoding.learn(fitted.schema_)
    if out is None or out.suffix not in (".npy", ".npz") or encoding.sizes:
        return table
    return columns_as_table(encoding.encode(table), encoding.value_names)


def carried(given: Data, fitted: Any) -> Any:
    """Return the columns of a table that name its rows: identifiers, an index, times; None where there are none."""
    schema = getattr(fitted, "schema_", None)
    if given.table is None or schema is None:
        return None
    known = given.table.source.arrow_schema.names
    names = [c.name for c in schema.columns if c.kind in ("identifier", "index", "time", "group") and c.name in known]
    return given.table.to_arrow(names) if names else None


def _write(out: Path, values: Any, beside: Any = None, *, as_json: bool) -> None:
    table = values
    for number, name in enumerate([] if beside is None else beside.column_names):
        if name not in values.column_names:
            table = table.add_column(number, name, beside.column(name))
    write_table(out, table)
    names = table.column_names
    print_record({"file": out, "rows": table.num_rows, "columns": len(names), "names": names}, as_json=as_json)
