"""The toy potential is a real potential: derivatives, symmetries, and it learns."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from trainspot.common.errors import DataError, InputError
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame, Labels
from trainspot.models.potential import Potential, kind_of
from trainspot.train.base import member_seeds
from trainspot.train.toy import ToyPotential, ToySettings, fit


def alloy(rng, n_frames, split="train"):
    """Strained, rattled copper-gold cells with EMT labels."""
    frames = []
    for _ in range(n_frames):
        atoms = bulk("Cu", a=3.75, cubic=True).repeat((2, 1, 1))
        atoms.numbers[rng.permutation(8)[:3]] = 79
        atoms.set_cell(atoms.cell @ (np.eye(3) + rng.uniform(-0.04, 0.04, (3, 3))), True)
        atoms.positions += rng.normal(0, 0.1, (8, 3))
        atoms.calc = EMT()
        labels = Labels(
            atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress(False), "emt"
        )
        frames.append(Frame.from_atoms(atoms, labels=labels, split=split))
    return frames


@pytest.fixture(scope="module")
def training_frames():
    rng = np.random.default_rng(3)
    alone = [
        Frame.make([z], np.zeros((1, 3)), labels=Labels(e, np.zeros((1, 3)), None, "emt"))
        for z, e in ((29, 3.5), (79, 3.8))
    ]
    return [
        *alloy(rng, 30),
        *alloy(rng, 5, "validation"),
        *(frame.with_(split="train") for frame in alone),
    ]


@pytest.fixture(scope="module")
def committee(training_frames):
    dataset = Dataset.from_frames(training_frames)
    return [fit(dataset, ToySettings(), seed)[0] for seed in member_seeds(5, 3)]


@pytest.fixture(scope="module")
def model(committee):
    return committee[0]


def predict(model, *frames):
    return model.predict(model.prepare(list(frames)))


def moved(frame, positions=None, cell=None, pbc=None):
    return Frame.make(
        frame.numbers,
        frame.positions if positions is None else positions,
        frame.cell if cell is None else cell,
        frame.pbc if pbc is None else pbc,
    )


@settings(max_examples=15, deadline=None)
@given(atom=st.integers(0, 7), axis=st.integers(0, 2), seed=st.integers(0, 100))
def test_forces_are_minus_the_gradient_of_the_energy(model, atom, axis, seed):
    frame = alloy(np.random.default_rng(seed), 1)[0]
    step = np.zeros((8, 3))
    step[atom, axis] = 1e-4
    up, down = predict(
        model, moved(frame, frame.positions + step), moved(frame, frame.positions - step)
    )
    force = predict(model, frame)[0].forces[atom, axis]
    assert force == pytest.approx(-(up.energy - down.energy) / 2e-4, abs=2e-5)


@pytest.mark.parametrize("pbc", [(True, True, True), (True, True, False), (False, True, False)])
def test_stress_is_the_strain_derivative_of_the_energy_per_volume(model, rng, pbc):
    frame = moved(alloy(rng, 1)[0], pbc=pbc)
    stress = predict(model, frame)[0].stress
    volume = abs(np.linalg.det(frame.cell))
    for a, b in ((0, 0), (1, 1), (0, 1), (1, 2)):
        strain = np.zeros((3, 3))
        strain[a, b] += 0.5e-4
        strain[b, a] += 0.5e-4
        energies = []
        for sign in (1, -1):
            deform = np.eye(3) + sign * strain
            cell = frame.cell @ deform
            energies.append(predict(model, moved(frame, frame.positions @ deform, cell))[0].energy)
        slope = (energies[0] - energies[1]) / 2e-4 / volume
        assert stress[a, b] == pytest.approx(slope, rel=1e-4, abs=2e-6)
    assert np.allclose(stress, stress.T, atol=1e-12)


def test_the_soft_core_has_the_right_forces_too(model):
    for distance in (0.7, 1.3, 1.8):
        close, up, down = predict(
            model,
            *(Frame.make([29, 79], [[0, 0, 0], [0, 0, distance + d]]) for d in (0, 1e-5, -1e-5)),
        )
        assert close.forces[1, 2] == pytest.approx(-(up.energy - down.energy) / 2e-5, rel=1e-4)


def test_atoms_that_collide_repel(committee):
    for member in committee:
        near, far = predict(
            member,
            Frame.make([29, 29], [[0, 0, 0], [0, 0, 0.6]]),
            Frame.make([29, 29], [[0, 0, 0], [0, 0, 2.5]]),
        )
        assert near.forces[1, 2] > 20
        assert near.energy > far.energy + 5


def test_atoms_on_top_of_each_other_do_not_crash(model):
    found = predict(model, Frame.make([29, 29], np.zeros((2, 3))))[0]
    assert np.isfinite(found.energy)
    assert np.isfinite(found.forces).all()


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000))
def test_rotation_translation_and_order_of_atoms(model, seed):
    rng = np.random.default_rng(seed)
    frame = alloy(rng, 1)[0]
    turn = Rotation.random(random_state=seed).as_matrix()
    order = rng.permutation(8)
    same, turned = predict(
        model,
        frame,
        Frame.make(
            frame.numbers[order],
            ((frame.positions + rng.normal(size=3)) @ turn.T)[order],
            frame.cell @ turn.T,
            True,
        ),
    )
    assert turned.energy == pytest.approx(same.energy, abs=1e-5)
    assert np.allclose(turned.forces, (same.forces @ turn.T)[order], atol=1e-5)
    assert np.allclose(turned.stress, turn @ same.stress @ turn.T, atol=1e-6)


def test_a_repeated_cell_has_twice_the_energy_and_the_same_stress(model, rng):
    frame = alloy(rng, 1)[0]
    double = Frame.from_atoms(frame.to_atoms().repeat((1, 2, 1)))
    one, two = predict(model, frame, double)
    assert two.energy == pytest.approx(2 * one.energy, abs=1e-5)
    assert np.allclose(two.stress, one.stress, atol=1e-7)


def test_batches_do_not_matter(model, rng):
    frames = [*alloy(rng, 3), Frame.make([29], [[0, 0, 0]])]
    for together, alone in zip(
        predict(model, *frames), [predict(model, frame)[0] for frame in frames], strict=True
    ):
        assert together.energy == pytest.approx(alone.energy, abs=1e-12)
        assert np.allclose(together.forces, alone.forces, atol=1e-12)


def test_a_lonely_atom_has_its_reference_energy_and_no_stress(model):
    found = predict(model, Frame.make([79], [[1, 2, 3]]))[0]
    assert found.energy == pytest.approx(3.8)
    assert found.stress is None
    assert not found.forces.any()


def test_it_learns_better_than_a_constant(committee):
    test = alloy(np.random.default_rng(99), 10)
    for member in committee:
        found = predict(member, *test)
        for name, share in (("forces", 0.35), ("stress", 0.35)):
            truth = np.concatenate([getattr(frame.labels, name).ravel() for frame in test])
            guess = np.concatenate([getattr(labels, name).ravel() for labels in found])
            assert np.sqrt(np.mean((guess - truth) ** 2)) < share * truth.std()


def test_members_differ_and_a_seed_repeats(training_frames, committee):
    dataset = Dataset.from_frames(training_frames)
    frame = training_frames[0]
    energies = {predict(member, frame)[0].energy for member in committee}
    assert len(energies) == 3
    again = fit(dataset, ToySettings(), member_seeds(5, 3)[0])[0]
    assert predict(again, frame)[0].energy == predict(committee[0], frame)[0].energy


def test_the_test_set_is_never_touched(training_frames):
    seed = 4
    without = fit(Dataset.from_frames(training_frames), ToySettings(), seed)[0]
    extra = [
        frame.with_(labels=Labels(1e3, frame.labels.forces * 9, None, "emt"))
        for frame in alloy(np.random.default_rng(8), 4, "test")
    ]
    with_test = fit(Dataset.from_frames([*training_frames, *extra]), ToySettings(), seed)[0]
    assert np.array_equal(without.coefficients, with_test.coefficients)


def test_starting_from_a_model_with_little_data_stays_near_it(training_frames, model):
    few = Dataset.from_frames(training_frames[:1])
    stiff = ToySettings(ridge=1e6)
    continued = fit(few, stiff, 1, start=model)[0]
    assert np.allclose(continued.coefficients, model.coefficients, atol=1e-3)
    assert not np.allclose(fit(few, stiff, 1)[0].coefficients[0, 0], model.coefficients[0, 0])


def test_a_model_survives_its_file(model, tmp_path, rng):
    for name in ("a.toy", "b.toy"):
        model.save(tmp_path / name)
    assert (tmp_path / "a.toy").read_bytes() == (tmp_path / "b.toy").read_bytes()
    assert kind_of(tmp_path / "a.toy") == "toy"
    back = ToyPotential.load(tmp_path / "a.toy")
    assert isinstance(back, Potential)
    assert back.graph_key == model.graph_key
    frame = alloy(rng, 1)[0]
    assert predict(back, frame)[0].energy == predict(model, frame)[0].energy


def test_a_damaged_model_is_refused(model, tmp_path):
    path = tmp_path / "m.toy"
    model.save(path)
    path.write_bytes(path.read_bytes()[:500])
    assert not ToyPotential.recognises(path)
    with pytest.raises(DataError, match="not a toy model"):
        ToyPotential.load(path)


def test_foreign_elements_are_refused(model):
    with pytest.raises(InputError, match="does not know Si"):
        predict(model, Frame.make([14], [[0, 0, 0]]))
