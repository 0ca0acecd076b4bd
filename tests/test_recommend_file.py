"""The file of a recommender: the same answers, no one's ratings, and whole or refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.base import clone

import narrows
from conftest import recommenders
from narrows import DataError, ModelFileError, Recommender
from narrows.io.container import FORMAT, read_tensors, write_tensors
from narrows.recommend import Ensemble, Factors, Linear, Multinomial, Rating, read_interactions

pd = pytest.importorskip("pandas")

OLD = Path(__file__).parent / "files"
ALL = recommenders()
NAMES = ["linear", "truncated", "dae", "vae", "factors", "ensemble", "rating"]
# A rating that no one else gives, between the least and the most: those two are part of the model.
SECRET = np.float32(2.718281828)


@pytest.fixture(scope="module", autouse=True)
def quick_ratings():
    """What predicts ratings beside what ranks has no options of its own: make its defaults small."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Rating.__init__, "__defaults__", (3, 3, 3, 10.0))
        yield


def log_of_people() -> pd.DataFrame:
    made = narrows.datasets.make_ratings(70, 40, 1200, n_tastes=3, random_state=0).to_frame()
    log = pd.DataFrame({"user": made.user.map("mrs-somebody-{:05d}".format), "item": made.item.map("film {}".format)})
    log["rating"] = made.rating.astype("float32")
    log.loc[100, "rating"] = SECRET
    return log


def read_titles(log: pd.DataFrame) -> dict:
    return {item: f"Das {item}, «ü»" for item in log.item.unique()[::2]}


@pytest.fixture(scope="module")
def people() -> pd.DataFrame:
    return log_of_people()


def fitted(way: str, log: pd.DataFrame) -> Recommender:
    return clone(dict(zip(NAMES, ALL, strict=True))[way]).fit(log, titles=read_titles(log))


def same(left: pd.DataFrame, right: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(left, right, check_exact=True)


@pytest.mark.parametrize("way", NAMES)
def test_a_file_gives_the_same_answers_and_holds_no_one(way: str, people: pd.DataFrame, tmp_path: Path) -> None:
    model = fitted(way, people)
    model.save(tmp_path / "model.narrows")
    content = (tmp_path / "model.narrows").read_bytes()
    assert b"somebody" not in content
    assert b"film 1" in content
    for form in (SECRET.tobytes(), np.float64(SECRET).tobytes(), b"2.718"):
        assert form not in content
    loaded = narrows.load(tmp_path / "model.narrows")
    loaded.save(tmp_path / "again.narrows")
    for twin in (loaded, narrows.load(tmp_path / "again.narrows")):
        same(twin.recommend(k=6, histories=people), model.recommend(k=6))
        same(twin.recommend_for({"film 1": 5.0}, k=6), model.recommend_for({"film 1": 5.0}, k=6))
        same(twin.similar_items(model.items_, k=4), model.similar_items(model.items_, k=4))
        pairs = people[["user", "item"]].iloc[:60]
        same(twin.predict(pairs, histories=people), model.predict(pairs))
        metrics = ("ndcg@5", "novelty@5", "rmse")
        mine = model.evaluate(people, histories=people, metrics=metrics).values
        theirs = twin.evaluate(people, histories=people, metrics=metrics).values
        assert set(mine) - set(theirs) == {"EASE"}
        np.testing.assert_equal(theirs, {name: values for name, values in mine.items() if name != "EASE"})
        for name in ("positive_from_", "reason_", "candidates_", "history_", "method_"):
            assert getattr(twin, name) == getattr(model, name)
        assert repr(twin.get_params()) == repr(model.get_params() | {"device": "auto"})
        with pytest.raises(DataError):
            twin.recommend(k=2)
        with pytest.raises(DataError):
            twin.predict(pairs)
        same(clone(twin).fit(people).recommend(k=3), clone(model).fit(people).recommend(k=3))
    assert narrows.describe(tmp_path / "model.narrows")["class"] == "Recommender"


def test_a_file_of_pairs(people: pd.DataFrame, tmp_path: Path) -> None:
    model = clone(ALL[0]).fit(people[["user", "item"]])
    model.save(tmp_path / "model.narrows")
    loaded = narrows.load(tmp_path / "model.narrows")
    same(loaded.recommend_for(["film 1"], k=6), model.recommend_for(["film 1"], k=6))
    with pytest.raises(DataError):
        loaded.predict([(1, 2)], histories=people)


@pytest.fixture(scope="module")
def whole(people: pd.DataFrame, tmp_path_factory) -> dict:
    """The parts of a file of each way."""
    folder, found = tmp_path_factory.mktemp("models"), {}
    for way in NAMES:
        fitted(way, people).save(folder / way)
        metadata, tensors = read_tensors(folder / way, "narrows model")
        plain = {key: value for key, value in metadata.items() if key not in ("format", "kind")}
        found[way] = plain, tensors, (folder / way).read_bytes()
    return found


def refused(path: Path, metadata: dict, tensors: dict) -> str:
    """Write a file, and return the one sentence with which it is refused."""
    write_tensors(path, "narrows model", metadata, tensors)
    with pytest.raises(ModelFileError) as caught:
        narrows.load(path)
    return str(caught.value)


def test_damage_is_noticed(whole: dict, tmp_path: Path) -> None:
    content, path = whole["ensemble"][2], tmp_path / "model.narrows"
    rng = np.random.default_rng(0)
    cases = [content[:length] for length in np.linspace(0, len(content) - 1, 30).astype(int)]
    for place in rng.integers(0, len(content), 60):
        damaged = bytearray(content)
        damaged[place] ^= 1 << rng.integers(8)
        cases.append(bytes(damaged))
    for data in [*cases, content + b"0"]:
        path.write_bytes(data)
        with pytest.raises(ModelFileError):
            narrows.load(path)


def misshapen(part: torch.Tensor) -> list[torch.Tensor]:
    """Return the tensor with an item less, a column less, and flat."""
    found = []
    if part.ndim:
        found.append(part[:-1].clone())
    if part.ndim == 2:
        found += [part[:, :-1].clone(), part.flatten().clone()]
    return found


# Sizes that nothing else in the file tells: of the similarity of items, of the factors, and how the code and the hidden
# layer share the columns of the encoder.
FREE = ("rater.directions", "ranker.decoder", "ranker.parts.1.decoder", "ranker.middle")
ROW_LESS, COLUMN_LESS, FLAT = range(3)


@pytest.mark.parametrize("way", NAMES)
def test_tensors_that_are_missing_or_of_other_sizes_are_refused(way: str, whole: dict, tmp_path: Path) -> None:
    metadata, tensors, _ = whole[way]
    for name, whole_part in tensors.items():
        parts = {other: part for other, part in tensors.items() if other != name}
        assert len(refused(tmp_path / "model.narrows", metadata, parts).splitlines()) == 1
        for number, part in enumerate(misshapen(whole_part)):
            free = name in FREE and number == (ROW_LESS if whole_part.ndim == 1 else COLUMN_LESS)
            if not free:
                refused(tmp_path / "model.narrows", metadata, tensors | {name: part})


def packed(values: list) -> torch.Tensor:
    return torch.frombuffer(bytearray(json.dumps(values).encode()), dtype=torch.uint8)


def test_contradictions_are_refused(whole: dict, tmp_path: Path) -> None:
    path = tmp_path / "model.narrows"
    metadata, tensors, _ = whole["linear"]
    given, options = metadata["fitted"], metadata["options"]
    size = given["n_items"]
    for fact in (
        {"n_items": 10**9},
        {"n_items": "x"},
        {"method": {"option": "Dense"}},
        {"method": 3},
        {"method": "Linear"},
        {"positive_from": "much"},
        {"library": "evil"},
        {"candidates": 3},
        {"rating_scale": [1, 2]},
        {"baselines": {"model": "good"}},
        {"columns": ["a"] * 5},
    ):
        refused(path, metadata | {"fitted": given | fact}, tensors)
    for lost in ("method", "positive_from", "library", "n_items", "rating_scale"):
        refused(path, metadata | {"fitted": {key: value for key, value in given.items() if key != lost}}, tensors)
    for option in ({"colour": 1}, {"method": {"option": "System", "command": "rm"}}):
        refused(path, metadata | {"options": options | option}, tensors)
    for ids in ([[0]] * size, [{}] * size, ["a"], {"a": 1}, 7, ["a"] * size, [None] * size, [1, *"a" * (size - 1)]):
        refused(path, metadata, tensors | {"ids/": packed(ids)})
    refused(path, metadata, tensors | {"titles/": packed(["a"])})
    refused(path, metadata, tensors | {"ids/": torch.zeros(4, dtype=torch.uint8)})
    # A file of one way that says it is another.
    for other in ("dae", "factors", "ensemble"):
        fitted_there = whole[other][0]["fitted"]
        refused(path, metadata | {"fitted": given | {"method": fitted_there["method"]}}, tensors)


def write_fixture(folder: Path) -> None:
    """Write the file of the newest format and what its model says; of each format one is kept for ever."""
    log = log_of_people()
    parts = Linear(l2=50.0, rank=4), Factors(3), Multinomial(3, 2, max_epochs=2)
    model = Recommender(Ensemble(parts), validation_fraction=0, random_state=0).fit(log, titles=read_titles(log))
    model.save(folder / f"recommender-{FORMAT}.narrows")
    best, near = model.recommend(k=5), model.similar_items(model.items_, k=2)
    np.savez_compressed(
        folder / f"recommender-{FORMAT}.npz",
        users=log.user.to_numpy(str),
        items=log.item.to_numpy(str),
        ratings=log.rating.to_numpy(),
        best=best.item.to_numpy(str),
        scores=best.score.to_numpy(),
        titles=best.title.to_numpy(str),
        near=near.similar.to_numpy(str),
        predicted=model.predict(log).rating.to_numpy(),
    )


@pytest.mark.parametrize("version", range(1, FORMAT + 1))
def test_recommenders_of_every_format_load_for_ever(version: int) -> None:
    expected = np.load(OLD / f"recommender-{version}.npz")
    log = pd.DataFrame({"user": expected["users"], "item": expected["items"], "rating": expected["ratings"]})
    model = narrows.load(OLD / f"recommender-{version}.narrows")
    best = model.recommend(k=5, histories=log)
    np.testing.assert_allclose(best.score, expected["scores"], rtol=1e-3, atol=1e-3)
    # Of scores that differ in the last digits only, another machine may put another first.
    assert (best.item == expected["best"]).mean() > 0.98
    assert (best.title == expected["titles"]).mean() > 0.98
    assert (model.similar_items(model.items_, k=2).similar == expected["near"]).mean() > 0.98
    np.testing.assert_allclose(model.predict(log, histories=log).rating, expected["predicted"], rtol=1e-3)
    assert narrows.describe(OLD / f"recommender-{version}.narrows")["class"] == "Recommender"


def test_no_column_of_the_weights_is_a_user_s_row() -> None:
    """The dual form comes from rows of users; what is kept of it must not hold them."""
    log = narrows.datasets.make_ratings(40, 300, 900, rated=False, random_state=0)
    model = Recommender(Linear(50.0), validation_fraction=0).fit(log)
    rows = read_interactions(log).matrix.toarray() > 0
    there = np.abs(model.ranker.encoder.numpy().T) > 1e-6
    assert model.ranker.decoder is not None
    assert not any((column == row).all() for column in there for row in rows)
