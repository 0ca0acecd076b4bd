"""What the numbers of the lab on films say, in either direction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from narrows.labs.words import against, and_list, error_text, same, seconds_text

if TYPE_CHECKING:
    from narrows.labs.movies_results import MoviesResult

__all__ = ["movies_lessons"]

KINDS = {
    "linear": "the linear autoencoder in closed form",
    "multinomial": "the multinomial autoencoder",
    "factors": "the one with a narrow code and weighted errors",
}

FEW_RATINGS = 3
"""A mean of so many ratings or fewer says little."""

NEAR_ZERO = 0.5
"""Stars below this are as good as none: it is the lowest rating there is."""


def movies_lessons(result: MoviesResult) -> tuple[str, ...]:
    """Say what a result shows.

    Parameters
    ----------
    result : MoviesResult
        A lab that has been run.

    Returns
    -------
    tuple of str
        Sentences. None of them is fixed: each is chosen by the numbers it names. Two errors are the same within one
        per cent; lists count as different when the mean difference over users is more than twice its standard error.
    """
    sentences = [
        _idea_lesson(result),
        _loss_lesson(result),
        _empty_lesson(result),
        _taught_stars_lesson(result),
        _order_lesson(result),
        _numbers_lesson(result),
        _stars_lesson(result),
        _ranking_lesson(result),
        _ease_lesson(result),
        _chosen_lesson(result),
        _means_lesson(result),
        _somebody_lesson(result),
        _likeness_lesson(result),
        _coverage_lesson(result),
        _time_lesson(result),
        f"The network as taught warned: {result.taught.warning}." if result.taught.warning else "",
    ]
    return tuple(sentence for sentence in sentences if sentence)


# As taught


def _idea_lesson(result: MoviesResult) -> str:
    text = (
        "The idea of the course is right: a user's row goes in, a score for every film comes out, and nothing has to "
        "be learnt for each user"
    )
    count = f"{result.n_same} of {result.n_compared} users get"
    if result.n_same == result.n_compared:
        return f"{text}. So it is in narrows: {count} the same list from their history alone as when they are known."
    return f"{text}. But in narrows only {count} the same list from their history alone as when they are known."


def _loss_lesson(result: MoviesResult) -> str:
    taught = result.taught
    own, zero, row = taught.validation_loss, taught.zero_loss, taught.mean_row_loss
    text = (
        f"As taught the network ends at a validation loss of {error_text(own)}, {against(own, zero)} the "
        f"{error_text(zero)} of a table of zeros, and {against(own, row)} the {error_text(row)} of the average row, "
        "which is the same for everybody"
    )
    if same(own, zero) or own > zero:
        return f"{text}: by this loss the network has learnt nothing of anybody."
    if same(own, row) or own > row:
        return f"{text}: by this loss it has learnt no more than what is popular."
    return f"{text}: it has learnt something, if not what was asked."


def _empty_lesson(result: MoviesResult) -> str:
    taught = result.taught
    share = 1 - taught.n_ratings / (taught.n_users * taught.n_items)
    cells = f"Of the table {share:.1%} of the cells are empty, and the loss takes each for a rating of 0"
    if share > 0.5:
        return f"{cells}: where nearly all answers are 0, saying 0 is what pays."
    return f"{cells}."


def _taught_stars_lesson(result: MoviesResult) -> str:
    taught = result.taught
    own, mean = taught.rmse_network, taught.rmse_mean
    text = (
        f"Of {taught.n_hidden:,} ratings that were hidden from it, on average {taught.true_mean_stars:.2f} stars, it "
        f"foretells {taught.mean_stars:.2f}. It is off by {own:.2f} stars (RMSE); zeros are off by "
        f"{taught.rmse_zero:.2f}, the mean of all ratings by {mean:.2f}, and each film's mean by "
        f"{taught.rmse_item_mean:.2f}"
    )
    if taught.mean_stars < NEAR_ZERO:
        return f"{text}. A film that was not rated is not a film of 0 stars, but that is what it was taught."
    if own > mean and not same(own, mean):
        return f"{text}. One number for all films would be the better prediction."
    return f"{text}."


def _order_lesson(result: MoviesResult) -> str:
    taught = result.taught
    if not taught.suggestions:
        return ""
    if taught.n_tied <= 1:
        return ""
    text = (
        f"{taught.n_tied:,} of the {taught.n_unseen:,} films that user {taught.user} has not rated get exactly the "
        f"{taught.suggestions[-1].stars:.2f} stars of the last one listed"
    )
    listed = sum(line.stars == taught.suggestions[-1].stars for line in taught.suggestions)
    if taught.n_tied == listed:
        return f"{text}, and all of them are listed."
    return f"{text}: {listed} of its list of {len(taught.suggestions)} are there by the order of their ids alone."


def _numbers_lesson(result: MoviesResult) -> str:
    taught = result.taught
    count = len(taught.suggestions)
    if not count:
        return ""
    text = "The numbers it prints as films are positions among those not rated, not ids"
    if taught.n_right == count:
        return f"{text}; here they happen to be the same."
    return (
        f"{text}: {taught.n_named} of {count} are the id of some film, and {taught.n_right} of the film that is meant."
    )


# narrows


def _stars_lesson(result: MoviesResult) -> str:
    own, bias = result.stars_of("narrows"), result.stars_of("bias")
    text = (
        f"Asked only for the ratings there are, narrows is off by {own.rmse:.3f} stars for {result.n_stars:,} hidden "
        f"ones, {against(own.rmse, bias.rmse)} the {bias.rmse:.3f} of a user's and a film's bias; each film's mean is "
        f"off by {result.stars_of('items').rmse:.3f}"
    )
    if own.rmse_new is not None and bias.rmse_new is not None:
        text += f". For users it has never seen it is off by {own.rmse_new:.3f} (the biases by {bias.rmse_new:.3f})"
    if result.least_rmse is not None:
        text += f". Who knew all that the ratings were made from would be off by {result.least_rmse:.3f}"
    if own.rmse > bias.rmse and not same(own.rmse, bias.rmse):
        return f"{text}. Here the biases are the better prediction."
    return f"{text}."


_VERDICT = {1: "surely better", 0: "not to be told apart", -1: "surely worse"}


def _ranking_lesson(result: MoviesResult) -> str:
    own, popular, gain = (
        result.ranking_of("narrows"),
        result.ranking_of("popular"),
        result.gain_over("popular"),
    )
    return (
        f"To {result.n_asked:,} users it has never seen narrows lists films with an NDCG@100 of {own.ndcg:.3f}; what "
        f"is popular has {popular.ndcg:.3f}. User by user the difference is {gain.mean:+.3f} ± {gain.error:.3f}: "
        f"{_VERDICT[gain.order]}. Of its first ten {own.precision:.0%} are films that the user went on to like, of "
        f"the popular ones {popular.precision:.0%}."
    )


def _ease_lesson(result: MoviesResult) -> str:
    gain, ease = result.gain_over("ease"), result.ranking_of("ease")
    text = (
        f"EASE, a linear autoencoder solved in closed form, has {ease.ndcg:.3f}. narrows is {gain.mean:+.3f} ± "
        f"{gain.error:.3f} beside it"
    )
    ends = {
        1: "surely better, but not by much" if gain.mean < 0.1 * max(ease.ndcg, 1e-9) else "surely better",
        0: "not to be told apart",
        -1: "EASE is the better one here",
    }
    hard = "" if gain.order > 0 and gain.mean >= 0.1 * ease.ndcg else " It is hard to beat, and should be tried first."
    return f"{text}: {ends[gain.order]}.{hard}"


def _chosen_lesson(result: MoviesResult) -> str:
    parts = [KINDS.get(part, part) for part in result.method.split(" + ")]
    chosen = and_list(parts) + (" together" if len(parts) > 1 else "")
    if not result.candidates:
        return f"What ranks is {chosen}: {result.reason}."
    tried = ", ".join(f"{one.name} {one.ndcg:.3f}" for one in result.candidates)
    errors = [f"{pick(one.error for one in result.candidates):.3f}" for pick in (min, max)]
    return (
        f"What ranks is {chosen}: {result.reason}. Tried were {tried}, each ± {' to '.join(dict.fromkeys(errors))} "
        "(NDCG@100)."
    )


def _means_lesson(result: MoviesResult) -> str:
    items, popular = result.ranking_of("items"), result.ranking_of("popular")
    text = (
        f"A list by the means of films has an NDCG@100 of {items.ndcg:.3f}, against {popular.ndcg:.3f} for what is "
        "popular"
    )
    few = result.best_mean_ratings <= FEW_RATINGS
    if items.ndcg < popular.ndcg:
        if few:
            n_ratings = "one rating" if result.best_mean_ratings == 1 else f"{result.best_mean_ratings:g} ratings"
            text += f": the films with the highest means have {n_ratings} each (median), so hardly anyone knows them"
        rated, zero = result.stars_of("items").rmse, result.stars_of("zero").rmse
        if rated < zero:
            return f"{text}. What foretells stars well need not rank well: these are two tasks, and want two models."
    return f"{text}."


def _somebody_lesson(result: MoviesResult) -> str:
    count, total = sum(film.group == result.group for film in result.recommended_new), len(result.recommended_new)
    group, word = result.group.lower(), "films of the genre" if result.kind == "genre" else "films of"
    text = (
        f"Somebody new, of whom nothing is known but that they love {len(result.history)} {word} {group}, is "
        f"recommended {total} films, of which {count} are of this {result.kind} again; of the {total} most popular "
        f"films {result.popular_in_group} are"
    )
    if count > result.popular_in_group:
        return f"{text}. No training was needed for that."
    return f"{text}: a history this short has not told it more."


def _likeness_lesson(result: MoviesResult) -> str:
    near, chance = result.near_share, result.chance_share
    text = (
        f"Of the {result.n_mapped:,} films rated most, the ten most like each are of its own {result.kind} in "
        f"{near:.0%} of all cases, where chance has {chance:.0%}"
    )
    if near > 1.2 * chance:
        return f"{text}: something of the {result.kind} is in who likes what, though no model was told."
    return f"{text}: who likes what tells no {result.kind} here."


def _coverage_lesson(result: MoviesResult) -> str:
    own = result.ranking_of("narrows")
    popular = result.ranking_of("popular")
    text = (
        f"The first tens of all users together are {own.coverage:.1%} of the films there are, those by popularity "
        f"{popular.coverage:.1%}"
    )
    if own.coverage < 0.5:
        return f"{text}: films that few have rated are hardly ever recommended, by narrows as by the others."
    return f"{text}."


def _time_lesson(result: MoviesResult) -> str:
    times = result.seconds
    if not {"taught", "stars", "all"} <= times.keys():
        return ""
    return (
        f"The network as taught was fitted in {seconds_text(times['taught'])}, narrows' model of stars in "
        f"{seconds_text(times['stars'])}, and both its models on all ratings in {seconds_text(times['all'])}."
    )
