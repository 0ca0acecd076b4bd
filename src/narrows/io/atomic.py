"""Writing a file whole or not at all."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from narrows.errors import DataError, NarrowsError
from narrows.io.temporary import temporary_beside

__all__ = ["atomic_write"]

# What the disk says when it cannot take the bytes. Other failures inside the `with` block are the caller's
# own (a source that cannot be read, say) and must not be reported as a trouble with the target.
_DISK_TROUBLE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS}


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Write to a temporary file that takes the target's place only when everything has been written.

    A reader of ``path`` sees either the old file or the new one, never half of one, also after a crash or a
    power cut. If the block raises, or SIGTERM ends the process, the temporary file is removed and the old file stays
    as it was.

    Parameters
    ----------
    path : str or path-like
        The file to be written. A symbolic link is followed; an existing file keeps its permissions.

    Yields
    ------
    pathlib.Path
        An empty file in the same folder. Write to it and close it; then leave the block.

    Raises
    ------
    DataError
        If the folder does not exist or may not be written to, the target is not a plain file, or the disk is
        full.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from narrows.io.atomic import atomic_write
    >>> target = pathlib.Path(tempfile.mkdtemp()) / "notes.txt"
    >>> with atomic_write(target) as temporary:
    ...     _ = temporary.write_text("whole")
    >>> target.read_text()
    'whole'
    """
    target = Path(os.path.realpath(path))
    shown = os.fspath(path)
    with temporary_beside(target) as temporary:
        _create(temporary, target, shown)
        try:
            yield temporary
            _put_in_place(temporary, target)
        except OSError as error:
            # A NarrowsError that is an OSError too (DownloadError) already says what it has to say.
            if isinstance(error, NarrowsError) or not _is_ours(error, target):
                raise
            raise DataError(f"{shown} could not be written: {error.strerror}.") from error


def _create(temporary: Path, target: Path, shown: str) -> None:
    """Make the empty file, with the permissions any new file of this user gets."""
    if target.is_dir():
        raise DataError(f"{shown} is a folder, so no file can be written there.")
    if target.exists() and not target.is_file():
        raise DataError(f"{shown} is not a plain file, so it cannot be replaced by one.")
    try:
        # os.open, not tempfile: a tempfile is private (0600), and the finished file would stay so.
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    except FileNotFoundError as error:
        raise DataError(f"{shown} cannot be written: the folder {target.parent} does not exist.") from error
    except NotADirectoryError as error:
        raise DataError(f"{shown} cannot be written: {target.parent} is not a folder.") from error
    except OSError as error:
        raise DataError(f"{shown} cannot be written: {error.strerror}.") from error


def _put_in_place(temporary: Path, target: Path) -> None:
    """Bring the bytes to the disk, then give them the target's name."""
    if target.exists():
        temporary.chmod(target.stat().st_mode & 0o7777)
    descriptor = os.open(temporary, os.O_RDONLY if os.name == "posix" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    temporary.replace(target)
    if os.name == "posix":
        # The new name is in the folder, so the folder has to reach the disk as well. Some file systems
        # refuse.
        with suppress(OSError):
            folder = os.open(target.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)


def _is_ours(error: OSError, target: Path) -> bool:
    """Whether the error is about the target: the disk refused, or the last renaming did."""
    return error.errno in _DISK_TROUBLE or error.filename2 == str(target)
