"""Data and its clean version, side by side."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from narrows.cli.errors import CommandError
from narrows.cli.files import Data, read_data
from narrows.cli.printing import describe_shape
from narrows.datasets import image_folder
from narrows.tables.folders import image_files
from narrows.tables.pictures import image_size


def read_to_fit(
    data: str, clean: str | None, columns: Sequence[str] | None, *, stream: bool, patches: int | None, seed: object
) -> tuple[Data, Data | None]:
    """Read what a model is to be fitted to, and its clean version where there is one.

    ``patches`` is the side of the squares to cut out of a folder of photographs; ``seed`` says where, if it is a
    number.
    """
    if clean is not None and stream:
        raise CommandError("--clean and --stream do not go together: pairs of rows are read into memory.")
    if clean is not None and Path(data).is_dir() != Path(clean).is_dir():
        raise CommandError(f"{data} and {clean} must both be folders of images, or both be tables.")
    folders = clean is not None and Path(clean).is_dir()
    pairs = paired_images(Path(data), Path(str(clean))) if folders else None
    if patches is None:
        rows = read_data(data, columns, stream=stream, whole=clean is not None)
        if clean is None:
            return rows, None
        target = _clean_table(clean, columns, rows) if pairs is None else _images([part for _, part in pairs])
        check_alike(rows, target, data, clean)
        return rows, target
    if not Path(data).is_dir():
        raise CommandError(f"--patches is for folders of photographs, and {data} is none.")
    if stream or columns is not None:
        raise CommandError(f"--patches and --{'stream' if stream else 'columns'} do not go together.")
    at = seed if isinstance(seed, int) else 0
    if pairs is None:
        return _images(data, patches, at), None
    for noisy, part in pairs:
        # Otherwise patches of the same places would not show the same things.
        check_size(noisy, part)
    return _images([noisy for noisy, _ in pairs], patches, at), _images([part for _, part in pairs], patches, at)


def _clean_table(clean: str, columns: Sequence[str] | None, rows: Data) -> Data:
    """Read the clean rows, with their columns in the order of the noisy ones where both have names."""
    target = read_data(clean, columns, whole=True)
    if columns is not None or rows.columns is None or target.columns is None or rows.columns == target.columns:
        return target
    return read_data(clean, rows.columns, whole=True)


def _images(files: Sequence[Path] | str, patches: int | None = None, seed: int = 0) -> Data:
    found = image_folder(files, patches=patches, random_state=seed)
    return Data(found.images.reshape(len(found.images), -1), None, found.shape)


def check_alike(rows: Data, target: Data, data: str, clean: str) -> None:
    """Refuse a clean version that does not have the rows, columns and units of the data."""
    first, second = rows.rows, target.rows
    if first.shape != second.shape:
        raise CommandError(
            f"{clean} has {second.shape[0]:,} rows of {second.shape[1]:,} values, but {data} has {first.shape[0]:,} of "
            f"{first.shape[1]:,}: the clean version has the same rows."
        )
    if rows.shape != target.shape and len(rows.shape) > 1 and len(target.shape) > 1:
        raise CommandError(
            f"{clean} has images of {describe_shape(target.shape)}, but {data} of {describe_shape(rows.shape)}."
        )
    if rows.names is not None:
        check_types(first.dtype, second.dtype, data, clean)


def check_types(first: np.dtype, second: np.dtype, data: str, clean: str) -> None:
    """Refuse images of two types, whose values are not in the same units."""
    if first != second:
        raise CommandError(f"{clean} holds {second}, but {data} {first}: the clean version has the same type.")


def paired_images(noisy: Path, clean: Path) -> list[tuple[Path, Path]]:
    """Find the clean version of each image of a folder: the one of the same name, whatever its extension."""
    found: dict[str, Path] = {}
    for file in image_files(clean):
        if file.stem in found:
            raise CommandError(f"{clean} has two images of one name, {found[file.stem].name} and {file.name}.")
        found[file.stem] = file
    files = image_files(noisy)
    lacking = [file.name for file in files if file.stem not in found]
    if lacking:
        more = f" (and {len(lacking) - 1} more)" if len(lacking) > 1 else ""
        raise CommandError(f"{clean} has no clean version of {lacking[0]}{more}: the two go by the same names.")
    return [(file, found[file.stem]) for file in files]


def check_size(noisy: Path, clean: Path) -> None:
    """Refuse a clean version of another size."""
    first, second = image_size(noisy), image_size(clean)
    if first != second:
        raise CommandError(
            f"{clean} is {second[1]} x {second[0]} pixels, but {noisy} is {first[1]} x {first[0]}: the clean version "
            "has the same size."
        )
