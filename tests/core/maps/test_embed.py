"""From descriptors to a plane: what stays together, tiny sets, the same seed twice."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from trainspot.common.errors import MissingExtraError
from trainspot.maps import embed as module
from trainspot.maps.embed import embed, need, perplexity, principal


@pytest.fixture
def clusters(rng):
    """Three well separated groups of 15 points in 80 dimensions, and their group."""
    group = np.repeat([0, 1, 2], 15)
    return 10.0 * rng.normal(size=(3, 80))[group] + rng.normal(size=(45, 80)), group


@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_groups_stay_together(clusters, method):
    vectors, group = clusters
    points, used = embed(vectors, method, seed=3)
    assert used == method
    assert np.allclose(points.mean(axis=0), 0, atol=1e-6)
    assert nearest_is_of_the_same_group(points, group)


def nearest_is_of_the_same_group(points, group) -> bool:
    distance = np.linalg.norm(points[:, None] - points[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    return bool((group[distance.argmin(axis=1)] == group).all())


def test_the_same_seed_gives_the_same_map(clusters):
    vectors, _ = clusters
    first, again = (embed(vectors, "tsne", seed=1)[0] for _ in range(2))
    assert np.array_equal(first, again)


@pytest.mark.parametrize("method", ["pca", "tsne", "umap"])
@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_tiny_sets_are_principal_components(rng, method, count):
    vectors = rng.normal(size=(count, 4))
    points, used = embed(vectors, method)
    assert used == "pca"
    assert points.shape == (count, 2)
    assert np.isfinite(points).all()
    if count == 2:
        apart = np.linalg.norm(vectors[0] - vectors[1])
        assert np.linalg.norm(points[0] - points[1]) == pytest.approx(apart)


@pytest.mark.parametrize("count", [6, 8])
def test_small_sets_have_a_smaller_perplexity(rng, count):
    assert perplexity(count) == pytest.approx((count - 1) / 3)
    assert perplexity(500) == 30
    points, used = embed(rng.normal(size=(count, 4)), "tsne")
    assert used == "tsne"
    assert len({tuple(point) for point in points.tolist()}) == count


def test_equal_frames_are_one_point():
    points, used = embed(np.ones((9, 3)), "tsne")
    assert used == "pca"
    assert not points.any()


def test_principal_components_keep_distances_and_do_not_depend_on_signs(rng):
    vectors = rng.normal(size=(12, 5))
    found = principal(vectors)
    assert np.allclose(np.linalg.norm(found[3] - found[7]), np.linalg.norm(vectors[3] - vectors[7]))
    assert (np.diff(found.std(axis=0)) <= 1e-12).all()
    assert (found.max(axis=0) >= -found.min(axis=0)).all()
    assert principal(rng.normal(size=(80, 70))).shape == (80, 50)


def test_umap_keeps_groups_together_and_repeats_itself(clusters):
    """One test for all, because the library compiles for half a minute in every process."""
    vectors, group = clusters
    points, used = embed(vectors, "umap", seed=3)
    assert used == "umap"
    assert nearest_is_of_the_same_group(points, group)
    assert points.dtype == np.float64
    assert np.allclose(points.mean(axis=0), 0, atol=1e-6)
    assert np.array_equal(points, embed(vectors, "umap", seed=3)[0])
    assert not np.allclose(points, embed(vectors, "umap", seed=4)[0])
    few, used = embed(vectors[:9], "umap")  # fewer than the neighbours it is asked for
    assert used == "umap"
    assert np.isfinite(few).all()


@pytest.mark.parametrize(
    ("method", "library", "extra"), [("tsne", "sklearn.manifold", "map"), ("umap", "umap", "umap")]
)
def test_a_missing_library_answers_with_the_pip_line(monkeypatch, method, library, extra):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingExtraError, match=rf"pip install 'trainspot\[{extra}\]'"):
        need(method)
    assert need("pca") is None


def test_another_missing_module_is_not_explained_away(monkeypatch):
    def broken():
        raise ModuleNotFoundError("No module named 'x'", name="x")

    monkeypatch.setattr(module, "_umap", broken)
    with pytest.raises(ModuleNotFoundError):
        need("umap")
