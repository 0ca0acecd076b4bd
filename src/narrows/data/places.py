"""Places of data: files, folders, globs, lists of them and URLs become the files to read, in order."""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO
from urllib.parse import unquote

from narrows.errors import DataError

__all__ = ["READABLE", "Place", "find_places", "format_of", "holds_images", "is_place"]

READABLE = ".csv, .tsv, .txt, .dat (also .gz, .bz2, .zst, .xz), .parquet, .feather, .arrow, .npy, .npz and .idx"

_FORMATS = (
    (re.compile(r"\.(csv|tsv|txt|dat)(\.(gz|bz2|zst|xz))?$"), "text"),
    (re.compile(r"\.(parquet|pq)$"), "parquet"),
    (re.compile(r"\.(feather|arrow|ipc)$"), "feather"),
    (re.compile(r"\.npy$"), "npy"),
    (re.compile(r"\.npz$"), "npz"),
    # MNIST's own names (train-images-idx3-ubyte) have no extension.
    (re.compile(r"(\.idx\d?|-ubyte)(\.gz)?$"), "idx"),
)
_URL = re.compile(r"^[a-z][a-z0-9+.-]*(::[a-z0-9+.-]+)*://", re.IGNORECASE)
_NO_PARTITION = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True)
class Place:
    """A file that can be opened again and again.

    Attributes
    ----------
    name : str
        The file as messages call it.
    kind : str
        "text", "parquet", "feather", "npy", "npz" or "idx".
    path : str
        Where it is in its file system.
    filesystem : fsspec file system or None
        None for what came through standard input.
    partitions : dict of str to str or None
        What the names of its folders say of all its rows: ``year=2020``.
    content : bytes
        What came through standard input.
    """

    name: str
    kind: str
    path: str
    filesystem: Any = field(default=None, repr=False)
    partitions: dict[str, str | None] = field(default_factory=dict)
    content: bytes = field(default=b"", repr=False)

    @property
    def local(self) -> Path | None:
        """The path, if it is a file of this machine."""
        return Path(self.path) if "file" in getattr(self.filesystem, "protocol", ()) else None

    def open(self) -> BinaryIO:
        """Open it for reading bytes."""
        if self.filesystem is None:
            return io.BytesIO(self.content)
        try:
            return self.local.open("rb") if self.local else self.filesystem.open(self.path, "rb")
        except OSError as error:
            raise DataError(f"{self.name} cannot be read: {error.strerror or error}") from error


def format_of(name: str) -> str | None:
    """Return the format that a file's name says, None for any other."""
    return next((kind for ending, kind in _FORMATS if ending.search(name.lower())), None)


def is_place(data: Any) -> bool:
    """Whether it is a path, a URL, or a list of them."""
    if isinstance(data, (list, tuple)):
        return bool(data) and all(isinstance(one, (str, os.PathLike)) for one in data)
    return isinstance(data, (str, os.PathLike))


def holds_images(data: Any) -> bool:
    """Whether a path is an image, or a folder with images in it, which is no table."""
    from narrows.tables.pictures import is_picture

    if not isinstance(data, (str, os.PathLike)) or _URL.match(str(data)):
        return False
    path = Path(data)
    if path.is_dir():
        return any(is_picture(entry) and entry.is_file() for entry in path.iterdir() if entry.name[0] != ".")
    return is_picture(path)


def find_places(data: Any, *, as_text: bool = False) -> tuple[list[Place], list[str]]:
    """Find the files that are meant, all of one format, in order.

    Parameters
    ----------
    data : str, path-like, or sequence of them
        A file, a folder (all data files below it by name), a glob, a URL that fsspec knows, or "-" for text on standard
        input.
    as_text : bool, default False
        Whether a single file with another ending is text all the same.

    Returns
    -------
    places : list of Place
    notes : list of str
        What was passed over.
    """
    notes: list[str] = []
    places: list[Place] = []
    for one in data if isinstance(data, (list, tuple)) else [data]:
        places += [_standard_input(notes)] if str(one) == "-" else _expand(os.fspath(one), notes, as_text=as_text)
    kinds = list(dict.fromkeys(place.kind for place in places))
    if len(kinds) > 1:
        first, other = (next(place.name for place in places if place.kind == kind) for kind in kinds[:2])
        raise DataError(
            f"{first} and {other} are of different formats: choose those of one, "
            f"as in 'folder/*{PurePosixPath(first).suffix}'"
        )
    return places, notes


def _standard_input(notes: list[str]) -> Place:
    content = sys.stdin.buffer.read()
    if not content:
        raise DataError("standard input is empty")
    notes.append("standard input was read into memory")
    return Place("standard input", "text", "-", content=content)


def _filesystem(text: str) -> tuple[Any, str]:
    """Return the file system of a path or URL, and the path in it."""
    import fsspec

    if not _URL.match(text):
        return fsspec.filesystem("file"), os.path.abspath(text)  # noqa: PTH100
    try:
        return fsspec.core.url_to_fs(text)
    except ImportError as error:
        raise DataError(f"{text} needs a library that is not installed: {error}") from error
    except (ValueError, OSError) as error:
        raise DataError(f"{text} cannot be opened: {error}") from error


def _expand(text: str, notes: list[str], *, as_text: bool) -> list[Place]:
    """Return the files of one path, folder, glob or URL."""
    from narrows.tables.pictures import is_picture

    filesystem, path = _filesystem(text)
    try:
        is_folder = filesystem.isdir(path)
        if not is_folder and not filesystem.exists(path):
            root = path[: re.search(r"[*?\[]|$", path).start()].rpartition("/")[0]  # type: ignore[union-attr]
            found = sorted(f for f in filesystem.glob(path) if not filesystem.isdir(f)) if root != path else []
            if not found:
                raise DataError(
                    f"{text}: no file matches." if re.search(r"[*?\[]", text) else f"{text} does not exist."
                )
            named = True
        else:
            root, named = (path if is_folder else path.rpartition("/")[0]), not is_folder
            found = sorted(filesystem.find(path)) if is_folder else [path]
    except OSError as error:
        raise DataError(f"{text} cannot be read: {error.strerror or error}") from error
    shown = [_shown(filesystem, name, text, path) for name in found]
    kinds = [format_of(name) or ("text" if as_text and not is_folder else None) for name in found]
    visible = [not re.search(r"(^|/)[._]", name[len(root) :]) or named for name in found]
    chosen = [k for k, kind in enumerate(kinds) if kind and visible[k]]
    if not chosen or (named and len(chosen) < len(found)):
        if any(is_picture(Path(name)) for name in found):
            raise DataError(f"{text} holds images, which are no table")
        if is_folder:
            raise DataError(f"{text} is a folder without a file that can be read; narrows reads {READABLE}")
        odd = next(name for name, kind in zip(shown, kinds, strict=True) if not kind)
        raise DataError(f"{odd} is of a kind narrows does not read; it reads {READABLE}; delimiter= reads it as text")
    if passed := [shown[k] for k in range(len(found)) if visible[k] and not kinds[k]]:
        notes.append(f"{text}: {len(passed)} files of other kinds were passed over, such as {passed[0]}")
    places = [
        Place(
            shown[k],
            str(kinds[k]),
            found[k],
            filesystem,
            {} if named and root == found[k] else _partitions(found[k][len(root) :]),
        )
        for k in chosen
    ]
    _refuse_empty(places)
    return places


def _shown(filesystem: Any, name: str, text: str, path: str) -> str:
    """Return a file's name as the user would write it."""
    if name == path:
        return text
    if _URL.match(text):
        return str(filesystem.unstrip_protocol(name))
    return name if Path(text).is_absolute() else os.path.relpath(name)


def _partitions(below: str) -> dict[str, str | None]:
    """Read ``key=value`` off the folders between a root and a file."""
    pairs = [part.split("=", 1) for part in below.split("/")[:-1] if "=" in part[1:]]
    return {unquote(key): None if value == _NO_PARTITION else unquote(value) for key, value in pairs}


def _refuse_empty(places: Iterable[Place]) -> None:
    for place in places:
        try:
            size = place.filesystem.size(place.path)
            if place.local:
                place.local.open("rb").close()
        except OSError as error:
            raise DataError(f"{place.name} cannot be read: {error.strerror or error}.") from error
        if size == 0:
            raise DataError(f"{place.name} is empty.")
