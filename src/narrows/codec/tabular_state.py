"""Column models as a stream of whole numbers, and back."""

from __future__ import annotations

import numpy as np

from narrows.codec.packing import varint
from narrows.codec.tabular_bins import BIN_KINDS, Bins
from narrows.codec.tabular_column import ColumnModel, shifted
from narrows.codec.tabular_contexts import KINDS, Context, Feature, Forecast

__all__ = ["pack", "unpack"]

_COPIES = ("", "recent")


def _steps(numbers: list[int]) -> list[int]:
    """Return the first number and the differences of the others."""
    return [b - a for a, b in zip([0, *numbers], numbers, strict=False)]


def _sums(steps: list[int]) -> list[int]:
    found, total = [], 0
    for step in steps:
        total += step
        found.append(total)
    return found


def _column_numbers(model: ColumnModel) -> list[int]:
    if model.parent >= 0 and model.copied:
        return [0, model.column, model.parent]
    out = [
        1,
        model.parent + 1,
        model.column,
        int(model.between),
        model.relation,
        _COPIES.index(model.copies),
        model.inertia,
    ]
    out += [0] if model.usual is None else [1, model.usual]
    out += [
        BIN_KINDS.index(model.bins.kind),
        len(model.bins.numbers),
        *_steps(list(model.bins.numbers)),
        len(model.start),
        *(int(c) for c in model.start),
    ]
    out += [len(model.repeats), *(int(c) for c in model.repeats)]
    out += [len(model.census), *(int(c) for c in model.census), model.census_guard]
    plan = model.forecast
    if plan is None:
        out.append(0)
    else:
        out += [1, len(plan.columns), *_steps(list(plan.columns)), len(plan.factors), *plan.factors]
        out += [plan.intercept, plan.guard, plan.low, plan.high]
    out.append(len(model.contexts))
    for context in model.contexts:
        out += [context.strength, len(context.features)]
        for feature in context.features:
            out += [KINDS.index(feature.kind), feature.column, feature.n_cells, len(feature.edges)]
            out += _steps(list(feature.edges))
    return out


class _Stream:
    """Whole numbers, taken one after another."""

    def __init__(self, numbers: list[int]) -> None:
        self.numbers, self.at = numbers, 0

    def one(self) -> int:
        value = self.numbers[self.at]
        self.at += 1
        return value

    def some(self) -> list[int]:
        n = self.one()
        if not 0 <= n <= len(self.numbers) - self.at:
            raise ValueError("a list in the table model is longer than the model")
        self.at += n
        return self.numbers[self.at - n : self.at]


def _column(stream: _Stream, made: dict[int, ColumnModel]) -> ColumnModel:
    if not stream.one():
        column, parent = stream.one(), stream.one()
        return shifted(made[parent], column)
    parent, column, between, relation, copies, inertia = (stream.one() for _ in range(6))
    usual = None
    if stream.one():
        usual = stream.one()
    kind = BIN_KINDS[stream.one()]
    bins = Bins(kind, tuple(_sums(stream.some())))
    start = np.array(stream.some(), dtype=np.uint8)
    repeats = np.array(stream.some(), dtype=np.uint8)
    census, census_guard = np.array(stream.some(), dtype=np.uint8), stream.one()
    plan = None
    if stream.one():
        columns, factors = tuple(_sums(stream.some())), tuple(stream.some())
        plan = Forecast(columns, factors, *(stream.one() for _ in range(4)))
    contexts = []
    for _ in range(stream.one()):
        strength, n_features = stream.one(), stream.one()
        features = []
        for _ in range(n_features):
            kind, source, n_cells = KINDS[stream.one()], stream.one(), stream.one()
            features.append(Feature(kind, source, tuple(_sums(stream.some())), n_cells))
        contexts.append(Context(tuple(features), strength))
    return ColumnModel(
        column,
        bool(between),
        bins,
        relation,
        plan,
        contexts,
        start,
        _COPIES[copies],
        repeats,
        census,
        census_guard,
        usual,
        inertia,
        parent - 1,
    )


def pack(models: list[ColumnModel]) -> np.ndarray:
    """Return all columns as bytes: signed numbers of variable length, which the codec's file packs."""
    numbers = (n for model in models for n in _column_numbers(model))
    out = b"".join(varint(n << 1 if n >= 0 else (-n << 1) - 1) for n in numbers)
    return np.frombuffer(out, dtype=np.uint8).copy()


def unpack(packed: np.ndarray, n_columns: int) -> list[ColumnModel]:
    """Return the columns that `pack` made bytes of."""
    numbers, whole, shift = [], 0, 0
    for byte in packed.tobytes():
        whole |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            numbers.append((whole >> 1) if not whole & 1 else -((whole + 1) >> 1))
            whole = shift = 0
    stream = _Stream(numbers)
    made: dict[int, ColumnModel] = {}
    try:
        for _ in range(n_columns):
            model = _column(stream, made)
            made[model.column] = model
    except (IndexError, KeyError) as error:
        raise ValueError("the table model's columns end too early") from error
    return list(made.values())
