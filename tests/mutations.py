"""Model files with one thing changed and the checksum mended: what somebody might send who means no good."""

from __future__ import annotations

import copy
import json
import struct
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load, save

from narrows.io.container import _digest

if TYPE_CHECKING:
    import numpy as np

ODD: list[Any] = [
    *(None, True, False, 0, -1, 1, 2, 3, 10**7, 10**12, 10**30, 0.5, -1.5, 1e308, float("nan"), float("inf")),
    *("", "auto", "x", "\x00", "none", [], {}, [1, 2], [20_000, 20_000], [0], ["x"], [None], [[]], {"a": 1}),
    {"option": "Dense", "hidden": [20_000, 20_000]},
    {"option": "Convolutional", "channels": [20_000, 20_000]},
]


def take_apart(content: bytes) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    (size,) = struct.unpack("<Q", content[:8])
    return json.loads(json.loads(content[8 : 8 + size])["__metadata__"]["narrows"]), load(content)


def put_together(metadata: dict[str, Any], tensors: dict[str, torch.Tensor]) -> bytes:
    text = json.dumps(metadata)
    whole = {name: tensor.contiguous().clone() for name, tensor in tensors.items()}
    return save(whole, {"narrows": text, "sha256": _digest(text, whole)})


def mutate(
    metadata: dict[str, Any], tensors: dict[str, torch.Tensor], rng: np.random.Generator
) -> tuple[dict[str, Any], dict[str, torch.Tensor], str]:
    """Return a copy with one change, and what it is."""
    metadata, tensors = copy.deepcopy(metadata), dict(tensors)
    if rng.random() < 0.3:
        return metadata, tensors, _mutate_tensors(tensors, rng)
    return metadata, tensors, _mutate_values(metadata, rng)


def _mutate_values(metadata: dict[str, Any], rng: np.random.Generator) -> str:
    parent, key, path = _place(metadata, rng)
    value = parent[key]
    what = rng.choice(["odd", "odd", "odd", "near", "delete", "add", "other"])
    if what == "near" and isinstance(value, (int, float, str, list)):
        parent[key] = _near(value, rng)
    elif what == "delete":
        del parent[key]
        return f"{path} deleted"
    elif what == "add":
        odd = copy.deepcopy(ODD[rng.integers(len(ODD))])
        if isinstance(parent, dict):
            parent["added"] = odd
        else:
            parent.append(odd)
        return f"{path} beside it {odd!r:.40}"
    elif what == "other":
        other, name, _ = _place(metadata, rng)
        parent[key] = copy.deepcopy(other[name])
    else:
        parent[key] = copy.deepcopy(ODD[rng.integers(len(ODD))])
    return f"{path} = {parent[key]!r:.60}"


def _place(metadata: dict[str, Any], rng: np.random.Generator) -> tuple[Any, Any, str]:
    """Choose a value anywhere: its parent, its key there, and its path."""
    parent: Any = metadata
    path = ""
    while True:
        keys = sorted(parent) if isinstance(parent, dict) else range(len(parent))
        if parent is metadata and rng.random() < 0.9:
            # What every file says of itself is soon told.
            keys = [name for name in keys if isinstance(parent[name], dict)]
        key = keys[rng.integers(len(keys))]
        path += f"/{key}"
        if not (isinstance(parent[key], (dict, list)) and parent[key]) or rng.random() < 0.15:
            return parent, key, path
        parent = parent[key]


def _near(value: Any, rng: np.random.Generator) -> Any:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, (int, float)):
        return [value + 1, -value, value * 1000, float(value), str(value), [value], value - 1, 0][rng.integers(8)]
    if isinstance(value, str):
        return [value.upper(), value + "x", [value], value[:1]][rng.integers(4)]
    return [value * 2, value[:-1], value[::-1], [str(v) for v in value]][rng.integers(4)]


def _mutate_tensors(tensors: dict[str, torch.Tensor], rng: np.random.Generator) -> str:
    names = sorted(tensors)
    name = names[rng.integers(len(names))]
    tensor = tensors[name]
    what = rng.choice(["delete", "rename", "add", "swap", "kind", "shape", "shape", "value", "value", "value"])
    if what in ("delete", "rename"):
        del tensors[name]
    if what == "rename":
        tensors[name + "x"] = tensor
    elif what == "add":
        tensors["added"] = torch.zeros(3)
    elif what == "swap":
        other = names[rng.integers(len(names))]
        tensors[name], tensors[other] = tensors[other], tensor
    elif what == "kind":
        kinds = [torch.float64, torch.float32, torch.float16, torch.int64, torch.uint8, torch.bool]
        tensors[name] = tensor.to(kinds[rng.integers(len(kinds))])
    elif what == "shape":
        tensors[name] = [
            lambda: tensor.T if tensor.ndim == 2 else tensor[None],
            lambda: tensor[:-1] if tensor.ndim else tensor[None],
            lambda: tensor.reshape(-1),
            lambda: tensor.reshape(-1)[:0],
            lambda: torch.cat([tensor, tensor]) if tensor.ndim else tensor.expand(2),
            lambda: torch.zeros(1, dtype=tensor.dtype),
        ][rng.integers(6)]()
    elif what == "value":
        changed = tensor.clone().reshape(-1)
        if len(changed):
            values = (
                [0, -1, 1, 7, 10**9] if not changed.is_floating_point() else [0.0, -1.0, 1e30, torch.nan, torch.inf]
            )
            place = slice(None) if rng.random() < 0.3 else int(rng.integers(len(changed)))
            if changed.dtype in (torch.uint8, torch.bool):
                changed[place] = int(rng.integers(2 if changed.dtype == torch.bool else 256))
            else:
                changed[place] = values[rng.integers(5)]
        tensors[name] = changed.reshape(tensor.shape)
    return f"tensor {name}: {what}, {tensors[name].flatten()[:3].tolist() if name in tensors else ''}"
