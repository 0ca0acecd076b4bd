"""Finding a file of a data set: a folder of one's own, the cache, the web; and checking what it holds."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import os
import sys
import urllib.error
import urllib.request
import zipfile
import zlib
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from narrows.errors import DownloadError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from narrows.datasets.records import Member, RatingsRecord, Record, RemoteFile

__all__ = ["archive_members", "cache_folder", "content_of", "fetch"]


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


def archive_members(record: RatingsRecord, *, progress: bool | None = None) -> tuple[list[bytes], str]:
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


# Seconds to wait for a connection, and for the next bytes.
TIMEOUT = 20.0


# Times one address is asked again after a transfer that brought something and then broke.
_RESUMPTIONS = 5


_PIECE = 1 << 18


_PARTIAL_CONTENT = 206


_RANGE_NOT_SATISFIABLE = 416


class _BrokenTransferError(Exception):
    """A transfer that ended early; what came is kept."""


def fetch(
    addresses: Sequence[str],
    target: Path,
    *,
    check: Callable[[Path], object],
    progress: bool | None = None,
) -> str:
    """Fetch a file from the first of some addresses that gives the right one.

    What has come so far is kept beside the target as ``<name>.part``; a later call, or a retry in this one,
    asks for the rest only, if the server can do that. The file gets its name when it is whole and right.

    Parameters
    ----------
    addresses : sequence of str
        Where it is, tried in turn. http or https.
    target : Path
        Where to put it; its folder is made.
    check : callable
        Given the path of the whole file, raises DownloadError if it is not what it should be.
    progress : bool, default=None
        Show a bar; None does so if the standard error is a terminal.

    Returns
    -------
    str
        The address that gave it.

    Raises
    ------
    DownloadError
        If no address gave it: names each with its trouble, and the place for a file fetched by hand.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _alone(target.with_name(target.name + ".lock")):
            return _fetch_from_any(addresses, target, check, progress=progress)
    except DownloadError:
        raise
    except OSError as error:
        raise DownloadError(
            f"{target.parent} cannot be written to ({error.strerror}), so {target.name} was not downloaded. "
            f"The environment variable NARROWS_CACHE chooses another folder."
        ) from error


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Wait until no other process is fetching this file, as the workers of one job do all at once."""
    with lock.open("ab") as file:
        try:
            import fcntl
        except ImportError:  # Windows: two at once spoil each other's file, which its checksum shows
            pass
        else:
            # Some network file systems have no locks.
            with suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _fetch_from_any(
    addresses: Sequence[str], target: Path, check: Callable[[Path], object], *, progress: bool | None
) -> str:
    """Try one address after the other."""
    if target.is_file():
        # Another process fetched it while this one waited.
        with suppress(DownloadError):
            check(target)
            return str(target)
    part = target.with_name(target.name + ".part")
    with part.open("ab"):
        pass
    troubles = []
    for address in addresses:
        try:
            _fetch_one(address, part, check, progress=progress)
            part.replace(target)
        except (OSError, http.client.HTTPException, _BrokenTransferError, ValueError) as error:
            troubles.append(f"{address}: {_reason(error)}")
        else:
            return address
    with suppress(OSError):
        if part.stat().st_size == 0:
            part.unlink()
    raise DownloadError(
        f"{target.name} could not be downloaded ({'; '.join(troubles)}). Put the file into {target.parent} "
        f"by hand, or set the environment variable NARROWS_DATA to a folder that holds "
        f"{target.parent.name}/{target.name}."
    )


def _fetch_one(address: str, part: Path, check: Callable[[Path], object], *, progress: bool | None) -> None:
    """Fetch from one address and check; begin anew, once, if what an older transfer left spoils the file."""
    resumed = part.stat().st_size > 0
    _transfer_whole(address, part, progress=progress)
    try:
        check(part)
    except DownloadError:
        part.write_bytes(b"")
        if not resumed:
            raise
        _fetch_one(address, part, check, progress=progress)


def _transfer_whole(address: str, part: Path, *, progress: bool | None) -> None:
    """Transfer until the file is whole, asking again as long as each attempt brings something."""
    for _ in range(_RESUMPTIONS):
        before = part.stat().st_size
        try:
            _transfer(address, part, progress=progress)
        except (OSError, http.client.HTTPException, _BrokenTransferError):
            if part.stat().st_size <= before:
                raise
        else:
            return
    raise _BrokenTransferError("the connection broke again and again")


def _transfer(address: str, part: Path, *, progress: bool | None) -> None:
    """Ask for what is missing of a file and append it."""
    if not address.startswith(("http://", "https://")):
        raise ValueError("not an http address")
    have = part.stat().st_size
    # Packed once by the file's author is enough: a server must not pack it again on the way.
    headers = {"User-Agent": "narrows", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    request = urllib.request.Request(address, headers=headers)  # noqa: S310  # checked above
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT)  # noqa: S310
    except urllib.error.HTTPError as error:
        error.close()
        if have and error.code == _RANGE_NOT_SATISFIABLE:
            # Nothing is missing, or the file there is another one: its checksum tells which.
            return
        raise
    with response:
        start = have if response.status == _PARTIAL_CONTENT and _starts_at(response, have) else 0
        length = response.headers.get("Content-Length")
        total = start + int(length) if length is not None else None
        _append(response, part, start, total, progress=progress)


def _starts_at(response: http.client.HTTPResponse, offset: int) -> bool:
    """Whether the server sends what was asked for.

    Raises
    ------
    _BrokenTransferError
        If it sends another part of the file.
    """
    stated = response.headers.get("Content-Range", "")
    if not stated.startswith(f"bytes {offset}-"):
        raise _BrokenTransferError(f"the server sent {stated or 'an unnamed part'} when asked for bytes {offset}-")
    return True


def _append(
    response: http.client.HTTPResponse, part: Path, start: int, total: int | None, *, progress: bool | None
) -> None:
    """Write what comes after the first ``start`` bytes, which stay."""
    got = start
    name = part.name.removesuffix(".part")
    with part.open("r+b") as file, _bar(name, start, total, show=progress) as advance:
        file.truncate(start)
        file.seek(start)
        while piece := response.read(_PIECE):
            file.write(piece)
            got += len(piece)
            advance(len(piece))
    # A connection that is cut ends the reading like the end of the file does; only the count tells them
    # apart.
    if total is not None and got < total:
        raise _BrokenTransferError(f"the connection ended after {got:,} of {total:,} bytes")


@contextmanager
def _bar(name: str, start: int, total: int | None, *, show: bool | None) -> Iterator[Callable[[int], object]]:
    """Show a progress bar on the standard error and give the function that moves it on."""
    if not (sys.stderr.isatty() if show is None else show):
        yield lambda _count: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(name, total=total, completed=start)
        yield lambda count: bar.advance(task, count)


def _reason(error: Exception) -> str:
    """Say in a few words what went wrong."""
    if isinstance(error, urllib.error.HTTPError):
        return f"the server answered {error.code} {error.reason}"
    if isinstance(error, urllib.error.URLError):
        reason = error.reason
        return str(getattr(reason, "strerror", None) or reason)
    return str(error).rstrip(".") or type(error).__name__
