"""Verbs that make rows: ``sample`` draws new ones from a variational model, ``interpolate`` those between two."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from narrows.cli.apply import columns_of
from narrows.cli.arguments import AsJson, DataArgument, Device  # noqa: TC001 - typer reads them at runtime
from narrows.cli.columns import as_columns, write_columns
from narrows.cli.show import print_json, print_rows, print_table
from narrows.cli.values import CommandError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy as np

    from narrows.cli.files import Data

__all__ = ["interpolate", "sample"]

PRIORS = ("normal", "mixture")

_ROWS_SHOWN = 10
_COLUMNS_SHOWN = 8
_PIECE_ROWS = 4096

ModelArgument = Annotated[Path, typer.Argument(metavar="MODEL", help="A model file of fit --model vae.")]
Label = Annotated[str | None, typer.Option("--label", metavar="LABEL", help="The label that rows are to have.")]


def sample(
    model: ModelArgument,
    n: Annotated[int, typer.Option("-n", "--n-samples", metavar="N", min=1, help="How many rows.")] = 64,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="OUT",
            help="The table to write, the picture (.png) or the folder of images; without it some rows are printed.",
        ),
    ] = None,
    label: Label = None,
    prior: Annotated[
        str | None,
        typer.Option("--prior", metavar="|".join(PRIORS), help="What codes are drawn from [default: the model's own]."),
    ] = None,
    noise: Annotated[
        bool | None,
        typer.Option(
            "--noise/--no-noise",
            show_default=False,
            help="Whether values are drawn, or are means [default: drawn of tables, means of images].",
        ),
    ] = None,
    random_state: Annotated[
        int | None, typer.Option("--random-state", metavar="INT", min=0, help="Fixes what is drawn.")
    ] = None,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Draw new rows from MODEL, like those it was fitted to.

    A table has the columns of the data, whole numbers as whole numbers and truth values as such, each column within
    the range that was seen. Of a model of images, an OUT that is a picture (.png, .jpg, .tif) shows all of them in a
    grid, and one without an extension is a new folder of images.
    """
    from narrows.cli import images
    from narrows.cli.labels import class_named
    from narrows.cli.mistakes import mistakes_of

    if prior is not None and prior not in PRIORS:
        raise CommandError(f"--prior must be {' or '.join(PRIORS)}, got {prior!r}.")
    if out is not None:
        _check_place(out, model)
    fitted = _load(model, device)
    _check_shows(fitted, out, model)
    chosen = class_named(fitted, label, model)
    with mistakes_of(), _frames_needed():
        rows = fitted.sample(
            n, y=chosen, noise="auto" if noise is None else noise, prior=prior, random_state=random_state
        )
    if out is None or images.is_table_name(out):
        names, columns = _parted(fitted, rows)
        record = None if out is None else _write_table(out, names, columns)
    else:
        record = _write_images(out, rows, fitted, strip=False)
    if record is not None:
        _tell(record, as_json=as_json)
    else:
        _print(names, columns, as_json=as_json)


def interpolate(
    model: ModelArgument,
    data: DataArgument,
    start: Annotated[
        int, typer.Option("--from", metavar="ROW", min=0, help="The row of DATA to begin with; the first is 0.")
    ],
    end: Annotated[int, typer.Option("--to", metavar="ROW", min=0, help="The row of DATA to end with.")],
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="OUT", help="The table, the picture (.png) or the folder to write."),
    ],
    steps: Annotated[int, typer.Option("--steps", metavar="N", min=2, help="Rows in all, both ends included.")] = 10,
    spherical: Annotated[
        bool, typer.Option("--spherical", help="Go along a great circle of codes instead of a straight line.")
    ] = False,
    label: Annotated[
        str | None, typer.Option("--label", metavar="LABEL", help="For a model fitted with --conditional.")
    ] = None,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Write the rows on the way from one row of DATA to another, by equal steps between their codes.

    Both ends are the rows as MODEL rebuilds them, and all are means, so that whole numbers are not kept to. OUT is as
    of sample; a picture shows one image beside the other.
    """
    from narrows.cli import files, images
    from narrows.cli.labels import class_named
    from narrows.cli.mistakes import mistakes_of, warnings_as_lines

    _check_place(out, model, files.file_of(data))
    fitted = _load(model, device)
    _check_shows(fitted, out, model)
    chosen = class_named(fitted, label, model)
    if chosen is not None and not fitted._model.n_labels:
        raise CommandError(f"--label {label}: the decoder of {model} is told of no labels: fit it with --conditional.")
    given = files.read_for(fitted, data)
    first, last = _pick(given, data, {"--from": start, "--to": end})
    with mistakes_of(), warnings_as_lines():
        method = "spherical" if spherical else "linear"
        rows = fitted.interpolate(first, last, steps, method=method, y=chosen)
    if images.is_table_name(out):
        names, columns = as_columns(rows, columns_of(fitted), None)
        _tell(_write_table(out, names, columns), as_json=as_json)
    else:
        _tell(_write_images(out, images.as_type(rows, first.dtype), fitted, strip=True), as_json=as_json)


def _load(path: Path, device: str) -> Any:
    """Load a model that makes rows."""
    from narrows.cli.files import load_model

    fitted = load_model(path, device)
    if not hasattr(fitted, "sample"):
        raise CommandError(
            f"{path} holds the model class {type(fitted).__name__}, which makes no new rows: fit one with --model vae."
        )
    return fitted


def _check_place(out: Path, *inputs: Path | None) -> None:
    """Refuse what could not be written, before the work."""
    from narrows.cli import files, images
    from narrows.tables.pictures import is_picture

    if images.is_folder_name(out):
        images.check_folder_place(out)
    elif is_picture(out):
        files.check_place(out, *inputs)
    else:
        files.check_table_place(out, *inputs)


def _check_shows(fitted: Any, out: Path | None, model: Path) -> None:
    """Refuse pictures of a model of tables, and to print images."""
    from narrows.cli import files, images

    shape = fitted.image_shape_
    if out is None and shape is not None:
        raise CommandError(
            f"{model} makes images of {files.shape_in_words(shape)}, which are not printed: say where they go, such as "
            "-o samples.png."
        )
    if out is not None and not images.is_table_name(out):
        images.check_makes_images(fitted, out)


def _parted(fitted: Any, rows: Any) -> tuple[list[str] | None, list[np.ndarray]]:
    """Part sampled rows into columns of the data's own types."""
    form = fitted._form
    return as_columns(rows, columns_of(fitted), form.dtypes if form.container == "columns" else None)


@contextmanager
def _frames_needed() -> Iterator[None]:
    """Say what is missing to make a frame, where the model was fitted to one."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise CommandError(
            f"The model was fitted to a frame of {error.name}, which is not installed and makes its rows: "
            'pip install "narrows[frames]".'
        ) from error


def _pick(given: Data, data: str, wanted: dict[str, int]) -> list[np.ndarray]:
    """Return the rows at some positions, without reading the whole of a big file into memory."""
    pieces: Iterable[np.ndarray] = [given.rows] if not isinstance(given.rows, Path) else ()
    count = len(given.rows) if not isinstance(given.rows, Path) else 0
    if isinstance(given.rows, Path):
        from narrows.tables import open_segments

        source = open_segments(given.rows)
        count = sum(source.segment_rows)
        pieces = (piece for k in range(len(source.segment_rows)) for piece in source.read(k, _PIECE_ROWS))
    for flag, position in wanted.items():
        if position >= count:
            raise CommandError(f"{flag} {position}: {data} has {count:,} rows, the first of which is 0.")
    found: dict[int, np.ndarray] = {}
    start = 0
    for piece in pieces:
        found |= {place: piece[place - start] for place in wanted.values() if 0 <= place - start < len(piece)}
        start += len(piece)
    return [found[place] for place in wanted.values()]


def _write_table(out: Path, names: list[str] | None, columns: list[np.ndarray]) -> dict[str, Any]:
    write_columns(out, columns, names)
    return {"file": out, "rows": len(columns[0]), "columns": len(columns), "names": names}


def _write_images(out: Path, rows: np.ndarray, fitted: Any, *, strip: bool) -> dict[str, Any]:
    """Write images as a picture of all, or as a folder."""
    import numpy as np

    from narrows.cli import files, images
    from narrows.tables import write_image

    shape, flat = fitted.image_shape_, np.asarray(rows).reshape(len(rows), -1)
    if images.is_folder_name(out):
        count = images.write_rows(out, flat, shape, files.Data(flat, None, shape))
        return {"folder": out, "images": count, "shape": shape}
    form = fitted._form
    low, high = images.shown_range(flat.dtype, float(form.low.min()), float(form.high.max()))
    picture = images.grid(flat.reshape(-1, *shape), low, high, n_columns=len(flat) if strip else None)
    write_image(out, picture)
    return {"file": out, "images": len(flat), "shape": shape, "pixels": list(picture.shape[:2])}


def _tell(record: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(record)
        return
    numbers = [(name, f"{record[name]:,}") for name in ("rows", "columns", "images") if name in record]
    place = "file" if "file" in record else "folder"
    print_rows([*numbers, (place, record[place])])


def _print(names: list[str] | None, columns: list[np.ndarray], *, as_json: bool) -> None:
    """Print rows: all of them as JSON, otherwise the first."""
    labels = names or [f"x{number}" for number in range(len(columns))]
    values = [column.tolist() for column in columns]
    if as_json:
        print_json({"rows": len(columns[0]), "columns": labels, "values": list(zip(*values, strict=True))})
        return
    shown = [[str(v).lower() if isinstance(v, bool) else v for v in column[:_ROWS_SHOWN]] for column in values]
    rows = zip(*shown[:_COLUMNS_SHOWN], strict=True)
    cut = len(columns[0]) > _ROWS_SHOWN or len(columns) > _COLUMNS_SHOWN
    more = "; -o OUT writes all of them" if cut else ""
    title = f"new rows: {len(columns[0]):,} of {len(columns):,} column{'s' * (len(columns) != 1)}{more}"
    print_table(labels[:_COLUMNS_SHOWN], list(rows), title=title)
