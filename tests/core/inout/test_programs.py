"""Files of other programs: read, or refused in one line; nothing in them is invented or lost."""

from __future__ import annotations

import warnings

import ase.db
import ase.io
import numpy as np
import pytest
import spglib
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.db.row import AtomsRow
from ase.io.formats import ioformats
from ase.spacegroup.spacegroup import parse_sitesym

from trainspot import io
from trainspot.data.dataset import Dataset
from trainspot.io import groups, trajectories

BOX = "ITEM: BOX BOUNDS pp pp pp\n0 4\n0 4\n0 4\n"
HEAD = f"ITEM: TIMESTEP\n0\nITEM: NUMBER OF ATOMS\n2\n{BOX}"
DUMP = (
    f"{HEAD}ITEM: ATOMS id type element x y z fx fy fz\n1 1 Cu 0 0 0 .1 0 0\n2 1 Cu 2 2 0 -.1 0 0\n"
)
POSCAR = "c\n1\n4 0 0\n0 4 0\n0 0 4\nCu\n1\nDirect\n0 0 0\n"
CIF = """data_x
_cell_length_a 6\n_cell_length_b 6\n_cell_length_c 6
_cell_angle_alpha 90\n_cell_angle_beta 90\n_cell_angle_gamma 90
{group}loop_\n_atom_site_label\n_atom_site_type_symbol\n_atom_site_fract_x\n_atom_site_fract_y
_atom_site_fract_z\nSi1 Si 0.1 0.2 0.3\n"""
OPERATIONS = "loop_\n_symmetry_equiv_pos_as_xyz\n'x,y,z'\n'-x,-y,z'\n"


@pytest.fixture
def written(tmp_path):
    """Write a file, and give its path."""

    def write(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


# ── LAMMPS ────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("name", ["a.lammpstrj", "a.dump", "a.txt"])
def test_forces_of_a_lammps_dump_are_no_labels(written, tmp_path, same, caplog, name):
    dataset = io.read(written(name, DUMP + DUMP))
    assert len(dataset) == 2
    assert io.counts(dataset) == {"frames": 2, "energy": 0, "forces": 0, "stress": 0}
    frame = dataset[0]
    assert frame.to_atoms().get_chemical_formula() == "Cu2"
    np.testing.assert_allclose(frame.arrays["calculator_forces"], [[0.1, 0, 0], [-0.1, 0, 0]])
    assert "are those of its potential, not labels" in caplog.text
    io.write(dataset, tmp_path / "back.extxyz")
    same(dataset, io.read(tmp_path / "back.extxyz"))


def test_types_without_elements_are_refused(written, refusal):
    path = written("a.lammpstrj", DUMP.replace(" element", "").replace(" Cu", ""))
    assert "line 9: no column says which elements the types of atoms are; write" in refusal(path)


def test_units_of_a_dump_are_heeded(written, refusal):
    real = io.read(written("a.dump", f"ITEM: UNITS\nreal\n{DUMP}"))[0]
    assert real.arrays["calculator_forces"][0, 0] == pytest.approx(0.1 * 0.0433641, rel=1e-5)
    assert "is in units 'lj', which cannot be converted to Å" in refusal(
        written("b.dump", f"ITEM: UNITS\nlj\n{DUMP}")
    )


@pytest.mark.parametrize("name", ["x.data", "x.lmp", "data.x"])
def test_lammps_data_are_recognised_with_the_way_in(tmp_path, name, refusal):
    ase.io.write(tmp_path / name, bulk("Cu"), format="lammps-data")
    text = refusal(tmp_path / name)
    assert "is LAMMPS data: the elements of its types, and its atom_style, are unknown" in text
    assert 'format="lammps-data"' in text


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("2 1 Cu 2 2 0 -.1 0 0\n", "", "line 9: has 1 of its 2 atoms; the file is cut off"),
        ("2 1 Cu 2", "2 1 Cu1 2", "'Cu1' is not an element"),
        (DUMP[len(HEAD) :], "", "has a step without atoms; the file is cut off"),
    ],
)
def test_a_dump_that_is_cut_off_or_wrong_is_refused(written, old, new, message, refusal):
    text = refusal(written("a.dump", (DUMP + DUMP).replace(old, new, 1)))
    assert message in text
    assert "np." not in text


def test_line_ends_of_windows_are_read(written):
    assert len(io.read(written("a.dump", DUMP.replace("\n", "\r\n")))) == 1
    assert len(io.read(written("POSCAR", POSCAR.replace("\n", "\r\n")))) == 1


def test_forces_of_dl_poly_are_no_labels(caplog):
    atoms = bulk("Cu")
    atoms.calc = SinglePointCalculator(atoms, forces=np.ones((1, 3)))
    [found] = trajectories.without_forces([atoms], "CONFIG", "DL_POLY")
    frame = io.from_ase(found)
    assert not frame.labels
    np.testing.assert_array_equal(frame.arrays["calculator_forces"], np.ones((1, 3)))
    assert "CONFIG: the forces of DL_POLY are those of its potential" in caplog.text
    assert {*trajectories.DL_POLY, trajectories.DUMP} <= {*ioformats}


# ── CP2K ──────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    "comment",
    [
        " i =        0, time =        0.000, E =       -17.16",
        " i = 1, E = -17.16",
        " i = 1, time = 0.500, E = -17.16E+00",
    ],
)
def test_the_energy_of_cp2k_is_in_hartree_and_no_label(written, tmp_path, same, caplog, comment):
    step = f"2\n{comment}\nH 0 0 0\nH 0 0 0.7\n"
    dataset = io.read(written("md-pos-1.xyz", step + step.replace("17", "18")))
    assert io.counts(dataset)["energy"] == 0
    assert [frame.info["cp2k_E"] for frame in dataset] == [-17.16, -18.16]
    assert type(dataset[0].info["i"]) is int
    assert "is in Hartree and not a label; it is kept as 'cp2k_E'" in caplog.text
    io.write(dataset, tmp_path / "back.extxyz")
    same(dataset, io.read(tmp_path / "back.extxyz"))


def test_an_energy_of_that_name_in_other_files_is_still_refused(written, refusal):
    assert "'E' looks like a label" in refusal(written("a.xyz", "1\ni=0 E=-17.16\nH 0 0 0\n"))


def test_forces_of_cp2k_are_no_positions(written, refusal):
    text = refusal(written("md-frc-1.xyz", "1\n i = 0, time = 0.000, E = -17.1\nH 0 0 0\n"))
    assert (
        "has forces of CP2K instead of positions; give the file with positions: md-pos-1.xyz"
        in text
    )


# ── POSCAR ────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("elements", "counts", "message"),
    [
        ("Au Cu", "1", "line 6 has 2 elements, and line 7 1 count of atoms"),
        ("Au Cu ! Au Cu", "1", "line 6 has 2 elements, and line 7 1 count of atoms"),
        ("Cu", "1 1", "line 6 has 1 element, and line 7 2 counts of atoms"),
    ],
)
def test_elements_and_counts_that_differ_are_refused(written, elements, counts, message, refusal):
    text = POSCAR.replace("Cu\n1\n", f"{elements}\n{counts}\n")
    assert message in refusal(written("POSCAR", text))


def test_an_xdatcar_is_held_to_its_counts(written, refusal):
    head, step = "c\n1\n4 0 0\n0 4 0\n0 0 4\n{}\nDirect configuration= 1\n", "0 0 0\n.5 .5 0\n"
    path = written("XDATCAR", head.format("Au Cu\n2") + step)
    assert "line 6 has 2 elements, and line 7 1 count of atoms" in refusal(path)
    written("XDATCAR", head.format("Au Cu\n1 1") + step + "Direct configuration= 2\n" + step)
    assert len(io.read(path)) == 2


@pytest.mark.parametrize("between", ["", "\n", "\n0 0 0\n", "\n0 0 0\n\n"])
def test_a_second_structure_in_a_poscar_is_not_passed_over(written, between, refusal):
    line = 10 + between.count("\n")
    text = f"has another structure from line {line} on, but a POSCAR holds one"
    assert text in refusal(written("POSCAR", POSCAR + between + POSCAR))


def test_velocities_behind_the_coordinates_are_no_structure(written):
    lattice = "Lattice velocities and vectors\n  1\n" + "  0.1 0.2 0.3\n" * 6
    for rest in ("\n 0.1 0.2 0.3\n", f"{lattice}Direct\n 0.1 0.2 0.3\n"):
        assert len(io.read(written("CONTCAR", POSCAR + rest))[0]) == 1


@pytest.mark.parametrize("letters", ["utf-8", "latin-1"])
def test_a_comment_may_have_other_letters(written, letters):
    path = written("POSCAR", POSCAR.replace("c\n", "Jürgen\n", 1).encode(letters))
    assert io.read(path)[0].to_atoms().get_chemical_formula() == "Cu"


def test_text_in_other_letters_is_called_so(written, refusal):
    # In a format that is read as UTF-8 whatever it says.
    path = written("a.xsf", "# Jürgen\nATOMS\n29 0 0 0\n".encode("latin-1"))
    assert "is not UTF-8 text; save it as UTF-8" in refusal(path)


# ── CIF ───────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    "name",
    ["", "_symmetry_space_group_name_H-M ?\n", "_symmetry_space_group_name_H-M 'P what'\n",
     "_symmetry_space_group_name_H-M 'P what'\n_symmetry_cell_setting monoclinic\n"],
)  # fmt: skip
@pytest.mark.parametrize("key", ["_symmetry_equiv_pos_as_xyz", "_space_group_symop_operation_xyz"])
def test_operations_are_enough_of_a_space_group(written, name, key):
    group = name + OPERATIONS.replace("_symmetry_equiv_pos_as_xyz", key)
    frame = io.read(written("a.cif", CIF.format(group=group)))[0]
    np.testing.assert_allclose(frame.positions, [[0.6, 1.2, 1.8], [5.4, 4.8, 1.8]])


def test_an_unknown_space_group_is_named(written, refusal):
    text = CIF.format(group="_symmetry_space_group_name_H-M 'P what'\n")
    assert "unknown space group 'P what'; give its operations" in refusal(written("a.cif", text))


@pytest.mark.parametrize(
    ("group", "message"),
    [
        (OPERATIONS.replace("-y", "-q"), "'-x,-q,z' is not a symmetry operation"),
        ("_space_group_name_Hall 'what'\n", "unknown space group 'what'"),
        ("_space_group_name_H-M_alt 'P 1 21/c 1'\n_space_group_IT_number 15\n",
         "its space group is contradictory: P 1 21/c 1, 15"),
        ("_space_group_IT_number 999\n", "unknown space group '999'"),
    ],
)  # fmt: skip
def test_a_symmetry_that_cannot_be_applied_is_named(written, group, message, refusal):
    assert message in refusal(written("a.cif", CIF.format(group=group)))


@pytest.mark.parametrize(
    "group",
    ["_space_group_name_H-M_alt 'P 1 21/n 1'\n", "_space_group_name_H-M_alt 'P 21/n'\n",
     "_space_group_name_H-M_alt 'P 1 21/n 1'\n_space_group_IT_number 14\n",
     "_space_group_name_Hall '-P 2yn'\n",
     "_space_group_name_H-M_alt 'P 21/c'\n_space_group_name_Hall '-P 2yn'\n"],
)  # fmt: skip
def test_the_setting_is_that_of_the_name(written, group):
    found = io.read(written("a.cif", CIF.format(group=group)))[0]
    places = {tuple(place) for place in np.round(found.positions / 6, 6).tolist()}
    assert places == {(0.1, 0.2, 0.3), (0.4, 0.7, 0.2), (0.9, 0.8, 0.7), (0.6, 0.3, 0.8)}


def test_the_choice_of_origin_is_heeded(written):
    one, two = (CIF.format(group=f"_space_group_name_H-M_alt 'F d -3 m :{n}'\n") for n in (1, 2))
    plain = CIF.format(group="_space_group_name_H-M_alt 'F d -3 m'\n")
    first = {tuple(p) for p in io.read(written("a.cif", plain))[0].positions.round(6).tolist()}
    assert {tuple(p) for p in io.read(written("b.cif", one))[0].positions.round(6)} == first
    assert {tuple(p) for p in io.read(written("c.cif", two))[0].positions.round(6)} != first


@pytest.mark.parametrize(
    ("name", "hall"),
    [("P 1 21/n 1", 82), ("P 21/n", 82), ("P21/c", 81), ("P 1 1 21/b", 86), ("F d -3 m :2", 526),
     ("R -3 m :R", 459), ("R -3 m :h", 458), ("P n m a", 292), ("P 1", 1), ("P what", 0)],
)  # fmt: skip
def test_settings_are_found_by_their_names(name, hall):
    assert groups.setting_of(name) == hall


def test_operations_are_those_of_the_tables():
    assert groups.operations_of(82) == [
        "x,y,z", "-x,-y,-z", "-x+1/2,y+1/2,-z+1/2", "x+1/2,-y+1/2,z+1/2",
    ]  # fmt: skip
    for setting in range(1, 531):  # each comes back from the form of a CIF
        rotations, shifts = parse_sitesym(groups.operations_of(setting))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            table = spglib.get_symmetry_from_database(setting)
        np.testing.assert_array_equal(rotations, table["rotations"])
        np.testing.assert_allclose(shifts, table["translations"], atol=1e-6)


def test_a_number_with_an_unknown_name_is_said_to_decide(written, caplog):
    odd = CIF.format(group="_space_group_name_H-M_alt 'P what'\n_space_group_IT_number 14\n")
    assert len(io.read(written("c.cif", odd))[0]) == 4
    assert "'P what' is not known: the first setting of number 14 is taken" in caplog.text


# ── what readers of ASE say ───────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.traj", b"no trajectory", "it is damaged, cut off, or of another format"),
        ("a.gjf", b"#p HF\n\ntitle\n\n0 1\nH\nH 1 R\n\nR=0.7\n\n", "write Cartesian coordinates"),
    ],
)
def test_words_of_readers_about_themselves_are_not_repeated(
    written, name, content, message, refusal
):
    text = refusal(written(name, content))
    assert message in text
    assert "ULM" not in text
    assert "encountered" not in text


# ── databases ─────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("suffix", ["db", "aselmdb"])
def test_metadata_may_have_any_name_of_a_row(tmp_path, silicon, same, suffix):
    row = AtomsRow(Atoms("H"))
    names = {*dir(row), "masses", "momenta", "tags", "symbols", "constraints", "calculator", "data",
             "volume", "mass", "fmax", "key_value_pairs", "calculator_parameters"}  # fmt: skip
    texts = silicon.with_(info=dict.fromkeys(sorted(names), "Cu"))
    numbers = silicon.with_(info=dict.fromkeys(sorted(names), 3))
    for place, frame in enumerate((texts, numbers)):
        path = tmp_path / f"{place}.{suffix}"
        io.write(Dataset.from_frames([frame]), path)
        same(Dataset.from_frames([frame]), io.read(path))


def test_a_pair_called_like_what_a_row_derives_is_the_pair(tmp_path):
    with ase.db.connect(tmp_path / "a.db") as database:
        database.write(bulk("Cu"), volume=3.0, mass=4.0)
    info = io.read(tmp_path / "a.db")[0].info
    assert (info["volume"], info["mass"]) == (3.0, 4.0)
