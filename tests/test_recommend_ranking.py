"""What ranks, held against answers that are known: closed forms, autograd, and metrics by hand."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
import torch
from scipy import sparse

import narrows
from narrows import Recommender
from narrows.recommend import Ensemble, Factors, Linear, Multinomial, Rating
from narrows.recommend.evaluation import coverage, hits_of, list_metric, novelty, parse_metric
from narrows.recommend.linear import exact_solver, fit_linear, fit_truncated
from narrows.recommend.multinomial import MultinomialLoss, MultinomialObjective, MultinomialScorer, init_from_svd
from narrows.recommend.scorers import Bags, bags_of, best_items, score_blocks

CPU = torch.device("cpu")
PENALTIES = pytest.mark.parametrize(("l2", "popularity"), [(50.0, 0.0), (3.0, 0.25), (200.0, 1.0)])
SHAPES = pytest.mark.parametrize("shape", [(90, 30), (30, 90), (40, 40)], ids=["primal", "dual", "square"])


def taken(shape: tuple[int, int], share: float = 0.3, seed: int = 0) -> np.ndarray:
    """A table of ones and zeros; popular items first."""
    chances = np.linspace(2 * share, 0.02, shape[1])
    return (np.random.default_rng(seed).random(shape) < chances).astype(np.float32)


def scores_of(scorer, table: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return scorer(bags_of(sparse.csr_array(table))).numpy()


def units_of(table: np.ndarray, popularity: float) -> np.ndarray:
    counts = table.sum(0, dtype=np.float64)
    return (np.maximum(counts, 1) / max(1.0, counts.mean())) ** -popularity


def ease(table: np.ndarray, l2: float) -> np.ndarray:
    """Steck's formula, as it stands in the paper."""
    table = table.astype(np.float64)
    inverse = np.linalg.inv(table.T @ table + l2 * np.eye(table.shape[1]))
    weights = inverse / -np.diag(inverse)
    np.fill_diagonal(weights, 0.0)
    return weights


# The linear autoencoder.


@SHAPES
@PENALTIES
def test_popularity_is_a_ridge_regression_of_scaled_columns(shape, l2: float, popularity: float) -> None:
    table = taken(shape)
    scorer = fit_linear(sparse.csr_array(table), l2, popularity, None)
    scaled = table * units_of(table, popularity)
    expected = np.empty(shape)
    for item in range(shape[1]):
        # Each column from all others, one regression after the other.
        others = np.delete(scaled, item, axis=1)
        gram = others.T @ others + l2 * np.eye(shape[1] - 1)
        expected[:, item] = others @ np.linalg.solve(gram, others.T @ scaled[:, item])
    np.testing.assert_allclose(scores_of(scorer, table), expected, rtol=1e-4, atol=1e-5 * expected.std())


def test_both_exact_forms_are_one() -> None:
    table = taken((60, 60))
    # Users without items change nothing but who are more.
    primal = fit_linear(sparse.csr_array(np.vstack([table, np.zeros((1, 60), np.float32)])), 30.0, 0.15, None)
    dual = fit_linear(sparse.csr_array(np.hstack([table, np.zeros((60, 1), np.float32)])), 30.0, 0.0, None)
    assert (primal.decoder is None, dual.decoder is None) == (True, False)
    dual_scores = scores_of(dual, np.hstack([table, np.zeros((60, 1), np.float32)]))
    np.testing.assert_allclose(dual_scores[:, :60], table @ ease(table, 30.0), atol=3e-6)
    np.testing.assert_array_equal(dual_scores[:, 60], 0.0)
    for scorer, popularity in ((primal, 0.15), (dual, 0.0)):
        scaled = table * units_of(table, popularity)
        inverse = np.linalg.inv(scaled.T @ scaled + 30.0 * np.eye(60))
        partial = -inverse / np.sqrt(np.outer(np.diag(inverse), np.diag(inverse)))
        np.fill_diagonal(partial, 0.0)
        found = scorer.similar(torch.arange(60)).numpy()[:, :60]
        np.fill_diagonal(found, 0.0)
        np.testing.assert_allclose(found, partial, atol=2e-6)


def test_one_table_of_products_serves_every_penalty() -> None:
    table = taken((90, 30))
    solve = exact_solver(sparse.csr_array(table), 0.15)
    for l2 in (20.0, 300.0, 20.0):
        alone = fit_linear(sparse.csr_array(table), l2, 0.15)
        np.testing.assert_array_equal(scores_of(solve(l2), table), scores_of(alone, table))


def test_the_penalty_fits_the_log() -> None:
    # Few tastes and many entries ask for a large penalty, which the usual one is well below.
    made = narrows.datasets.make_ratings(400, 150, 12_000, n_tastes=3, rated=False, random_state=0)
    model = Recommender("linear", random_state=0).fit(made)
    assert model.method_.l2 > 100
    assert model.baselines_["model"] == max(one["ndcg@100"] for one in model.candidates_)
    assert model.baselines_["popularity"] < model.baselines_["model"]
    assert Recommender("linear", validation_fraction=0).fit(made).method_.l2 == 100
    assert Recommender(Linear(l2=30), random_state=0).fit(made).method_.l2 == 30


@pytest.mark.parametrize("popularity", [0.0, 0.25])
def test_all_directions_are_the_exact_answer(popularity: float) -> None:
    for shape in ((90, 30), (30, 90)):
        table = taken(shape)
        exact = fit_linear(sparse.csr_array(table), 20.0, popularity, None)
        full = fit_linear(sparse.csr_array(table), 20.0, popularity, 30)
        np.testing.assert_array_equal(scores_of(full, table), scores_of(exact, table))
        found = fit_truncated(sparse.csr_array(table), 20.0, popularity, 30, 0)
        np.testing.assert_allclose(scores_of(found, table), scores_of(exact, table), atol=1e-4)


def test_many_users_cost_no_digits() -> None:
    rng = np.random.default_rng(0)
    table = (rng.random((150_000, 16)) < 0.3 + 0.6 * rng.random((150_000, 1))).astype(np.float32)
    scorer = fit_linear(sparse.csr_array(table), 100.0, 0.25, None)
    scaled = table * units_of(table, 0.25)
    expected = scaled[:100] @ ease(scaled, 100.0)
    np.testing.assert_allclose(scores_of(scorer, table[:100]), expected, atol=1e-4 * expected.std())


@pytest.mark.parametrize("tall", [True, False], ids=["primal", "dual"])
def test_a_penalty_that_is_too_small_is_refused_or_solved(tall: bool) -> None:
    # Each column, or each row, is there four times.
    table = np.repeat(taken((80, 10)), 4, axis=1) if tall else np.repeat(taken((10, 80)), 4, axis=0)
    for l2 in (1e-9, 1e-7, 1e-4, 1e-2):
        # The answer hardly differs for penalties so small, but float32 may be at a loss.
        with contextlib.suppress(ValueError) if l2 < 1e-5 else contextlib.nullcontext():
            scorer = fit_linear(sparse.csr_array(table), l2, 0.0, None)
            np.testing.assert_allclose(scores_of(scorer, table), table @ ease(table, max(l2, 1e-4)), atol=1e-4)


# The networks.


def random_bags(n_items: int = 13, seed: int = 0) -> Bags:
    table = taken((7, n_items), seed=seed)
    table[[2, 6]] = 0.0  # users without items
    return bags_of(sparse.csr_array(table))


def test_the_multinomial_cost_and_its_gradient_are_those_of_autograd() -> None:
    bags, generator = random_bags(), torch.Generator().manual_seed(0)
    parts = [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in ((7, 4), (13, 4), (13,))]
    upstream = torch.randn(7, generator=generator, dtype=torch.float64)
    ours = [part.clone().requires_grad_() for part in parts]
    theirs = [part.clone().requires_grad_() for part in parts]
    # Logits that are large, so that a missing maximum would show.
    cost = MultinomialLoss.apply(ours[0] * 300, ours[1], ours[2], bags)
    logits = torch.log_softmax(theirs[0] * 300 @ theirs[1].T + theirs[2], 1)
    expected = -torch.zeros(7, dtype=torch.float64).index_add(0, bags.users, logits[bags.users, bags.items])
    torch.testing.assert_close(cost, expected)
    assert cost[2] == cost[6] == 0
    (cost * upstream).sum().backward()
    (expected * upstream).sum().backward()
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine.grad, other.grad)


@pytest.mark.parametrize("variational", [False, True], ids=["dae", "vae"])
def test_the_objective_is_the_cost_of_hidden_items_and_the_divergence(variational: bool) -> None:
    method = Multinomial(4, 3, variational=variational, beta=0.3, dropout=0.4)
    torch_state = torch.get_rng_state()
    model = MultinomialScorer(13, 4, 3, variational=variational)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(parameter.numel())))
    bags = random_bags()
    whole = MultinomialObjective(model, method)(bags, None)
    expected = -torch.zeros(7).index_add(0, bags.users, torch.log_softmax(model(bags), 1)[bags.users, bags.items])
    torch.testing.assert_close(whole.parts["reconstruction"], expected)
    assert ("kl" in whole.parts) == variational
    if variational:
        code, _ = model.code(bags)
        deviation = (0.5 * (model.log_variance + code @ model.spread)).exp()
        mine = torch.distributions.Normal(code, deviation)
        divergence = torch.distributions.kl_divergence(mine, torch.distributions.Normal(0.0, 1.0)).sum(1)
        torch.testing.assert_close(whole.parts["kl"], 0.3 * divergence)
        early = MultinomialObjective(model, method)(bags, None, progress=0.25).parts["kl"]
        torch.testing.assert_close(early, 0.15 * divergence)
    hidden = torch.rand(len(bags.items), generator=torch.Generator().manual_seed(5)) < 0.4
    drawn = MultinomialObjective(model, method)(bags, torch.Generator().manual_seed(5)).parts["reconstruction"]
    counts = torch.bincount(bags.users[hidden], minlength=7)
    assert ((drawn > 0) == (counts > 0)).all()
    if not variational:
        shown = (~hidden).float() / 0.6
        logits = torch.log_softmax(model.features(*model.code(bags, shown)) @ model.decoder.T + model.bias, 1)
        wanted = -torch.zeros(7).index_add(0, bags.users[hidden], logits[bags.users[hidden], bags.items[hidden]])
        torch.testing.assert_close(drawn, wanted)
    nothing_hidden = MultinomialObjective(model, Multinomial(4, 3, variational=False, dropout=0))
    if not variational:
        torch.testing.assert_close(
            nothing_hidden(bags, torch.Generator().manual_seed(1)).parts["reconstruction"], expected
        )
    assert torch.equal(torch_state, torch.get_rng_state())


@pytest.mark.parametrize("variational", [False, True], ids=["dae", "vae"])
def test_a_network_starts_near_the_linear_answer(variational: bool) -> None:
    made = narrows.datasets.make_ratings(400, 60, 8000, n_tastes=4, rated=False, random_state=0)
    matrix = narrows.recommend.read_interactions(made).matrix
    model = init_from_svd(matrix, Multinomial(12, 5, variational=variational), 0)
    linear = fit_truncated(matrix, 100.0, 0.15, 12, 0)
    counts = matrix.sum(0)
    rank = [best_items(scorer, matrix, 10, CPU, banned=matrix)[0] for scorer in (model, linear)]
    popular = np.tile(np.argsort(-counts)[:10], (400, 1))
    shared = [np.mean([len(set(a) & set(b)) for a, b in zip(rank[0], other, strict=True)]) for other in
              (rank[1], popular)]  # fmt: skip
    assert shared[0] > shared[1]
    # Its logits are probabilities: a user's items are more likely than by their popularity alone.
    with torch.no_grad():
        logits = model(bags_of(matrix)).log_softmax(1).numpy()
    rows = np.repeat(np.arange(400), np.diff(matrix.indptr))
    assert logits[rows, matrix.indices].mean() > np.log(counts / counts.sum())[matrix.indices].mean()


# The factors.


def test_factors_are_ridge_regressions() -> None:
    table = taken((50, 25)).astype(np.float64)
    table[0] = 1.0  # everything is taken by someone
    model = Recommender(Factors(5, weight=4.0, l2=3.0, iterations=60), validation_fraction=0, random_state=0)
    users, items = np.nonzero(table)
    scorer = model.fit({"user": users, "item": items}).ranker
    decoder = scorer.decoder.numpy().astype(np.float64)
    importance = 1 + 4.0 * table

    def best(others: np.ndarray, weights: np.ndarray, target: np.ndarray) -> np.ndarray:
        left = others.T @ (weights[:, None] * others) + 3.0 * np.eye(5)
        return np.linalg.solve(left, others.T @ (weights * target))

    codes = np.array([best(decoder, importance[user], table[user]) for user in range(50)])
    np.testing.assert_allclose(scores_of(scorer, table.astype(np.float32)), codes @ decoder.T, atol=1e-5)
    # After many rounds the decoder is the best one for these codes, too.
    again = np.array([best(codes, importance[:, item], table[:, item]) for item in range(25)])
    np.testing.assert_allclose(decoder, again, atol=0.02 * decoder.std())


# A log of which the answer is known.


def checkerboard(n_users: int = 120, n_items: int = 40, share: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """Even users take even items, odd users odd items."""
    rng = np.random.default_rng(0)
    same = (np.arange(n_users)[:, None] + np.arange(n_items)) % 2 == 0
    return np.nonzero(same & (rng.random((n_users, n_items)) < share))


WAYS = {
    "linear": Linear(20.0, 0.15),
    "truncated": Linear(20.0, 0.15, 4),
    "dae": Multinomial(4, 4, variational=False, max_epochs=3),
    "vae": Multinomial(4, 4, max_epochs=3),
    "factors": Factors(4, iterations=5),
    "ensemble": Ensemble((Linear(20.0, 0.15), Factors(4), Multinomial(4, 4, max_epochs=3))),
    "auto": "auto",
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("shape", [(120, 40), (40, 120)], ids=["tall", "wide"])
def test_recommendations_stay_on_their_colour(way: str, shape: tuple[int, int]) -> None:
    users, items = checkerboard(*shape)
    options = {} if way == "auto" else {"validation_fraction": 0}
    model = Recommender(WAYS[way], random_state=0, **options).fit({"user": users, "item": items})
    found = model.recommend(k=5)
    assert (found.user % 2 == found.item % 2).mean() > 0.99
    for colour in (0, 1):
        new = model.recommend_for([colour, colour + 2, colour + 4], k=5)
        assert (new.item % 2 == colour).all()


def test_the_choice_is_told() -> None:
    made = narrows.datasets.make_ratings(150, 60, 3000, n_tastes=4, rated=False, random_state=0)
    model = Recommender(random_state=0).fit(made)
    assert len(model.candidates_) >= 2
    for candidate in model.candidates_:
        assert set(candidate) == {"method", "ndcg@100", "error"}
        assert 0 < candidate["ndcg@100"] < 1
        assert candidate["error"] > 0
    assert "validation users" in model.reason_
    assert isinstance(model.method_, (Linear, Factors, Multinomial, Ensemble))
    few = Recommender(random_state=0).fit({"user": [1, 1, 2], "item": [1, 2, 2]})
    assert few.candidates_ == []
    assert "too few users" in few.reason_


def test_choosing_by_validation_users_never_sees_what_is_asked() -> None:
    from narrows.recommend.splits import make_folds

    table = taken((200, 30), share=0.4)
    matrix = sparse.csr_array(table)
    able = np.flatnonzero(table.sum(1) >= 5)
    folds = make_folds(matrix, None, 0)
    asked_of = []
    for fold in folds:
        together = (fold.fold_in + fold.held_out).toarray()
        assert (fold.fold_in.multiply(fold.held_out)).nnz == 0
        assert (np.diff(fold.fold_in.indptr) > 0).all()
        assert (np.diff(fold.held_out.indptr) > 0).all()
        assert fold.train.shape[0] + fold.fold_in.shape[0] == 200
        left = np.vstack([fold.train.toarray(), together])
        assert sorted(map(bytes, left.astype(np.uint8))) == sorted(map(bytes, table.astype(np.uint8)))
        asked_of += [bytes(row) for row in together.astype(np.uint8)]
    assert sorted(asked_of) == sorted(bytes(row) for row in table[able].astype(np.uint8))
    one = make_folds(matrix, 0.25, 0)
    assert len(one) == 1
    assert one[0].fold_in.shape[0] == round(0.25 * len(able))
    assert make_folds(matrix, 0, 0) == []


# The metrics, by hand.

HITS = np.array([[1, 0, 1, 0], [0, 0, 0, 0], [0, 1, 0, 0], [1, 1, 1, 1]], bool)
ASKED = np.array([2, 3, 1, 9])
BY_HAND = {
    ("recall", 4): [1.0, 0.0, 1.0, 1.0],
    ("recall", 1): [1.0, 0.0, 0.0, 1.0],
    ("precision", 4): [0.5, 0.0, 0.25, 1.0],
    ("precision", 2): [0.5, 0.0, 0.5, 1.0],
    ("hit_rate", 1): [1.0, 0.0, 0.0, 1.0],
    ("hit_rate", 2): [1.0, 0.0, 1.0, 1.0],
    ("map", 4): [(1 + 2 / 3) / 2, 0.0, 0.5, 1.0],
    ("map", 2): [0.5, 0.0, 0.5, 1.0],
}


@pytest.mark.parametrize(("kind", "k"), BY_HAND)
def test_metrics_by_hand(kind: str, k: int) -> None:
    np.testing.assert_allclose(list_metric(kind, k, HITS, ASKED), BY_HAND[kind, k])


def test_ndcg_is_that_of_scikit_learn() -> None:
    from sklearn.metrics import ndcg_score

    rng = np.random.default_rng(0)
    scores, relevant = rng.random((30, 25)), rng.random((30, 25)) < 0.3
    relevant[:, 0] = True
    top = np.argsort(-scores, axis=1)
    hits = hits_of(top, sparse.csr_array(relevant))
    for k in (1, 5, 25, 40):
        expected = [ndcg_score(relevant[[row]], scores[[row]], k=k) for row in range(30)]
        np.testing.assert_allclose(list_metric("ndcg", k, hits, relevant.sum(1)), expected)


def test_hits_coverage_and_novelty_by_hand() -> None:
    top = np.array([[2, 0, -1], [1, 2, 3]])
    held_out = sparse.csr_array(np.array([[1, 0, 0, 1], [0, 1, 0, 1]]))
    assert hits_of(top, held_out).tolist() == [[False, True, False], [True, False, True]]
    assert not hits_of(top, sparse.csr_array((2, 4))).any()
    assert coverage(top, 8) == 0.5
    assert coverage(np.full((2, 3), -1), 8) == 0
    # Of a list that is shorter than k, the mean of what is there.
    shares = np.array([0.5, 0.25, 1.0, 0.125])
    np.testing.assert_allclose(novelty(top, shares), [0.5, (2 + 0 + 3) / 3])
    assert parse_metric("ndcg@100") == ("ndcg", 100)
    assert parse_metric("hit_rate") == ("hit_rate", 10)
    assert parse_metric("rmse") == ("rmse", 0)
    for junk in ("ndcg@0", "ndcg@-1", "rmse@5", "auc", "", "ndcg@", 3, None, "NDCG"):
        with pytest.raises(ValueError):
            parse_metric(junk)


@pytest.mark.parametrize("size", [64, 512])
def test_scores_do_not_depend_on_the_size_of_blocks(size: int) -> None:
    table = sparse.csr_array(taken((700, 90)))
    for way in WAYS.values():
        if way == "auto":
            continue
        users, items = table.nonzero()
        scorer = Recommender(way, validation_fraction=0, random_state=0).fit({"user": users, "item": items}).ranker
        usual = torch.cat([scores for *_, scores in score_blocks(scorer, table, CPU)])
        blocks = list(score_blocks(scorer, table, CPU, block_rows=size))
        assert [count for _, count, _ in blocks] == [min(size, 700 - start) for start in range(0, 700, size)]
        assert torch.equal(torch.cat([scores for *_, scores in blocks]), usual)


BAD_OPTIONS = [
    (Linear, {"l2": 0}),
    (Linear, {"popularity": -0.1}),
    (Linear, {"popularity": 1.5}),
    (Linear, {"rank": 0}),
    (Multinomial, {"n_components": 0}),
    (Multinomial, {"dropout": 1.0}),
    (Multinomial, {"learning_rate": float("nan")}),
    (Factors, {"l2": 0}),
    (Factors, {"weight": -1}),
    (Rating, {"iterations": 2.5}),
    (Rating, {"degrees_of_freedom": 0}),
    (Ensemble, {"parts": (Linear(),)}),
    (Ensemble, {"parts": (Linear(), Linear())}),
    (Ensemble, {"parts": "linear"}),
]


@pytest.mark.parametrize(("way", "options"), BAD_OPTIONS)
def test_options_that_make_no_sense(way: type, options: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        way(**options)


def test_numbers_of_numpy_are_options() -> None:
    assert repr(Linear(np.float32(20), np.float64(0.0), np.int64(3))) == "Linear(l2=20.0, popularity=0.0, rank=3)"
