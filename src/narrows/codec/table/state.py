"""Column models as bytes, and back: whole numbers and lists of them, each checked before anything is built of it."""

import itertools
from typing import Any

import numpy as np

from narrows.codec.container.format import Cursor, varint
from narrows.codec.table.bins import BIN_KINDS, Bins
from narrows.codec.table.block import N_FLAGS, N_RECENT
from narrows.codec.table.column import KINDS, OF_COLUMNS, RANKED, RESIDUAL, VALUE, ColumnModel, Context, Feature
from narrows.codec.table.prediction import SAFE, Linear, Midpoint
from narrows.errors import CodecFileError

__all__ = ["models_from_bytes", "models_to_bytes"]

_MOST_CELLS = 1 << 20
_DEEPEST = 8


def models_to_bytes(models: list[ColumnModel]) -> np.ndarray:
    """Return all columns as bytes: signed numbers of variable length, which the codec's file packs."""
    return np.frombuffer(b"".join(_written(_numbers(model)) for model in models), dtype=np.uint8).copy()


def models_from_bytes(packed: np.ndarray, n_columns: int) -> list[ColumnModel]:
    """Return the columns that `models_to_bytes` made bytes of; a ValueError if they could not have been fitted."""
    cursor = Cursor(packed.tobytes())
    made: list[ColumnModel] = []
    try:
        for _ in range(n_columns):
            made.append(_column(_read(cursor), len(made)))
    except (CodecFileError, IndexError, TypeError, OverflowError, RuntimeError) as error:
        raise ValueError("the table model's columns cannot be read") from error
    if cursor.left:
        raise ValueError("the table model holds more than its columns")
    return made


def _steps(numbers: tuple[int, ...]) -> list[int]:
    """Return the first number and the differences of the others, which are small."""
    return [b - a for a, b in zip((0, *numbers), numbers, strict=False)]


def _sums(steps: list[int]) -> tuple[int, ...]:
    return tuple(itertools.accumulate(steps))


def _numbers(model: ColumnModel) -> list[Any]:
    p = model.predictor
    predictor: list[Any] = []
    if p is not None:
        predictor = (
            [_steps(p.columns), list(p.factors), p.intercept, p.low, p.high]
            if isinstance(p, Linear)
            else [p.default, p.group_key]
        )
    contexts = [
        [c.mixing_weight, *([KINDS.index(f.kind), f.column, f.n_cells, _steps(f.edges)] for f in c.features)]
        for c in model.contexts
    ]
    bins = [BIN_KINDS.index(model.bins.kind), *_steps(model.bins.numbers)]
    flags = [[int(v) for v in part] for part in (model.start, model.repeats, model.dictionary)]
    recent = [int(model.copies), *([] if model.usual is None else [model.usual])]
    return [int(model.hierarchical), model.relation, recent, bins, *flags, predictor, contexts]


def _written(item: Any) -> bytes:
    """Write a number, or a list of items after its length: the lowest bit tells which."""
    if isinstance(item, list):
        return varint(len(item) << 1 | 1) + b"".join(map(_written, item))
    return varint((item << 1 if item >= 0 else (-item << 1) - 1) << 1)


def _read(cursor: Cursor, depth: int = 0) -> Any:
    whole = cursor.number((1 << 70) - 1)
    if not whole & 1:
        return whole >> 2 if not whole & 2 else -((whole >> 2) + 1)
    if depth > _DEEPEST:
        raise ValueError("the table model is a list within too many lists")
    return [_read(cursor, depth + 1) for _ in range(whole >> 1)]


def _column(record: list[Any], column: int) -> ColumnModel:
    """Build the model of a column, which may look at those before it."""
    hierarchical, relation, recent, bins, *flags, predictor, contexts = record
    start, repeats, dictionary = (np.array(part, dtype=np.uint8) for part in flags)
    model = ColumnModel(
        column,
        bool(hierarchical),
        Bins(BIN_KINDS[_below(bins[0], len(BIN_KINDS))], _sums(bins[1:])),
        relation,
        _predictor(predictor, column) if predictor else None,
        tuple(Context(tuple(_feature(f, column) for f in features), weight) for weight, *features in contexts),
        start,
        repeats,
        dictionary,
        recent[1] if len(recent) > 1 else None,
        bool(recent[0]),
    )
    keyed = model.predictor is not None and model.predictor.group_key >= 0
    good = all(-(2**63) <= value < 2**63 for value in recent)
    good = good and relation in (VALUE, RESIDUAL, RANKED)
    good = good and (relation == VALUE or model.predictor is not None) and (relation != RANKED or keyed)
    good = good and len(start) in (0, model.n_symbols) and {len(repeats), len(dictionary)} <= {0, 2 * N_FLAGS}
    good = good and not (len(repeats) and (hierarchical or relation == RANKED))
    good = good and not (len(dictionary) and not (hierarchical and keyed and relation != RANKED))
    good = good and (model.predictor is None or isinstance(model.predictor, Midpoint) == model.hierarchical)
    for context in model.contexts:
        good = good and 0 < len(context.features) < 3 and 0 < context.mixing_weight <= 64
        good = good and context.n_cells * model.n_symbols <= _MOST_CELLS
        good = good and (relation == RANKED or all(f.kind != "span" for f in context.features))
    if not good:
        raise ValueError(f"the table model's column {column} cannot be")
    return model


def _below(number: int, limit: int) -> int:
    if not 0 <= number < limit:
        raise ValueError("the table model names something that is not there")
    return number


def _predictor(record: list[Any], column: int) -> Linear | Midpoint:
    if len(record) == 2:
        default, key = record
        _below(key + 1, column + 1), _below(default + SAFE, 2 * SAFE)
        return Midpoint(default, key)
    steps, factors, intercept, low, high = record
    columns = _sums(steps)
    good = all(0 <= i < column for i in columns) and 0 < len(factors) == len(columns) <= 32
    good = good and -SAFE <= low <= high <= SAFE and abs(intercept) <= 1 << 53
    if not good or max(map(abs, factors)) > 1 << 22:
        raise ValueError(f"the table model's prediction of column {column} cannot be")
    return Linear(columns, tuple(factors), intercept, low, high)


def _feature(record: list[Any], column: int) -> Feature:
    kind, source, n_cells, steps = record
    name, edges = KINDS[_below(kind, len(KINDS))], _sums(steps)
    _below(source, column if name in OF_COLUMNS else 1)
    good = len(edges) == (n_cells - 1 if name in ("value", "predicted") else 0 if name in ("symbol", "copies") else 1)
    good = good and all(a < b for a, b in itertools.pairwise(edges)) and 0 < n_cells <= _MOST_CELLS
    good = good and all(-(2**63) <= edge < 2**63 for edge in edges)
    good = good and (name not in ("gap", "span") or abs(edges[0]) <= 64)
    good = good and (name != "gap" or n_cells % 2 == 1) and (name != "span" or n_cells > 4)
    good = good and (name != "copies" or n_cells == N_RECENT + 1)
    if not good:
        raise ValueError(f"the table model looks at something that cannot be, for column {column}")
    return Feature(name, source, edges, n_cells)
