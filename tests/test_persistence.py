"""The model file: whole or refused, never dangerous."""

from __future__ import annotations

import io
import json
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

import narrows
from narrows import Autoencoder, ModelFileError
from narrows.io.container import FORMAT, read_tensors, write_tensors

pytestmark = pytest.mark.filterwarnings("ignore::narrows.NotBetterThanBaselineWarning")
OLD = Path(__file__).parent / "files"


@pytest.fixture(scope="module")
def content(curved: np.ndarray, tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("models") / "model.narrows"
    Autoencoder(2, network=narrows.networks.Dense((4,)), max_epochs=2, random_state=0).fit(curved).save(path)
    return path.read_bytes()


class Bomb:
    def __reduce__(self) -> tuple:
        return (exec, ("raise SystemExit('executed')",))


def hostile(content: bytes) -> list[tuple[bytes, str]]:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("data.pkl", b"0" * 10**6)
    torch_file = io.BytesIO()
    torch.save({"a": torch.zeros(2)}, torch_file)
    size = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + size])
    names = [name for name in header if name != "__metadata__"]
    claims = json.loads(json.dumps(header))
    claims[names[0]] |= {"shape": [2**40], "data_offsets": [0, 2**42]}
    bomb = json.dumps(claims).encode()
    empty = json.dumps({"__metadata__": header["__metadata__"]}).encode()
    plain = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    deep = b"{" + b'"a":{' * 5000
    return [
        (b"", "it is empty"),
        (b"abc", "too short"),
        (b"hello, this is no model at all", "does not begin as one"),
        (pickle.dumps(Bomb()), "a pickle, which could run any code"),
        (archive.getvalue(), "a zip archive"),
        (torch_file.getvalue(), "a zip archive"),
        (struct.pack("<Q", 2**62) + b"{" + content[9:], "claims 4,611,686"),
        (struct.pack("<Q", len(bomb)) + bomb + content[8 + size :], "damaged"),
        (struct.pack("<Q", len(empty)) + empty, "damaged"),
        (struct.pack("<Q", len(plain)) + plain + bytes(4), "not one that narrows wrote"),
        (struct.pack("<Q", len(deep)) + deep, "damaged"),
        (content + b"0", "damaged"),
    ]


def test_hostile_files(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.narrows"
    for data, message in hostile(content):
        path.write_bytes(data)
        with pytest.raises(ModelFileError, match=message) as caught:
            narrows.load(path)
        assert "model.narrows" in str(caught.value)
        assert len(str(caught.value).splitlines()) == 1


def test_any_flipped_byte_is_noticed(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.narrows"
    rng = np.random.default_rng(0)
    places = np.concatenate([np.arange(0, 200, 7), rng.integers(0, len(content), 300)])
    for place in places:
        damaged = bytearray(content)
        damaged[place] ^= 1 << rng.integers(8)
        path.write_bytes(bytes(damaged))
        with pytest.raises(ModelFileError):
            narrows.load(path)


def test_truncation_anywhere_is_noticed(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.narrows"
    for length in np.linspace(0, len(content) - 1, 60).astype(int):
        path.write_bytes(content[:length])
        with pytest.raises(ModelFileError):
            narrows.load(path)


def test_newer_format_other_kind_and_unknown_class(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.narrows"
    path.write_bytes(content)
    metadata, tensors = read_tensors(path, "narrows model")
    write_tensors(path, "narrows model", metadata | {"format": FORMAT + 1}, tensors)
    with pytest.raises(ModelFileError, match="newer"):
        narrows.load(path)
    write_tensors(path, "narrows checkpoint", {}, {})
    with pytest.raises(ModelFileError, match="is a narrows checkpoint, not a narrows model"):
        narrows.load(path)
    plain = {key: value for key, value in metadata.items() if key not in ("format", "kind")}
    write_tensors(path, "narrows model", plain | {"class": "Oracle"}, tensors)
    with pytest.raises(ModelFileError, match="'Oracle'"):
        narrows.load(path)
    options = plain["options"] | {"network": {"option": "System", "command": "rm"}}
    write_tensors(path, "narrows model", plain | {"options": options}, tensors)
    with pytest.raises(ModelFileError, match="'System' is no network"):
        narrows.load(path)
    fitted = plain["fitted"] | {"n_features_in": 10**12}
    write_tensors(path, "narrows model", plain | {"fitted": fitted}, tensors)
    with pytest.raises(ModelFileError, match="cannot be made into a model"):
        narrows.load(path)


def test_a_failed_save_leaves_the_old_file(curved: np.ndarray, content: bytes, tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "model.narrows"
    path.write_bytes(content)
    model = narrows.load(path)

    def fail(self: Path, data: bytes) -> None:
        with self.open("wb") as file:
            file.write(data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", fail)
        with pytest.raises((OSError, narrows.DataError)):
            model.save(path)
    assert path.read_bytes() == content
    assert [p.name for p in tmp_path.iterdir()] == ["model.narrows"]
    with pytest.raises(narrows.DataError, match="absent"):
        model.save(tmp_path / "absent" / "model.narrows")
    with pytest.raises(narrows.DataError, match="there is no file"):
        narrows.load(tmp_path / "nothing.narrows")
    with pytest.raises(narrows.DataError, match="folder"):
        narrows.load(tmp_path)


@pytest.mark.parametrize("version", range(1, FORMAT + 1))
def test_files_of_every_format_load_for_ever(version: int) -> None:
    expected = np.load(OLD / f"format-{version}.npz")
    model = narrows.load(OLD / f"format-{version}.narrows")
    np.testing.assert_allclose(model.transform(expected["X"]), expected["codes"], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(model.reconstruct(expected["X"]), expected["rebuilt"], rtol=1e-4, atol=1e-5)
    assert model.baselines_["model"] < model.baselines_["pca"]
    assert narrows.describe(OLD / f"format-{version}.narrows")["class"] == "Autoencoder"


@pytest.mark.parametrize("version", range(1, FORMAT + 1))
def test_detectors_of_every_format_load_for_ever(version: int) -> None:
    pandas = pytest.importorskip("pandas")
    expected = np.load(OLD / f"detector-{version}.npz")
    frame = pandas.DataFrame(expected["numbers"], columns=["size", "weight", "double"])
    frame["colour"] = expected["colour"]
    detector = narrows.load(OLD / f"detector-{version}.narrows")
    np.testing.assert_allclose(detector.anomaly_score(frame), expected["scores"], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(detector.p_values(frame), expected["p_values"], atol=0.03)
    # A category that the fit has not seen, and a value that does not go with another.
    assert detector.explain(frame[3:6:2], top=1).column.tolist() == ["colour", "double"]
    assert (detector.predict(frame[3:6]) == [-1, 1, -1]).all()
    assert narrows.describe(OLD / f"detector-{version}.narrows")["class"] == "AnomalyDetector"
