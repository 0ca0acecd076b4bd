"""What a lab's numbers say: one sentence for each, written from the numbers and in either direction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from narrows.labs.words import CLEARLY, against, error_text, same, seconds_text

if TYPE_CHECKING:
    from narrows.labs.results import Accuracy, Entry, LabResult

__all__ = ["lessons"]


def lessons(result: LabResult) -> tuple[str, ...]:
    """Say what a result shows.

    Parameters
    ----------
    result : LabResult
        A lab that has been run.

    Returns
    -------
    tuple of str
        Sentences. None of them is fixed: each is chosen by the numbers it names. Two accuracies count as different
        when they differ by more than twice the standard error of their difference.
    """
    sentences = [
        _pca_lesson(result),
        _clip_lesson(result),
        _taught_lesson(result),
        _still_falling_lesson(result),
        _narrows_lesson(result),
        _worst_lesson(result),
        _code_lesson(result),
        _dead_lesson(result),
        _narrows_code_lesson(result),
        _standardised_lesson(result),
        *(f"{_name(entry).capitalize()} warned: {entry.warning}." for entry in result.entries if entry.warning),
    ]
    return tuple(sentence for sentence in sentences if sentence)


def _pca_lesson(result: LabResult) -> str:
    pca, mean = result["pca"], result["mean"]
    return (
        f"PCA with {_numbers(result)} rebuilds the test images with an error of {error_text(pca.test_mse)}, "
        f"{against(pca.test_mse, mean.test_mse)} the mean image's {error_text(mean.test_mse)}."
    )


def _clip_lesson(result: LabResult) -> str:
    pca = result["pca"]
    if same(pca.clipped_mse, pca.test_mse):
        return ""
    text = f"Cutting PCA's pixels to 0..1 needs no training and brings its error to {error_text(pca.clipped_mse)}"
    beaten = [
        _name(entry)
        for entry in (result["taught"], result["narrows"])
        if pca.clipped_mse < (1 - CLEARLY) * entry.test_mse < (1 - CLEARLY) * pca.test_mse
    ]
    return text + (f", which is below that of {' and of '.join(beaten)}." if beaten else ".")


def _taught_lesson(result: LabResult) -> str:
    taught, pca = result["taught"], result["pca"]
    text = (
        f"The network as taught ends at {error_text(taught.test_mse)}, {against(taught.test_mse, pca.test_mse)} PCA's"
    )
    if same(taught.test_mse, pca.test_mse):
        return f"{text}: the layers and the training have gained nothing."
    if taught.test_mse > pca.test_mse:
        return f"{text}: with as many numbers, the linear answer is the better one here."
    return f"{text}: the nonlinear layers are worth that much."


def _still_falling_lesson(result: LabResult) -> str:
    losses = [record["loss"] for record in result.exhibits.histories.get("taught", []) if "loss" in record]
    if len(losses) < 2:
        return ""
    fall = 1 - losses[-1] / losses[-2]
    if fall > CLEARLY:
        return f"It was still improving when it stopped: its last training error is {fall:.0%} below the one before."
    return "It had all but stopped improving: its last two training errors differ by less than 1%."


def _narrows_lesson(result: LabResult) -> str:
    narrows, taught, pca = result["narrows"], result["taught"], result["pca"]
    if narrows.stayed_linear:
        return (
            "narrows' defaults at the same layer sizes saw no gain on held-out images in leaving PCA and stayed there: "
            f"{error_text(narrows.test_mse)}."
        )
    return (
        f"narrows' defaults at the same layer sizes end at {error_text(narrows.test_mse)}, "
        f"{against(narrows.test_mse, taught.test_mse)} the network as taught and "
        f"{against(narrows.test_mse, pca.test_mse)} PCA; that took {seconds_text(narrows.seconds)} and "
        f"{narrows.passes or 0:.0f} passes over the training images, against {seconds_text(taught.seconds)} and "
        f"{taught.passes or 0:.0f}."
    )


def _worst_lesson(result: LabResult) -> str:
    errors = result.exhibits.errors
    worse = int((errors["narrows"] > errors["pca"]).sum())
    worst, pca_worst = float(errors["narrows"].max()), float(errors["pca"].max())
    count = f"{worse:,} of the {result.n_test:,} test images" if worse else "none of the test images"
    text = f"narrows rebuilds {count} worse than PCA does"
    joint = "and" if (worst > pca_worst) == (worse > 0) else "but"
    level = against(worst, pca_worst)
    return (
        f"{text}, {joint} its worst has an error of {error_text(worst)}, {level} PCA's worst, {error_text(pca_worst)}."
    )


def _code_lesson(result: LabResult) -> str:
    taught, pca = result["taught"], result["pca"]
    assert taught.accuracy is not None
    assert pca.accuracy is not None
    order = _compare(taught.accuracy, pca.accuracy, result.n_test)
    text = (
        f"A classifier on the codes as taught names {taught.accuracy.test:.1%} of the test digits rightly, "
        f"{_order_words(order)} the {pca.accuracy.test:.1%} on PCA's codes"
    )
    rebuilds = 0 if same(taught.test_mse, pca.test_mse) else (1 if taught.test_mse < pca.test_mse else -1)
    if rebuilds > 0 and order < 0:
        return f"{text}: a smaller error in rebuilding does not make a code better to learn from."
    if rebuilds < 0 and order > 0:
        return f"{text}: a code can be better to learn from though it rebuilds worse."
    if order and order == rebuilds:
        return f"{text}: here the code that rebuilds better is also the better one to learn from."
    return f"{text}."


def _dead_lesson(result: LabResult) -> str:
    taught = result["taught"]
    dead, size = taught.dead_units or 0, result.n_components
    zeros = f"{taught.zero_share or 0.0:.0%} of all its values are zero"
    if dead:
        return f"Its ReLU code keeps {dead} of {size} numbers at zero for every test image, and {zeros}."
    return f"Its ReLU code keeps none of its {_numbers(result)} at zero for every test image, though {zeros}."


def _narrows_code_lesson(result: LabResult) -> str:
    narrows, pca, taught = result["narrows"], result["pca"], result["taught"]
    assert narrows.accuracy is not None
    assert pca.accuracy is not None
    assert taught.accuracy is not None
    to_pca = _compare(narrows.accuracy, pca.accuracy, result.n_test)
    to_taught = _compare(narrows.accuracy, taught.accuracy, result.n_test)
    joint = "and" if (to_pca > 0) == (to_taught > 0) else "but"
    return (
        f"On narrows' codes the same classifier reaches {narrows.accuracy.test:.1%}: {_order_words(to_taught)} the "
        f"codes as taught, {joint} {_order_words(to_pca)} PCA's."
    )


def _standardised_lesson(result: LabResult) -> str:
    coded = [entry for entry in result.entries if entry.accuracy and entry.accuracy_standardised]
    plain = sorted(coded, key=lambda entry: -entry.accuracy.test)  # type: ignore[union-attr]
    scaled = sorted(coded, key=lambda entry: -entry.accuracy_standardised.test)  # type: ignore[union-attr]
    first, last = scaled[0].accuracy_standardised, scaled[-1].accuracy_standardised
    assert first is not None
    assert last is not None
    shares = ", ".join(f"{entry.name} {entry.accuracy_standardised.test:.1%}" for entry in scaled)  # type: ignore[union-attr]
    text = "Bringing each number of the codes to mean 0 and deviation 1 first"
    tied = _compare(first, last, result.n_test) == 0
    if [entry.key for entry in plain] == [entry.key for entry in scaled]:
        return f"{text} keeps that order: {shares}."
    if tied:
        return f"{text} gives {shares}: another order, but {result.n_test:,} test images do not tell these apart."
    return f"{text} gives {shares}: another order, so the scale of a code is part of what such a classifier measures."


def _compare(one: Accuracy, other: Accuracy, n: int) -> int:
    """Return 1 or -1 where one test accuracy is above or below the other by more than chance, else 0."""
    variance = (one.test * (1 - one.test) + other.test * (1 - other.test)) / n
    difference = one.test - other.test
    if abs(difference) <= 2 * variance**0.5:
        return 0
    return 1 if difference > 0 else -1


def _order_words(order: int) -> str:
    return {1: "clearly above", 0: "not to be told from", -1: "clearly below"}[order]


def _numbers(result: LabResult) -> str:
    return f"{result.n_components} number{'s' * (result.n_components != 1)}"


def _name(entry: Entry) -> str:
    return {"taught": "the network as taught", "narrows": "narrows"}.get(entry.key, entry.name)
