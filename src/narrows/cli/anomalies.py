"""``narrows anomalies``: which rows of DATA are anomalies, and what is wrong there."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from narrows.cli import files
from narrows.cli.anomaly_output import Findings, find, show, write
from narrows.cli.describe import describe_threshold
from narrows.cli.errors import CommandError
from narrows.cli.files import Data
from narrows.cli.flags import construct, parse, refuse_beside_model, refuse_together


def anomalies(
    data: str,
    model: Path | None,
    train: str | None,
    fdr: float | None,
    rate: float | None,
    top: int | None,
    out: Path | None,
    report: Path | None,
    save: Path | None,
    device: str,
    *,
    explain_all: bool,
    reading: dict[str, Any],
    as_json: bool,
    **given: Any,
) -> None:
    """Fit or load a detector, and print or write what it finds; ``given`` are parameters of the detector."""
    rule = _rule({"fdr": fdr, "rate": rate, "top": top})
    options = parse("detector", given)
    if model is not None:
        asked = {"--train": train, "--kinds": reading.get("kinds"), "--save": save}
        asked |= {"--" + name.replace("_", "-"): value for name, value in given.items()}
        refuse_beside_model(" a detector", asked)
    elif train is None:
        _refuse_of_own_rows(options, rule)
    if explain_all and out is None:
        raise CommandError("--explain-all says what stands in OUT: name that with -o.")
    _check_places(out, report, save, [files.file_of(data), None if train is None else files.file_of(train), model])
    if model is not None:
        otherwise = "finds no anomalies: fit a detector with narrows fit --model detector, or leave -m out"
        detector = files.load_model(model, device, "anomaly_score", otherwise)
        rows = files.read_for(detector, data, reading)
    else:
        detector, rows = _fitted(data, train, reading, options | {"device": device})
    found = find(detector, rows, rule, explain_all=explain_all, explain_flagged=out is not None)
    written: dict[str, Path] = {}
    if save is not None:
        detector.save(save)
        written["model"] = save
    if out is not None:
        write(out, found)
        written["file"] = out
    if report is not None:
        _write_report(report, data, found)
        written["report"] = report
    show(found, written, as_json=as_json)


@dataclass(frozen=True)
class _Rule:
    """Which rows are flagged: by ``name``, "fdr", "rate" or "top", or if that is empty by the detector's threshold."""

    name: str
    value: float

    def flags(self, detector: Any, scores: np.ndarray, p_values: np.ndarray) -> np.ndarray:
        """Say of each row whether it is an anomaly."""
        if self.name == "fdr":
            from narrows.anomaly.scorer import discoveries

            return discoveries(p_values, self.value)
        if self.name == "rate":
            return p_values <= self.value
        if self.name == "top":
            flags = np.zeros(len(scores), dtype=bool)
            flags[np.argsort(-scores, kind="stable")[: int(self.value)]] = True
            return flags
        # As predict does.
        return -scores - detector.offset_ < 0

    def describe(self, detector: Any) -> str:
        """Say by what rows are flagged."""
        kind = "normal rows" if detector.contamination is None else "the rows of the fit"
        if self.name == "fdr":
            return f"--fdr {self.value:g}: of the flagged rows about {100 * self.value:g}% at most are normal"
        if self.name == "rate":
            return f"--rate {self.value:g}: a score that at most {100 * self.value:g}% of {kind} reach"
        if self.name == "top":
            return f"--top {int(self.value)}: the most anomalous, whatever their scores"
        return describe_threshold(-detector.offset_, detector.contamination, detector.false_positive_rate)

    def doubt(self, detector: Any, flags: np.ndarray) -> str | None:
        """Say why this rule may find less than there is, if it may."""
        n_rows = len(detector.calibration_scores_)
        least = 1 / (n_rows + 1)
        if self.name == "fdr" and detector.contamination is not None:
            return "--fdr misses anomalies here: there were some among the rows of the fit, so p-values are too large"
        too_few = {"rate": self.value < least, "fdr": not flags.any() and least * len(flags) > self.value}
        if not too_few.get(self.name):
            return None
        return (
            f"by {n_rows:,} rows of the fit no p-value is below {least:.2g}, too much for --{self.name} "
            f"{self.value:g}: fit to more normal rows, or use --top"
        )


def _rule(given: dict[str, float | None]) -> _Rule:
    asked = {name: value for name, value in given.items() if value is not None}
    refuse_together([f"--{name}" for name in asked], "each is a rule of its own for which rows are flagged")
    for name, value in asked.items():
        if name != "top" and not 0 < value < 1:
            raise CommandError(f"--{name} must be a number above 0 and below 1, got {value:g}.")
        return _Rule(name, value)
    return _Rule("", 0.0)


def _refuse_of_own_rows(options: dict[str, Any], rule: _Rule) -> None:
    """Refuse what makes no sense where the anomalies are among the rows that are fitted to."""
    if "contamination" in options and options["contamination"] is None:
        raise CommandError("--contamination none says that rows are normal: give such rows with --train FILE.")
    if rule.name == "fdr":
        raise CommandError("--fdr compares with normal rows: give these with --train FILE, or use --rate or --top.")


def _check_places(out: Path | None, report: Path | None, save: Path | None, inputs: list[Path | None]) -> None:
    """Refuse what could not be written before the work, not after it."""
    files.check_table_place(out, *inputs, text=True)
    files.check_pages(report, None, *inputs)
    files.check_model_place(save, *inputs)
    places = [place.resolve() for place in (out, report, save) if place is not None]
    if len(set(places)) < len(places):
        raise CommandError("-o, --report and --save must be different files.")


def _fitted(data: str, train: str | None, reading: dict[str, Any], options: dict[str, Any]) -> tuple[Any, Data]:
    """Fit a detector, and return it and the rows to look at."""
    own: dict[str, Any] = {"random_state": 0, "contamination": "auto" if train is None else None}
    rows = files.read_data(data if train is None else train, reading)
    detector = construct("detector", own | options).fit(rows.rows)
    later = {name: value for name, value in reading.items() if name != "kinds"}
    return detector, rows if train is None else files.read_for(detector, data, later)


def _write_report(path: Path, data: str, found: Findings) -> None:
    from narrows.anomaly import write_anomaly_report

    rule = found.rule
    write_anomaly_report(
        path,
        found.detector,
        found.data.rows,
        scores=found.scores,
        p_values=found.p_values,
        flags=found.flags,
        title=f"Anomalies in {Path(data).name}",
        names=found.data.names,
        rule=rule[0].upper() + rule[1:] + "." if rule.startswith("--") else "",
    )
