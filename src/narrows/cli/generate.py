"""Verbs that make rows: ``sample`` draws new ones from a variational model, ``interpolate`` those between two."""

from pathlib import Path
from typing import Any

import numpy as np

from narrows.cli import files, images
from narrows.cli.apply import as_table
from narrows.cli.errors import CommandError
from narrows.cli.files import Data
from narrows.cli.labels import class_named
from narrows.cli.printing import count, describe_shape, print_json, print_record, print_table
from narrows.data.inputs import take_rows
from narrows.data.output import write_table
from narrows.data.pictures import write_image

PRIORS = ("normal", "mixture")

_ROWS_SHOWN = 10
_COLUMNS_SHOWN = 8


def sample(
    model: Path,
    n: int,
    out: Path | None,
    label: str | None,
    prior: str | None,
    device: str,
    *,
    noise: bool | None,
    random_state: int | None,
    as_json: bool,
) -> None:
    """Draw rows, and write or print them."""
    if prior is not None and prior not in PRIORS:
        raise CommandError(f"--prior must be {' or '.join(PRIORS)}, got {prior!r}.")
    if out is not None:
        images.check_place_of_rows(out, model)
    fitted = _load(model, device)
    if out is not None:
        images.check_makes_images(fitted, out)
    elif fitted.image_shape_ is not None:
        shape = describe_shape(fitted.image_shape_)
        raise CommandError(f"{model} makes images of {shape}, which are not printed: say -o samples.png, or such.")
    options = {"noise": "auto" if noise is None else noise, "prior": prior, "random_state": random_state}
    rows = fitted.sample(n, y=class_named(fitted, label, model), **options)
    if out is None:
        _print(as_table(rows, fitted), as_json=as_json)
    elif images.is_table_name(out):
        _write_table(out, as_table(rows, fitted, out), as_json=as_json)
    else:
        _write_images(out, rows, fitted, as_json=as_json)


def interpolate(
    model: Path,
    data: str,
    start: int,
    end: int,
    out: Path,
    steps: int,
    label: str | None,
    device: str,
    *,
    spherical: bool,
    reading: dict[str, Any],
    as_json: bool,
) -> None:
    """Write the rows on the way from one to another."""
    images.check_place_of_rows(out, model, files.file_of(data))
    fitted = _load(model, device)
    images.check_makes_images(fitted, out)
    chosen = class_named(fitted, label, model)
    if chosen is not None and not fitted._model.n_labels:
        raise CommandError(f"--label {label}: the decoder of {model} is told of no labels: fit it with --conditional.")
    given = files.read_for(fitted, data, reading)
    first, last = _pick(given, data, {"--from": start, "--to": end})
    rows = fitted.interpolate(first, last, steps, method="spherical" if spherical else "linear", y=chosen)
    if images.is_table_name(out):
        _write_table(out, as_table(rows, fitted, out), as_json=as_json)
    else:
        _write_images(out, images.as_type(rows, first.dtype), fitted, n_columns=len(rows), as_json=as_json)


def _load(path: Path, device: str) -> Any:
    return files.load_model(path, device, "sample", "makes no new rows: fit one with --model vae")


def _pick(given: Data, data: str, wanted: dict[str, int]) -> list[Any]:
    """Return the rows at some positions, each as a table or an array of one."""
    n_rows = given.n_rows()
    for flag, position in wanted.items():
        if position >= n_rows:
            raise CommandError(f"{flag} {position}: {data} has {n_rows:,} rows, the first of which is 0.")
    return [take_rows(given.rows, np.array([place])) for place in wanted.values()]


def _write_table(out: Path, table: Any, *, as_json: bool) -> None:
    write_table(out, table)
    names = table.column_names
    print_record({"file": out, "rows": table.num_rows, "columns": len(names), "names": names}, as_json=as_json)


def _write_images(out: Path, rows: np.ndarray, fitted: Any, *, as_json: bool, n_columns: int | None = None) -> None:
    """Write images as a picture of all, or as a folder."""
    shape, flat = fitted.image_shape_, np.asarray(rows).reshape(len(rows), -1)
    record: dict[str, Any] = {"images": len(flat), "shape": shape}
    if images.is_folder_name(out):
        place = "folder"
        images.write_rows(out, flat, shape, Data(flat))
    else:
        place, form = "file", fitted._form
        low, high = images.shown_range(flat.dtype, float(form.low.min()), float(form.high.max()))
        picture = images.grid(flat.reshape(-1, *shape), low, high, n_columns=n_columns)
        write_image(out, picture)
        record["pixels"] = list(picture.shape[:2])
    print_record({place: out} | record, as_json=as_json)


def _print(table: Any, *, as_json: bool) -> None:
    """Print rows: all of them as JSON, otherwise the first."""
    names, n_rows = table.column_names, table.num_rows
    values = [column.to_pylist() for column in table.columns]
    if as_json:
        print_json({"rows": n_rows, "columns": names, "values": list(zip(*values, strict=True))})
        return
    # Truth values as tables have them.
    shown = [[str(v).lower() if isinstance(v, bool) else v for v in column[:_ROWS_SHOWN]] for column in values]
    more = "; -o OUT writes all of them" if n_rows > _ROWS_SHOWN or len(names) > _COLUMNS_SHOWN else ""
    title = f"new rows: {n_rows:,} of {count(len(names), 'column')}{more}"
    print_table(names[:_COLUMNS_SHOWN], list(zip(*shown[:_COLUMNS_SHOWN], strict=True)), title=title)
