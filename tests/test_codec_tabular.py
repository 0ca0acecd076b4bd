"""The table model: every row comes back, whatever it holds, and what is lawful in a table makes it short."""

import json
import lzma
import time

import numpy as np
import pytest

from narrows.codec.table.bins import POWER, Bins, bit_length, code_positive, logarithm, signed_class
from narrows.codec.table.engine import TableModel
from narrows.codec.table.prediction import coding_order

pytest.importorskip("constriction")
from narrows.codec.container.entropy import Reader, Writer

LOW, HIGH = -(2**63), 2**63 - 1


def fitted(rows, kinds=None, seconds=60.0):
    return TableModel.fit(np.asarray(rows), max_seconds=seconds, random_state=0, kinds=kinds)


def reloaded(model):
    options, tensors = model.to_state()
    assert all(t.dtype == np.uint8 for t in tensors.values())
    return TableModel.from_state(json.loads(json.dumps(options)), tensors)


def tables():
    rng = np.random.default_rng(0)
    n = 700
    time_series = np.cumsum(rng.integers(-3, 4, (n, 3)), axis=0)
    log = np.sort(rng.integers(0, 40, n))
    return {
        "letters": rng.integers(0, 16, (n, 4)),
        "series": time_series,
        "linear": np.c_[time_series, time_series @ [1, -2, 3]],
        "constant": np.full((n, 3), 7),
        "one column": rng.normal(0, 1000, (n, 1)).astype(np.int64),
        "one category": np.zeros((n, 1), dtype=np.int64),
        "log": np.c_[log, rng.permutation(n), rng.integers(1, 11, n), 10**9 + 10**4 * log + rng.integers(0, 900, n)],
        "spiky": np.where(rng.random((n, 6)) < 0.7, 0, rng.integers(1, 2000, (n, 1))),
        "doubled": rng.integers(0, 9, (90, 12))[rng.integers(0, 90, n)],
        "huge": rng.integers(LOW, HIGH, (n, 2)),
        "extremes": rng.choice([LOW, LOW + 1, -1, 0, 1, HIGH - 1, HIGH], (n, 3)),
        "five rows": rng.integers(-9, 9, (5, 4)),
        "one row": rng.integers(-9, 9, (1, 4)),
    }


@pytest.mark.parametrize("name", tables())
def test_every_row_comes_back(name):
    rows = tables()[name]
    model = fitted(rows)
    other = reloaded(model)
    data = model.encode(rows)
    assert other.encode(rows) == data
    assert (other.decode(data, len(rows)) == rows).all()


@pytest.mark.parametrize("name", ["letters", "series", "log", "spiky", "doubled", "linear"])
def test_rows_unlike_the_training_rows_come_back(name):
    model = fitted(tables()[name])
    n_columns = len(model.columns)
    rng = np.random.default_rng(1)
    for rows in (
        rng.integers(LOW, HIGH, (300, n_columns)),
        rng.choice([LOW, HIGH, 0, 1], (300, n_columns)),
        rng.integers(-5, 5, (1, n_columns)),
        np.zeros((0, n_columns), dtype=np.int64),
        np.full((513, n_columns), HIGH),
        tables()[name][::-1],
    ):
        assert (model.decode(model.encode(rows), len(rows)) == rows).all()


def test_unseen_categories_come_back():
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 300, (800, 3)) // [[1, 40, 300]]
    model = fitted(rows, kinds=["category"] * 3)
    other = rng.integers(0, 5000, (200, 3))
    assert (model.decode(model.encode(other), 200) == other).all()


def test_wide_tables_are_quick():
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(60, 4))
    rows = np.rint(40 * hidden @ rng.normal(size=(4, 500)) + rng.normal(size=(60, 500))).astype(np.int64)
    start = time.monotonic()
    model = fitted(rows, seconds=3.0)
    assert time.monotonic() - start < 30
    assert (model.decode(model.encode(rows), 60) == rows).all()


def structured():
    """Rows with a structure of each kind: those of the fit, those to code, and the most bits a value may take."""
    rng = np.random.default_rng(0)
    first = rng.integers(-50, 50, (2000, 2))
    linear = np.c_[first, first @ [3, -2] + 5]
    repeated = rng.integers(0, 16, (150, 16))[rng.integers(0, 150, 2000)]
    packed = lzma.compress(repeated.astype(np.uint8).tobytes(), preset=9)
    waves = np.rint(500 * np.sin(np.arange(4000)[:, None] / [300, 170]) + rng.normal(0, 1, (4000, 2))).astype(np.int64)
    independent = np.minimum(rng.geometric(0.5, (4000, 3)), 20)
    return {
        "linear": (linear, linear, (2 * np.log2(100) + 0.6) / 3),
        "repeated rows": (repeated, repeated, 0.9 * 8 * len(packed) / repeated.size),
        "neighbours": (waves[:2000], waves[2000:], 2.8),  # noise of 1 alone has 2.05 bits
        "held out": (independent[:2000], independent[2000:], 2.1),  # the entropy is 2
    }


@pytest.mark.parametrize("name", structured())
def test_structure_makes_rows_short(name):
    train, test, most = structured()[name]
    assert len(fitted(train).encode(test)) * 8 / test.size < most


def test_rows_after_those_of_the_fit_cost_no_more():
    """A clock, a counter and a law go on beyond the values that were seen; no time to learn is enough."""
    steps = np.arange(4000)
    rows = np.c_[steps, steps % 7, 3 * steps + np.random.default_rng(0).integers(0, 5, 4000)]
    model = fitted(rows[:2000])
    assert len(model.encode(rows[2000:])) < 1.1 * len(model.encode(rows[:2000]))
    hasty = fitted(rows[:2000], seconds=0.0)
    assert (hasty.decode(hasty.encode(rows), 4000) == rows).all()


def test_damaged_bytes_end_quickly():
    rows = tables()["log"]
    model = fitted(rows)
    data = bytearray(model.encode(rows))
    rng = np.random.default_rng(0)
    start = time.monotonic()
    for _ in range(60):
        bad = bytearray(data)
        bad[rng.integers(len(bad))] ^= 1 << rng.integers(8)
        bad = bad[: rng.integers(0, len(bad) + 1) // 4 * 4] if rng.random() < 0.5 else bad
        try:
            assert model.decode(bytes(bad), len(rows)).shape == rows.shape
        except (ValueError, AssertionError, IndexError, OverflowError):
            continue
    assert time.monotonic() - start < 60


def test_damaged_models_are_refused():
    model = fitted(tables()["log"])
    options, tensors = model.to_state()
    cut = {"columns": tensors["columns"][: len(tensors["columns"]) // 2]}
    with pytest.raises(ValueError, match="table model"):
        TableModel.from_state(options, cut)


def test_tables_of_logarithms_are_exact():
    whole = np.r_[1:70000, 2**40, 2**52 - 1]
    assert np.abs(logarithm(whole) / 256 - np.log2(whole)).max() < 0.003
    assert np.abs(POWER[:2048] / 2.0 ** (16 - np.arange(2048) / 256) - 1).max() < 0.004
    assert POWER[0] == 65535 or POWER[0] == 65536
    sizes = bit_length(np.array([0, 1, 2, 3, 4, 2**32 - 1, 2**32, 2**63, 2**64 - 1], dtype=np.uint64))
    assert sizes.tolist() == [0, 1, 2, 2, 3, 32, 33, 64, 64]
    assert signed_class(np.array([-9, -1, 0, 1, 9]), 0, 3).tolist() == [0, 2, 3, 4, 6]


BINS = [("listed", (0,)), ("listed", (-7, 3, 9)), ("range", (-3, 12)), ("scaled", (1,)), ("scaled", (1 << 40,))]
BINS += [("scaled", (37,)), ("doubling", (2, 58)), ("doubling", (100, 20))]


@pytest.mark.parametrize(("kind", "numbers"), BINS)
def test_bins_name_any_number(kind, numbers):
    bins = Bins(kind, numbers)
    assert (np.diff(bins.edges) > 0).all()
    rng = np.random.default_rng(0)
    values = np.r_[
        rng.integers(LOW, HIGH, 500), rng.integers(-99, 99, 500), rng.integers(-(2**40), 2**40, 500), LOW, HIGH
    ]
    symbols = bins.symbols(values)
    assert (symbols == np.searchsorted(bins.edges, values, side="right")).all()
    writer = Writer()
    bins.code_inside(writer, symbols, values)
    assert (bins.code_inside(Reader(writer.finish()), symbols, None) == values).all()


def test_any_positive_number_can_be_written():
    values = np.array([0, 1, 2, 2**24, 2**63, 2**64 - 1], dtype=np.uint64)
    writer = Writer()
    code_positive(writer, len(values), values)
    assert (code_positive(Reader(writer.finish()), len(values), None) == values).all()


@pytest.mark.parametrize("n", [0, 1, 2, 3, 511, 512, 513, 2000])
def test_walks_take_every_row_once_and_look_at_known_ones(n):
    for between in (False, True):
        known = np.zeros(n, dtype=bool)
        for step in coding_order(n, hierarchical=between):
            if step.spacing:
                for other in (step.left, step.right):
                    assert known[other].all()
            assert not known[step.rows].any()
            known[step.rows] = True
        assert known.all()
