"""``narrows denoise``: noise taken away from a table, an image or a folder of images, and how much of it."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from narrows.cli.apply import load_rebuilder
from narrows.cli.arguments import AsJson, Device, ModelFile  # noqa: TC001 - typer reads them
from narrows.cli.show import print_json, print_rows
from narrows.cli.values import CommandError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import numpy as np

__all__ = ["denoise"]

_TILE = 512


@dataclass(frozen=True)
class _Task:
    """What was asked for."""

    data: str
    model: Path
    out: Path
    clean: str | None
    tile: int
    device: str


def denoise(
    data: Annotated[
        str, typer.Argument(metavar="IN", help="A table, a named data set, an image, or a folder of them.")
    ],
    model: ModelFile,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="OUT", help="What to write, of the kind of IN; a folder must be new.")
    ],
    clean: Annotated[
        str | None,
        typer.Option("--clean", metavar="CLEAN", help="IN without its noise, of the same kind: measure against it."),
    ] = None,
    tile: Annotated[
        int | None,
        typer.Option("--tile", metavar="N", min=1, help="Pixels of an image's side done at once [default: 512]."),
    ] = None,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Take the noise away from IN, with a model fitted with --corruption or --clean.

    Images keep their size and depth. Of a folder each is done by itself, so that sizes may differ, and keeps its name;
    of a JPEG file it becomes PNG, which adds no loss of its own. With --clean, the noisy input and the result are
    held against the clean version: PSNR and SSIM of images (of a folder, the means over its images), PSNR and mean
    squared error of tables.
    """
    from narrows.tables.pictures import is_picture

    task = _Task(data, model, out, clean, tile or _TILE, device)
    path = Path(data)
    if path.is_dir():
        record = _folder(task)
    elif is_picture(path):
        record = _image(task)
    elif tile is not None:
        raise CommandError(f"--tile is for images, and {data} is none.")
    else:
        record = _table(task)
    if as_json:
        print_json(record)
    else:
        print_rows(_lines(record))


# Images


def _image(task: _Task) -> dict[str, Any]:
    """Clean one image file."""
    from narrows.cli import files
    from narrows.cli.images import as_type
    from narrows.tables import read_image, write_image
    from narrows.tables.pictures import is_picture

    noisy, out = Path(task.data), task.out
    if not is_picture(out):
        raise CommandError(f"{noisy} is an image, so OUT must be one too: .png, .jpg or .tif, not {out.name}.")
    clean = None if task.clean is None else Path(task.clean)
    files.check_place(out, noisy, clean, task.model)
    pixels = read_image(noisy)
    target = None if clean is None else _target(noisy, pixels, clean)
    _check_depth(out, pixels, noisy)
    before = None if target is None else _measure(target, pixels)
    fitted = load_rebuilder(task.model, task.device)
    write_image(out, as_type(_cleaned(fitted, pixels, noisy, task.tile), pixels.dtype))
    record: dict[str, Any] = {"file": out, "shape": pixels.shape}
    if target is not None and before is not None:
        # As it is in the file, for a JPEG file does not hold quite what was written.
        record |= _beside(before, _measure(target, read_image(out)))
    return record


def _folder(task: _Task) -> dict[str, Any]:
    """Clean the images of a folder, one at a time."""
    from narrows.cli.images import as_type, check_folder_place
    from narrows.cli.pairs import check_size, paired_images
    from narrows.tables import read_image, write_images
    from narrows.tables.folders import image_files

    folder = Path(task.data)
    check_folder_place(task.out)
    sources = image_files(folder)
    targets: dict[Path, Path] = {}
    if task.clean is not None:
        targets = dict(paired_images(folder, Path(task.clean)))
        for noisy, clean in targets.items():
            check_size(noisy, clean)
    names = _names(sources)
    fitted = load_rebuilder(task.model, task.device)
    measured: list[dict[str, Any]] = []

    def results() -> Iterator[np.ndarray]:
        for file, name in zip(_progress(sources), names, strict=True):
            pixels = read_image(file)
            _check_depth(Path(name), pixels, file)
            target = _target(file, pixels, targets[file]) if targets else None
            before = None if target is None else _measure(target, pixels)
            result = as_type(_cleaned(fitted, pixels, file, task.tile), pixels.dtype)
            if target is not None and before is not None:
                measured.append({"name": file.name} | _beside(before, _measure(target, result)))
            yield result

    count = write_images(task.out, results(), names=names)
    return {"folder": task.out, "images": count} | (_means(measured) if measured else {})


def _names(sources: Sequence[Path]) -> list[str]:
    """Return the files to write: the names of those read, with JPEG files turned into PNG."""
    names = [file.stem + ".png" if file.suffix.lower() in (".jpg", ".jpeg") else file.name for file in sources]
    for k, name in enumerate(names):
        if name in names[:k]:
            raise CommandError(
                f"{sources[names.index(name)].name} and {sources[k].name} would both be written as {name}: rename one."
            )
    return names


def _check_depth(out: Path, pixels: np.ndarray, noisy: Path) -> None:
    """Refuse a file that could not hold values of the type of the image."""
    from narrows.tables.pictures import check_holds

    check_holds(out, pixels.dtype, pixels.shape[2] if pixels.ndim == 3 else 1)
    if pixels.dtype.kind == "f" and out.suffix.lower() not in (".tif", ".tiff"):
        raise CommandError(f"{noisy} holds floats, which {out.suffix} files do not: write a .tif file.")


def _target(noisy: Path, pixels: np.ndarray, clean: Path) -> np.ndarray:
    """Read the clean version of an image; it must be in the same size, colours and units."""
    from narrows.cli.files import shape_in_words
    from narrows.cli.pairs import check_types
    from narrows.tables import read_image

    target = read_image(clean)
    if target.shape != pixels.shape:
        raise CommandError(
            f"{clean} is of {shape_in_words(target.shape)}, but {noisy} is of {shape_in_words(pixels.shape)}: the "
            "clean version has the same size and colours."
        )
    check_types(pixels.dtype, target.dtype, str(noisy), str(clean))
    return target


def _cleaned(fitted: Any, pixels: np.ndarray, file: Path, tile: int) -> np.ndarray:
    from narrows.cli.mistakes import warnings_as_lines

    try:
        with warnings_as_lines():
            return fitted.denoise_image(pixels, tile=tile)
    except (ValueError, TypeError) as error:
        # What the estimator refuses, as it refuses other data; of a folder it must be known which image it was.
        raise CommandError(f"{file}: {error}") from error


def _progress(sources: Sequence[Path]) -> Iterable[Path]:
    """Show on the standard error, if it is a terminal, how far the work is."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    return track(sources, "denoise", console=console, transient=True, disable=not sys.stderr.isatty())


def _measure(clean: np.ndarray, other: np.ndarray) -> dict[str, float]:
    from narrows.metrics import psnr, ssim

    return {"psnr": psnr(clean, other), "ssim": ssim(clean, other)}


def _beside(before: dict[str, float], after: dict[str, float]) -> dict[str, Any]:
    """Put measures of the input and of the result side by side."""
    return {name: {"input": before[name], "output": after[name]} for name in before}


def _means(measured: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the means over the images, and each of them."""
    means = {
        name: {key: sum(one[name][key] for one in measured) / len(measured) for key in ("input", "output")}
        for name in ("psnr", "ssim")
    }
    return means | {"each": list(measured)}


# Tables


def _table(task: _Task) -> dict[str, Any]:
    """Clean the rows of a table."""
    from narrows import tables
    from narrows.cli import files
    from narrows.cli.apply import columns_of, use
    from narrows.cli.pairs import check_alike
    from narrows.tables.pictures import is_picture

    clean = task.clean
    if clean is not None and (Path(clean).is_dir() or is_picture(clean)):
        raise CommandError(f"{task.data} is a table, so its clean version must be one too, unlike {clean}.")
    place = files.file_of(task.data)
    files.check_table_place(task.out, place, task.model, None if clean is None else files.file_of(clean))
    fitted = load_rebuilder(task.model, task.device)
    given = files.read_for(fitted, task.data, whole=clean is not None)
    target = None if clean is None else files.read_for(fitted, clean, whole=True)
    if target is not None:
        check_alike(given, target, task.data, str(clean))
    rows = use(fitted.denoise, given.rows)
    tables.write(task.out, rows, columns=columns_of(fitted))
    record = {"file": task.out, "rows": len(rows), "columns": rows.shape[1]}
    return record if target is None else record | _compared(target.rows, given.rows, rows)


def _compared(clean: Any, noisy: Any, result: np.ndarray) -> dict[str, Any]:
    """Hold rows against clean ones, over the values that neither lacks."""
    import numpy as np

    from narrows.metrics import psnr

    seen = ~(np.isnan(clean) | np.isnan(noisy))
    clean, noisy, result = clean[seen], noisy[seen], result[seen]

    def measure(other: np.ndarray) -> dict[str, float]:
        error = float(np.square(clean.astype(np.float64) - other).mean())
        return {"psnr": psnr(clean, other), "mean_squared_error": error}

    return _beside(measure(noisy), measure(result))


# What is said

_LABELS = {"psnr": "PSNR", "ssim": "SSIM", "mean_squared_error": "error"}


def _lines(record: dict[str, Any]) -> Iterator[tuple[str, str]]:
    from narrows.cli.files import shape_in_words

    for name in ("images", "rows", "columns"):
        if name in record:
            yield name, f"{record[name]:,}"
    if "shape" in record:
        yield "image", shape_in_words(record["shape"])
    for name, label in _LABELS.items():
        if name in record:
            form, unit = {"psnr": (".2f", " dB"), "ssim": (".3f", "")}.get(name, (".5g", ""))
            before, after = record[name]["input"], record[name]["output"]
            mean = " (means over the images)" if "each" in record else ""
            yield label, f"{before:{form}}{unit} before, {after:{form}}{unit} after{mean}"
    yield ("folder" if "folder" in record else "file"), str(record.get("folder", record.get("file")))
