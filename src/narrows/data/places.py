"""Places of data: files, folders, globs, lists of them and URLs become the files to read, in order."""

import io
import os
import re
import sys
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO
from urllib.parse import unquote

from narrows.data.pictures import is_picture
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
_MAGIC = re.compile(r"[*?\[]")
_HIDDEN = re.compile(r"(^|/)[._]")
_PACKED = r"\.(gz|bz2|zst|xz)$"
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


def format_of(place: str | os.PathLike[str]) -> str | None:
    """Return "text", "parquet", "feather", "npy", "npz" or "idx" by a file's name; None for any other."""
    name = os.fspath(place).lower()
    return next((kind for ending, kind in _FORMATS if ending.search(name)), None)


def is_text(data: Any) -> bool:
    """Whether it is the place of a text table, by its name."""
    first = data[0] if isinstance(data, (list, tuple)) and data else data
    return is_place(first) and format_of(first) in ("text", None)


def is_place(data: Any) -> bool:
    """Whether it is a path, a URL, or a list of them."""
    if isinstance(data, (list, tuple)):
        return bool(data) and all(isinstance(one, (str, os.PathLike)) for one in data)
    return isinstance(data, (str, os.PathLike))


def holds_images(data: Any) -> bool:
    """Whether a path is an image, or a folder with images in it, which is no table."""
    if not isinstance(data, (str, os.PathLike)) or _URL.match(str(data)):
        return False
    path = Path(data)
    with suppress(OSError):
        if path.is_dir():
            return any(is_picture(entry) and entry.is_file() for entry in path.iterdir() if entry.name[0] != ".")
    return is_picture(path)


def find_places(data: Any, *, as_text: bool = False) -> tuple[list[Place], list[str]]:
    """Find the files that are meant, all of one format, in order, and note what was passed over.

    ``data`` is a file, a folder (all data files below it by name), a glob, a URL that fsspec knows, ``"-"`` for text on
    standard input, or a list of these; ``as_text`` says that a file with another ending is text all the same.
    """
    notes: list[str] = []
    places: list[Place] = []
    asked = list(data) if isinstance(data, (list, tuple)) else [data]
    for one in asked:
        places += [_standard_input(notes)] if str(one) == "-" else _expand(os.fspath(one), notes, as_text=as_text)
    if len(asked) > 1 and len({id(place.filesystem) for place in places}) == 1:
        # A shell may have made the list of a glob: folders below the one that all share still say what they said.
        root = os.path.commonpath([PurePosixPath(place.path).parent for place in places])
        places = [replace(place, partitions=_partitions(place.path.removeprefix(root))) for place in places]
    formats = {(place.kind, PurePosixPath(re.sub(_PACKED, "", place.path.lower())).suffix): place for place in places}
    if len({kind if kind != "text" else (kind, ending) for kind, ending in formats}) > 1:
        first, other = list(formats.values())[:2]
        glob = f"folder/*{PurePosixPath(first.path).suffix}"
        raise DataError(f"{first.name} and {other.name} are of different formats: choose those of one, as in {glob!r}")
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

    return fsspec.core.url_to_fs(text) if _URL.match(text) else (fsspec.filesystem("file"), os.path.abspath(text))  # noqa: PTH100


def _expand(text: str, notes: list[str], *, as_text: bool) -> list[Place]:
    """Return the files of one path, folder, glob or URL."""
    filesystem, path, root, sizes = _look(text)
    places, passed = [], []
    for name, size in sizes.items():
        shown = _shown(filesystem, name, text, path)
        kind = format_of(name) or ("text" if as_text and name == path else None)
        if kind is None:
            passed.append(shown)
        elif not size:
            raise DataError(f"{shown} is empty")
        else:
            places.append(Place(shown, kind, name, filesystem, _partitions(name.removeprefix(root))))
    if not places:
        if any(is_picture(Path(name)) for name in sizes):
            raise DataError(f"{text} holds images, which are no table")
        raise DataError(f"{passed[0]} is of a kind narrows does not read; it reads {READABLE}, others with delimiter=")
    if passed:
        notes.append(f"{text}: {len(passed)} files of other kinds were passed over, such as {passed[0]}")
    return places


def _look(text: str) -> tuple[Any, str, str, dict[str, int]]:
    """Return the file system of a path, the path in it, the folder from which names count, and the files' sizes."""
    if "\n" in text or "\0" in text:
        raise DataError("a path was expected, and a text of several lines was given")
    try:
        filesystem, path = _filesystem(text)
        root, found = _listed(filesystem, path)
        sizes = {name: filesystem.size(name) for name in found}
    except ImportError as error:
        raise DataError(f"{text} needs a library that is not installed: {error}") from error
    except OSError as error:
        raise DataError(f"{text} cannot be read: {error.strerror or error}") from error
    except Exception as error:
        if not _URL.match(text):
            raise
        # The libraries of file systems have errors of their own, for want of a password, say.
        raise DataError(f"{text} cannot be opened: {error}") from error
    if not found:
        missing = ": no file matches" if _MAGIC.search(text) else " does not exist"
        raise DataError(f"{text} is a folder without files" if root == path else f"{text}{missing}")
    return filesystem, path, root, sizes


def _listed(filesystem: Any, path: str) -> tuple[str, list[str]]:
    """Return the folder below which the names of folders count, and the files of a path that is not hidden."""
    if filesystem.isdir(path):
        root, matches = path, [path]
    elif filesystem.exists(path):
        return path, [path]
    else:
        root = _MAGIC.split(path)[0].rpartition("/")[0]
        matches = sorted(filesystem.glob(path)) if _MAGIC.search(path) else []
    found = [name for match in matches for name in (filesystem.find(match) if filesystem.isdir(match) else [match])]
    return root, [name for name in found if not _HIDDEN.search(name.removeprefix(root))]


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
