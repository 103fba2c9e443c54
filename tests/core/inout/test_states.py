"""One geometry in several charges, spins and magnetic orders: what is one frame, and what is two.

``cases/charge-states.extxyz`` and ``magnetic-orders.extxyz`` rebuild the files of
ACEsuit/mace-foundations#66, ``atom-in-periodic-box.extxyz`` that of libAtoms/QUIP#560.
"""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from trainspot import io
from trainspot.augment.base import child
from trainspot.cli import main
from trainspot.common.errors import DataError
from trainspot.config import load
from trainspot.data import hdf5
from trainspot.data.dataset import Dataset
from trainspot.data.failure import without_failure
from trainspot.data.frames import Frame, Labels, Origin, frame_id
from trainspot.data.isolated import is_isolated_atom
from trainspot.data.state import electronic_state
from trainspot.explore.frames import cut
from trainspot.explore.schedule import Run
from trainspot.train.base import mixed_states, reference_energies, training_sets

CASES = Path(__file__).parent / "cases"
WATER = {0: -2080.00, 1: -2067.40, -1: -2078.90}


def run(*arguments, fails=0):
    result = CliRunner().invoke(main, [*map(str, arguments)])
    assert result.exit_code == fails, result.output
    return result.output


def water(**info):
    return Frame.make([8, 1, 1], [[0, 0, 0], [0.96, 0, 0], [0, 0.96, 0]], info=info)


def labelled(frame, energy, theory="pbe", **changes):
    return frame.with_(labels=Labels(energy, np.zeros((len(frame), 3)), None, theory), **changes)


# ── identity ──────────────────────────────────────────────────────────────────
def test_twelve_frames_of_four_geometries_stay_twelve(tmp_path):
    frames = io.read(CASES / "charge-states.extxyz")
    assert len(frames) == len(set(frames.ids)) == len(frames.merge()) == 12
    run("label", CASES / "charge-states.extxyz", "--calculator", "emt", "-o", tmp_path / "a.h5")
    back = io.read(tmp_path / "a.h5")
    found = {(f.info["total_charge"], round(f.labels.energy, 2)) for f in back}
    assert set(WATER.items()) <= found
    assert [f.info["total_charge"] for f in back] == [f.info["total_charge"] for f in frames]


@pytest.mark.parametrize(
    "name",
    ["charge", "total_charge", "tot_charge", "Charge", "net_charge", "multiplicity", "total_spin",
     "spin_multiplicity", "tot_magnetization", "magnetic_order", "electric_field"],
)  # fmt: skip
def test_what_distinguishes_a_calculation_is_part_of_its_identity(name):
    one, two = water(**{name: 2}), water(**{name: 3})
    assert len({water().id, one.id, two.id}) == 3
    assert one.id == water(**{name: 2.0}).id == water(**{name: "2"}).id == water(note="a").with_(
        info={name: np.int64(2)}
    ).id  # fmt: skip
    assert one.with_(info={}).id == water().id == water(config="a", step=7).id


def test_a_charge_is_one_whatever_it_is_called_and_zero_is_none():
    assert water(charge=-1).id == water(total_charge=-1.0).id
    assert water(charge=0).id == water(total_charge="0").id == water().id
    by_atoms = water().with_(arrays={"initial_charges": [-1.0, 0.5, -0.5]})
    assert by_atoms.id == water(charge=-1).id
    assert water().with_(arrays={"initial_charges": [-1.0, 0.5, 0.5]}).id == water().id


def test_moments_belong_to_the_identity_and_results_do_not():
    ferro = water().with_(arrays={"initial_magmoms": [2.2, 2.2, 0.0]})
    anti = water().with_(arrays={"initial_magmoms": [2.2, -2.2, 0.0]})
    assert len({ferro.id, anti.id, water().id}) == 3
    assert water().with_(arrays={"magmoms": [2.2, 2.2, 0.0], "initial_magmoms": [0, 0, 0]}).id == (
        water().id
    )
    assert labelled(ferro, 1.0).id == without_failure(ferro).id == ferro.id


values = (
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(-3, 3) | st.text("a1 -", max_size=3)
)


@given(st.dictionaries(st.sampled_from(["charge", "total_charge", "spin", "efield", "x"]), values))
def test_a_state_can_be_made_of_anything(info):
    state = electronic_state(info, {})
    assert electronic_state(state, {}) == state
    assert water(**info).id == frame_id(*_geometry(water()), state)
    assert (water(**info).id == water().id) == (not state)


def _geometry(frame):
    return frame.numbers, frame.positions, frame.cell, frame.pbc


# ── merging ───────────────────────────────────────────────────────────────────
def test_copies_that_differ_in_what_nobody_knows_are_refused_by_name(tmp_path):
    before = sorted(tmp_path.iterdir())
    output = run(
        *(
            "label",
            CASES / "magnetic-orders.extxyz",
            "--calculator",
            "emt",
            "-o",
            tmp_path / "a.h5",
        ),
        fails=2,
    )
    assert output.count("\n") == 1
    assert "magnetic-orders.extxyz, frames 1 and 2: one geometry is labelled twice" in output
    assert "-16.4 and -16 eV" in output
    assert "differ in magmom, order, magmoms" in output
    assert sorted(tmp_path.iterdir()) == before


def test_levels_of_theory_under_a_key_of_the_user_are_refused_by_name():
    pair = [labelled(water(functional=name), energy) for name, energy in (("PBE", 1), ("SCAN", 2))]
    with pytest.raises(DataError, match="differ in functional"):
        Dataset.from_frames(pair).merge()


def test_all_of_a_merged_frame_comes_from_one_copy_and_it_is_told():
    told = []
    low = labelled(
        water(source="a"), 1.0, arrays={"q": [1, 2, 3]}, origin=Origin("md", iteration=3)
    )
    bare = water(source="b", step=5).with_(arrays={"q": [4, 5, 6]})
    for pair in ([low, bare], [bare, low]):
        (frame,) = Dataset.from_frames(pair).merge(tell=told.append)
        assert (frame.labels.energy, dict(frame.info)) == (1.0, {"source": "a"})
        assert frame.arrays["q"].tolist() == [1, 2, 3]
        assert frame.origin == bare.origin  # where it was met first
    names = "they differ in q, source, step"
    assert told == [f"1 duplicate of 1 frame left out ({names})"] * 2


def test_two_labels_of_one_calculation_are_told():
    told = []
    pair = [labelled(water(), energy) for energy in (1.0, 0.25, 1.0 + 1e-6)]
    assert Dataset.from_frames(pair).merge(tell=told.append)[0].labels.energy == 0.25
    assert told[0].startswith("2 duplicates of 1 frame left out; ")
    assert "1 frame had copies with other labels, up to 0.75 eV apart" in told[0]
    told.clear()
    Dataset.from_frames([pair[0], pair[2]]).merge(tell=told.append)  # the last digits say nothing
    assert told == ["1 duplicate of 1 frame left out"]


# ── labels of a state ─────────────────────────────────────────────────────────
def test_an_engine_that_is_not_told_of_a_charge_does_not_label_the_frame(tmp_path):
    frames = [water(total_charge=-1), water(total_charge=0, total_spin=1), water(multiplicity=3)]
    hdf5.write(Dataset.from_frames(frames), tmp_path / "a.h5")
    output = run("label", tmp_path / "a.h5", "--calculator", "emt", "-o", tmp_path / "b.h5")
    assert "1 frame labelled, 2 failed" in output
    assert "the frame has charge -1, which this engine cannot compute" in output
    assert [bool(f.labels) for f in io.read(tmp_path / "b.h5")] == [False, True, False]


def test_tblite_is_told_of_the_charge(tmp_path):
    hdf5.write(Dataset.from_frames([water(charge=1), water()]), tmp_path / "a.h5")
    run("label", tmp_path / "a.h5", "--calculator", "tblite", "-o", tmp_path / "b.h5")
    cation, neutral = io.read(tmp_path / "b.h5")
    assert 5 < cation.labels.energy - neutral.labels.energy < 25  # an ionisation energy, eV


def test_states_in_one_training_set_are_told():
    frames = io.read(CASES / "charge-states.extxyz")
    assert "3 charge or spin states" in (text := mixed_states(frames))
    assert "charge -1" in text
    assert mixed_states(frames.take([0])) == ""


# ── files of an earlier version ───────────────────────────────────────────────
def test_ids_of_before_states_counted_are_brought_up_to_date(tmp_path):
    parent = water(charge=1)
    old = frame_id(*_geometry(parent))
    child = Frame.make([8], [[0, 0, 0]], origin=Origin("rattle", old))
    columns = dict(Dataset.from_frames([water(note=1), parent, child]).columns)
    columns["id"] = columns["id"].copy()
    columns["id"][0] = frame_id(*_geometry(water())).encode()
    columns["id"][1] = old.encode()
    columns["positions"] = columns["positions"].copy()
    columns["positions"][:3] += 1.0  # so that the neutral one is another geometry
    moved = Frame.make([8, 1, 1], columns["positions"][:3])
    columns["id"][0] = moved.id.encode()
    hdf5.write(Dataset(columns), tmp_path / "old.h5")
    for dataset in (io.read(tmp_path / "old.h5"),):
        assert dataset.ids == [moved.id, parent.id, child.id]
        assert dataset[2].origin.parent == parent.id
    with io.opened(tmp_path / "old.h5") as lazy:
        assert lazy.ids == dataset.ids


# ── isolated atoms and labelled frames ────────────────────────────────────────
def test_an_atom_in_a_periodic_box_is_isolated_everywhere(tmp_path):
    frames = io.read(CASES / "atom-in-periodic-box.extxyz")
    assert frames.is_isolated.tolist() == [True] + [False] * 12
    assert frames.e0s() == {29: -3.21}
    assert (frames[0].labels.energy, frames[0].labels.forces.tolist()) == (-3.21, [[0, 0, 0]])
    made = run("augment", CASES / "atom-in-periodic-box.extxyz", "-o", tmp_path / "a.h5")
    alone = [f for f in io.read(tmp_path / "a.h5") if len(f) == 1]
    assert [f.id for f in alone] == [frames[0].id], made
    output = run("split", CASES / "atom-in-periodic-box.extxyz", "-o", tmp_path / "s.h5")
    parts = io.read(tmp_path / "s.h5")
    assert parts[0].split == "train", output
    energies, warnings = reference_energies(training_sets(parts)[0])
    assert (energies, warnings) == ({29: -3.21}, [])


@pytest.mark.parametrize(
    ("key", "tag"),
    [
        ("config_type", "isolated_atom"), ("config_type", "IsolatedAtom"),
        ("Config_type", "isolated atom"), ("config_type", "ISOLATED"),
        ("config_type", "isolated_atom_Cu"), ("config_type", "single_atom"),
    ],
)  # fmt: skip
def test_a_tag_makes_a_single_atom_isolated_unless_its_images_are_bonded(key, tag):
    atom = Frame.make([29], [[0, 0, 0]], np.eye(3) * 6, True, info={key: tag})
    bulk = atom.with_(info={key: "bulk"})
    crystal = Frame.make([29], [[0, 0, 0]], np.eye(3) * 2.5, True, info={key: tag})
    frames = [atom, bulk, crystal]
    assert Dataset.from_frames(frames).is_isolated.tolist() == [True, False, False]
    assert [is_isolated_atom(frame) for frame in frames] == [True, False, False]


@pytest.mark.parametrize("edge", [2.3, 5.3, 8.5])
def test_a_one_atom_cell_of_a_crystal_is_no_isolated_atom(edge):
    """The last is caesium stretched by 60 %, as far as augmentation goes."""
    cell = np.array([[-1, 1, 1], [1, -1, 1], [1, 1, -1]]) * edge / np.sqrt(3)
    crystal = Dataset.from_frames([labelled(Frame.make([55], [[0, 0, 0]], cell, True), 1.0)])
    assert not crystal.is_isolated.any()
    assert crystal.e0s() == {}


def test_an_ion_fixes_no_reference_energy():
    box = np.eye(3) * 15
    atom = labelled(Frame.make([1], [[0, 0, 0]], box), -13.6)
    ion = labelled(Frame.make([1], [[0, 0, 0]], box, info={"charge": -1}), -14.4)
    dataset = Dataset.from_frames([atom, ion])
    assert (dataset.is_isolated.tolist(), dataset.e0s()) == ([True, True], {1: -13.6})


def test_an_isolated_atom_needs_no_forces_in_a_file(tmp_path):
    text = 'REF_energy=-5.0 Properties=species:S:1:pos:R:3 pbc="F F F"'
    (tmp_path / "a.extxyz").write_text(f"1\n{text}\nSi 0 0 0\n")
    atom = io.read(tmp_path / "a.extxyz")
    assert atom.is_labelled.all()
    assert atom[0].labels.forces.tolist() == [[0, 0, 0]]
    bare = Dataset.from_frames([atom[0].with_(labels=Labels(-5.0))])
    hdf5.write(bare, tmp_path / "b.h5")
    with io.opened(tmp_path / "b.h5") as lazy:
        assert lazy.is_labelled.all()


# ── theories that cannot be together are told before anything is paid ─────────
def test_labels_of_two_theories_are_refused_before_any_is_computed(tmp_path):
    pair = [labelled(water(), 1.0), water(note=1, charge=0).with_(info={"charge": 0})]
    moved = Frame.make([8, 1, 1], pair[0].positions * 1.1)
    hdf5.write(Dataset.from_frames([pair[0], moved]), tmp_path / "a.h5")
    arguments = ("label", tmp_path / "a.h5", "--calculator", "emt", "-o", tmp_path / "b.h5")
    output = run(*arguments, fails=2)
    assert "has labels of another level of theory ('pbe')" in output
    assert not (tmp_path / "b.h5").exists()
    assert "1 frame labelled (1 had labels already)" in run(*arguments, "--mix-theories")


def test_an_energy_alone_is_computed_anew_and_never_ends_in_a_conflict(tmp_path):
    frame = water().with_(labels=Labels(-1.0, theory="given"))
    hdf5.write(Dataset.from_frames([frame]), tmp_path / "a.h5")
    output = run("label", tmp_path / "a.h5", "--calculator", "emt", "-o", tmp_path / "b.h5")
    assert "1 frame had only an energy or only forces: computed again" in output
    (found,) = io.read(tmp_path / "b.h5")
    assert found.labels.complete
    assert found.labels.theory.startswith("ase-emt")
    both = Dataset.from_frames([frame]).merge(Dataset.from_frames([found]))
    assert both[0].labels.energy == found.labels.energy


def test_a_campaign_refuses_copies_that_contradict_each_other(tmp_path):
    data = CASES / "magnetic-orders.extxyz"
    (tmp_path / "c.yaml").write_text(f"dataset: {data}\nlabel: {{engine: ase, calculator: emt}}\n"
                                     "train: {mix_theories: true}\n")  # fmt: skip
    with pytest.raises(DataError, match=r"frames 1 and 2: one geometry is labelled twice"):
        load.read_inputs(load.load(tmp_path / "c.yaml"))


@pytest.mark.parametrize("suffix", [".h5", ".extxyz"])
def test_files_written_by_the_version_before_open_with_ids_of_now(suffix):
    """``before/states``: iron with charge and moments, its children, and an atom by Hund's rule.

    Written by commit 28be9e7 with ``trainspot augment fe.extxyz --config hund.yaml -o states.h5``
    and ``trainspot convert states.h5 states.extxyz``, where hund.yaml lists isolated (spin: hund),
    input and rattle (3 copies), and fe.extxyz has cubic iron with ``initial_magmoms`` of 2.2 and
    -2.2 and ``total_charge=1``.
    """
    dataset = io.read(CASES / "before" / f"states{suffix}")
    assert dataset.ids == [frame.identity() for frame in dataset]
    crystal = next(f for f in dataset if f.origin.strategy == "input")
    assert set(crystal.state) == {"charge", "initial_magmoms"}
    children = [f for f in dataset if f.origin.strategy == "rattle"]
    assert len(children) == 3
    assert {f.origin.parent for f in children} == {crystal.id}
    bare = crystal.with_(info={}, arrays={})
    assert crystal.id != bare.id == frame_id(*_geometry(crystal))


def test_what_is_made_from_a_frame_keeps_its_state(tmp_path):
    start = water(charge=1, source="x").with_(
        arrays={"initial_magmoms": [1.0, 0, 0], "q": [1, 2, 3]}
    )
    run_ = Run("s", 300.0, 0.0, "nvt", (False,) * 3, 1.0, 10, 10, 1, "t")
    explored = cut(start, run_, start.positions + 0.1, start.cell, 10)
    moved = child(start, "rattle", positions=start.positions + 0.2)
    for frame in (explored, moved):
        assert frame.state == start.state
        assert (dict(frame.info), list(frame.arrays)) == ({"charge": 1}, ["initial_magmoms"])
    fewer = child(start, "vacancies", positions=start.positions[:2], sites=np.array([0, 1]))
    assert (dict(fewer.info), fewer.arrays["initial_magmoms"].tolist()) == ({}, [1.0, 0.0])
