"""Finding a file of a data set: a folder of one's own, the cache, the web; and checking what it holds."""

from __future__ import annotations

import gzip
import hashlib
import os
import sys
import zipfile
import zlib
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from narrows.datasets.download import fetch
from narrows.errors import DownloadError

if TYPE_CHECKING:
    from narrows.datasets.records import Member, RatingsRecord, Record, RemoteFile

__all__ = ["cache_folder", "content_of", "members_of"]


def cache_folder() -> Path:
    """Return the folder that keeps what was downloaded: ``NARROWS_CACHE``, or the user's cache folder."""
    chosen = os.environ.get("NARROWS_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or str(Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = str(Path.home() / "Library" / "Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "narrows"


def content_of(record: Record, file: RemoteFile, *, progress: bool | None = None) -> tuple[bytes, str]:
    """Return what a file holds, unpacked and checked, and where it was found.

    Everything is in memory here, so the checksum costs one pass over bytes that are needed anyway.

    Raises
    ------
    DownloadError
        If it is nowhere to be had, or what is there is not what it should be.
    """
    own = os.environ.get("NARROWS_DATA")
    if own:
        folder = Path(own).expanduser() / record.name
        for candidate in (folder / file.name, folder / file.name.removesuffix(".gz")):
            if candidate.is_file():
                return _checked(candidate, file), str(folder)
    folder = cache_folder() / record.name
    kept = folder / file.name
    if kept.is_file():
        try:
            return _checked(kept, file), str(folder)
        except DownloadError:
            # What is in the cache is ours, so a damaged file there is simply fetched again.
            with suppress(OSError):
                kept.unlink()
    # The address may be that of a mirror, so the checksum is tried before the file gets its name in the
    # cache.
    address = fetch(
        [base.rstrip("/") + "/" + file.name for base in record.addresses],
        kept,
        check=lambda arrived: _checked(arrived, file),
        progress=progress,
    )
    return _checked(kept, file), address.rsplit("/", 1)[0] + "/"


def _checked(path: Path, file: RemoteFile) -> bytes:
    """Return a file's content, unpacked if it is packed.

    Raises
    ------
    DownloadError
        If it cannot be read or its checksum is wrong.
    """
    try:
        raw = path.read_bytes()
        content = gzip.decompress(raw) if raw.startswith(b"\x1f\x8b") else raw
    except (OSError, EOFError, zlib.error) as error:
        raise DownloadError(f"{path} cannot be read: {error}.") from error
    known, data = (file.md5_content, content) if file.md5_content else (file.md5_file, raw)
    found = hashlib.md5(data, usedforsecurity=False).hexdigest()
    if found != known:
        if file.md5_content is None and raw is content:
            raise DownloadError(
                f"{path} is unpacked, and only the packed file can be checked: put {file.name} there instead."
            )
        kind = "content" if file.md5_content else "packed file"
        raise DownloadError(f"{path} is not the right file: the MD5 of its {kind} is {found}, not {known}.")
    return content


def members_of(record: RatingsRecord, *, progress: bool | None = None) -> tuple[list[bytes], str]:
    """Return what the members of an archive hold, checked, and where they were found.

    They may lie unpacked in their folder, or in the archive there. Nothing is ever unpacked to disk, so no name in
    an archive can lead anywhere.

    Raises
    ------
    DownloadError
        If they are nowhere to be had, or what is there is not what it should be.
    """
    archive = record.folder + ".zip"
    own = os.environ.get("NARROWS_DATA")
    if own:
        folder = Path(own).expanduser() / record.folder
        if all((folder / member.name).is_file() for member in record.members):
            return _lying_in(folder, record), str(folder)
        if (folder / archive).is_file():
            return _packed_in(folder / archive, record), str(folder)
    folder = cache_folder() / record.folder
    kept = folder / archive
    for there, read, path in (
        (all((folder / member.name).is_file() for member in record.members), _lying_in, folder),
        (kept.is_file(), _packed_in, kept),
    ):
        if there:
            # What is in the cache is ours, so a damaged file there is passed over and fetched again.
            with suppress(DownloadError):
                return read(path, record), str(folder)
    if kept.is_file():
        with suppress(OSError):
            kept.unlink()
    address = fetch(
        [base.rstrip("/") + "/" + archive for base in record.addresses],
        kept,
        check=lambda arrived: _packed_in(arrived, record),
        progress=progress,
    )
    return _packed_in(kept, record), address.rsplit("/", 1)[0] + "/"


def _lying_in(folder: Path, record: RatingsRecord) -> list[bytes]:
    """Return the members from the files of a folder."""
    contents = []
    for member in record.members:
        path = folder / member.name
        try:
            # One byte more than there should be tells that a file is too long.
            with path.open("rb") as file:
                content = file.read(member.n_bytes + 1)
        except OSError as error:
            raise DownloadError(f"{path} cannot be read: {error}.") from error
        contents.append(_right(content, member, str(path)))
    return contents


def _packed_in(path: Path, record: RatingsRecord) -> list[bytes]:
    """Return the members from an archive, reading no more of each than it should hold."""
    contents = []
    try:
        with zipfile.ZipFile(path) as archive:
            for member in record.members:
                with archive.open(f"{record.folder}/{member.name}") as file:
                    content = file.read(member.n_bytes + 1)
                contents.append(_right(content, member, f"{member.name} in {path}"))
    except KeyError as error:
        raise DownloadError(f"{path} is not the right file: it holds no {record.folder}/{member.name}.") from error
    # zipfile raises RuntimeError for a member with a password, and NotImplementedError for a way of packing it does
    # not know.
    except (OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        if isinstance(error, DownloadError):
            raise
        raise DownloadError(f"{path} cannot be read: {error}.") from error
    return contents


def _right(content: bytes, member: Member, where: str) -> bytes:
    """Return the content if its checksum is right.

    Raises
    ------
    DownloadError
        If it is wrong.
    """
    if len(content) > member.n_bytes:
        raise DownloadError(f"{where} is not the right file: it holds more than {member.n_bytes:,} bytes.")
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if found != member.md5:
        raise DownloadError(f"{where} is not the right file: the MD5 of its content is {found}, not {member.md5}.")
    return content
