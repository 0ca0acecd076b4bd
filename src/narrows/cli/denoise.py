"""``narrows denoise``: noise taken away from a table, an image or a folder of images, and how much of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from narrows.cli import files, pairs
from narrows.cli.apply import as_table, load_autoencoder
from narrows.cli.errors import CommandError
from narrows.cli.images import as_type, check_place_of_rows
from narrows.cli.printing import describe_shape, print_record, working
from narrows.data.folders import image_files, write_images
from narrows.data.inputs import validate_rows
from narrows.data.output import write_table
from narrows.data.pictures import check_holds, is_picture, read_image, write_image
from narrows.metrics import psnr, ssim

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
    reading: dict[str, Any]


def denoise(
    data: str,
    model: Path,
    out: Path,
    clean: str | None,
    tile: int | None,
    device: str,
    *,
    reading: dict[str, Any],
    as_json: bool,
) -> None:
    """Denoise what there is, and say how much of the noise is gone."""
    task = _Task(data, model, out, clean, tile or _TILE, device, reading)
    path = Path(data)
    if path.is_dir():
        record = _denoise_folder(task)
    elif is_picture(path):
        record = _denoise_image(task)
    elif tile is not None:
        raise CommandError(f"--tile is for images, and {data} is none.")
    else:
        record = _denoise_table(task)
    print_record(record, as_json=as_json)


# Images


def _denoise_image(task: _Task) -> dict[str, Any]:
    noisy, out = Path(task.data), task.out
    if not is_picture(out):
        raise CommandError(f"{noisy} is an image, so OUT must be one too: .png, .jpg or .tif, not {out.name}.")
    clean = None if task.clean is None else Path(task.clean)
    files.check_place(out, noisy, clean, task.model)
    pixels = read_image(noisy)
    target = None if clean is None else _target(noisy, pixels, clean)
    _check_depth(out, pixels, noisy)
    fitted = load_autoencoder(task.model, task.device)
    write_image(out, _cleaned(fitted, pixels, noisy, task.tile))
    record: dict[str, Any] = {"file": out, "shape": pixels.shape}
    # As it is in the file, for a JPEG file does not hold quite what was written.
    return record if target is None else record | _measured(target, pixels, read_image(out))


def _denoise_folder(task: _Task) -> dict[str, Any]:
    folder = Path(task.data)
    check_place_of_rows(task.out)
    sources = image_files(folder)
    targets: dict[Path, Path] = {}
    if task.clean is not None:
        targets = dict(pairs.paired_images(folder, Path(task.clean)))
        for noisy, clean in targets.items():
            pairs.check_size(noisy, clean)
    names = _names(sources)
    fitted = load_autoencoder(task.model, task.device)
    measured: list[dict[str, Any]] = []
    with working("denoise") as tell:

        def results() -> Iterator[np.ndarray]:
            for number, (file, name) in enumerate(zip(sources, names, strict=True)):
                tell(f"{number:,} of {len(names):,}")
                pixels = read_image(file)
                _check_depth(Path(name), pixels, file)
                target = _target(file, pixels, targets[file]) if targets else None
                result = _cleaned(fitted, pixels, file, task.tile)
                if target is not None:
                    measured.append({"name": file.name} | _measured(target, pixels, result))
                yield result

        number = write_images(task.out, results(), names=names)
    return {"folder": task.out, "images": number} | (_means(measured) if measured else {})


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
    check_holds(out, pixels.dtype, pixels.shape[2] if pixels.ndim == 3 else 1)
    if pixels.dtype.kind == "f" and out.suffix.lower() not in (".tif", ".tiff"):
        raise CommandError(f"{noisy} holds floats, which {out.suffix} files do not: write a .tif file.")


def _target(noisy: Path, pixels: np.ndarray, clean: Path) -> np.ndarray:
    """Read the clean version of an image; it must be in the same size, colours and units."""
    target = read_image(clean)
    if target.shape != pixels.shape:
        raise CommandError(
            f"{clean} is of {describe_shape(target.shape)}, but {noisy} is of {describe_shape(pixels.shape)}: the "
            "clean version has the same size and colours."
        )
    pairs.check_types(pixels.dtype, target.dtype, str(noisy), str(clean))
    return target


def _cleaned(fitted: Any, pixels: np.ndarray, file: Path, tile: int) -> np.ndarray:
    try:
        return as_type(fitted.denoise_image(pixels, tile=tile), pixels.dtype)
    except (ValueError, TypeError) as error:
        # Of a folder it must be known which image it was.
        raise CommandError(f"{file}: {error}") from error


def _measured(clean: np.ndarray, noisy: np.ndarray, result: np.ndarray) -> dict[str, Any]:
    """Hold the input and the result against the clean image."""
    measures = {"psnr": psnr, "ssim": ssim}
    return {name: {"input": of(clean, noisy), "output": of(clean, result)} for name, of in measures.items()}


def _means(measured: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the means over the images, and each of them."""
    means = {
        name: {key: sum(one[name][key] for one in measured) / len(measured) for key in ("input", "output")}
        for name in ("psnr", "ssim")
    }
    return means | {"each": list(measured)}


# Tables


def _denoise_table(task: _Task) -> dict[str, Any]:
    clean = task.clean
    if clean is not None and (Path(clean).is_dir() or is_picture(clean)):
        raise CommandError(f"{task.data} is a table, so its clean version must be one too, unlike {clean}.")
    place = files.file_of(task.data)
    files.check_table_place(task.out, place, task.model, None if clean is None else files.file_of(clean))
    fitted = load_autoencoder(task.model, task.device)
    given = files.read_for(fitted, task.data, task.reading)
    target = None if clean is None else files.read_for(fitted, clean, task.reading)
    if target is not None:
        pairs.check_alike(given, target, task.data, str(clean))
    rows = fitted.denoise(given.rows)
    table = as_table(rows, fitted)
    write_table(task.out, table)
    record = {"file": task.out, "rows": table.num_rows, "columns": table.num_columns}
    if target is None:
        return record
    return record | _compared(*(_numbers(fitted, part) for part in (target.rows, given.rows, rows)))


def _numbers(fitted: Any, rows: Any) -> np.ndarray:
    """Return rows as the numbers that a model sees."""
    given = validate_rows(fitted, rows, reset=False, allow_missing=True).rows
    return np.concatenate([block.numpy() for block in given.blocks(1 << 14)])


def _compared(clean: Any, noisy: Any, result: np.ndarray) -> dict[str, Any]:
    """Hold rows against clean ones, over the values that neither lacks."""
    observed = ~(np.isnan(clean) | np.isnan(noisy))
    clean, noisy, result = clean[observed], noisy[observed], result[observed]
    found = {"input": noisy, "output": result}
    errors = {key: float(np.square(clean.astype(np.float64) - other).mean()) for key, other in found.items()}
    return {"psnr": {key: psnr(clean, other) for key, other in found.items()}, "mean_squared_error": errors}
