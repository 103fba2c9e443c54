"""What is told of a campaign before anything is spent."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk, graphene

from trainspot.campaign import preflight
from trainspot.campaign.preflight import foresee, foresee_sets
from trainspot.common.errors import MissingExtraError
from trainspot.config.document import Document
from trainspot.config.load import resolve
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame, Labels
from trainspot.data.state import MOMENTS
from trainspot.judge.novelty import frames_needed
from trainspot.label.electrons import are_fixed
from trainspot.label.electrons import foresee as foresee_electrons

COPPER = Frame.from_atoms(bulk("Cu", cubic=True))
PLAN = [{"kind": "input"}, {"kind": "isolated", "spin": "hund"}]


def campaign(**changes):
    stages = {
        "structures": ["x.cif"],
        "label": {"engine": "ase", "calculator": "emt"},
        "train": {"engine": "toy"},
        "explore": {"engine": "ase"},
    }
    return resolve(Document(Path("c.yaml"), stages | changes)).campaign


def told(asked, frames=(COPPER,), *, here=True):
    found = list(foresee(asked, Dataset.from_frames(list(frames)), here={"label"} if here else ()))
    assert all("\n" not in remark.text for remark in found)
    return [(remark.level, remark.text) for remark in found]


def test_a_sound_campaign_gives_no_remark():
    assert told(campaign(augment=[{"kind": "input"}, {"kind": "isolated"}])) == []


@pytest.mark.parametrize("here", [True, False])
def test_an_unknown_calculator_is_an_error_wherever_it_runs(here):
    asked = campaign(label={"engine": "ase", "calculator": "emt2"})
    assert told(asked, here=here) == [
        ("error", "label.calculator: unknown calculator 'emt2'; did you mean 'emt'?")
    ]


def test_a_module_may_be_missing_here_and_present_there():
    asked = campaign(label={"engine": "ase", "calculator": "no.such:Calculator"})
    ((level, text),) = told(asked, here=True)
    assert level == "error"
    assert "cannot be imported" in text
    assert told(asked, here=False) == []


def test_moments_with_a_calculator_that_has_none_are_an_error():
    blind = {"engine": "ase", "calculator": "lj"}
    ((level, text),) = told(campaign(augment=PLAN, label=blind))
    assert level == "error"
    assert text == (
        "calculator 'lj' cannot start from a magnetic moment, but isolated atoms have one; "
        "set spin: none for isolated"
    )
    assert told(campaign(augment=PLAN)) == [], "emt has moments"
    atom = Frame.make([29], [[5, 5, 5]], np.eye(3) * 10, False, arrays={MOMENTS: np.ones(1)})
    assert told(campaign(augment=[], label=blind), [COPPER, atom])[0][0] == "error"


def test_atoms_that_have_no_moment_are_no_trouble():
    zinc = Frame.from_atoms(bulk("Zn"))
    blind = {"engine": "ase", "calculator": "lj"}
    assert told(campaign(augment=PLAN, label=blind), [zinc]) == []


def test_a_missing_library_is_an_error(monkeypatch):
    def missing(_):
        raise MissingExtraError("the library for descriptors", "descriptors")

    monkeypatch.setattr(preflight, "check_installed", missing)
    ((level, text),) = told(campaign(augment=[]))
    assert (level, "pip install 'trainspot[descriptors]'" in text) == ("error", True)


def test_a_sheet_read_as_a_crystal_is_a_warning():
    sheet = graphene(vacuum=8.0)
    sheet.pbc = True
    ((level, text),) = told(campaign(augment=[]), [Frame.from_atoms(sheet)])
    assert level == "warning"
    assert "16.0 Å without atoms along c" in text


# ── sets ──────────────────────────────────────────────────────────────────────
def sets_of(train, validation):
    atoms = bulk("Cu", cubic=True)
    frames = []
    for number in range(train + validation):
        atoms.positions[0, 0] = 0.01 * number
        frames.append(
            Frame.from_atoms(atoms).with_(split="train" if number < train else "validation")
        )
    return frames


def warned(asked, train, validation):
    return [remark.text for remark in foresee_sets(asked, sets_of(train, validation))]


def test_enough_validation_frames_need_no_word():
    assert warned(campaign(), 30, 19) == []
    assert warned(campaign(select={"novelty": None}), 30, 12) == []


def test_too_few_for_thresholds_and_a_share_that_helps():
    (text,) = warned(campaign(), 60, 5)
    assert text == (
        "5 validation frames in iteration 1: thresholds need 12, so the first selections will be "
        "random, and the novelty flag needs 19; set split.fractions, such as [0.6, 0.3, 0.1], or "
        "make more frames; the audit adds some in each iteration"
    )


def test_too_few_for_novelty_alone_or_however_they_are_shared():
    (text,) = warned(campaign(), 6, 13)
    assert text.startswith("13 validation frames in iteration 1: the novelty flag needs 19; ")
    assert "; make more frames and a larger share of validation frames (split.fractions)" in text


def test_the_method_and_the_share_say_how_many():
    (text,) = warned(campaign(select={"novelty": 0.5}), 30, 1)
    assert "thresholds need 12" in text
    assert "novelty" not in text
    assert [frames_needed(share) for share in (0.5, 0.9, 0.95, 0.99)] == [1, 9, 19, 99]


def test_isolated_atoms_are_in_no_validation_set():
    atom = Frame.make([29], [[5, 5, 5]], np.eye(3) * 10, False).with_(split="validation")
    (remark,) = foresee_sets(campaign(), [atom] * 30)
    assert remark.text.startswith("0 validation frames")


def labelled(n=8, *, stress=True, **shift):
    """Rattled copper with made-up labels: forces of about 0.5 eV/Å, energies of about 0.1."""
    rng = np.random.default_rng(4)
    found = []
    for k in range(n):
        labels = Labels(
            4 * rng.normal(-3.5, 0.1) + shift.get("matter", 0.0),
            rng.normal(0, 0.5, (4, 3)),
            np.eye(3) * rng.normal(0, 0.02) if stress else None,
            "given",
        )
        positions = COPPER.positions + rng.normal(0, 0.01 + 0.01 * k, (4, 3))
        found.append(Frame.make(COPPER.numbers, positions, COPPER.cell, True, labels=labels))
    return found


def cautions(asked, frames=(COPPER,)):
    return [text for level, text in told(asked, frames) if level == "warning"]


def test_a_tolerance_wider_than_the_labels_spread_is_pointed_out():
    asked = campaign(tolerance={"energy": 5.0, "forces": 50.0, "stress": 5.0})
    found = cautions(asked, labelled())
    assert len(found) == 3
    assert found[1].startswith(
        "tolerance.forces = 50 eV/Å is larger than the spread of the labels, 0."
    )
    assert found[1].endswith("every model meets this tolerance; is the unit eV/Å, not meV/Å?")
    unlabelled = cautions(asked)
    assert [text.partition(" is ")[0] for text in unlabelled] == [
        "tolerance.energy = 5 eV/atom",
        "tolerance.forces = 50 eV/Å",
        "tolerance.stress = 5 eV/Å³",
    ]


@pytest.mark.parametrize(
    "tolerance",
    [{"energy": 0.005}, {"forces": 0.3, "stress": None}, {"forces": 0.1, "stress": 0.005}],
)
def test_sharp_tolerances_are_not(tolerance):
    assert cautions(campaign(tolerance=tolerance), labelled()) == []
    assert cautions(campaign(tolerance=tolerance)) == []


def test_a_tolerance_for_stress_that_nothing_has_is_pointed_out():
    asked = campaign(tolerance={"forces": 0.1, "stress": 0.001})
    molecule = Frame.make([29, 29], [[0, 0, 0], [0, 0, 2.3]])
    (text,) = cautions(asked, [molecule])
    assert text == (
        "tolerance.stress = 0.001 eV/Å³, but no frame is periodic, so no frame has a stress; "
        "write stress: null"
    )
    (text,) = cautions(asked, labelled(stress=False))
    assert "none of the 8 labelled frames has a stress" in text
    assert cautions(asked, labelled()) == cautions(campaign(), [molecule]) == []
    engine = {"engine": "ase", "calculator": f"{__name__}:NoStress"}
    assert told(campaign(label=engine, tolerance={"stress": 0.001}), here=False) == []


def test_what_is_wrong_with_labels_is_said_before_anything_is_spent():
    atom = Frame.make([29], [[0, 0, 0]], labels=Labels(-2041.5, np.zeros((1, 3)), None, "given"))
    (text,) = cautions(campaign(), [*labelled(), atom])
    assert text.startswith("8 frames lie +2038 eV/atom above the isolated atoms")


QE = {"engine": "quantumespresso", "occupations": "fixed"}
ODD = Frame.make([1, 8], [[0, 0, 0], [0, 0, 0.97]], np.eye(3) * 9)
EVEN = Frame.make([1, 8, 1], [[0, 0, 0], [0, 0, 0.97], [0, 0.9, 1.1]], np.eye(3) * 9)
HYDROGEN = Frame.make([1], [[0, 0, 0]], np.eye(3) * 9)
TERBIUM = Frame.make([65, 7], [[0, 0, 0], [0, 0, 2.4]], np.eye(3) * 9, True)


def electrons(frames, valences=None, **label):
    settings = campaign(label=QE | label).label.settings
    dataset = Dataset.from_frames(list(frames))
    return [(r.level, r.text) for r in foresee_electrons(dataset, settings, valences)]


def test_fixed_occupations_with_odd_electrons_are_pointed_out():
    assert are_fixed(campaign(label=QE).label.settings)
    ((level, text),) = electrons([ODD, EVEN, HYDROGEN])
    assert level == "warning"
    assert text.startswith("1 of 3 frames to be labelled have an odd number of electrons (")
    ((level, _),) = electrons([ODD], {"H": 1.0, "O": 6.0})
    assert level == "error"
    ((_, text),) = electrons([EVEN], parameters={"SYSTEM": {"tot_charge": 1}})
    assert "HOH is the first" in text or "H2O is the first" in text


@pytest.mark.parametrize(
    ("frames", "valences", "label"),
    [
        ([EVEN, HYDROGEN], None, {}),
        ([ODD], None, {"occupations": "smearing"}),
        ([ODD], None, {"parameters": {"SYSTEM": {"tot_charge": -1}}}),
        ([ODD], None, {"parameters": {"SYSTEM": {"nspin": 2}}}),
        ([TERBIUM], None, {}),
        ([TERBIUM], {"Tb": 11.0, "N": 5.0}, {}),
    ],
)
def test_electrons_that_pair_are_not(frames, valences, label):
    assert electrons(frames, valences, **label) == []
