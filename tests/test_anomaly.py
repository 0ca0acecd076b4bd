"""Detectors of anomalies: what is planted is found, rates are those asked for, and the right columns are named."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import false_discovery_control, norm
from sklearn.metrics import roc_auc_score

import narrows
from conftest import small_autoencoder
from narrows import AnomalyDetector, DataError, windows
from narrows.anomaly.scorer import Scorer, conformal_p_values, discoveries


def quick(**options) -> AnomalyDetector:
    return AnomalyDetector(**{"autoencoder": small_autoencoder(), "random_state": 0, **options})


def correlated(rng: np.random.Generator, n: int) -> np.ndarray:
    """Rows of eight standard normal columns, in two groups that go together."""
    parts = rng.normal(size=(n, 2)).repeat(4, 1)
    return np.sqrt(0.9) * parts + np.sqrt(0.1) * rng.normal(size=(n, 8))


@pytest.fixture(scope="module")
def fitted() -> AnomalyDetector:
    return AnomalyDetector(random_state=0).fit(correlated(np.random.default_rng(0), 500))


# What is planted is found.


@pytest.mark.parametrize("method", ["auto", "neighbors", "ranks", "reconstruction", ("ranks", "reconstruction")])
def test_rows_whose_columns_do_not_go_together_are_found(method) -> None:
    rng = np.random.default_rng(1)
    normal, anomalous = correlated(rng, 300), correlated(rng, 100)
    # Each column on its own is as before.
    anomalous = np.column_stack([rng.permutation(column) for column in anomalous.T])
    both, truth = np.vstack([normal, anomalous]), np.repeat([0, 1], (300, 100))
    detector = AnomalyDetector(method=method, random_state=0).fit(correlated(rng, 500))
    found = roc_auc_score(truth, detector.anomaly_score(both))
    assert found > max(0.95, roc_auc_score(truth, np.abs(both).max(1)) + 0.2)
    assert roc_auc_score(truth, -detector.p_values(both)) > 0.95


def test_one_wild_column_of_many_is_found() -> None:
    rng = np.random.default_rng(2)
    X = np.column_stack([correlated(rng, 400), np.exp(3 * rng.normal(size=(400, 12)))])
    anomalous = X[300:].copy()
    anomalous[:, 0] += 6
    detector = AnomalyDetector(random_state=0).fit(X[:200])
    scores = detector.anomaly_score(np.vstack([X[200:300], anomalous]))
    truth = np.repeat([0, 1], (100, 100))
    both = np.vstack([X[200:300], anomalous])
    plain = np.abs((both - X[:200].mean(0)) / X[:200].std(0)).max(1)
    assert roc_auc_score(truth, scores) > roc_auc_score(truth, plain) + 0.05


@pytest.mark.parametrize("contamination", [0.1, "auto"])
def test_a_cluster_among_the_rows_of_the_fit(contamination) -> None:
    rng = np.random.default_rng(3)
    X = np.vstack([correlated(rng, 450), 0.1 * rng.normal(size=(50, 8)) + 3 * np.array([1, -1] * 4)])
    planted = np.arange(500) >= 450
    plain = AnomalyDetector(random_state=0).fit(X)
    assert (plain.predict(X)[planted] == -1).mean() < 0.2
    detector = AnomalyDetector(contamination=contamination, random_state=0).fit(X)
    found = detector.predict(X) == -1
    np.testing.assert_array_equal(AnomalyDetector(**detector.get_params()).fit_predict(X) == -1, found)
    assert found[planted].mean() > 0.95
    assert found[~planted].mean() < 0.08
    if contamination == 0.1:
        assert found.sum() == 50


@pytest.mark.parametrize("fraction", [0.02, 0.1, 0.25, 0.5])
def test_the_fraction_that_is_asked_for_is_flagged(fraction: float) -> None:
    X = correlated(np.random.default_rng(4), 400)
    assert (quick(contamination=fraction).fit(X).predict(X) == -1).sum() == 400 * fraction


def test_random_state_seeds_the_autoencoder_and_chooses_rows(curved: np.ndarray) -> None:
    X = correlated(np.random.default_rng(0), 60)
    own = {"autoencoder": narrows.Autoencoder(2, max_epochs=1)}
    one, same, other = (quick(random_state=state, **own).fit(X).anomaly_score(X) for state in (0, 0, 1))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    few = [quick(n_reference=50, random_state=state).fit(curved) for state in (0, 1)]
    assert not np.array_equal(few[0].anomaly_score(curved), few[1].anomaly_score(curved))
    assert few[0].p_values(curved).min() == 1 / 51


# Rates.


@pytest.mark.parametrize(("n", "seeds", "small"), [(200, 8, True), (2000, 4, True), (200, 2, False)])
def test_p_values_of_new_normal_rows_are_uniform_or_larger(n: int, seeds: int, small: bool) -> None:
    rates = []
    asked = np.array([0.01, 0.05, 0.1, 0.2, 0.5, 0.8])
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        detector = AnomalyDetector(autoencoder=small_autoencoder() if small else None, random_state=seed)
        detector.fit(correlated(rng, n))
        new = correlated(rng, 1000)
        p_values = detector.p_values(new)
        rates.append((p_values[:, None] <= asked).mean(0))
        # A decision at a rate is a p-value at that rate.
        np.testing.assert_array_equal(detector.predict(new) == -1, p_values <= 0.01)
    realised = np.mean(rates, 0)
    # Chance is in the rows of the fit and in the new ones.
    error = np.sqrt(asked * (1 - asked) * (1 / n + 1 / 1000) / seeds)
    assert (realised <= asked + 4 * error).all()
    assert (realised >= 0.8 * asked - 4 * error).all()


def test_p_values_and_thresholds_by_hand() -> None:
    scores = np.array([0.0, 1.0, 2.5, 4.0, 5.0])
    assert conformal_p_values(scores, np.array([1.0, 2.0, 3.0, 4.0])).tolist() == [1.0, 1.0, 0.6, 0.4, 0.2]

    def scorer(calibration) -> Scorer:
        return Scorer(None, {}, {}, {}, torch.as_tensor(calibration, dtype=torch.float64))  # type: ignore[arg-type]

    hundred = scorer(np.arange(1.0, 100.0))
    assert [hundred.threshold_at_rate(rate) for rate in (0.001, 0.01, 0.02, 0.05)] == [99, 99, 98, 95]
    normal = scorer(norm.ppf(np.linspace(0.001, 0.999, 999)))
    assert normal.threshold_far_out(0.01) == pytest.approx(norm.ppf(0.99), rel=0.02)


@pytest.mark.parametrize(
    ("p_values", "found"),
    [
        # Held against 0.005, 0.01, 0.015, ...
        ([0.042, 0.001, 0.205, 0.008, 0.039, 0.041, 0.06, 0.074, 0.212, 0.216], [1, 3]),
        # The smallest fails on its own, and is found because the largest does not: 0.0167, 0.033, 0.05.
        ([0.03, 0.04, 0.045], [0, 1, 2]),
        ([0.02, 0.06, 0.07], []),
        ([0.05], [0]),
        # Ties in exact arithmetic that rounding may break.
        (np.arange(1, 21) / 400, list(range(20))),
        (np.repeat([0.15, 1.0], [3, 6]) / 9, [0, 1, 2]),
        ([], []),
    ],
)
def test_false_discoveries_by_hand(p_values: list, found: list) -> None:
    assert np.flatnonzero(discoveries(np.array(p_values), 0.05)).tolist() == found


def test_false_discoveries_are_as_rare_as_asked_for() -> None:
    false, power = [], []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        detector = quick(random_state=seed).fit(correlated(rng, 1000))
        anomalies = correlated(rng, 20) + rng.choice([-5, 5], (20, 8))
        rows = np.vstack([correlated(rng, 180), anomalies])
        found = detector.detect(rows, fdr=0.2)
        np.testing.assert_array_equal(found, false_discovery_control(detector.p_values(rows)) <= 0.2)
        false.append(found[:180].sum() / max(1, found.sum()))
        power.append(found[180:].mean())
        assert detector.detect(rows[:180], fdr=0.001).sum() == 0
    assert np.mean(power) > 0.95
    assert 0 < np.mean(false) <= 0.18 + 4 * np.std(false) / np.sqrt(8)


# Explanations.


def test_planted_columns_come_first() -> None:
    rng = np.random.default_rng(6)
    units, centres = 10.0 ** rng.integers(-3, 5, 8), 1000 * rng.normal(size=8)
    detector = AnomalyDetector(random_state=0).fit(correlated(rng, 500) * units + centres)
    clean = correlated(rng, 200)
    spoilt, planted = clean.copy(), []
    for row in spoilt:
        columns = rng.choice(8, rng.integers(1, 4), replace=False)
        row[columns] += rng.choice([-1, 1], len(columns)) * rng.uniform(5, 10, len(columns))
        planted.append({f"x{column}" for column in columns})
    told = detector.explain(spoilt * units + centres)
    assert told.row.tolist() == np.repeat(np.arange(200), 8).tolist()
    hits = [
        set(part.column[: len(columns)]) == columns
        for (_, part), columns in zip(told.groupby("row"), planted, strict=True)
    ]
    assert np.mean(hits) >= 0.95
    numbers = told.column.str[1:].astype(int).to_numpy()
    np.testing.assert_allclose(told.seen, (spoilt * units + centres)[told.row, numbers])
    # What was expected is nearer to what was there than the column's mean is.
    alone = np.array([planted[row] == {name} for row, name in zip(told.row, told.column, strict=True)])
    was = clean[told.row, numbers][alone]
    expected = ((told.expected.to_numpy() - centres[numbers]) / units[numbers])[alone]
    assert np.mean((expected - was) ** 2) < 0.5 * np.mean(was**2)
    assert detector.explain(spoilt[:1] * units + centres, top=2).equals(told[:2])
    assert (told.attribution >= 0).all()


def test_what_is_predicted_from_a_wrong_value_is_not_attributed_too() -> None:
    rng = np.random.default_rng(6)

    def pairs(n: int) -> np.ndarray:
        return rng.normal(size=(n, 1)) + 0.1 * rng.normal(size=(n, 2))

    detector = AnomalyDetector(random_state=0).fit(pairs(500))
    rows = pairs(100) + np.array([8.0, 0.0])
    told = detector.explain(rows)
    first, second = told[::2], told[1::2]
    assert (first.column == "x0").all()
    assert first.attribution.quantile(0.1) > 0.9
    # Once the wrong one is not looked at, nothing is known of the other: the mean is expected.
    assert np.abs(second.expected - second.seen).mean() < 1.2 * np.abs(rows[:, 1]).mean()


def frame_of(library: str, n: int, seed: int):
    """Rows whose colour is told by their size, and whose flag by their weight."""
    frames = pytest.importorskip(library)
    rng = np.random.default_rng(seed)
    size, weight = rng.normal(50, 10, n), rng.normal(size=n)
    colour = np.where(size > 55, "red", np.where(size > 45, "green", "blue"))
    return frames.DataFrame(
        {"size": size, "colour": colour, "weight": weight, "double": 2 * weight, "heavy": weight > 0.5}
    )


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames_with_categories(library: str, tmp_path) -> None:
    frame, new = frame_of(library, 600, 0), frame_of(library, 300, 1)
    detector = AnomalyDetector(random_state=0).fit(frame)
    assert list(detector.feature_names_in_) == ["size", "colour", "weight", "double", "heavy"]
    assert (detector.predict(new) == -1).mean() < 0.06
    columns = {name: new[name].to_numpy().copy() for name in new.columns}
    anomalous = type(new)({**columns, "colour": np.where(columns["size"] > 55, "blue", "red")})
    truth = np.repeat([0, 1], 300)
    assert roc_auc_score(truth, np.append(detector.anomaly_score(new), detector.anomaly_score(anomalous))) > 0.9
    told = detector.explain(anomalous[:60], top=1)
    # Close to where one colour ends the other is no wonder.
    clear = np.abs(columns["size"][:60, None] - [45, 55]).min(1) > 4
    assert clear.sum() > 15
    assert (told.column[clear] == "colour").mean() >= 0.9
    right = told.expected.to_numpy() == columns["colour"][:60]
    assert right[clear & (told.column == "colour").to_numpy()].mean() >= 0.9
    assert set(told.seen[told.column == "colour"]) <= {"red", "blue"}
    unseen = type(new)({**columns, "colour": ["violet"] * 300})
    for other in (new, anomalous):
        assert (detector.anomaly_score(unseen) > detector.anomaly_score(other)).mean() > 0.95
    assert np.median(detector.anomaly_score(unseen)) > detector.anomaly_score(new).max()
    told = detector.explain(unseen[:20], top=1)
    assert (told.column == "colour").all()
    assert (told.seen == "violet").all()
    assert set(told.expected) <= {"red", "green", "blue"}
    detector.save(tmp_path / "detector.narrows")
    loaded = narrows.load(tmp_path / "detector.narrows")
    np.testing.assert_array_equal(loaded.anomaly_score(unseen), detector.anomaly_score(unseen))
    assert loaded.explain(unseen[:20], top=1).equals(told)


def test_frames_keep_their_index_and_take_what_pandas_holds() -> None:
    frame = frame_of("pandas", 200, 0)
    detector = quick().fit(frame)
    named = frame.set_index(pd.Index([f"row {k}" for k in range(200)]))
    told = detector.explain(named[5:7], top=2)
    assert told.row.tolist() == ["row 5", "row 5", "row 6", "row 6"]
    np.testing.assert_array_equal(detector.anomaly_score(named), detector.anomaly_score(frame))
    numbers = quick().fit(named.drop(columns="colour"))
    assert numbers.explain(named.drop(columns="colour")[5:7], top=1).row.tolist() == ["row 5", "row 6"]
    assert set(numbers.explain(named.drop(columns="colour")[:1]).column) == {"size", "weight", "double", "heavy"}
    for kind in ("category", "object"):
        same = frame.astype({"colour": kind})
        np.testing.assert_array_equal(quick().fit(same).anomaly_score(same), detector.anomaly_score(frame))
    gaps = frame.astype({"heavy": object, "colour": object})
    gaps.loc[3, ["heavy", "size", "colour"]] = None
    told = quick().fit(gaps).explain(gaps[3:4])
    assert set(told.column[-3:]) == {"heavy", "size", "colour"}
    assert (told.attribution[-3:] == 0).all()
    nullable = frame.drop(columns="colour").astype({"heavy": "boolean", "size": "Float64"})
    nullable.loc[3, ["heavy", "size"]] = pd.NA
    told = quick().fit(nullable).explain(nullable[3:4])
    assert set(told.column[told.attribution == 0]) == {"heavy", "size"}


def test_missing_values_have_no_attribution() -> None:
    rng = np.random.default_rng(7)

    def with_gaps(rows: np.ndarray) -> np.ndarray:
        return np.where(rng.random(rows.shape) < 0.2, np.nan, rows)

    detector = AnomalyDetector(random_state=0).fit(with_gaps(correlated(rng, 500)))
    rows = correlated(rng, 300)
    gaps = with_gaps(rows)
    told = detector.explain(gaps[:100])
    assert (told.attribution[told.seen.isna()] == 0).all()
    places = told.groupby("row").cumcount()
    for row in range(100):
        missing = np.isnan(gaps[row]).sum()
        assert told.seen[(told.row == row) & (places >= 8 - missing)].isna().all()
    # A gap alone makes no row anomalous, nor does it hide another column.
    assert (detector.predict(gaps) == -1).mean() <= 0.03
    spoilt = gaps.copy()
    spoilt[:, 0], spoilt[:, 7] = rows[:, 0] + 8, np.nan
    assert (detector.predict(spoilt) == -1).mean() > 0.95
    told = detector.explain(spoilt[:100], top=1)
    assert (told.column == "x0").mean() >= 0.95
    assert np.isfinite(detector.anomaly_score(np.full((1, 8), np.nan))).all()


# Series.


def test_windows_by_hand() -> None:
    cut = windows(np.arange(10), 4, stride=3)
    assert cut.rows.tolist() == [[0, 1, 2, 3], [3, 4, 5, 6], [6, 7, 8, 9]]
    assert cut.starts.tolist() == [0, 3, 6]
    assert cut.per_step([1.0, 2.0, 4.0]).tolist() == [1, 1, 1, 1.5, 2, 2, 3, 4, 4, 4]
    assert cut.spans([True, False, True]) == [(0, 4), (6, 10)]
    assert cut.spans([True, True, False]) == [(0, 7)]
    assert cut.spans([False] * 3) == []
    # The last window overlaps more than the others, so that no step is left over.
    cut = windows(np.arange(9), 4, stride=3)
    assert cut.starts.tolist() == [0, 3, 5]
    assert cut.per_step([1.0, 2.0, 4.0]).tolist() == [1, 1, 1, 1.5, 2, 3, 3, 4, 4]
    assert cut.spans([False, False, True]) == [(5, 9)]
    # Windows that touch are one span.
    assert windows(np.arange(9), 3, stride=3).spans([True, True, False]) == [(0, 6)]
    whole = windows([5.0, 6.0], 2)
    assert (whole.rows.tolist(), whole.n_steps, whole.channels) == ([[5.0, 6.0]], 2, ("x0",))
    two = windows(np.array([[1, 10], [2, 20], [3, 30]]), 2)
    assert two.rows.tolist() == [[1, 10, 2, 20], [2, 20, 3, 30]]


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_windows_of_frames(library: str) -> None:
    frames = pytest.importorskip(library)
    rng = np.random.default_rng(8)
    phase = np.arange(400) / 4
    columns = {"flow": np.sin(phase), "level": np.cos(phase)}
    frame = frames.DataFrame({name: wave + 0.05 * rng.normal(size=400) for name, wave in columns.items()})
    cut = windows(frame, 3)
    assert cut.channels == ("flow", "level")
    assert list(cut.rows.columns) == ["flow[0]", "level[0]", "flow[1]", "level[1]", "flow[2]", "level[2]"]
    np.testing.assert_array_equal(cut.rows.to_numpy(), windows(frame.to_numpy(), 3).rows)
    spoilt = frame.to_numpy().copy()
    spoilt[302, 0] += 3
    detector = quick().fit(cut.rows)
    cut = windows(frames.DataFrame({"flow": spoilt[:, 0], "level": spoilt[:, 1]}), 3)
    scores = cut.per_step(detector.anomaly_score(cut.rows))
    assert 300 <= scores.argmax() <= 304
    spans = cut.spans(detector.predict(cut.rows) == -1)
    assert any(start <= 302 < stop for start, stop in spans)
    assert sum(stop - start for start, stop in spans) < 40
    told = detector.explain(cut.rows[300:303], top=1)
    assert told.column.tolist() == ["flow[2]", "flow[1]", "flow[0]"]


# Files.


@pytest.mark.parametrize("kind", ["parquet", "csv", "npy"])
def test_files_are_as_arrays(kind: str, tmp_path) -> None:
    rng = np.random.default_rng(9)
    X = np.where(rng.random((1200, 8)) < 0.02, np.nan, correlated(rng, 1200))
    frame = pd.DataFrame(X, columns=[f"column {k}" for k in range(8)])
    path = tmp_path / f"rows.{kind}"
    if kind == "npy":
        np.save(path, X)
    else:
        getattr(frame, f"to_{kind}")(path, index=False)
    given = X if kind == "npy" else frame
    for options in ({}, {"contamination": 0.05}):
        detector, streamed = quick(n_reference=500, **options).fit(given), quick(n_reference=500, **options).fit(path)
        assert streamed.offset_ == detector.offset_
        for method in ("anomaly_score", "predict", "p_values", "detect"):
            np.testing.assert_array_equal(getattr(streamed, method)(path), getattr(detector, method)(given))
            np.testing.assert_array_equal(getattr(detector, method)(path), getattr(detector, method)(given))
        assert streamed._names() == detector._names()


# What makes no sense is refused in one sentence that names it.


@pytest.mark.parametrize(
    ("name", "values"),
    {
        "method": ["x", (), ("ranks", "x"), 3],
        "contamination": [0.7, 0, "some", float("nan")],
        "false_positive_rate": [0, 1.0],
        "n_neighbors": [0, 2.5],
        "n_reference": [0],
        "autoencoder": [3, narrows.VariationalAutoencoder()],
        "device": ["toaster"],
        "random_state": [-1],
    }.items(),
)
def test_parameters_that_make_no_sense(name: str, values: list) -> None:
    for value in values:
        with pytest.raises((ValueError, TypeError), match=name):
            AnomalyDetector(**{name: value}).fit(np.zeros((5, 2)))


@pytest.mark.parametrize(
    "rows",
    [
        np.full((3, 8), np.inf),
        np.zeros((3, 7)),
        np.zeros(8),
        np.zeros((0, 8)),
        np.full((2, 8), "a"),
        np.full((2, 8), "a", dtype=object),
        np.zeros((2, 8), dtype=complex),
        "absent.csv",
        "infinite.npy",
    ],
    ids=str,
)
def test_rows_that_are_none(fitted: AnomalyDetector, rows, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("infinite.npy", np.where(np.eye(9, 8), np.inf, 1.0))
    for method in (fitted.anomaly_score, fitted.predict, fitted.p_values, fitted.detect, fitted.explain):
        with pytest.raises(ValueError, match=r"."):
            method(rows)
    if np.shape(rows) != (3, 7):
        with pytest.raises(ValueError, match=r"."):
            quick().fit(rows)
    for act in (lambda: fitted.detect(np.zeros((3, 8)), fdr=1), lambda: fitted.explain(np.zeros((3, 8)), top=0)):
        with pytest.raises(ValueError, match=r"fdr|top"):
            act()


def test_frames_that_are_not_those_of_the_fit() -> None:
    frame = frame_of("pandas", 60, 0)
    detector = quick().fit(frame)
    plain = frame.drop(columns="colour")
    np.testing.assert_array_equal(detector.predict(frame[frame.columns[::-1]]), detector.predict(frame))
    with pytest.warns(narrows.UnlikeTrainingDataWarning, match="more"):
        detector.predict(frame.assign(more=1))
    others = (frame.drop(columns="weight"), plain, plain.to_numpy())
    for bad in (*others, frame.assign(weight="light"), frame.assign(weight=np.inf)):
        with pytest.raises(ValueError, match=r"."):
            detector.predict(bad)
    names = pd.DataFrame({"name": [f"row {k}" for k in range(300)]})
    for bad in (names, frame.assign(weight=np.inf), frame[:0]):
        with pytest.raises(ValueError, match=r"."):
            quick().fit(bad)


@pytest.mark.parametrize(
    "arguments",
    [(np.arange(3), 4), (np.zeros((3, 3, 3)), 2), (5.0, 1), (np.arange(3), 0), (np.arange(3), 1.5), (range(9), 2, 5)],
)
def test_series_that_make_no_sense(arguments) -> None:
    with pytest.raises(ValueError, match=r"."):
        windows(*arguments)
    for method in (windows(np.arange(5), 2).per_step, windows(np.arange(5), 2).spans):
        with pytest.raises(DataError):
            method([True])


# Faults that were.


def test_p_values_hold_for_repeated_rows() -> None:
    rates = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        detector = quick(random_state=seed).fit(rng.integers(0, 9, (1000, 3)))
        rates.append((detector.p_values(rng.integers(0, 9, (1000, 3)))[:, None] <= [0.05, 0.2, 0.5]).mean(0))
    asked = np.array([0.05, 0.2, 0.5])
    assert (np.mean(rates, 0) <= asked + 4 * np.sqrt(asked * (1 - asked) * 0.002 / 4)).all()


def test_p_values_of_a_few_rows_are_no_smaller_than_they_should_be() -> None:
    rates = []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        detector = AnomalyDetector(method="reconstruction", random_state=seed).fit(correlated(rng, 9))
        rates.append((detector.p_values(correlated(rng, 300)) <= 0.2).mean())
    assert np.mean(rates) < 0.2 + 4 * np.sqrt(0.2 * 0.8 / 9 / 5)


def test_gaps_that_the_fit_has_not_seen_make_no_row_anomalous() -> None:
    rng = np.random.default_rng(7)
    rows = correlated(rng, 1000)
    gaps = np.where(rng.random(rows.shape) < 0.2, np.nan, rows)
    for detector in (quick(method="neighbors"), AnomalyDetector(random_state=0)):
        assert (detector.fit(rows[:500]).predict(gaps[500:]) == -1).mean() < 0.04


def test_new_rows_score_as_those_of_a_contaminated_fit() -> None:
    rng = np.random.default_rng(0)
    detector = AnomalyDetector(contamination=0.05, random_state=0).fit(rng.normal(size=(100, 50)))
    new = rng.normal(size=(500, 50))
    assert abs(np.median(detector.anomaly_score(new))) < 2
    assert (detector.p_values(new) <= 0.5).mean() < 0.6


def test_constant_columns_do_not_depend_on_the_type() -> None:
    X = np.column_stack([correlated(np.random.default_rng(0), 200), np.full(200, 0.1)])
    assert (quick().fit(X.astype(np.float32)).predict(X) == -1).mean() < 0.05


def test_frames_of_any_kind(tmp_path) -> None:
    frame = frame_of("pandas", 60, 0).astype({"colour": "string", "heavy": "boolean"})
    frame.loc[3, ["colour", "heavy"]] = pd.NA
    assert np.isfinite(quick().fit(frame).anomaly_score(frame)).all()
    frame = frame_of("pandas", 60, 0)
    frame["size"] = pd.cut(frame["size"], 3)
    assert np.isfinite(quick().fit(frame).anomaly_score(frame)).all()
    frame.columns = range(5)
    frame[0] = 1.0
    assert set(quick().fit(frame).explain(frame[:1]).column) == {"0", "1", "2", "3", "4"}


def test_scores_of_steps_depend_on_their_windows_alone() -> None:
    cut = windows(np.arange(6), 2)
    for first in (1e17, np.nan):
        assert cut.per_step([first, 1.0, 1.0, 1.0, 1.0])[2:].tolist() == [1.0] * 4
