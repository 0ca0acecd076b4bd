"""Verbs that put a fitted model to use: ``encode``, ``decode``, ``reconstruct``, ``score``."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads it at runtime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from narrows.cli.arguments import AsJson, DataArgument, Device, ModelFile, Out  # noqa: TC001 - typer reads them
from narrows.cli.show import print_json, print_rows, print_table
from narrows.cli.values import CommandError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from narrows.cli.files import Data

__all__ = ["columns_of", "decode", "encode", "load_rebuilder", "reconstruct", "score", "use"]

_WORST = 5
_QUANTILES = (0.0, 0.25, 0.5, 0.75, 0.95, 1.0)


def encode(data: DataArgument, model: ModelFile, out: Out, device: Device = "auto", as_json: AsJson = False) -> None:
    """Write the codes of the rows of DATA.

    A file with column names may have its columns in any order, and more of them than the model needs.
    """
    from narrows.cli import files

    files.check_table_place(out, files.file_of(data), model)
    fitted = load_rebuilder(model, device)
    codes = use(fitted.transform, files.read_for(fitted, data).rows)
    _write(out, codes, list(fitted.get_feature_names_out()), as_json=as_json)


def decode(
    codes: Annotated[Path, typer.Argument(metavar="CODES", help="A file of codes, as encode writes.")],
    model: ModelFile,
    out: Out,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Write the rows that CODES stand for."""
    from narrows.cli import files

    files.check_table_place(out, codes, model)
    fitted = load_rebuilder(model, device)
    rows = use(fitted.inverse_transform, files.read_codes(fitted, codes))
    _write(out, rows, columns_of(fitted), as_json=as_json)


def reconstruct(
    data: DataArgument, model: ModelFile, out: Out, device: Device = "auto", as_json: AsJson = False
) -> None:
    """Write the rows of DATA as the model rebuilds them.

    Missing values are filled in, where the model was fitted with --missing mask. An OUT without an extension is a new
    folder of images, for a model of images: PNG files, or TIFF where these do not hold the values (floats, colours of
    16 bits).
    """
    from narrows.cli import files, images

    place = files.file_of(data)
    to_folder = images.is_folder_name(out)
    if to_folder:
        images.check_folder_place(out)
    else:
        files.check_table_place(out, place, model)
    fitted = load_rebuilder(model, device)
    if to_folder:
        images.check_makes_images(fitted, out)
    given = files.read_for(fitted, data)
    rows = use(fitted.reconstruct, given.rows)
    if not to_folder:
        _write(out, rows, columns_of(fitted), as_json=as_json)
        return
    count = images.write_rows(out, rows, fitted.image_shape_, given)
    if as_json:
        print_json({"folder": out, "images": count, "shape": fitted.image_shape_})
    else:
        print_rows([("images", f"{count:,}"), ("folder", out)])


def score(
    data: DataArgument,
    model: ModelFile,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="OUT", help="The file to write; without it a summary is printed."),
    ] = None,
    per_feature: Annotated[bool, typer.Option("--per-feature", help="The error of each value.")] = False,
    elbo: Annotated[
        bool, typer.Option("--elbo", help="Of a variational model: how likely rows are, in nats, instead of errors.")
    ] = False,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Measure how badly each row of DATA is rebuilt.

    The error of a row is the mean of its squared errors, in the data's units (in standard deviations of each column
    for a model with --scaling standard, which a vae has for tables by default). With --elbo it is the evidence lower
    bound of the row, and its two parts: higher is more like the data.
    """
    from narrows.cli import files

    if elbo and per_feature:
        raise CommandError("--elbo and --per-feature do not go together: a bound is of whole rows.")
    if out is not None:
        files.check_table_place(out, files.file_of(data), model)
    fitted = load_rebuilder(model, device, "narrows anomalies measures how strange rows are by it")
    if elbo:
        _score_bounds(fitted, model, files.read_for(fitted, data), out, as_json=as_json)
        return
    given = files.read_for(fitted, data)
    errors = use(lambda X: fitted.reconstruction_error(X, per_feature=per_feature), given.rows)
    names = columns_of(fitted) or [f"x{k}" for k in range(fitted.n_features_in_)]
    if out is not None:
        _write(out, errors, names if per_feature else ["reconstruction_error"], as_json=as_json)
        return
    summary = _summary(errors.mean(1) if per_feature and errors.ndim > 1 else errors)
    if per_feature:
        import numpy as np

        summary = _summary(_mean_seen(errors, 1))
        means = _mean_seen(errors, 0)
        order = np.argsort(-np.nan_to_num(means, nan=-1.0), kind="stable")
        summary["features"] = [{"feature": names[k], "error": float(means[k])} for k in order]
    if given.names is not None:
        summary["worst"] = [worst | {"file": given.names[worst["row"]]} for worst in summary["worst"]]
    if as_json:
        print_json(summary)
    else:
        _show(summary)


def _score_bounds(fitted: Any, model: Path, given: Data, out: Path | None, *, as_json: bool) -> None:
    """Write or sum up the evidence lower bounds of rows."""
    import numpy as np

    if not hasattr(fitted, "elbo"):
        raise CommandError(f"{model} holds the model class {type(fitted).__name__}, which has no --elbo.")
    found = use(lambda X: np.stack(fitted.elbo(X), axis=1), given.rows)
    names = ["elbo", "reconstruction", "kl"]
    if out is not None:
        _write(out, found, names, as_json=as_json)
        return
    means = dict(zip(names, found.mean(0).tolist(), strict=True))
    lowest = np.argsort(found[:, 0], kind="stable")[:_WORST]
    worst: list[dict[str, Any]] = [{"row": int(row), "elbo": float(found[row, 0])} for row in lowest]
    if given.names is not None:
        worst = [entry | {"file": given.names[entry["row"]]} for entry in worst]
    if as_json:
        print_json({"rows": len(found), "mean": means, "worst": worst})
        return
    said = f"{means['elbo']:.5g} nats: reconstruction {means['reconstruction']:.5g} less KL {means['kl']:.5g}"
    print_rows([("rows", f"{len(found):,}"), ("mean elbo", said)])
    print_table(["row", "elbo"], [(_row(w), w["elbo"]) for w in worst], title="least likely rows (the first is 0)")


def load_rebuilder(path: Path, device: str, instead: str = "narrows anomalies puts it to use") -> Any:
    """Load a model that encodes rows and rebuilds them, which a detector of anomalies or a recommender does not."""
    from narrows.cli.files import load_model

    fitted = load_model(path, device)
    if hasattr(fitted, "recommend"):
        instead = "narrows recommend puts it to use"
    if hasattr(fitted, "compress"):
        instead = "narrows compress puts it to use"
    if not hasattr(fitted, "reconstruct"):
        raise CommandError(f"{path} holds the model class {type(fitted).__name__}, which has no codes: {instead}.")
    return fitted


def use(function: Any, rows: Any) -> np.ndarray:
    """Put a method of a model to use on rows: its refusals and warnings become lines, its images flat rows."""
    from narrows.cli.mistakes import mistakes_of, warnings_as_lines

    with mistakes_of(), warnings_as_lines():
        found = function(rows)
    return found.reshape(len(found), -1) if found.ndim > 2 else found


def columns_of(fitted: Any) -> list[str] | None:
    """Return the names of the columns a model was fitted to, where they had names."""
    names = getattr(fitted, "feature_names_in_", None)
    return None if names is None else [str(name) for name in names]


def _write(out: Path, values: np.ndarray, columns: Sequence[str] | None, *, as_json: bool) -> None:
    from narrows import tables

    tables.write(out, values, columns=columns)
    n_columns = values.shape[1] if values.ndim > 1 else 1
    if as_json:
        print_json({"file": out, "rows": len(values), "columns": n_columns, "names": columns})
    else:
        print_rows([("rows", f"{len(values):,}"), ("columns", f"{n_columns:,}"), ("file", out)])


def _mean_seen(errors: np.ndarray, axis: int) -> np.ndarray:
    """Return means over what was observed, NaN where nothing was."""
    import numpy as np

    seen = (~np.isnan(errors)).sum(axis)
    total = np.nansum(errors, axis)
    return np.divide(total, seen, out=np.full(total.shape, np.nan), where=seen > 0)


def _summary(errors: np.ndarray) -> dict[str, Any]:
    import numpy as np

    seen = errors[~np.isnan(errors)]
    worst = np.argsort(-np.nan_to_num(errors, nan=-1.0), kind="stable")[:_WORST]
    quantiles = np.quantile(seen, _QUANTILES) if len(seen) else [float("nan")] * len(_QUANTILES)
    return {
        "rows": len(errors),
        "mean": float(seen.mean()) if len(seen) else float("nan"),
        "quantiles": {f"{q:g}": float(value) for q, value in zip(_QUANTILES, quantiles, strict=True)},
        "worst": [{"row": int(row), "error": float(errors[row])} for row in worst],
    }


def _row(worst: dict[str, Any]) -> str:
    return f"{worst['row']} ({worst['file']})" if "file" in worst else str(worst["row"])


def _show(summary: dict[str, Any]) -> None:
    quantiles = "   ".join(f"{float(q):.0%} {value:.5g}" for q, value in summary["quantiles"].items())
    print_rows([("rows", f"{summary['rows']:,}"), ("mean error", f"{summary['mean']:.5g}"), ("quantiles", quantiles)])
    title = "worst rows (the first is 0)"
    print_table(["row", "error"], [(_row(w), w["error"]) for w in summary["worst"]], title=title)
    if "features" in summary:
        shown = summary["features"][: 2 * _WORST]
        print_table(["feature", "mean error"], [(f["feature"], f["error"]) for f in shown], title="worst features")
