"""Model files and heads of compressed files, edited at random with their checksums mended."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

import narrows
from narrows.codec import Codec, describe
from narrows.codec.container.format import FileReader, FileWriter, Head
from narrows.errors import CodecFileError, DataError, ModelFileError
from narrows.estimator.serialization import KIND
from narrows.io.container import read_tensors, write_tensors

FILES = Path(__file__).parent / "files"
JUNK = [None, True, -1, 0, 1, 7, 10**7, 2**70, 0.0, -0.5, 1e300, "", "x", "<U99999", [], [[]], [-1, 2], {}, {"a": None}]
ROWS = {"table": np.arange(80).reshape(20, 4), "bounded": np.linspace(0, 1, 60).reshape(20, 3)}


def edited(value, rng):
    """Return plain values with one place in them replaced, dropped, doubled or moved."""
    value = copy.deepcopy(value)
    places = []

    def walk(node):
        for key in node if isinstance(node, dict) else range(len(node)):
            places.append((node, key))
            if isinstance(node[key], (dict, list)):
                walk(node[key])

    walk(root := [value])
    node, key = places[rng.integers(len(places))]
    how = rng.integers(4)
    if how == 0 and node is not root:
        del node[key]
    elif how == 1 and isinstance(node[key], (int, float)):
        node[key] = type(node[key])(node[key] * rng.choice([-1, 2, 1000]) + 1)
    elif how == 2 and isinstance(node[key], list) and node[key]:
        node[key] = node[key] * 2
    else:
        node[key] = JUNK[rng.integers(len(JUNK))]
    return root[0]


def model_edits(name, count, path):
    metadata, tensors = read_tensors(FILES / f"codec-{name}-1.narrows", KIND)
    rng = np.random.default_rng(0)
    for _ in range(count):
        changed, packed = metadata, {key: tensor.clone() for key, tensor in tensors.items()}
        if rng.random() < 0.8:
            changed = edited({key: metadata[key] for key in ("options", "fitted", "engine")}, rng)
            changed = metadata | changed if isinstance(changed, dict) else changed
        else:
            packed["packed"][rng.integers(len(packed["packed"]))] ^= int(1 << rng.integers(8))
        if isinstance(changed, dict):
            write_tensors(path, KIND, {k: v for k, v in changed.items() if k not in ("format", "kind")}, packed)
            yield changed


def use(codec, name):
    rows = ROWS[name]
    found = codec.decompress(codec.compress(rows))
    assert found.shape == rows.shape
    repr(codec), codec.get_params(), codec.bits_per_value_


@pytest.mark.parametrize("name", ["table", "bounded"])
@pytest.mark.parametrize("count", [100, pytest.param(2500, marks=pytest.mark.slow)])
def test_edited_models_are_refused_or_work(name, count, tmp_path):
    honest = FILES / f"codec-{name}-1.narrows"
    tracemalloc.start()
    use(narrows.load(honest), name)
    most = tracemalloc.get_traced_memory()[1]
    n_refused = 0
    for changed in model_edits(name, count, tmp_path / "model"):
        tracemalloc.reset_peak()
        began = time.perf_counter()
        try:
            codec = Codec.load(tmp_path / "model")
        except ModelFileError:
            n_refused += 1
        else:
            use(codec, name)
        assert time.perf_counter() - began < 2, changed
        assert tracemalloc.get_traced_memory()[1] < 2 * most + 2_000_000, changed
    tracemalloc.stop()
    assert n_refused > count / 3


@pytest.mark.parametrize("name", ["table", "bounded"])
@pytest.mark.parametrize("count", [100, pytest.param(2500, marks=pytest.mark.slow)])
def test_edited_heads_are_refused_or_give_the_rows(name, count):
    codec = Codec.load(FILES / f"codec-{name}-1.narrows")
    data = codec.compress(ROWS[name])
    reader, rng = FileReader(data), np.random.default_rng(1)
    for _ in range(count):
        file = io.BytesIO()
        size = reader.head.rows_per_block if rng.random() < 0.9 else int(rng.integers(1, 1 << 20))
        writer = FileWriter(file, Head(reader.head.fingerprint, size, edited(reader.head.description, rng)))
        for block in reader.blocks:
            writer.add(reader.read(block), block.last - block.first, block.rows_crc)
        writer.finish()
        began = time.perf_counter()
        with contextlib.suppress(CodecFileError):
            assert codec.decompress(file.getvalue()).shape == ROWS[name].shape
        with contextlib.suppress(CodecFileError):
            json.dumps(describe(file.getvalue()), default=str)
        assert time.perf_counter() - began < 2


def test_a_bomb_within_a_model_is_not_unpacked(tmp_path):
    import torch

    from narrows.codec.container.format import pack

    metadata, tensors = read_tensors(FILES / "codec-table-1.narrows", KIND)
    bomb = pack(bytes(1 << 28))
    tensors["packed"] = torch.from_numpy(np.frombuffer(bomb, np.uint8).copy())
    write_tensors(tmp_path / "m", KIND, {k: v for k, v in metadata.items() if k not in ("format", "kind")}, tensors)
    tracemalloc.start()
    with pytest.raises(ModelFileError):
        Codec.load(tmp_path / "m")
    assert tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()


def test_a_file_is_not_compressed_onto_itself(tmp_path):
    np.save(tmp_path / "x.npy", ROWS["table"])
    codec = Codec.load(FILES / "codec-table-1.narrows")
    with pytest.raises(DataError):
        codec.compress_file(tmp_path / "x.npy", tmp_path / ".." / tmp_path.name / "x.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), ROWS["table"])
