"""The ASE calculators of a model and of a committee: one body, the structure as it stands."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk

from trainspot.common.errors import InputError, NonFiniteError
from trainspot.data.dataset import Dataset
from trainspot.label.ase import AseSettings, label_frame
from trainspot.models.calculator import CommitteeCalculator, PotentialCalculator
from trainspot.models.committee import CommitteePotential
from trainspot.predictions.error_bars import Trust
from trainspot.train.toy import ToySettings, fit

BARS = {
    "energy_uncertainty",
    "forces_uncertainty",
    "frame_forces_uncertainty",
    "stress_uncertainty",
    "threshold_ratio",
    "excess",  # its former name
}


@pytest.fixture
def members(copper):
    settings = AseSettings(calculator="emt")
    frames = [label_frame(frame, settings).with_(split="train") for frame in copper]
    return [fit(Dataset.from_frames(frames), ToySettings(), seed)[0] for seed in range(2)]


@pytest.fixture
def calculators(members):
    trust = dict.fromkeys(("energy", "forces", "stress"), Trust(2.0, 0.1))
    committee = CommitteeCalculator(CommitteePotential(members, trust))
    alone = CommitteeCalculator(CommitteePotential(members[:1]))
    return {"model": PotentialCalculator(members[0]), "committee": committee, "alone": alone}


def test_results_are_those_of_the_members_and_bars_come_on_top(calculators, copper):
    plain = {"energy", "free_energy", "forces", "stress"}
    results = {}
    for name, calculator in calculators.items():
        atoms = copper[0].to_atoms()
        atoms.calc = calculator
        atoms.get_potential_energy()
        results[name] = calculator.results
    assert results["model"].keys() == results["alone"].keys() == plain
    assert results["committee"].keys() == plain | BARS
    for name in plain:
        np.testing.assert_allclose(results["alone"][name], results["model"][name], rtol=1e-12)


@pytest.mark.parametrize("name", ["model", "committee"])
def test_a_structure_is_computed_as_it_stands(calculators, copper, name):
    """A step below the grid of frames changes the energy as the forces say."""
    atoms = copper[0].to_atoms()
    atoms.calc = calculators[name]
    before, force = atoms.get_potential_energy(), atoms.get_forces()[0, 0]
    assert abs(force) > 0.01
    atoms.positions[0, 0] += 4e-9
    assert atoms.get_potential_energy() - before == pytest.approx(-4e-9 * force, rel=0.01)


@pytest.mark.parametrize(("name", "who"), [("model", "model"), ("committee", "committee")])
def test_unknown_elements_and_impossible_numbers_are_refused(calculators, copper, name, who):
    atoms = bulk("Au", cubic=True)
    atoms.calc = calculators[name]
    with pytest.raises(InputError, match=f"the {who} does not know Au; it knows Cu; train it"):
        atoms.get_potential_energy()
    atoms = copper[0].to_atoms()
    atoms.calc = calculators[name]
    for model in getattr(calculators[name].model, "members", [calculators[name].model]):
        model.e0s[:] = np.nan
    with pytest.raises(NonFiniteError, match=f"the {who} predicted non-finite values"):
        atoms.get_potential_energy()


def test_a_committee_takes_no_cell_of_dependent_vectors(calculators, copper):
    atoms = copper[0].to_atoms()
    atoms.cell[1] = atoms.cell[0]
    atoms.calc = calculators["committee"]
    with pytest.raises(InputError, match="not independent"):
        atoms.get_potential_energy()
