"""``narrows anomalies``: which rows of DATA are unlike the others, or unlike ordinary ones, and what is wrong there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from narrows.cli.arguments import AsJson, Columns, DataArgument, Device  # noqa: TC001 - typer reads them at runtime
from narrows.cli.findings import Findings, find, record_of, show, write
from narrows.cli.flags import MODELS, value_of
from narrows.cli.show import print_json
from narrows.cli.signature import parameters
from narrows.cli.values import CommandError

if TYPE_CHECKING:
    import numpy as np

    from narrows.cli.files import Data

__all__ = ["anomalies"]

TABLES = (".csv", ".tsv", ".parquet", ".pq")


def anomalies(
    data: DataArgument,
    model: Annotated[
        Path | None, typer.Option("--model", "-m", metavar="MODEL", help="A fitted detector, to be used as it is.")
    ] = None,
    train: Annotated[
        str | None,
        typer.Option("--train", metavar="FILE", help="Ordinary rows to fit a detector to, which then looks at DATA."),
    ] = None,
    contamination: Annotated[
        str | None,
        typer.Option(
            "--contamination",
            metavar="SHARE|auto|none",
            help="The share of anomalies among the rows fitted to; auto: some, none: they are ordinary "
            "[default: auto, with --train none].",
            show_default=False,
        ),
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(
            "--method",
            metavar="auto|neighbors|ranks|reconstruction",
            help="What the score is made of; of several, with commas, it is the largest [default: auto].",
            show_default=False,
        ),
    ] = None,
    n_neighbors: Annotated[
        str | None,
        typer.Option(
            "--n-neighbors",
            metavar="INT|auto",
            help="With how many rows each is compared [default: auto].",
            show_default=False,
        ),
    ] = None,
    random_state: Annotated[
        int | None,
        typer.Option("--random-state", metavar="INT", min=0, help="Fixes the fit [default: 0].", show_default=False),
    ] = None,
    columns: Columns = None,
    fdr: Annotated[
        float | None,
        typer.Option(
            "--fdr",
            metavar="SHARE",
            help="Flag rows so that at most this share of them is expected to be ordinary; for a detector of ordinary "
            "rows.",
        ),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option("--rate", metavar="SHARE", help="Flag what this share of ordinary rows would reach: 0.01, say."),
    ] = None,
    top: Annotated[
        int | None, typer.Option("--top", metavar="N", min=1, help="Flag the N strangest rows, whatever they are.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="OUT", help="Write a line for each row: .csv, .tsv or .parquet; else a summary."
        ),
    ] = None,
    explain_all: Annotated[
        bool, typer.Option("--explain-all", help="In OUT name columns to blame also for rows that are not flagged.")
    ] = False,
    report: Annotated[
        Path | None, typer.Option("--report", metavar="PAGE.html", help="Write what was found as a page with pictures.")
    ] = None,
    save: Annotated[
        Path | None, typer.Option("--save", metavar="MODEL", help="Keep the fitted detector, for -m.")
    ] = None,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Find the rows of DATA that are unlike the others, and the columns to blame.

    Without -m and --train the detector is fitted to DATA itself, whose anomalies are among its rows. DATA may have
    columns of text and missing cells. Rows are flagged by the detector's own threshold, or as one of --fdr, --rate and
    --top says. Scores are in spreads of ordinary rows: about 0 for a typical one. A p-value is the share of the rows of
    the fit that are as strange.
    """
    from narrows.cli import files

    rule = _rule(fdr, rate, top)
    given = {"method": method, "contamination": contamination, "n_neighbors": n_neighbors, "random_state": random_state}
    options = _options({name: value for name, value in given.items() if value is not None})
    if model is not None:
        _refuse_beside_model(train, columns, save, options)
    elif train is None:
        _refuse_of_own_rows(options, rule)
    if explain_all and out is None:
        raise CommandError("--explain-all says what stands in OUT: name that with -o.")
    inputs = [files.file_of(data), None if train is None else files.file_of(train), model]
    _check_places(out, report, save, inputs)
    chosen = None if columns is None else [name.strip() for name in columns.split(",")]
    if model is not None:
        from narrows.cli.mixed import read_for_detector

        detector = _load(model, device)
        rows = read_for_detector(detector, data)
    else:
        detector, rows = _fitted(data, train, chosen, options | {"device": device})
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
    if as_json:
        print_json(record_of(found) | written)
    else:
        show(found, written)


@dataclass(frozen=True)
class _Rule:
    """Which rows are flagged: by ``name``, "fdr", "rate" or "top", or if that is empty by the detector's threshold."""

    name: str
    value: float

    def flags(self, detector: Any, scores: np.ndarray, p_values: np.ndarray) -> np.ndarray:
        """Say of each row whether it is an anomaly."""
        import numpy as np

        if self.name == "fdr":
            from narrows.anomaly.thresholds import benjamini_hochberg

            return benjamini_hochberg(p_values, self.value)
        if self.name == "rate":
            return p_values <= self.value
        if self.name == "top":
            flags = np.zeros(len(scores), dtype=bool)
            flags[np.argsort(-scores, kind="stable")[: int(self.value)]] = True
            return flags
        # As predict does.
        return -scores - detector.offset_ < 0

    def in_words(self, detector: Any) -> str:
        """Say by what rows are flagged."""
        from narrows.cli.summary import threshold_in_words

        kind = "ordinary rows" if detector.contamination is None else "the rows of the fit"
        if self.name == "fdr":
            return f"--fdr {self.value:g}: of the flagged rows about {100 * self.value:g}% at most are ordinary"
        if self.name == "rate":
            return f"--rate {self.value:g}: a score that at most {100 * self.value:g}% of {kind} reach"
        if self.name == "top":
            return f"--top {int(self.value)}: the strangest, whatever their scores"
        return threshold_in_words(-detector.offset_, detector.contamination, detector.false_positive_rate)

    def doubt(self, detector: Any, flags: np.ndarray) -> str | None:
        """Say why this rule may find less than there is, if it may."""
        least = 1 / (len(detector._calibration) + 1)
        if self.name == "rate" and self.value < least:
            return (
                f"--rate {self.value:g} flags nothing: by {len(detector._calibration):,} rows of the fit no p-value is "
                f"below {least:.2g}"
            )
        if self.name != "fdr":
            return None
        if detector.contamination is not None:
            return (
                "--fdr misses anomalies here, for the detector was fitted to rows with anomalies among them, which "
                "makes p-values too large"
            )
        needed = int(-(-least * len(flags) // self.value))
        if not flags.any() and needed > 1:
            return (
                f"by {len(detector._calibration):,} rows of the fit no p-value is below {least:.2g}, so --fdr "
                f"{self.value:g} finds anomalies among {len(flags):,} rows only where at least "
                f"{needed:,} are as strange as that: fit to more ordinary rows, or use --rate or --top"
            )
        return None


def _rule(fdr: float | None, rate: float | None, top: int | None) -> _Rule:
    asked = [(name, value) for name, value in (("fdr", fdr), ("rate", rate), ("top", top)) if value is not None]
    if len(asked) > 1:
        flags = " and ".join(f"--{name}" for name, _ in asked)
        raise CommandError(f"{flags} do not go together: each is a rule of its own for which rows are flagged.")
    if not asked:
        return _Rule("", 0.0)
    [(name, value)] = asked
    if name != "top" and not 0 < value < 1:
        raise CommandError(f"--{name} must be a number above 0 and below 1, got {value:g}.")
    return _Rule(name, value)


def _options(given: dict[str, Any]) -> dict[str, Any]:
    """Turn flags into what the constructor takes; of those that were given only."""
    own = {parameter.name: parameter for parameter in parameters(*MODELS["detector"])}
    return {name: value_of(own[name], value) if isinstance(value, str) else value for name, value in given.items()}


def _refuse_beside_model(train: str | None, columns: str | None, save: Path | None, options: dict[str, Any]) -> None:
    others = {"train": train, "columns": columns, "save": save, **options}
    asked = next((name for name in others if name in options or others[name] is not None), None)
    if asked is not None:
        flag = "--" + asked.replace("_", "-")
        raise CommandError(f"{flag} is for fitting a detector, and -m names one that is fitted: leave one of them out.")


def _refuse_of_own_rows(options: dict[str, Any], rule: _Rule) -> None:
    """Refuse what makes no sense where the anomalies are among the rows that are fitted to."""
    if "contamination" in options and options["contamination"] is None:
        raise CommandError(
            "--contamination none says that rows are ordinary, and anomalies are sought among DATA's own: give "
            "ordinary rows with --train FILE."
        )
    if rule.name == "fdr":
        raise CommandError(
            "--fdr compares with rows that are known to be ordinary: give these with --train FILE, or use --rate or "
            "--top."
        )


def _check_places(out: Path | None, report: Path | None, save: Path | None, inputs: list[Path | None]) -> None:
    """Refuse what could not be written before the work, not after it."""
    from narrows.cli import files

    if out is not None:
        if out.suffix.lower() not in TABLES:
            raise CommandError(f"{out} must be a .csv, .tsv or .parquet file, for some of its columns are text.")
        files.check_table_place(out, *inputs)
    if report is not None:
        from narrows.report.theme import require_matplotlib

        require_matplotlib()
        files.check_place(report, *inputs)
    if save is not None:
        files.check_model_place(save, *inputs)
    places = [place.resolve() for place in (out, report, save) if place is not None]
    if len(set(places)) < len(places):
        raise CommandError("-o, --report and --save must be different files.")


def _load(path: Path, device: str) -> Any:
    """Load a detector."""
    from narrows.cli.files import load_model

    fitted = load_model(path, device)
    if not hasattr(fitted, "anomaly_score"):
        raise CommandError(
            f"{path} holds the model class {type(fitted).__name__}, which finds no anomalies: fit a detector with "
            "narrows fit --model detector, or leave -m out."
        )
    return fitted


def _fitted(data: str, train: str | None, columns: list[str] | None, options: dict[str, Any]) -> tuple[Any, Data]:
    """Fit a detector, and return it and the rows to look at."""
    from narrows.cli.fit import fitted_detector
    from narrows.cli.mixed import read_for_detector, read_mixed

    own: dict[str, Any] = {"random_state": 0, "contamination": "auto" if train is None else None}
    rows = read_mixed(data if train is None else train, columns)
    detector = fitted_detector(rows, own | options)
    return detector, rows if train is None else read_for_detector(detector, data, columns)


def _write_report(path: Path, data: str, found: Findings) -> None:
    from narrows.anomaly import write_anomaly_report
    from narrows.cli.mistakes import mistakes_of, warnings_as_lines

    rule = found.rule
    with mistakes_of(found.data.columns), warnings_as_lines():
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
