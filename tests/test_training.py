"""The loop, its optimisers and schedules, its stops, and its checkpoints."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch

import narrows
from narrows import Autoencoder
from narrows.data.rows import ArrayRows
from narrows.networks import Dense
from narrows.training.loop import LossParts, TrainConfig, train
from narrows.training.optimisers import Adam, FlatParameters, Muon, RMSprop, newton_schulz
from narrows.training.schedules import Constant, Cosine, OneCycle, Trapezoid

pytestmark = pytest.mark.filterwarnings("ignore::narrows.NotBetterThanBaselineWarning")


@pytest.mark.parametrize("schedule", [Constant(), Trapezoid(), Trapezoid(flat=0.5, warmup=0), Cosine(), OneCycle()])
def test_schedules_stay_within_bounds(schedule) -> None:
    factors = [schedule.factor(t) for t in np.linspace(0, 1, 101)]
    assert min(factors) >= 0
    assert max(factors) == pytest.approx(1, abs=1e-3)
    assert factors[0] > 0
    if not isinstance(schedule, Constant):
        assert factors[-1] == pytest.approx(0, abs=1e-9)
        assert factors[95] < factors[60] < 1


def test_trapezoid_known_values() -> None:
    schedule = Trapezoid(flat=0.5, warmup=0.1)
    assert schedule.factor(0.05) == pytest.approx(0.51)
    assert schedule.factor(0.3) == 1
    assert schedule.factor(0.75) == pytest.approx(0.5)


def test_orthogonalise_brings_singular_values_near_one() -> None:
    generator = torch.Generator().manual_seed(0)
    for shape in ((20, 50), (50, 20), (1, 9), (128, 784)):
        matrix = torch.randn(shape, generator=generator)
        u, _, v = torch.linalg.svd(matrix, full_matrices=False)
        result = newton_schulz(matrix)
        singular = torch.linalg.svdvals(result)
        assert singular.min() > 0.6
        assert singular.max() < 1.3
        assert torch.linalg.norm(result - u @ v) < 0.35 * torch.linalg.norm(u @ v)


def _torch_optimizers(option, weight, bias) -> list:
    """Return torch's own for a matrix and a vector."""
    if isinstance(option, RMSprop):
        return [torch.optim.RMSprop([weight, bias], lr=0.1, alpha=option.rho, eps=option.eps)]
    if isinstance(option, Muon):
        muon = getattr(torch.optim, "Muon", None) or pytest.skip("this torch has no Muon")
        rate = 0.1 * option.vector_learning_rate
        return [muon([weight], lr=0.1, weight_decay=0.0), torch.optim.Adam([bias], lr=rate)]
    groups = [{"params": [weight], "weight_decay": option.weight_decay}, {"params": [bias], "weight_decay": 0.0}]
    return [torch.optim.AdamW(groups, lr=0.1)]


# Torch's Muon works in bfloat16.
OPTIMISERS = [
    (Adam(), 1e-6),
    (Adam(weight_decay=0.1), 1e-6),
    (RMSprop(), 1e-6),
    (RMSprop(0.75, 1e-3), 1e-6),
    (Muon(), 0.02),
]


@pytest.mark.parametrize(("option", "tolerance"), OPTIMISERS)
def test_every_optimiser_is_torch_s(option, tolerance: float) -> None:
    torch.manual_seed(0)
    ours, theirs = torch.nn.Linear(7, 3), torch.nn.Linear(7, 3)
    theirs.load_state_dict(ours.state_dict())
    flat = FlatParameters(ours)
    state = option.init_state(flat)
    references = _torch_optimizers(option, theirs.weight, theirs.bias)
    for _ in range(5):
        x = torch.randn(4, 7)
        flat.backward(ours(x).square().sum())
        state.step(0.1)
        theirs.zero_grad()
        theirs(x).square().sum().backward()
        for reference in references:
            reference.step()
    torch.testing.assert_close(ours.weight, theirs.weight, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(ours.bias, theirs.bias, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("n", [1, 2, 9, 10, 33])
def test_the_last_batch_is_never_dropped(n: int) -> None:
    rows = ArrayRows(np.arange(n, dtype=float)[:, None])
    for size in (1, 4, 32):
        seen = torch.cat(list(rows.batches(size, seed=0))).ravel().tolist()
        assert sorted(seen) == list(range(n))
        later = torch.cat([torch.empty(0, 1), *rows.batches(size, seed=0, skip=1)]).ravel().tolist()
        assert later == seen[size:]
    orders = {tuple(torch.cat(list(rows.batches(4, seed=s))).ravel().tolist()) for s in range(5)}
    assert len(orders) > 1 or n < 3


def test_a_rate_far_too_high_is_refused(curved: np.ndarray) -> None:
    network = Dense((32,), activation="relu", linear_path=False)
    with pytest.raises(narrows.TrainingDivergedError, match="learning_rate"):
        Autoencoder(2, network=network, schedule="constant", learning_rate=1e12, random_state=0).fit(curved)


def test_a_retry_at_a_tenth_of_the_rate_can_save_the_fit() -> None:
    module = torch.nn.Linear(1, 1, bias=False)
    rates = []

    def objective(batch, generator, progress=1.0) -> LossParts:
        rows = (module(batch.float()) - 1).square().sum(1)
        return LossParts({"loss": rows * (float("nan") if module.weight.abs().max() > 50 else 1.0)})

    class Descent(Adam):
        def init_state(self, flat):
            class Step:
                def step(self, rate: float) -> None:
                    rates.append(rate)
                    flat.values.sub_(rate * flat.gradients)

                def state(self) -> dict:
                    return {}

            return Step()

    plan = TrainConfig(Descent(), Constant(), learning_rate=2.0, batch_size=4, steps=60, evaluate_every=10)
    outcome = train(module, ArrayRows(np.ones((4, 1))), objective, plan, seed=0)
    assert outcome.rate_factor == pytest.approx(0.1)
    assert rates[0] == 2.0
    assert float(module.weight.detach()) == pytest.approx(1, abs=1e-3)


def test_callbacks_see_every_record_and_can_stop(curved: np.ndarray) -> None:
    seen = []

    def stop(record: dict) -> bool:
        seen.append(record["step"])
        return len(seen) == 4

    model = Autoencoder(2, max_epochs=50, random_state=0, callbacks=[stop]).fit(curved)
    assert len(seen) == 4 == len(model.history_)
    assert model.stopped_ == "callback"
    assert np.isfinite(model.transform(curved)).all()


def test_ctrl_c_leaves_a_usable_model_with_the_best_weights(curved: np.ndarray) -> None:
    def interrupt(record: dict) -> None:
        if record["epoch"] >= 10:
            raise KeyboardInterrupt

    options = {"max_epochs": 500, "random_state": 0, "network": Dense((32,), linear_path=False)}
    model = Autoencoder(2, callbacks=[interrupt], **options).fit(curved)
    assert model.stopped_ == "interrupted"
    assert model.baselines_["model"] == pytest.approx(min(r["val_loss"] for r in model.history_))


def test_ctrl_c_while_fitting_again_keeps_the_first_fit(curved: np.ndarray) -> None:
    def interrupt(record: dict) -> None:
        if record["run"] == "refit":
            raise KeyboardInterrupt

    options = {"max_epochs": 60, "random_state": 0}
    whole = Autoencoder(2, **options).fit(curved)
    model = Autoencoder(2, callbacks=[interrupt], **options).fit(curved)
    assert model.stopped_ == "interrupted"
    assert not model.stayed_linear_
    assert -model.score(curved) < 0.5 * model.baselines_["pca"]
    assert model.baselines_ == whole.baselines_


def test_ctrl_c_before_a_fold_is_first_evaluated_keeps_the_folds_before(curved: np.ndarray, monkeypatch) -> None:
    few, seen = curved[:200], []

    def interrupt(record: dict) -> None:
        seen.append(record["run"])
        if record["run"] == "fold 2":
            raise KeyboardInterrupt

    model = Autoencoder(2, random_state=0, callbacks=[interrupt]).fit(few)
    assert model.stopped_ == "interrupted"
    assert seen.count("fold 2") == 1
    assert -model.score(few) < model.baselines_["mean"]
    monkeypatch.setattr("narrows.training.loop._Trainer._evaluate", mock.Mock(side_effect=KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        Autoencoder(2, random_state=0).fit(few)


def test_max_seconds_is_kept_and_the_rate_still_falls(curved: np.ndarray) -> None:
    start = time.perf_counter()
    model = Autoencoder(2, max_epochs=100_000, max_seconds=1.0, random_state=0).fit(curved)
    assert time.perf_counter() - start < 3.5
    assert model.stopped_ in ("time", "budget")
    assert model.history_[-1]["learning_rate"] < 0.2 * model.plan_["learning_rate"]


def test_early_stopping_keeps_the_best_and_stops() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 30))
    options = {"network": Dense((256,), linear_path=False), "random_state": 0, "learning_rate": 3e-3}
    model = Autoencoder(15, max_epochs=200, patience=5, validation_fraction=0.2, **options).fit(X)
    losses = [record["val_loss"] for record in model.history_]
    assert model.stopped_ == "patience"
    assert model.baselines_["model"] == pytest.approx(min(losses))
    assert losses[-1] > min(losses)


FIT = """
import sys, time
import numpy as np, narrows
X = narrows.datasets.make_manifold({rows}, 12, n_latent=3, noise=0.05, random_state=0)
def slow(record):
    print(record["step"], flush=True)
    time.sleep({pause})
model = narrows.Autoencoder(
    3, max_epochs=12, random_state=0, corruption=narrows.corruption.Gaussian(0.1), batch_size=64,
    network=narrows.networks.Dense((32,)), checkpoint=sys.argv[1], checkpoint_seconds=0, callbacks=[slow],
).fit({data})
np.save(sys.argv[2], model.transform(X))
import json
print(json.dumps([{{k: v for k, v in r.items() if k != "seconds"}} for r in model.history_]))
"""


def run(code: str, folder: Path, name: str, kill_after: int | None = None) -> str:
    command = [sys.executable, "-W", "ignore", "-c", code, str(folder / "run.ckpt"), str(folder / name)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    ) as child:
        lines = []
        for line in child.stdout:
            lines.append(line)
            if kill_after is not None and len(lines) == kill_after:
                time.sleep(0.15)
                child.send_signal(signal.SIGKILL)
                return ""
    assert child.returncode == 0
    return lines[-1]


@pytest.mark.parametrize("source", ["array", "few", "npy"])
def test_a_killed_fit_resumes_bit_for_bit(source: str, tmp_path: Path) -> None:
    rows = 300 if source == "few" else 2000
    data = "X"
    if source == "npy":
        np.save(tmp_path / "x.npy", narrows.datasets.make_manifold(rows, 12, n_latent=3, noise=0.05, random_state=0))
        data = repr(str(tmp_path / "x.npy"))
    whole = run(FIT.format(rows=rows, data=data, pause=0), tmp_path, "whole.npy")
    assert not (tmp_path / "run.ckpt").exists()
    slow = FIT.format(rows=rows, data=data, pause=0.25)
    run(slow, tmp_path, "never.npy", kill_after=5)
    assert (tmp_path / "run.ckpt").exists()
    # With few rows there are several trainings in a fit: cut off twice.
    if source == "few":
        run(slow, tmp_path, "never.npy", kill_after=4)
    resumed = run(FIT.format(rows=rows, data=data, pause=0), tmp_path, "resumed.npy")
    assert not (tmp_path / "never.npy").exists()
    np.testing.assert_array_equal(np.load(tmp_path / "whole.npy"), np.load(tmp_path / "resumed.npy"))
    assert json.loads(resumed) == json.loads(whole)
    assert not (tmp_path / "run.ckpt").exists()


def test_a_checkpoint_of_another_fit_is_refused(curved: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "run.ckpt"

    def interrupt(record: dict) -> None:
        if record["epoch"] >= 2:
            raise KeyboardInterrupt

    options = {"max_epochs": 5, "checkpoint": path, "checkpoint_seconds": 0, "random_state": 0}
    Autoencoder(2, callbacks=[interrupt], **options).fit(curved)
    assert path.exists()
    with pytest.raises(narrows.ModelFileError, match="another fit"):
        Autoencoder(3, **options).fit(curved)
    other = curved.copy()
    other[-1, -1] += 1e-9
    with pytest.raises(narrows.ModelFileError, match="another fit"):
        Autoencoder(2, **options).fit(other)
    path.write_bytes(b"nonsense")
    with pytest.raises(narrows.ModelFileError, match="no narrows file"):
        Autoencoder(2, **options).fit(curved)


def test_verbose_writes_a_bar_to_standard_error(curved: np.ndarray, capfd) -> None:
    Autoencoder(2, max_epochs=2, random_state=0, verbose=2).fit(curved)
    out, err = capfd.readouterr()
    assert out == ""
    assert "held out" in err
    assert "rows/s" in err or "100%" in err
