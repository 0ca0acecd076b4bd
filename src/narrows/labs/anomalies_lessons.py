"""What the numbers of the lab on anomalies say, in either direction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from narrows.labs.anomalies_results import RATES
from narrows.labs.words import and_list, seconds_text

if TYPE_CHECKING:
    from narrows.labs.anomalies_results import AnomalyResult

__all__ = ["anomaly_lessons"]

RESAMPLES = 200
"""Of the test rows of the table, to see how far a difference moves by chance."""

FAR_OFF = 1.3
"""A rate counts as another than was asked for when it is so many times larger or smaller."""

_NAMES = {
    "taught": "the network as taught",
    "pca": "PCA",
    "neighbors": "the five nearest neighbours",
    "forest": "the isolation forest",
    "narrows": "narrows",
}


def anomaly_lessons(result: AnomalyResult) -> tuple[str, ...]:
    """Say what a result shows.

    Parameters
    ----------
    result : AnomalyResult
        A lab that has been run.

    Returns
    -------
    tuple of str
        Sentences. None of them is fixed: each is chosen by the numbers it names. Two methods count as different on
        digits when the differences over the digits held out have a mean of more than twice its standard error, and on
        the table when that of their AUROC is more than twice its standard deviation over resampled test rows.
    """
    sentences = [
        _taught_lesson(result),
        _untrained_lesson(result),
        _narrows_lesson(result),
        _single_digits_lesson(result),
        _precision_lesson(result),
        _table_lesson(result),
        _rates_lesson(result),
        *(_found_lesson(result, rate) for rate in RATES[:2]),
        *(_blame_lesson(result, data) for data in ("digits", "cancer")),
        _time_lesson(result),
    ]
    return tuple(sentence for sentence in sentences if sentence)


# Telling apart


def _order(result: AnomalyResult, one: str, other: str, measure: str = "auroc", rate: float | None = None) -> int:
    """Return 1 or -1 where one method is above or below another over the digits by more than chance, else 0."""
    differences = result.values("digits", one, measure, rate) - result.values("digits", other, measure, rate)
    if len(differences) < 2:
        return int(np.sign(differences[0]))
    error = float(differences.std(ddof=1)) / len(differences) ** 0.5
    return int(np.sign(differences.mean())) if abs(float(differences.mean())) > 2 * error else 0


def _table_order(result: AnomalyResult, one: str, other: str) -> int:
    """Return the same for the table, by drawing its test rows anew."""
    from sklearn.metrics import roc_auc_score

    shown = result.exhibits["cancer"]
    generator, differences = np.random.default_rng(result.seed), []
    kinds = [np.flatnonzero(shown.labels), np.flatnonzero(~shown.labels)]
    for _ in range(RESAMPLES):
        rows = np.concatenate([generator.choice(kind, len(kind)) for kind in kinds])
        both = (roc_auc_score(shown.labels[rows], shown.scores[key][rows]) for key in (one, other))
        differences.append(float(np.subtract(*both)))
    difference = result["cancer", one].auroc - result["cancer", other].auroc
    return int(np.sign(difference)) if abs(difference) > 2 * float(np.std(differences)) else 0


def _mean(result: AnomalyResult, method: str, measure: str = "auroc", rate: float | None = None) -> float:
    return float(result.values("digits", method, measure, rate).mean())


def _best_of_others(result: AnomalyResult) -> str:
    keys = [method.key for method in result.methods if method.key != "narrows"]
    return max(keys, key=lambda key: _mean(result, key))


def _words(order: int) -> str:
    return {1: "clearly above", 0: "not to be told from", -1: "clearly below"}[order]


def _digits(result: AnomalyResult) -> str:
    count = len(result.tasks_of("digits"))
    return f"the {count} digits held out" if count > 1 else "the digit held out"


def _taught_lesson(result: AnomalyResult) -> str:
    order = _order(result, "taught", "pca")
    own, pca = _mean(result, "taught"), _mean(result, "pca")
    text = (
        f"The error of the network as taught tells a digit that it has not seen with an AUROC of {own:.3f}, the mean "
        f"over {_digits(result)}, {_words(order)} the {pca:.3f} of PCA's error"
    )
    ends = {
        1: ": the nonlinear layers are worth that much",
        0: ": for finding anomalies the training has gained nothing over PCA",
        -1: ": a network that rebuilds more rebuilds anomalies, too",
    }
    return f"{text}{ends[order]}."


def _untrained_lesson(result: AnomalyResult) -> str:
    order = _order(result, "neighbors", "taught")
    text = (
        "The distance to the fifth nearest row, for which nothing is trained, reaches "
        f"{_mean(result, 'neighbors'):.3f}, {_words(order)} the network as taught"
    )
    forest = f"; the isolation forest reaches {_mean(result, 'forest'):.3f}"
    return f"{text}{forest}."


def _narrows_lesson(result: AnomalyResult) -> str:
    other = _best_of_others(result)
    order = _order(result, "narrows", other)
    text = f"narrows reaches {_mean(result, 'narrows'):.3f}, {_words(order)} the best of the others, {_NAMES[other]}"
    if order > 0:
        return f"{text}: distances among rows and what an autoencoder cannot rebuild tell more together."
    if order < 0:
        return f"{text}: here {_NAMES[other]} is the better detector."
    return f"{text}: here narrows is not needed."


def _single_digits_lesson(result: AnomalyResult) -> str:
    tasks = result.tasks_of("digits")
    if len(tasks) < 2:
        return ""
    winners = {
        task: max((method.key for method in result.methods), key=lambda key, t=task: result[t.key, key].auroc)  # type: ignore[misc]
        for task in tasks
    }
    lost = [task for task, key in winners.items() if key != "narrows"]
    count = len(tasks) - len(lost)
    hardest = min(tasks, key=lambda task: result[task.key, "narrows"].auroc)
    own = result[hardest.key, "narrows"].auroc
    most = max(result[hardest.key, method.key].auroc for method in result.methods)
    end = "no other method does better there" if most == own else f"the best of all methods reaches {most:.3f} there"
    text = f"Digit by digit, narrows is the highest for {count} of {len(tasks)}"
    if lost:
        others = [
            f"digit {_number(task.key)} goes to {_NAMES[winners[task]]} ({result[task.key, winners[task]].auroc:.3f} "
            f"against {result[task.key, 'narrows'].auroc:.3f})"
            for task in lost
        ]
        text += f"; {and_list(others)}"
    return f"{text}. The hardest for it is the {_number(hardest.key)}, with {own:.3f}; {end}."


def _number(key: str) -> str:
    return key.rpartition("-")[2]


def _precision_lesson(result: AnomalyResult) -> str:
    orders = [sorted(_NAMES, key=lambda key, m=measure: -_mean(result, key, m)) for measure in _MEASURES]  # type: ignore[misc]
    shares = ", ".join(f"{_NAMES[key]} {_mean(result, key, 'average_precision'):.3f}" for key in orders[1])
    joint = "the same order" if orders[0] == orders[1] else "another order"
    text = f"By average precision, which looks at the top of the list, it is {joint}: {shares}."
    return text[0].upper() + text[1:]


_MEASURES = ("auroc", "average_precision")


def _table_lesson(result: AnomalyResult) -> str:
    ranked = sorted(_NAMES, key=lambda key: -result["cancer", key].auroc)
    first = ranked[0]
    shares = ", ".join(f"{_NAMES[key]} {result['cancer', key].auroc:.3f}" for key in ranked)
    text = f"On the table of cells the AUROC is {shares}"
    if first == "narrows":
        order = _table_order(result, "narrows", ranked[1])
        if order:
            return f"{text}: narrows is clearly the best."
        return f"{text}: narrows is the highest, but the test rows do not tell it from {_NAMES[ranked[1]]}."
    order = _table_order(result, "narrows", first)
    if order:
        return f"{text}: here {_NAMES[first]} is clearly better than narrows. Try the simple detectors, too."
    return f"{text}: {_NAMES[first]} is the highest, though the test rows do not tell it from narrows."


# Thresholds


def _rates_lesson(result: AnomalyResult) -> str:
    rate = RATES[1]
    passed = {key: _mean(result, key, "passed", rate) for key in _NAMES}
    many = [key for key, share in passed.items() if share > FAR_OFF * rate]
    few = [key for key, share in passed.items() if share < rate / FAR_OFF]
    shares = ", ".join(f"{_NAMES[key]} {share:.1%}" for key, share in passed.items())
    text = f"Thresholds that are to let {rate:.0%} of the ordinary digits pass as anomalies let pass: {shares}"
    if many:
        names = and_list([_NAMES[key] for key in many])
        text += f". Too many pass for {names}"
        if set(many) <= {"taught", "pca"}:
            text += ": rows of the fit are rebuilt better than new ones, so a quantile of their errors is too low"
    if few:
        text += f". Fewer than were asked for pass for {and_list([_NAMES[key] for key in few])}"
    return f"{text}." if many or few else f"{text}: all about as asked for."


def _found_lesson(result: AnomalyResult, rate: float) -> str:
    found = {key: _mean(result, key, "found", rate) for key in _NAMES}
    best = max(found, key=lambda key: found[key])
    text = f"At the threshold for {rate:.0%} narrows finds {found['narrows']:.0%} of the digits held out"
    if best == "narrows":
        second = max((key for key in found if key != best), key=lambda key: found[key])
        return f"{text}, more than any other method; next is {_NAMES[second]} with {found[second]:.0%}."
    order = _order(result, best, "narrows", "found", rate)
    more = "more" if order > 0 else "more on average, though not by more than digits differ"
    own, others = (_mean(result, key, "passed", rate) for key in ("narrows", best))
    name = _NAMES[best]
    return (
        f"{text}; {name} finds {more}: {found[best]:.0%}. Of the ordinary digits {own:.1%} pass for narrows and "
        f"{others:.1%} for {name}."
    )


# Explanations


def _blame_lesson(result: AnomalyResult, data: str) -> str:
    names = [blame.method for blame in result.blames if blame.data == data]
    shares = {key: result.blame(data, key).first / result.blame(data, key).n_rows for key in names}
    other = max((key for key in names if key != "narrows"), key=lambda key: shares[key])
    count = result.blame(data, "narrows").n_rows
    spread = sum(shares[key] * (1 - shares[key]) / count for key in ("narrows", other)) ** 0.5
    difference = shares["narrows"] - shares[other]
    order = int(np.sign(difference)) if abs(difference) > 2 * spread else 0
    where, what = ("digits", "pixel") if data == "digits" else ("the table", "column")
    own = f"{shares['narrows']:.0%} of {count:,} rows"
    counts = f"The {what} that was made wrong is the first that narrows blames in {own}"
    errors = and_list([f"{shares[key]:.0%} ({_NAMES[key]})" for key in names if key != "narrows"])
    ends = {
        1: "narrows points to it clearly more often",
        0: "these are not to be told apart",
        -1: f"the errors of {_NAMES[other]} point to it clearly more often",
    }
    return f"{counts} of {where}, and the one with the largest squared error in {errors}: {ends[order]}."


def _time_lesson(result: AnomalyResult) -> str:
    times = {key: _mean(result, key, "seconds") for key in _NAMES}
    parts = [f"{_NAMES[key]} {seconds_text(times[key])}" for key in ("narrows", "taught")]
    quick = max(times[key] for key in ("pca", "neighbors", "forest"))
    return f"A fit to a digit's rows takes {and_list(parts)}; the others take {seconds_text(quick)} or less."
