"""Model files that somebody has changed, the checksum mended: refused at load, or good to use; at once, and cheaply."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import narrows
from mutations import mutate, put_together, take_apart
from narrows.io.container import MAX_HEADER

resource = pytest.importorskip("resource")

if TYPE_CHECKING:
    from collections.abc import Callable

FILES = Path(__file__).parent / "files"
pytestmark = pytest.mark.filterwarnings("ignore")
MOST_SECONDS = 2.0
MOST_KILOBYTES = 200_000


def use_autoencoder(model: narrows.Autoencoder) -> None:
    X = np.load(FILES / "format-1.npz")["X"][:5]
    assert model.inverse_transform(model.transform(X)).shape == X.shape
    model.score_samples(X)


def use_detector(model: narrows.AnomalyDetector) -> None:
    pandas = pytest.importorskip("pandas")
    data = np.load(FILES / "detector-1.npz")
    frame = pandas.DataFrame(data["numbers"], columns=["size", "weight", "double"]).assign(colour=data["colour"])[:5]
    model.p_values(frame)
    model.explain(frame[:2])


def use_recommender(model: narrows.Recommender) -> None:
    model.recommend_for(list(model.items_[:3]))
    model.similar_items(list(model.items_[:2]))


def use_codec(model: narrows.Codec) -> None:
    table = narrows.Codec.describe(FILES / "codec-bounded-1.nrw")
    assert model.verify(FILES / "codec-bounded-1.nrw")
    assert table


MODELS: dict[str, Callable[[Any], None]] = {
    "format-1": use_autoencoder,
    "detector-1": use_detector,
    "recommender-1": use_recommender,
    "codec-bounded-1": use_codec,
}


def check(name: str, count: int, folder: Path) -> None:
    path = folder / "model.narrows"
    metadata, tensors = take_apart((FILES / f"{name}.narrows").read_bytes())
    rng = np.random.default_rng(0)
    MODELS[name](narrows.load(FILES / f"{name}.narrows"))
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused = 0
    for _ in range(count):
        *changed, what = mutate(metadata, tensors, rng)
        path.write_bytes(put_together(*changed))
        began = time.perf_counter()
        try:
            narrows.describe(path)
            model = narrows.load(path)
        except narrows.ModelFileError:
            refused += 1
        else:
            # With other names of columns it is right to refuse these.
            if "names" not in what:
                MODELS[name](model)
        assert time.perf_counter() - began < MOST_SECONDS, what
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - most
        assert grown < MOST_KILOBYTES, what
    assert refused > count // 3


@pytest.mark.parametrize("name", MODELS)
def test_changed_files_are_refused_or_good_to_use(name: str, tmp_path: Path) -> None:
    check(name, 50, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_five_thousand_changed_files(name: str, tmp_path: Path) -> None:
    check(name, 1250, tmp_path)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("options", "network"), {"option": "Dense", "hidden": [20_000, 20_000]}),
        (("options", "network"), {"option": "Convolutional", "channels": [20_000, 20_000], "blocks": 10**7}),
        (("fitted", "n_components"), 10**7),
        (("fitted", "n_values"), 10**9),
        (("fitted", "row_shape"), [10**9]),
        (("options", "checkpoint"), "/tmp/somewhere"),
        (("options", "callbacks"), ["print"]),
    ],
)
def test_bombs_and_options_of_the_fitting_process_are_refused(
    place: tuple[str, str], value: Any, tmp_path: Path
) -> None:
    metadata, tensors = take_apart((FILES / "format-1.narrows").read_bytes())
    metadata[place[0]][place[1]] = value
    path = tmp_path / "model.narrows"
    path.write_bytes(put_together(metadata, tensors))
    assert path.stat().st_size < MAX_HEADER
    narrows.load(FILES / "format-1.narrows")  # the first imports all that loading takes
    began = time.perf_counter()
    with pytest.raises(narrows.ModelFileError):
        narrows.load(path)
    assert time.perf_counter() - began < MOST_SECONDS
