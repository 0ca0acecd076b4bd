"""Corruption and pairs: what the model is shown, what it is held against, and that noise goes away."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import narrows
from narrows.corruption import Gaussian
from narrows.data.rows import ArrayRows, Pair, PairedRows
from narrows.fitting.objectives import Reconstruction


@pytest.fixture(scope="module")
def clean():
    return narrows.datasets.make_manifold(1500, 20, n_latent=2, noise=0.0, random_state=1)


@pytest.fixture(scope="module")
def noise(clean):
    return np.random.default_rng(2).normal(size=clean.shape) * clean.std()


def error(a, b):
    return float(np.square(a - b).mean())


def test_denoising_beats_pca_and_the_input(clean, noise):
    sigma = float(clean.std())
    model = narrows.Autoencoder(6, corruption=Gaussian(sigma), random_state=0).fit(clean[:1000])
    noisy = clean[1000:] + noise[1000:]
    pca = PCA(6).fit(clean[:1000])
    best_linear = min(error(pca.inverse_transform(pca.transform(noisy)), clean[1000:]), error(noisy, clean[1000:]))
    assert error(model.denoise(noisy), clean[1000:]) < 0.7 * best_linear
    # What is told of held-out rows is told of noisy ones.
    assert model.baselines_["input"] == pytest.approx(sigma**2, rel=0.1)
    assert model.baselines_["model"] == pytest.approx(error(model.denoise(noisy), clean[1000:]), rel=0.25)


@pytest.mark.filterwarnings("ignore::narrows.NotBetterThanBaselineWarning")
def test_pairs_teach_what_corruption_teaches(clean, noise):
    noisy = clean + noise
    model = narrows.Autoencoder(6, random_state=0).fit(noisy[:1000], clean[:1000])
    ignorant = narrows.Autoencoder(6, random_state=0).fit(noisy[:1000])
    cleaned = error(model.denoise(noisy[1000:]), clean[1000:])
    assert cleaned < 0.7 * error(ignorant.denoise(noisy[1000:]), clean[1000:])
    assert model.baselines_["input"] > cleaned


def test_labels_are_ignored_in_pipelines(clean):
    labels = (clean[:, 0] > 0).astype(int)
    one = make_pipeline(StandardScaler(), narrows.Autoencoder(2, max_epochs=2, random_state=0)).fit(clean, labels)
    other = make_pipeline(StandardScaler(), narrows.Autoencoder(2, max_epochs=2, random_state=0)).fit(clean)
    assert np.array_equal(one.transform(clean), other.transform(clean))


@pytest.mark.parametrize("shape", [(1500, 3), (1499, 20)])
def test_a_second_table_that_is_no_partner_is_named(clean, shape):
    with pytest.warns(UserWarning, match="is not used: clean rows to learn from have the shape of X"):
        narrows.Autoencoder(2, max_epochs=1, random_state=0).fit(clean, np.zeros(shape))


def test_partners_are_checked(clean):
    bad = clean.copy()
    bad[3, 4] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        narrows.Autoencoder(2, max_epochs=1, missing="error").fit(clean, bad)


def test_partial_fit_takes_pairs(clean, noise):
    model = narrows.Autoencoder(6, random_state=0)
    for _ in range(30):
        model.partial_fit(clean + noise, clean)
    assert model.baselines_["model"] < 0.8 * model.baselines_["pca"]


def test_sparse_pairs(clean):
    from scipy.sparse import csr_array

    dense = np.where(np.abs(clean) > np.abs(clean).mean(), clean, 0)
    noisy = dense * (np.random.default_rng(0).uniform(size=dense.shape) < 0.8)
    one = narrows.Autoencoder(4, max_epochs=3, random_state=0).fit(csr_array(noisy), csr_array(dense))
    other = narrows.Autoencoder(4, max_epochs=3, random_state=0).fit(noisy, dense)
    assert np.allclose(one.denoise(noisy), other.denoise(noisy), atol=1e-4)


def test_pairs_stay_together():
    rows = PairedRows(ArrayRows(np.arange(40.0).reshape(20, 2)), ArrayRows(np.arange(40.0).reshape(20, 2) + 100))
    subset = rows.subset(np.array([3, 5, 7, 11]))
    for batch in [*subset.batches(3, seed=1), *subset.blocks(3)]:
        assert isinstance(batch, Pair)
        assert torch.equal(batch.beside, batch.rows + 100)
    assert sum(len(batch) for batch in subset.batches(3, seed=1)) == 4


def test_held_out_rows_are_spoilt_the_same_way_each_time():
    rows = ArrayRows(np.zeros((3000, 2), np.float32))
    one = torch.cat([seen for _, seen in Reconstruction(Gaussian(1.0).apply).inputs(rows, 0)])
    other = torch.cat([seen for _, seen in Reconstruction(Gaussian(1.0).apply).inputs(rows, 0)])
    assert torch.equal(one, other)
    assert float(one.std()) == pytest.approx(1, rel=0.05)


def test_clipped_noise_stays_within():
    noisy = Gaussian(1.0, clip=(0, 1)).apply(torch.full((1000,), 0.5), torch.Generator().manual_seed(0))
    assert noisy.min() == 0
    assert noisy.max() == 1
    for bad in [(1, 0), (1,), 3]:
        with pytest.raises(ValueError, match="clip must be two rising numbers"):
            Gaussian(1.0, clip=bad)


def test_a_corruption_of_ones_own(clean):
    def double(x, generator):
        return x * (1 + torch.empty(len(x), 1).uniform_(generator=generator))

    model = narrows.Autoencoder(4, corruption=double, max_epochs=20, random_state=0).fit(clean)
    assert model.baselines_["input"] > model.baselines_["model"]
    with pytest.raises(ValueError, match="the corruption turned rows of shape"):
        narrows.Autoencoder(4, corruption=lambda x, generator: x[:, :2], random_state=0).fit(clean)


def test_noise_that_cannot_be_taken_away_is_said(plain):
    with pytest.warns(narrows.NotBetterThanBaselineWarning, match="noisy input as it stands|PCA"):
        narrows.Autoencoder(1, corruption=Gaussian(1e-6), max_epochs=1, random_state=0).fit(plain)
