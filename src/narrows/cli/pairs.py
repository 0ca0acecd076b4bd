"""Data and its clean version, side by side."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from narrows.cli.errors import CommandError
from narrows.cli.files import Data, read_data
from narrows.cli.printing import describe_shape
from narrows.data.folders import image_files
from narrows.data.pictures import image_size
from narrows.datasets import image_folder


def read_to_fit(
    data: str, clean: str | None, reading: dict[str, Any], *, stream: bool, patches: int | None, seed: object
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
        rows = read_data(data, reading, stream=stream or (None if clean is None else False))
        if clean is None:
            return rows, None
        target = read_data(clean, reading, stream=False) if pairs is None else _images([part for _, part in pairs])
        check_alike(rows, target, data, clean)
        return rows, target
    if not Path(data).is_dir():
        raise CommandError(f"--patches is for folders of photographs, and {data} is none.")
    if stream or reading:
        flag = "stream" if stream else next(iter(reading)).replace("_", "-")
        raise CommandError(f"--patches and --{flag} do not go together.")
    at = seed if isinstance(seed, int) else 0
    if pairs is None:
        return _images(data, patches, at), None
    for noisy, part in pairs:
        # Otherwise patches of the same places would not show the same things.
        check_size(noisy, part)
    return _images([noisy for noisy, _ in pairs], patches, at), _images([part for _, part in pairs], patches, at)


def _images(files: Sequence[Path] | str, patches: int | None = None, seed: int = 0) -> Data:
    return Data(image_folder(files, patches=patches, random_state=seed).images)


def check_alike(rows: Data, target: Data, data: str, clean: str) -> None:
    """Refuse a clean version that does not have the rows, columns and units of the data."""
    if (rows.table is None) != (target.table is None):
        raise CommandError(f"{data} and {clean} must both be tables, or both be arrays or images.")
    if rows.table is not None and target.table is not None:
        first: Any = (rows.table.n_rows, len(rows.table.schema.features))
        second: Any = (target.table.n_rows, len(target.table.schema.features))
    else:
        first, second = rows.rows.shape, target.rows.shape
    sizes = [(shape[0], int(np.prod(shape[1:]))) for shape in (first, second)]
    if sizes[0] != sizes[1]:
        (n_rows, n_values), (n_clean, n_clean_values) = sizes
        raise CommandError(
            f"{clean} has {n_clean:,} rows of {n_clean_values:,} values, but {data} has {n_rows:,} of {n_values:,}: "
            "the clean version has the same rows."
        )
    if first != second:
        raise CommandError(
            f"{clean} has images of {describe_shape(second[1:])}, but {data} of {describe_shape(first[1:])}."
        )
    if len(first) > 2:
        check_types(rows.rows.dtype, target.rows.dtype, data, clean)


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
