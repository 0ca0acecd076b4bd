"""What the numbers of the lab on variational autoencoders say, in either direction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from narrows.labs.words import CLEARLY, against, and_list, error_text, same, seconds_text

if TYPE_CHECKING:
    from narrows.labs.samples import Score
    from narrows.labs.vae_results import VaeEntry, VaeResult

__all__ = ["vae_lessons"]


def vae_lessons(result: VaeResult) -> tuple[str, ...]:
    """Say what a result shows.

    Parameters
    ----------
    result : VaeResult
        A lab that has been run.

    Returns
    -------
    tuple of str
        Sentences. None of them is fixed: each is chosen by the numbers it names. Losses of two models count as
        different when the differences on the test images have a mean of more than twice its standard error; distances
        of sampled images when they differ by more than twice their standard error, and by more than one per cent.
    """
    sentences = [
        _floor_lesson(result),
        _independent_lesson(result),
        _ending_lesson(result),
        _same_size_lesson(result),
        _larger_lesson(result),
        _active_lesson(result),
        _rebuilding_lesson(result),
        _importance_lesson(result),
        _prior_lesson(result),
        _sampling_lesson(result),
        _reading_lesson(result),
        *(f"{_capital(entry.name)}: narrows warned that {entry.warning}." for entry in result.entries if entry.warning),
    ]
    return tuple(sentence for sentence in sentences if sentence)


# Losses


def _floor_lesson(result: VaeResult) -> str:
    share = result.floor / result["taught"].total
    if share < CLEARLY:
        return (
            "Nearly all pixels are black or white, so the cross-entropy is close to a likelihood: a perfect copy of a "
            f"test image would cost {result.floor:.1f} nats."
        )
    return (
        "Cross-entropy of grey pixels is no likelihood: a pixel of 0.5 costs 0.69 nats however well it is rebuilt. A "
        f"perfect copy of each test image would still cost {result.floor:.1f} nats, {share:.0%} of the loss as taught, "
        "so compare differences between losses rather than their ratios."
    )


def _independent_lesson(result: VaeResult) -> str:
    taught = result["taught"]
    gain = result.independent - taught.total
    text = (
        f"As taught, a test image costs {taught.total:.1f} nats: {taught.reconstruction:.1f} to rebuild it and "
        f"{taught.kl:.1f} of KL for its code"
    )
    simple = f"a model of independent pixels without any code, {result.independent:.1f}"
    if same(taught.total, result.independent):
        return f"{text}, about as much as under {simple}: the code has gained nothing."
    if gain < 0:
        return f"{text}. That is {-gain:.1f} more than under {simple}: here the network describes images worse."
    return f"{text}. That is {gain:.1f} less than under {simple}."


def _ending_lesson(result: VaeResult) -> str:
    model = result.exhibits.models["taught"]
    records = [record for record in model.history_ if "val_total_loss" in record]
    if len(records) < 3:
        return ""
    losses = np.array([record["val_total_loss"] for record in records])
    best = int(losses.argmin())
    if losses[-1] > (1 + CLEARLY) * losses[best]:
        return (
            "The network as taught overfits: on held-out images its loss was lowest after "
            f"{records[best]['epoch']:.0f} passes, at {losses[best]:.1f}, and had risen to {losses[-1]:.1f} at the end."
        )
    fall = losses[len(losses) * 4 // 5 - 1] - losses[-1]
    if fall > 0.002 * losses[-1]:
        return (
            "The network as taught was still learning when it stopped: the last fifth of its passes saved "
            f"{fall:.2f} nats on held-out images."
        )
    return (
        "The network as taught had all but stopped learning: the last fifth of its passes changed its loss on held-out "
        "images by less than 0.2%."
    )


def _same_size_lesson(result: VaeResult) -> str:
    taught, small = result["taught"], result["small"]
    return (
        f"narrows' defaults with as many numbers, {small.n_components}, cost {small.total:.1f} nats, "
        f"{_difference(result, 'small', 'taught', 'the network as taught')}; that took layers of {_layers(small)} "
        f"units against {_layers(taught)}, {small.passes:.0f} passes against {taught.passes:.0f}, and "
        f"{seconds_text(small.seconds)} against {seconds_text(taught.seconds)}, comparisons included."
    )


def _larger_lesson(result: VaeResult) -> str:
    small, large = result["small"], result["narrows"]
    text = (
        f"With {large.n_components} numbers they cost {large.total:.1f}, "
        f"{_difference(result, 'narrows', 'small', f'{small.n_components} numbers')}"
    )
    saved, paid = small.reconstruction - large.reconstruction, large.kl - small.kl
    if saved <= 0 or paid <= 0:
        return f"{text}: {large.reconstruction:.1f} to rebuild and {large.kl:.1f} of KL."
    return f"{text}: the larger code saves {saved:.1f} nats in rebuilding and costs {paid:.1f} more of KL."


def _difference(result: VaeResult, one: str, other: str, name: str) -> str:
    """Say how much less or more one model costs than another."""
    differences = result.exhibits.totals[one] - result.exhibits.totals[other]
    mean = float(differences.mean())
    error = float(differences.std(ddof=1)) / len(differences) ** 0.5
    if abs(mean) <= 2 * error:
        return f"which {result.n_test:,} test images do not tell from {name}"
    return f"{abs(mean):.1f} {'less' if mean < 0 else 'more'} than {name}"


def _active_lesson(result: VaeResult) -> str:
    large = result["narrows"]
    used, size = large.n_active, large.n_components
    if used == size:
        return f"All {size} numbers of the larger code are used: a longer one might hold more."
    return (
        f"Of the {size} numbers of the larger code {used} {'is' if used == 1 else 'are'} used: the KL has switched the "
        "others off, since they did not save what they cost."
    )


def _importance_lesson(result: VaeResult) -> str:
    large = result["narrows"]
    gap = large.importance_total - large.importance
    about = (
        f"By importance sampling, {result.importance_draws} draws for each of {result.importance_rows} test images, "
        f"the larger model costs {large.importance:.1f} nats where its loss says {large.importance_total:.1f}"
    )
    if gap <= CLEARLY * large.importance_total:
        return f"{about}: the loss is close to what it bounds."
    return f"{about}: the loss is a bound, and here at least {gap:.1f} nats from what it bounds."


# Rebuilding


def _rebuilding_lesson(result: VaeResult) -> str:
    parts = []
    for entry in (result["taught"], result["narrows"]):
        pca = result.simple_error("pca", entry.n_components)
        plain = result.simple_error("autoencoder", entry.n_components)
        parts.append(
            f"{_whose(entry)} rebuilds test images with a squared error of {error_text(entry.test_mse)}, "
            f"{against(entry.test_mse, pca)} PCA's {error_text(pca)} and "
            f"{against(entry.test_mse, plain)} a plain autoencoder's {error_text(plain)}"
        )
    large = result["narrows"]
    plain = result.simple_error("autoencoder", large.n_components)
    end = "."
    if large.test_mse > (1 + CLEARLY) * plain:
        end = ": what can be sampled from is paid for in rebuilding."
    elif large.test_mse < (1 - CLEARLY) * plain:
        end = ": here the noise on its codes has not harmed rebuilding."
    return _capital("; ".join(parts)) + end


# Sampling


def _prior_lesson(result: VaeResult) -> str:
    told = []
    for entry in result.entries:
        normal, mixture = result.score(entry.key, "normal"), result.score(entry.key, "mixture")
        words = {-1: "nearer", 0: "not to be told apart", 1: "farther"}[_compare(mixture, normal)]
        told.append(
            f"{entry.name}: {_distance(normal)} with the normal prior, {_distance(mixture)} with a mixture ({words})"
        )
    real = result.score("real")
    return (
        "Distances of sampled images from the test images, by what a small classifier sees, where other real ones are "
        f"at {_distance(real)}. {_capital('; '.join(told))}."
    )


def _sampling_lesson(result: VaeResult) -> str:
    large = result["narrows"]
    mixture, rebuilt = result.score("narrows", "mixture"), result.score("narrows", "rebuilt")
    pca = result.score("pca", "mixture")
    order = _compare(mixture, pca)
    worth = {
        -1: "nearer: by this measure the network is worth its training",
        0: "not to be told from it: sampling alone does not need the network",
        1: "farther away: for sampling alone PCA is the better answer",
    }[order]
    text = (
        f"PCA with {large.n_components} numbers and a mixture over its codes samples images at {_distance(pca)}, "
        f"and narrows' {_distance(mixture)} is {worth}"
    )
    left = rebuilt.distance / max(mixture.distance, 1e-12)
    whose = "decoder, which blurs, than from the prior" if left >= 0.5 else "prior than from the decoder, which blurs"
    return f"{text}. Images that it rebuilds are at {_distance(rebuilt)}: more of the distance comes from the {whose}."


def _reading_lesson(result: VaeResult) -> str:
    own = result.score("real").read or 0.0
    shares = [(entry.name, result.score(entry.key, "mixture").read or 0.0) for entry in result.entries]
    pca = result.score("pca", "mixture").read or 0.0
    listed = and_list([f"{share:.0%} ({name})" for name, share in shares])
    large = shares[-1][1]
    error = ((large * (1 - large) + pca * (1 - pca)) / result.read_images) ** 0.5
    words = "more often" if large > pca else "less often"
    if abs(large - pca) <= 2 * error:
        words = "about as often"
    return (
        f"The classifier names {own:.0%} of the test images rightly. Of images sampled for a digit it takes for that "
        f"digit {listed}; those of PCA with {result['narrows'].n_components} numbers, {pca:.0%}: "
        f"narrows' are read as meant {words}."
    )


def _compare(one: Score, other: Score) -> int:
    """Return -1 or 1 where one distance is below or above the other by more than chance, else 0."""
    difference = one.distance - other.distance
    if abs(difference) <= 2 * (one.error**2 + other.error**2) ** 0.5 or same(one.distance, other.distance):
        return 0
    return 1 if difference > 0 else -1


def _distance(score: Score) -> str:
    digits = 2 if score.distance < 1 else 1 if score.distance < 100 else 0
    return f"{score.distance:.{digits}f}"


def _whose(entry: VaeEntry) -> str:
    return "the network as taught" if entry.key == "taught" else f"narrows with {entry.n_components} numbers"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _layers(entry: VaeEntry) -> str:
    return and_list([str(width) for width in entry.hidden])
