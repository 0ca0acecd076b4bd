"""Files of data sets: from a folder of one's own, the cache, or the web; checked before anything is unpacked.

Nothing is ever unpacked to disk, no more is read or downloaded than a file should hold, and a link in the cache is not
followed.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import sys
import zipfile
import zlib
from collections.abc import Callable
from contextlib import closing, nullcontext, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Generic, TypeVar

from narrows.errors import DownloadError

if TYPE_CHECKING:
    from narrows.datasets.records import RatingsRecord, Record, RemoteFile

__all__ = ["archive_members", "cache_folder", "file_content"]

SCHEMES = ("https://",)
TIMEOUT = 20.0
"""Seconds to wait for a connection, and for the next bytes."""

T = TypeVar("T")


def cache_folder() -> Path:
    """Return the folder that keeps what was downloaded: ``NARROWS_CACHE``, or the user's cache folder."""
    import pooch

    chosen = os.environ.get("NARROWS_CACHE")
    return Path(chosen).expanduser() if chosen else Path(pooch.os_cache("narrows"))


def file_content(record: Record, file: RemoteFile, *, progress: bool | None = None) -> tuple[bytes, str]:
    """Return what a file holds, unpacked and checked, and where it was found; DownloadError if it cannot be had."""
    if own := _own_folder(record.name):
        for name in (file.name, file.name.removesuffix(".gz")):
            if (own / name).is_file():
                return _unpacked(own / name, file, repacked=True), str(own)
    addresses = [f"{base}{file.name}" for base in record.addresses]
    fetch = _Fetch(lambda path: _unpacked(path, file), file.n_bytes, progress=progress)
    return fetch.cached(cache_folder() / record.name / file.name, addresses)


def archive_members(record: RatingsRecord, *, progress: bool | None = None) -> tuple[list[bytes], str]:
    """Return what the members of an archive hold, checked, and where they were found.

    They may lie unpacked in their folder, or in the archive there.
    """
    archive, own = record.folder + ".zip", _own_folder(record.folder)
    cache = cache_folder() / record.folder
    if own and _has_members(own, record):
        return _lying_in(own, record), str(own)
    if own and (own / archive).is_file():
        return _packed_in(own / archive, record), str(own)
    if _has_members(cache, record):
        # What is in the cache is ours, so a damaged file there is passed over and fetched again.
        with suppress(DownloadError):
            return _lying_in(cache, record), str(cache)
    limit = 2 * sum(member.n_bytes for member in record.members) + 2**16
    fetch = _Fetch(lambda path: _packed_in(path, record), limit, progress=progress)
    return fetch.cached(cache / archive, [base + archive for base in record.addresses])


def _own_folder(name: str) -> Path | None:
    own = os.environ.get("NARROWS_DATA")
    return Path(own).expanduser() / name if own else None


class _Fetch(Generic[T]):
    """Fetches a file into the cache with pooch, whole or not at all; ``read`` checks it, and gives its content."""

    def __init__(self, read: Callable[[Path], T], n_bytes: int, *, progress: bool | None) -> None:
        self.read, self.n_bytes = read, n_bytes
        self.progress = sys.stderr.isatty() if progress is None else progress
        self.found: list[T] = []

    def cached(self, path: Path, addresses: list[str]) -> tuple[T, str]:
        """Return the content of a file in the cache, fetched from the first address that gives the right one."""
        import pooch

        pooch.get_logger().setLevel("WARNING")
        if path.parent.is_symlink():
            raise DownloadError(f"{path.parent} is a link, which is not followed: put a folder there.")
        there = path.is_file() and not path.is_symlink()
        if there:
            # What is in the cache is ours, so a damaged file there is simply fetched again.
            with suppress(DownloadError):
                return self.read(path), str(path.parent)
        try:
            if there or path.is_symlink():
                path.unlink(missing_ok=True)
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DownloadError(
                f"{path.parent} cannot be written to ({error.strerror}), so {path.name} was not downloaded. "
                "The environment variable NARROWS_CACHE chooses another folder."
            ) from error
        troubles = []
        for address in addresses:
            try:
                pooch.retrieve(address, None, path.name, path.parent, downloader=self)
                # Where another process was quicker, pooch takes its file.
                return self.found.pop() if self.found else self.read(path), address.rsplit("/", 1)[0] + "/"
            except (OSError, ValueError) as error:
                troubles.append(f"{address}: {str(error).rstrip('.')}")
        raise DownloadError(
            f"{path.name} could not be downloaded ({'; '.join(troubles)}). Put the file into {path.parent} by hand, or "
            f"set the environment variable NARROWS_DATA to a folder that holds {path.parent.name}/{path.name}."
        )

    def __call__(self, url: str, output_file: str, pooch: Any) -> None:
        """Download for pooch, which gives the file its name in the cache only if this does not raise."""
        from pooch import HTTPDownloader

        if not url.startswith(SCHEMES):
            raise ValueError("not an https address")
        # Packed once is enough, and an address that leads elsewhere is not the one that is known.
        options: Any = {"headers": {"Accept-Encoding": "identity"}, "allow_redirects": False, "timeout": TIMEOUT}
        shown: Any = closing(_Bar(Path(url).name)) if self.progress else nullcontext()
        with shown as bar, Path(output_file).open("wb") as file:
            HTTPDownloader(progressbar=bar or False, **options)(url, _Bounded(file, self.n_bytes), pooch)
        self.found = [self.read(Path(output_file))]


class _Bounded:
    """A file to write to that takes no more than so many bytes."""

    def __init__(self, file: IO[bytes], n_bytes: int) -> None:
        self.file, self.left, self.n_bytes = file, n_bytes, n_bytes
        self.flush = file.flush

    def write(self, chunk: bytes) -> None:
        """Write, or refuse."""
        self.left -= len(chunk)
        if self.left < 0:
            raise ValueError(f"it sends more than {self.n_bytes:,} bytes")
        self.file.write(chunk)


class _Bar:
    """A progress bar of rich on the standard error, as pooch moves one on."""

    def __init__(self, name: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

        columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn()
        self.bar = Progress(*columns, console=Console(stderr=True))
        self.task = self.bar.add_task(name, total=None)
        self.total = 0
        self.bar.start()

    def update(self, count: int) -> None:
        """Move on."""
        self.bar.update(self.task, total=self.total or None, advance=count)

    def reset(self) -> None:
        """Go back to the start."""
        self.bar.update(self.task, completed=0)

    def close(self) -> None:
        """End."""
        self.bar.stop()


def _unpacked(path: Path, file: RemoteFile, *, repacked: bool = False) -> bytes:
    """Return a file's content if its checksum is right: of the packed file, or, in a folder of one's own, of that."""
    try:
        # One byte more than there should be tells that a file is too long.
        with path.open("rb") as stream:
            raw = content = stream.read(max(file.n_bytes, file.n_bytes_content) + 1)
        packed, right = raw.startswith(b"\x1f\x8b"), _md5(raw) == file.md5
        if packed and (right or (repacked and file.md5_content is not None)):
            with gzip.GzipFile(fileobj=io.BytesIO(raw)) as stream:
                content = stream.read(file.n_bytes_content + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DownloadError(f"{path} cannot be read: {error}.") from error
    if repacked and not packed and file.md5_content is None:
        raise DownloadError(
            f"{path} is unpacked, and only the packed file can be checked: put {file.name} there instead."
        )
    if len(content) > file.n_bytes_content or not (right or (repacked and _md5(content) == file.md5_content)):
        raise DownloadError(f"{path} is not the right file: its size or its MD5 ({_md5(raw)}) is another.")
    return content


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _has_members(folder: Path, record: RatingsRecord) -> bool:
    return not folder.is_symlink() and all((folder / member.name).is_file() for member in record.members)


def _lying_in(folder: Path, record: RatingsRecord) -> list[bytes]:
    """Return the members from the files of a folder."""
    return _members(record, lambda name: (folder / name).open("rb"), str(folder))


def _packed_in(path: Path, record: RatingsRecord) -> list[bytes]:
    """Return the members from an archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            return _members(record, lambda name: archive.open(f"{record.folder}/{name}"), str(path))
    except (OSError, zipfile.BadZipFile) as error:
        if isinstance(error, DownloadError):
            raise
        raise DownloadError(f"{path} cannot be read: {error}.") from error


def _members(record: RatingsRecord, opened: Callable[[str], IO[bytes]], where: str) -> list[bytes]:
    """Read the members, no more of each than it should hold, and check them."""
    contents = []
    for member in record.members:
        try:
            with opened(member.name) as file:
                content = file.read(member.n_bytes + 1)
        # zipfile raises KeyError where there is none of the name, RuntimeError for a member with a password, and
        # NotImplementedError for a way of packing it does not know.
        except (OSError, EOFError, KeyError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
            raise DownloadError(f"{member.name} in {where} cannot be read: {error}.") from error
        if len(content) > member.n_bytes:
            raise DownloadError(f"{member.name} in {where} holds more than {member.n_bytes:,} bytes.")
        if _md5(content) != member.md5:
            raise DownloadError(f"{member.name} in {where} is not the right file: its MD5 is {_md5(content)}.")
        contents.append(content)
    return contents
