"""The file that holds a model or a checkpoint: tensors and JSON in one safetensors file, checked as a whole.

safetensors is a length, a JSON header and raw bytes: reading it executes nothing. What it lacks is added in its
metadata: what kind of file this is, the version of the format, and a checksum over everything, so that a damaged
file is refused rather than read.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

from narrows.errors import DataError, ModelFileError
from narrows.io.atomic import atomic_write

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["FORMAT", "read_metadata", "read_tensors", "to_bytes", "write_tensors"]

FORMAT = 1
"""Version of the format. Raise it when an older narrows would read a new file wrongly; keep a file of each version
in the tests, and read them all for ever."""

MAX_HEADER = 64 * 2**20

_FOREIGN = {
    b"PK\x03\x04": "a zip archive (of torch.save or numpy, perhaps)",
    b"\x80\x02": "a pickle, which could run any code and is never opened",
    b"\x80\x03": "a pickle, which could run any code and is never opened",
    b"\x80\x04": "a pickle, which could run any code and is never opened",
    b"\x80\x05": "a pickle, which could run any code and is never opened",
    b"\x89HDF": "an HDF5 file (of Keras, perhaps)",
    b"PAR1": "a Parquet file",
    b"\x93NUM": "a numpy array",
    b"\x1f\x8b": "gzipped",
}


def write_tensors(path: str | Path, kind: str, metadata: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    """Write a file, whole or not at all.

    Parameters
    ----------
    path : path-like
        The file; an old one stays whole until the new one has taken its place.
    kind : str
        What the file is, checked when it is read.
    metadata : dict
        Anything JSON can hold.
    tensors : dict of str to Tensor
        Moved to the CPU and made contiguous.

    Raises
    ------
    DataError
        If the file cannot be written there.
    """
    content = to_bytes(kind, metadata, tensors)
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)


def to_bytes(kind: str, metadata: dict[str, Any], tensors: dict[str, Tensor]) -> bytes:
    """Return the content of the file that :func:`write_tensors` writes."""
    from safetensors.torch import save

    whole = {name: tensors[name].detach().cpu().contiguous().clone() for name in sorted(tensors)}
    text = json.dumps({"format": FORMAT, "kind": kind, **metadata}, allow_nan=False, sort_keys=True)
    return save(whole, {"narrows": text, "sha256": _digest(text, whole)})


def read_metadata(path: str | Path, kind: str) -> dict[str, Any]:
    """Read a file and return its metadata alone, after the same checks."""
    return read_tensors(path, kind)[0]


def read_tensors(path: str | Path, kind: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read a file that :func:`write_tensors` wrote.

    Raises
    ------
    DataError
        If there is no such file, or it may not be read.
    ModelFileError
        If it is damaged, truncated, foreign, of another kind or of a newer format; the message says which.
    """
    path = Path(path)
    content = _read(path)
    header = _header(path, content)
    stamp = header.get("__metadata__")
    if not isinstance(stamp, dict) or not {"narrows", "sha256"} <= set(stamp):
        raise ModelFileError(f"{path} is a safetensors file, but not one that narrows wrote")
    metadata = _metadata(path, stamp["narrows"])
    if metadata["format"] > FORMAT:
        raise ModelFileError(
            f"{path} has format {metadata['format']}, newer than {FORMAT}, which this narrows reads: upgrade it"
        )
    if metadata["kind"] != kind:
        raise ModelFileError(f"{path} is a {metadata['kind']}, not a {kind}")
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        tensors = load(content)
    except (SafetensorError, ValueError, KeyError, RuntimeError, OverflowError) as error:
        raise ModelFileError(f"{path} is damaged or truncated ({error})") from None
    if _digest(stamp["narrows"], tensors) != stamp["sha256"]:
        raise ModelFileError(f"{path} is damaged: its checksum does not match its content")
    return metadata, tensors


def _read(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"there is no file {path}") from None
    except IsADirectoryError:
        raise DataError(f"{path} is a folder, not a file") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from None
    if content.startswith(b"\x89NRW"):
        raise ModelFileError(f"{path} is compressed data, not a model: narrows codec info says what it holds")
    for magic, what in _FOREIGN.items():
        # The length of a header may begin as a pickle does; a header is told by its brace.
        if content.startswith(magic) and content[8:9] != b"{":
            raise ModelFileError(f"{path} is no narrows file: it is {what}")
    return content


def _header(path: Path, content: bytes) -> dict[str, Any]:
    if len(content) < 8:
        raise ModelFileError(f"{path} is no narrows file: it is {'empty' if not content else 'too short'}")
    (size,) = struct.unpack("<Q", content[:8])
    if content[8:9] != b"{":
        raise ModelFileError(f"{path} is no narrows file: it does not begin as one")
    if size > min(MAX_HEADER, len(content) - 8):
        raise ModelFileError(f"{path} is damaged or truncated: its header claims {size:,} bytes")
    try:
        header = json.loads(content[8 : 8 + size])
    except (ValueError, RecursionError):
        raise ModelFileError(f"{path} is damaged: its header cannot be read") from None
    if not isinstance(header, dict):
        raise ModelFileError(f"{path} is damaged: its header is no table")
    return header


def _metadata(path: Path, text: Any) -> dict[str, Any]:
    try:
        metadata = json.loads(text, parse_constant=_finite, parse_float=_finite)
    except (TypeError, ValueError, RecursionError):
        metadata = None
    known = isinstance(metadata, dict) and type(metadata.get("format")) is int and metadata["format"] > 0
    if not known or not isinstance(metadata.get("kind"), str):
        raise ModelFileError(f"{path} is damaged: its description cannot be read")
    return metadata


def _finite(text: str) -> float:
    """Read a number, but not NaN and infinities, which Python's JSON has and JSON has not."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _digest(text: str, tensors: dict[str, Tensor]) -> str:
    import torch

    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        # Copied afresh: what has one value may have a stride of zero, which cannot be seen as bytes.
        flat = torch.empty(tensor.numel(), dtype=tensor.dtype).copy_(tensor.reshape(-1))
        digest.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)};".encode())
        digest.update(flat.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
