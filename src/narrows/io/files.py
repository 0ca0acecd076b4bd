"""Files that are there."""

import os
from pathlib import Path

from narrows.errors import DataError


def existing_file(path: str | os.PathLike[str]) -> Path:
    """Return the path of a file that is there, may be read and is not empty."""
    file = Path(path)
    if file.is_dir():
        raise DataError(f"{file} is a folder, not a file.")
    try:
        with file.open("rb") as stream:
            first = stream.read(1)
    except FileNotFoundError as error:
        raise DataError(f"{file} does not exist.") from error
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}.") from error
    if not first:
        raise DataError(f"{file} is empty.")
    return file
