"""What a detector found in rows: scores, which rows are flagged, the columns to blame; shown, or written as a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from narrows.cli.show import note, print_rows, print_table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np

    from narrows.cli.files import Data

__all__ = ["Findings", "Rule", "find", "record_of", "show", "write"]

SHOWN = 10
"""Of the strangest rows so many are told of."""

BLAMED = 3
"""Columns to blame that are named of a row."""

LEAST_SHARE = 0.1
"""What a column must have of all that is strange about a row to be shown beside the first."""

BLOCK_ROWS = 1 << 14


class Rule(Protocol):
    """Which rows are flagged."""

    def flags(self, detector: Any, scores: np.ndarray, p_values: np.ndarray) -> np.ndarray:
        """Say of each row whether it is an anomaly."""

    def in_words(self, detector: Any) -> str:
        """Say by what rows are flagged."""

    def doubt(self, detector: Any, flags: np.ndarray) -> str | None:
        """Say why this may find less than there is, if it may."""


@dataclass(frozen=True)
class Findings:
    """What a detector found in rows.

    Attributes
    ----------
    detector : AnomalyDetector
        Fitted.
    data : Data
        The rows.
    scores, p_values : ndarray of float64, shape (n,)
        Of all rows.
    flags : ndarray of bool, shape (n,)
        Which are anomalies.
    rule : str
        By what they are flagged.
    blamed : ndarray of int, shape (n, 3)
        Numbers of the columns to blame, -1 for none and for rows that are not explained.
    strangest : list of dict
        What is to be told of the strangest rows.
    """

    detector: Any
    data: Data
    scores: np.ndarray
    p_values: np.ndarray
    flags: np.ndarray
    rule: str
    blamed: np.ndarray
    strangest: list[dict[str, Any]]


def find(detector: Any, data: Data, rule: Rule, *, explain_all: bool, explain_flagged: bool) -> Findings:
    """Look at rows; a file is read once for the scores, and once more for the rows that are explained.

    Parameters
    ----------
    detector : AnomalyDetector
        Fitted.
    data : Data
        The rows.
    rule : Rule
        Which are flagged.
    explain_all, explain_flagged : bool
        Whether all rows are explained, or those that are flagged, beside the strangest.
    """
    import numpy as np

    from narrows.anomaly.thresholds import conformal_p_values
    from narrows.cli.mistakes import mistakes_of, warnings_as_lines

    with mistakes_of(data.columns), warnings_as_lines():
        scores = detector.anomaly_score(data.rows)
    p_values = conformal_p_values(scores, detector._calibration)
    flags = rule.flags(detector, scores, p_values)
    doubt = rule.doubt(detector, flags)
    if doubt is not None:
        note(f"Note: {doubt}.")
    strangest = np.argsort(-scores, kind="stable")[:SHOWN]
    wanted = flags.copy() if explain_flagged else np.zeros(len(scores), dtype=bool)
    wanted[strangest] = True
    wanted |= explain_all
    blamed, told = _explained(detector, data, len(scores), np.flatnonzero(wanted), strangest)
    listed = []
    for row in strangest.tolist():
        file = {} if data.names is None else {"file": data.names[row]}
        numbers = {"score": float(scores[row]), "p_value": float(p_values[row]), "anomaly": bool(flags[row])}
        listed.append({"row": row, **file, **numbers, "columns": told.get(row, [])})
    return Findings(detector, data, scores, p_values, flags, rule.in_words(detector), blamed, listed)


def _explained(
    detector: Any, data: Data, n_rows: int, index: np.ndarray, strangest: np.ndarray
) -> tuple[np.ndarray, dict[int, list[dict[str, Any]]]]:
    """Return the columns to blame for the rows with these numbers, and all that is said of the strangest of them."""
    import numpy as np

    from narrows.cli.mistakes import mistakes_of, warnings_as_lines
    from narrows.cli.mixed import has_pandas, picked

    names = column_names(detector)
    blamed = np.full((n_rows, BLAMED), -1, dtype=np.int32)
    told: dict[int, list[dict[str, Any]]] = {}
    if not has_pandas():
        note('Note: the columns to blame are not named, for which pandas is needed: pip install "narrows[frames]".')
        return blamed, told
    number = {name: place for place, name in enumerate(names)}
    width = min(BLAMED, len(names))
    chosen = set(strangest.tolist())
    with mistakes_of(data.columns), warnings_as_lines():
        for rows, values in picked(data.rows, index):
            frame = detector.explain(values, top=width)
            places = np.array([number[name] for name in frame["column"]], dtype=np.int32)
            # Of a missing value nothing is strange.
            places[frame["share"].to_numpy() <= 0] = -1
            blamed[rows, :width] = places.reshape(-1, width)
            parts = frame.drop(columns="row").to_dict("records")
            for place, row in enumerate(rows.tolist()):
                if row in chosen:
                    told[row] = [part for part in parts[place * width : (place + 1) * width] if part["share"] > 0]
    return blamed, told


def column_names(detector: Any) -> list[str]:
    """Return what a detector calls its columns."""
    names = getattr(detector, "feature_names_in_", None)
    return [f"x{k}" for k in range(detector.n_features_in_)] if names is None else [str(name) for name in names]


def record_of(found: Findings) -> dict[str, Any]:
    """Return what is to be said of findings, for machines."""
    return {
        "rows": len(found.scores),
        "anomalies": int(found.flags.sum()),
        "rule": found.rule,
        "threshold": -found.detector.offset_,
        "contamination": found.detector.contamination,
        "n_calibration": len(found.detector._calibration),
        "strangest": found.strangest,
    }


def show(found: Findings, written: dict[str, Path]) -> None:
    """Print what was found; beside a file that has it all, how much that is."""
    flagged, n_rows = int(found.flags.sum()), len(found.scores)
    print_rows(
        [
            ("rows", f"{n_rows:,}"),
            ("anomalies", f"{flagged:,} ({flagged / n_rows:.2%})"),
            ("flagged by", found.rule),
            *written.items(),
        ]
    )
    if "file" in written:
        return
    lines = [line for entry in found.strangest for line in _lines(entry)]
    head = ["row", "score", "p-value", "anomaly", "column", "seen", "expected", "blame"]
    print_table(head, lines, title="strangest rows (the first is 0), and what is strange there")


def _lines(entry: dict[str, Any]) -> Iterator[list[str]]:
    """Yield the lines of a table about a row: one for each column to blame."""
    row = f"{entry['row']:,}" + (f" ({entry['file']})" if "file" in entry else "")
    first = [row, f"{entry['score']:.3g}", f"{entry['p_value']:.2g}", "yes" if entry["anomaly"] else "no"]
    shown = [part for part in entry["columns"] if part["share"] >= LEAST_SHARE] or entry["columns"][:1]
    if not shown:
        yield [*first, "", "", "", ""]
    for place, part in enumerate(shown):
        values = [_value(part["seen"]), _value(part["expected"]), f"{part['share']:.0%}"]
        yield [*(first if place == 0 else [""] * len(first)), part["column"], *values]


def _value(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def write(out: Path, found: Findings) -> None:
    """Write a line for each row, a block at a time.

    Parameters
    ----------
    out : Path
        A .csv, .tsv or .parquet file: the row's number, in a folder of images its file, score, p-value, whether it is
        an anomaly, and the columns to blame.
    found : Findings
        What was found.
    """
    from narrows.io.atomic import atomic_write
    from narrows.tables.formats import format_of

    kind = format_of(out)
    with atomic_write(out) as temporary:
        if kind == "parquet":
            _write_parquet(temporary, found)
        else:
            _write_text(temporary, found, "," if kind == "csv" else "\t")


def _blocks(found: Findings) -> Iterator[dict[str, list[Any]]]:
    """Yield the table's columns, some rows at a time."""
    names = [*column_names(found.detector), None]
    for start in range(0, len(found.scores), BLOCK_ROWS):
        some = slice(start, start + BLOCK_ROWS)
        block: dict[str, list[Any]] = {"row": list(range(start, min(start + BLOCK_ROWS, len(found.scores))))}
        if found.data.names is not None:
            block["file"] = found.data.names[some]
        block |= {"score": found.scores[some].tolist(), "p_value": found.p_values[some].tolist()}
        block["anomaly"] = found.flags[some].tolist()
        for place in range(BLAMED):
            # -1 is the last of the names: none.
            block[f"column_{place + 1}"] = [names[number] for number in found.blamed[some, place].tolist()]
        yield block


def _write_text(temporary: Path, found: Findings, delimiter: str) -> None:
    import csv

    with temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, delimiter=delimiter, lineterminator="\n")
        for number, block in enumerate(_blocks(found)):
            if number == 0:
                writer.writerow(block)
            block["anomaly"] = ["true" if flag else "false" for flag in block["anomaly"]]
            writer.writerows(zip(*block.values(), strict=True))


def _write_parquet(temporary: Path, found: Findings) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {"row": pa.int64(), "score": pa.float64(), "p_value": pa.float64(), "anomaly": pa.bool_()}
    writer = None
    try:
        for block in _blocks(found):
            schema = pa.schema([pa.field(n, kinds.get(n, pa.string()), nullable=n not in kinds) for n in block])
            writer = writer or pq.ParquetWriter(temporary, schema)
            writer.write_table(pa.table(block, schema=schema))
    finally:
        if writer is not None:
            writer.close()
