"""The definitions of disagreement and error, and what they must not depend on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from trainspot.common.errors import InputError, NonFiniteError
from trainspot.data import lattice
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame, Labels

PERIODIC = [(True, True, True), (True, True, False), (False, True, False), (False, False, False)]
seeds = st.integers(0, 10**6)


def assert_same(first, second, rtol=1e-9):
    assert first.keys() == second.keys()
    for name, values in first.items():
        np.testing.assert_allclose(values, second[name], rtol=rtol, atol=1e-12, err_msg=name)


def test_formulas_by_hand(make_dataset, predict):
    """Plain loops over members and components give the same numbers."""
    dataset = make_dataset(3, seed=4)
    p = predict(dataset, members=3)
    found, errors = p.disagreement(), p.errors(dataset)
    for row, frame in enumerate(dataset):
        atoms = slice(p.offsets[row], p.offsets[row + 1])
        n = len(frame)
        for name, values, reference in (
            ("energy", p.energy[:, row, None] / n, [frame.labels.energy / n]),
            ("forces", p.forces[:, atoms].reshape(3, -1), frame.labels.forces.ravel()),
            ("stress", p.stress[:, row].reshape(3, -1), frame.labels.stress.ravel()),
        ):
            mean = sum(values) / 3
            spread = sum(((x - mean) ** 2).sum() for x in values) / (2 * values.shape[1])
            np.testing.assert_allclose(found[name][row], np.sqrt(spread))
            miss = np.sqrt(((mean - reference) ** 2).sum() / values.shape[1])
            np.testing.assert_allclose(errors[name][row], miss)


@given(seed=seeds, pbc=st.sampled_from(PERIODIC), tilt=st.floats(-2, 2))
@settings(max_examples=25, deadline=None)
def test_rotation_and_translation(make_dataset, predict, seed, pbc, tilt):
    """A rotated world, cells of any periodicity included, gives the same numbers."""
    dataset = make_dataset(3, seed=seed, pbc=pbc, tilt=tilt)
    p = predict(dataset, seed=seed)
    turn = Rotation.random(rng=np.random.default_rng(seed)).as_matrix()

    def turned(frame):
        stress = frame.labels.stress
        labels = Labels(
            frame.labels.energy,
            frame.labels.forces @ turn.T,
            None if stress is None else turn @ stress @ turn.T,
        )
        return Frame.make(
            frame.numbers,
            (frame.positions + 0.3) @ turn.T,
            frame.cell @ turn.T,
            frame.pbc,
            labels=labels,
        )

    other = Dataset.from_frames([turned(frame) for frame in dataset])
    projector = lattice.periodic_projector(other.column("cell"), other.column("pbc"))
    q = replace(
        p,
        frame_id=other.column("id"),
        forces=p.forces @ turn.T,
        stress=turn @ p.stress @ turn.T,
        projector=projector,
    )
    assert_same(p.disagreement(), q.disagreement(), rtol=1e-6)
    assert_same(p.errors(dataset), q.errors(other), rtol=1e-6)


@given(seed=seeds)
@settings(max_examples=25, deadline=None)
def test_order_of_members_atoms_and_frames(make_dataset, predict, seed):
    dataset = make_dataset(4, seed=seed)
    p = predict(dataset, seed=seed)
    rng = np.random.default_rng(seed)
    order = rng.permutation(4)
    members = replace(
        p,
        energy=p.energy[order],
        forces=p.forces[order],
        stress=p.stress[order],
        members=tuple(p.members[j] for j in order),
    )
    assert_same(p.disagreement(), members.disagreement())
    assert_same(p.errors(dataset), members.errors(dataset))
    atoms = np.concatenate(
        [a + rng.permutation(b - a) for a, b in zip(p.offsets, p.offsets[1:], strict=False)]
    )
    assert_same(p.disagreement(), replace(p, forces=p.forces[:, atoms]).disagreement())
    rows = rng.permutation(4)
    shuffled = {name: values[rows] for name, values in p.disagreement().items()}
    assert_same(shuffled, p.take(rows).disagreement())
    assert_same({n: v[rows] for n, v in p.errors(dataset).items()}, p.take(rows).errors(dataset))


@given(seed=seeds, copies=st.integers(2, 7))
@settings(max_examples=25, deadline=None)
def test_replicated_cells(make_dataset, predict, seed, copies):
    """A cell repeated a few times is the same physics: same Δ, percentile and maximum too."""
    dataset = make_dataset(3, seed=seed, sizes=[3, 1, 5])
    p = predict(dataset, seed=seed)
    atoms = np.concatenate(
        [np.tile(np.arange(a, b), copies) for a, b in zip(p.offsets, p.offsets[1:], strict=False)]
    )
    big = replace(
        p, offsets=p.offsets * copies, energy=p.energy * copies, forces=p.forces[:, atoms]
    )
    assert_same(p.disagreement(), big.disagreement())


def test_opposite_forces(make_dataset, predict):
    """Two members that pull in opposite directions disagree, though the mean force vanishes."""
    dataset = make_dataset(1, sizes=[2])
    p = predict(dataset, members=2)
    forces = np.array([[[0.5, 0, 0], [-0.5, 0, 0]]])
    p = replace(p, forces=np.concatenate([forces, -forces]))
    found = p.disagreement()
    np.testing.assert_allclose(found["forces"], np.sqrt((2 * 2 * 0.25) / 6))
    np.testing.assert_allclose(found["forces_max"], found["forces"])


def test_one_bad_atom_shows_in_the_maximum(make_dataset, predict):
    """In 200 atoms the mean and the percentile hide one bad atom, the maximum does not."""
    dataset = make_dataset(1, sizes=[200])
    p = predict(dataset, members=3, noise=0.0)
    quiet = p.disagreement()
    forces = p.forces.copy()
    forces[0, 17] += [1.0, 0.0, 0.0]
    loud = replace(p, forces=forces).disagreement()
    assert quiet["forces_max"][0] < 1e-12
    assert loud["forces_max"][0] == pytest.approx(np.sqrt(2 / 3 / 2 / 3))
    assert loud["forces"][0] == pytest.approx(loud["forces_max"][0] / np.sqrt(200))
    assert loud["forces_p95"][0] < 1e-12


def test_percentile_is_over_atoms(make_dataset, predict):
    dataset = make_dataset(1, sizes=[100])
    p = predict(dataset, members=2, noise=0.0)
    width = np.arange(1, 101, dtype=float)
    forces = np.zeros((2, 100, 3))
    forces[0, :, :], forces[1, :, :] = width[:, None], -width[:, None]
    found = replace(p, forces=forces).disagreement()
    assert found["forces_p95"][0] == pytest.approx(95 * np.sqrt(2))
    assert found["forces_max"][0] == pytest.approx(100 * np.sqrt(2))


@pytest.mark.parametrize(
    ("pbc", "components"), [(PERIODIC[0], 9), (PERIODIC[1], 4), (PERIODIC[2], 1)]
)
def test_only_the_periodic_stress_counts(make_dataset, predict, pbc, components):
    dataset = make_dataset(2, pbc=pbc, sizes=[2, 3])
    p = predict(dataset, members=2, noise=0.0)
    axes = np.flatnonzero(pbc)
    inside = np.zeros((3, 3))
    inside[np.ix_(axes, axes)] = 0.02
    outside = np.where(inside > 0, 0.0, 5.0)
    shifted = p.stress.copy()
    shifted[0] += inside + outside
    found = replace(p, stress=shifted).disagreement()["stress"]
    np.testing.assert_allclose(found, np.sqrt(0.02**2 * components / 2 / components))
    assert p.has_stress.all()


def test_clusters_have_no_stress(make_dataset, predict):
    dataset = make_dataset(3, pbc=False)
    p = predict(dataset)
    assert not p.has_stress.any()
    assert not p.disagreement()["stress"].any()
    assert not p.referenced(dataset)["stress"].any()
    assert "stress" not in p.rmse(dataset)


@pytest.mark.parametrize("pbc", [(True, True, True), (False, False, False)])
def test_population_form(make_dataset, predict, pbc):
    p = predict(make_dataset(3, pbc=pbc), members=5)
    ratio = np.sqrt(4 / 5)
    assert_same({n: v * ratio for n, v in p.disagreement().items()}, p.disagreement(ddof=0))


def test_nearly_independent_of_the_number_of_members(make_dataset, predict):
    dataset = make_dataset(400, sizes=[4] * 400)
    few, many = (np.mean(predict(dataset, m).disagreement()["forces"] ** 2) for m in (2, 8))
    assert few == pytest.approx(many, rel=0.1)


def test_one_member_cannot_disagree(make_dataset, predict):
    dataset = make_dataset(2)
    p = predict(dataset, members=1)
    with pytest.raises(InputError, match="two members"):
        p.disagreement()
    assert p.rmse(dataset).keys() == {"energy", "forces", "stress"}


def test_rmse_of_members_and_of_the_mean(make_dataset, predict):
    dataset = make_dataset(50, sizes=[4] * 50)
    p = predict(dataset, members=4, noise=0.2)
    members = p.member_rmse(dataset)
    for name in ("energy", "forces"):
        assert members[name].shape == (4,)
        np.testing.assert_allclose(members[name], 0.2, rtol=0.35)
    assert p.rmse(dataset)["forces"] == pytest.approx(0.1, rel=0.15)  # noise averages out
    by_hand = np.sqrt(np.mean((p.forces[2] - dataset.column("forces")) ** 2))
    assert members["forces"][2] == pytest.approx(by_hand)


def test_missing_labels_do_not_count(make_dataset, predict):
    dataset = make_dataset(4)
    p = predict(dataset)
    none = dataset.with_columns(
        has_energy=[True, False, True, True], has_forces=[True, True, False, True]
    )
    errors, known = p.errors(none), p.referenced(none)
    assert errors["energy"][1] == 0
    assert not known["energy"][1]
    assert not known["forces"][2]
    kept = p.take([0, 2, 3]).rmse(dataset)["energy"]
    assert p.rmse(none)["energy"] == pytest.approx(kept)


def test_errors_of_members_are_those_of_finite_frames(make_dataset, predict):
    dataset = make_dataset(5)
    p = predict(dataset)
    broken = replace(p, energy=np.where(np.arange(5) == 1, np.inf, p.energy))
    others = p.take([0, 2, 3, 4])
    for name, values in broken.member_rmse(dataset).items():
        np.testing.assert_allclose(values, others.member_rmse(dataset)[name])
    assert broken.rmse(dataset) == pytest.approx(others.rmse(dataset))


def test_not_finite_is_infinitely_uncertain_never_nan(make_dataset, predict):
    dataset = make_dataset(4)
    p = predict(dataset)
    forces, energy = p.forces.copy(), p.energy.copy()
    forces[1, p.offsets[2], 0] = np.nan
    energy[0, 3] = np.inf
    p = replace(p, forces=forces, energy=energy)
    assert p.is_finite.tolist() == [True, True, False, False]
    for values in (*p.disagreement().values(), *p.errors(dataset).values()):
        assert np.isfinite(values[:2]).all()
        assert np.isinf(values[2:]).all()
    p.check_finite()
    broken = replace(p, energy=np.where(np.arange(4)[:, None] == 2, np.nan, p.energy))
    with pytest.raises(NonFiniteError, match="m2: no prediction is finite"):
        broken.check_finite()


def test_select_and_concatenate(make_dataset, predict):
    dataset = make_dataset(6)
    p = predict(dataset)
    back = type(p).concatenate([p.select(p.ids[3:]), p.select(p.ids[:3])])
    assert back.ids == p.ids[3:] + p.ids[:3]
    assert_same(p.disagreement(), back.select(p.ids).disagreement())
    assert len(p.take([])) == 0
    assert p.take([]).disagreement()["forces_max"].shape == (0,)
    with pytest.raises(InputError, match="lack this frame"):
        p.select(["0" * 64])
    with pytest.raises(InputError, match="one committee"):
        type(p).concatenate([p, replace(p, members=("a", "b", "c", "d"))])
