"""What a detector found in rows: scores, flags and the attribution to columns; shown, or written as a table."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from narrows.cli.apply import carried
from narrows.cli.files import Data
from narrows.cli.printing import note, print_record
from narrows.data.inputs import picked_rows
from narrows.data.output import write_table

SHOWN = 10
"""Of the most anomalous rows so many are told of."""

ATTRIBUTED = 3
"""Columns of the attribution that are named of a row."""

LEAST_FRACTION = 0.1
"""What a column must have of all that is anomalous about a row to be shown beside the first."""

EXPLAINED_ROWS = 1024
"""Rows that are explained at once."""


@dataclass(frozen=True)
class Findings:
    """What a detector found: scores, p-values and flags of all rows, by what rule, and the attribution.

    ``attributed`` has numbers of columns, -1 for none and for rows that are not explained; ``most_anomalous`` is what
    is to be told of a few rows.
    """

    detector: Any
    data: Data
    scores: np.ndarray
    p_values: np.ndarray
    flags: np.ndarray
    rule: str
    attributed: np.ndarray
    most_anomalous: list[dict[str, Any]]


def find(detector: Any, data: Data, rule: Any, *, explain_all: bool, explain_flagged: bool) -> Findings:
    """Look at rows; a file is read once for the scores, and once more for the rows that are explained.

    ``rule`` says which rows are flagged, in words too, and why there may be more than it finds.
    """
    from narrows.anomaly.scorer import conformal_p_values

    scores = detector.anomaly_score(data.rows)
    p_values = conformal_p_values(scores, detector.calibration_scores_)
    flags = rule.flags(detector, scores, p_values)
    doubt = rule.doubt(detector, flags)
    if doubt is not None:
        note(f"Note: {doubt}.")
    first = np.argsort(-scores, kind="stable")[:SHOWN]
    wanted = (flags & explain_flagged) | explain_all
    wanted[first] = True
    attributed, told = _attributed(detector, data, len(scores), np.flatnonzero(wanted), set(first.tolist()))
    listed = []
    for row in first.tolist():
        file = {} if data.names is None else {"file": data.names[row]}
        numbers = {"score": float(scores[row]), "p_value": float(p_values[row]), "anomaly": bool(flags[row])}
        listed.append({"row": row, **file, **numbers, "columns": told.get(row, [])})
    return Findings(detector, data, scores, p_values, flags, rule.describe(detector), attributed, listed)


def _attributed(
    detector: Any, data: Data, n_rows: int, index: np.ndarray, first: set[int]
) -> tuple[np.ndarray, dict[int, list[dict[str, Any]]]]:
    """Return the attribution of the rows with these numbers, and all that is said of the first."""
    names = column_names(detector)
    attributed = np.full((n_rows, ATTRIBUTED), -1, dtype=np.int32)
    told: dict[int, list[dict[str, Any]]] = {}
    if not has_pandas():
        note('Note: no attribution to columns, for which pandas is needed: pip install "narrows[frames]".')
        return attributed, told
    number = {name: place for place, name in enumerate(names)}
    width = min(ATTRIBUTED, len(names))
    for rows, values in picked_rows(data.rows, index, EXPLAINED_ROWS):
        frame = detector.explain(values, top=width)
        places = np.array([number[name] for name in frame["column"]], dtype=np.int32)
        # Of a missing value nothing is anomalous.
        places[frame["attribution"].to_numpy() <= 0] = -1
        attributed[rows, :width] = places.reshape(-1, width)
        parts = frame.drop(columns="row").to_dict("records")
        for place, row in enumerate(rows.tolist()):
            if row in first:
                told[row] = [part for part in parts[place * width : (place + 1) * width] if part["attribution"] > 0]
    return attributed, told


def has_pandas() -> bool:
    """Say whether pandas is installed."""
    try:
        return find_spec("pandas") is not None
    except ValueError:
        return False


def column_names(detector: Any) -> list[str]:
    """Return what a detector calls its columns."""
    names = getattr(detector, "feature_names_in_", None)
    return [f"x{k}" for k in range(detector.n_features_in_)] if names is None else [str(name) for name in names]


def show(found: Findings, written: dict[str, Path], *, as_json: bool) -> None:
    """Print what was found; beside a file that has it all, how much that is."""
    record = {
        "rows": len(found.scores),
        "anomalies": int(found.flags.sum()),
        "rule": found.rule,
        "threshold": -found.detector.offset_,
        "contamination": found.detector.contamination,
        "n_calibration": len(found.detector.calibration_scores_),
        "most_anomalous": found.most_anomalous,
    }
    if not as_json:
        told = [entry | {"columns": _describe_columns(entry["columns"])} for entry in found.most_anomalous]
        record["most_anomalous"] = [] if "file" in written else told
    print_record(record | written, as_json=as_json)


def _describe_columns(columns: list[dict[str, Any]]) -> str:
    """Name the columns that matter, with what was seen and expected there."""
    shown = [part for part in columns if part["attribution"] >= LEAST_FRACTION] or columns[:1]
    said = [f"{p['column']}: {_value(p['seen'])} (expected {_value(p['expected'])})" for p in shown]
    return ", ".join(said)


def _value(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def write(out: Path, found: Findings) -> None:
    """Write a line for each row: its number, what names it, in a folder of images its file, and what was found."""
    n_rows = len(found.scores)
    columns: dict[str, Any] = {"row": np.arange(n_rows)}
    beside = carried(found.data, found.detector)
    if beside is not None:
        columns |= {name: beside.column(name) for name in beside.column_names if name not in _OWN}
    if found.data.names is not None:
        columns["file"] = found.data.names
    columns |= {"score": found.scores, "p_value": found.p_values, "anomaly": found.flags}
    names = pa.array(column_names(found.detector))
    for place in range(ATTRIBUTED):
        numbers = found.attributed[:, place]
        columns[f"column_{place + 1}"] = names.take(pa.array(numbers, mask=numbers < 0))
    write_table(out, pa.table(columns))


_OWN = ("row", "file", "score", "p_value", "anomaly", *(f"column_{place + 1}" for place in range(ATTRIBUTED)))
