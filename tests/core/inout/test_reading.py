"""What is in a file is read, kept under a name, or refused in one line with the remedy."""

from __future__ import annotations

import bz2
import gzip
import lzma

import ase.io
import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator

from trainspot import io
from trainspot.common.errors import InputError
from trainspot.data.dataset import Dataset
from trainspot.io import labels, source

CELL = 'Lattice="4 0 0 0 4 0 0 0 4"'
ATOMS = "H 0 0 0\nH 1 0 0\n"
PUSHED = "H 0 0 0 1 2 3\nH 1 0 0 4 5 6\n"
PLAIN = "Properties=species:S:1:pos:R:3"
FORCES = f"{PLAIN}:forces:R:3"
REFERENCE = f"{PLAIN}:REF_forces:R:3"


@pytest.fixture
def xyz(tmp_path):
    """Write one structure of two atoms with this comment line, and give its path."""

    def write(comment, atoms=PUSHED, name="a.xyz"):
        path = tmp_path / name
        path.write_text(f"2\n{CELL} {comment}\n{atoms}")
        return path

    return write


# ── names of labels ───────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("energy", "forces"),
    [
        ("dft_energy", "dft_forces"), ("DFT_energy", "DFT_forces"), ("Energy", "Forces"),
        ("energy_pbe", "forces_pbe"), ("TotEnergy", "force"), ("E", "F"), ("etot", "frc"),
        ("MACE_energy", "MACE_forces"), ("ref_energy", "ref_forces"), ("toten", "f_xyz"),
        ("total_energy", "atomic_forces"), ("corrected_total_energy", "Force"),
    ],
)  # fmt: skip
def test_names_that_look_like_labels_are_named_and_can_be_mapped(xyz, energy, forces, refusal):
    path = xyz(f"{PLAIN}:{forces}:R:3 {energy}=-1.5")
    text = refusal(path)
    assert f"'{energy}' and '{forces}' look like labels and are not read" in text
    assert f"--map {energy}=energy --map {forces}=forces" in text
    frame = io.read(path, mapping=io.parse_map([f"{energy}=energy", f"{forces}=forces"]))[0]
    assert frame.labels.energy == -1.5
    np.testing.assert_array_equal(frame.labels.forces, [[1, 2, 3], [4, 5, 6]])
    assert not {energy, forces} & {*frame.info, *frame.arrays}
    kept = io.read(path, mapping=io.parse_map([f"{energy}=keep", f"{forces}=keep"]))[0]
    assert kept.info[energy] == -1.5
    assert forces in kept.arrays
    assert not kept.labels


@pytest.mark.parametrize(
    "name",
    ["energy_cutoff", "config_energy_weight", "formation_energy", "fermi_energy", "energy_std",
     "energy_above_hull", "kinetic_energy", "has_energy", "energy_unit"],
)  # fmt: skip
def test_what_is_no_label_stays_metadata(xyz, name):
    frame = io.read(xyz(f"{PLAIN} {name}=1.5", ATOMS))[0]
    assert frame.info[name] == 1.5


def test_a_look_alike_beside_the_label_is_metadata(xyz):
    frame = io.read(xyz(f"{FORCES} energy=-1 dft_energy=-2"))[0]
    assert (frame.labels.energy, frame.info["dft_energy"]) == (-1, -2)


def test_what_was_kept_once_comes_back_with_a_note(xyz, tmp_path, same, caplog):
    kept = io.read(xyz(f"{FORCES} E=-1.5"), mapping={"E": "keep"})
    io.write(kept, tmp_path / "kept.extxyz")
    same(kept, io.read(tmp_path / "kept.extxyz"))
    assert "'E' is metadata, not a label" in caplog.text


def test_exact_conversions(xyz):
    path = xyz(
        f"{PLAIN}:gradient:R:3 energy_per_atom=-1.5 virials=[[1, 2, 0], [2, 3, 0], [0, 0, 4]]"
    )
    mapping = {"gradient": "forces", "energy_per_atom": "energy", "virials": "stress"}
    found = io.read(path, mapping=mapping)[0].labels
    assert found.energy == -3.0
    np.testing.assert_array_equal(found.forces, [[-1, -2, -3], [-4, -5, -6]])
    np.testing.assert_allclose(found.stress, -np.array([[1, 2, 0], [2, 3, 0], [0, 0, 4]]) / 64)


@pytest.mark.parametrize(
    ("comment", "mapping", "message"),
    [
        (f"{FORCES} energy=-1 virials='1 1 1 0 0 0'", {"virials": "stress"}, "the order of six"),
        (f"{FORCES} energy=-1", {"E": "energy"}, "has nothing called 'E'"),
        (f"{FORCES} energy=-1 E=-2", {"E": "energy"}, "'energy' already exists"),
        (f'{FORCES} E="-1 eV"', {"E": "energy"}, "E='-1 eV' is not a number"),
    ],
)
def test_what_cannot_be_mapped_is_said(xyz, comment, mapping, message):
    with pytest.raises(InputError, match=message):
        io.read(xyz(comment), mapping=mapping)


@pytest.mark.parametrize("entry", ["force", "force=velocity", "=energy"])
def test_a_mapping_that_makes_no_label_is_refused(entry):
    with pytest.raises(InputError, match="write NAME=LABEL"):
        io.parse_map([entry])


def test_labels_of_two_sets_are_refused_whichever_they_are(xyz, refusal):
    assert "'REF_energy' and 'forces'" in refusal(xyz(f"{FORCES} REF_energy=-1"))
    assert "'REF_forces' and 'energy'" in refusal(xyz(f"{REFERENCE} energy=-1"))
    stress = 'stress="1 0 0 0 1 0 0 0 1"'
    text = refusal(xyz(f"{REFERENCE} REF_energy=-1 {stress}"))
    assert "'REF_energy' and 'stress'" in text
    assert "--map stress=REF_stress" in text


def test_results_beside_reference_labels_are_kept_under_other_names(tmp_path, same, caplog):
    atoms = bulk("Si")
    atoms.info["REF_energy"] = -3.0
    atoms.arrays["REF_forces"] = np.zeros((2, 3))
    atoms.calc = SinglePointCalculator(atoms, energy=-2.0, forces=np.ones((2, 3)))
    ase.io.write(tmp_path / "a.extxyz", atoms)
    dataset = io.read(tmp_path / "a.extxyz")
    assert dataset[0].labels.energy == -3.0
    assert dataset[0].info["calculator_energy"] == -2.0
    np.testing.assert_array_equal(dataset[0].arrays["calculator_forces"], np.ones((2, 3)))
    assert "'forces' of a calculator is kept as 'calculator_forces'" in caplog.text
    io.write(dataset, tmp_path / "b.extxyz")
    same(dataset, io.read(tmp_path / "b.extxyz"))


# ── values ────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("comment", "message"),
    [
        (f'{REFERENCE} REF_energy="-1.0 eV"', "REF_energy='-1.0 eV' is not a number; give numbers"),
        (f'{FORCES} energy="-1.0 eV"', "energy='-1.0 eV' is not a number"),
        (f'{REFERENCE} REF_energy="-1 -2"', "REF_energy has 2 numbers"),
        (f"{REFERENCE} REF_energy", "REF_energy has no value"),
        (f"{REFERENCE} REF_energy=nan", "REF_energy is not finite; leave an absent label out"),
        (f'{REFERENCE} REF_energy=-1 REF_stress="1 2 3"', "REF_stress has 3 numbers"),
        (f'{FORCES} energy=-1 stress="1 2 3"', "stress has 3 numbers"),
        (f'{FORCES} energy=-1 stress="1 2 3 4 5 6 7 8 x"', "stress: 'x' is not a number"),
        (f'{FORCES} energy=-1 pbc="T T"', 'pbc="T T" is not a periodicity'),
        (f"{FORCES} energy=-1 pbc=None", "pbc=None is not a periodicity"),
        (f"{FORCES} energy=-1 energy=-2", "'energy' is given twice"),
        (f"{FORCES} energy=-1 a=[[1,2],[3", "a=[[1,2],[3 is never closed"),
        (f"{FORCES} energy=-1 iteration=1.5", "'iteration' must be a whole number, not '1.5'"),
        (f"{FORCES} energy=-1 seed=-3", "'seed' must be a whole number, not '-3'"),
        (f"{FORCES} energy=-1 strategy={'a' * 33}", "'strategy' is longer than 32 bytes"),
        (f"{PLAIN} energy=-1", "atom 1 has 7 columns, 4 are declared"),
        (f"{FORCES}:charge:R:1 energy=-1", "atom 1 has 7 columns, 8 are declared"),
        (f"{PLAIN}:forces:R energy=-1", "cannot be read; list name:type:width"),
        (f"{PLAIN}:fx:R:1:fy:R:1:fz:R:1 energy=-1", "declare the three columns as one"),
    ],
)
def test_values_that_cannot_be_used_are_named_with_the_remedy(xyz, comment, message, refusal):
    assert message in refusal(xyz(comment))


@pytest.mark.parametrize(
    ("atoms", "message"),
    [
        (PUSHED.replace(" 5 ", " 5x "), "atom 2, column 'forces': '5x' is not a number"),
        (PUSHED.replace("H 1", "D 1"), "atom 2: unknown element 'D'; write H, and its mass"),
        (PUSHED.replace("H 1", "Qq 1"), "atom 2: unknown element 'Qq'"),
        ("H 0 0 0 1 2 3\n", "has 1 of its 2 atoms"),
    ],
)
def test_atoms_that_cannot_be_read_are_named(xyz, atoms, message, refusal):
    assert f":1, structure 1: {message}" in refusal(xyz(f"{FORCES} energy=-1", atoms))


def test_a_lattice_that_is_none_is_refused(tmp_path, refusal):
    for lattice, message in (
        ("4 4 4", "has 3 numbers"),
        ("4 0 0 0 a 0 0 0 4", "'a' is not a number"),
    ):
        (tmp_path / "a.xyz").write_text(f'2\nLattice="{lattice}" {FORCES}\n{PUSHED}')
        assert message in refusal(tmp_path / "a.xyz")


@pytest.mark.parametrize("nothing", ["None", "none", "null", '""', "N/A"])
def test_nothing_is_no_label(xyz, nothing):
    found = io.read(xyz(f"{FORCES} energy=-1 stress={nothing} virial={nothing}"))[0].labels
    assert (found.energy, found.stress) == (-1, None)
    assert io.read(xyz(f"{FORCES} energy={nothing}"))[0].labels.energy is None


def test_texts_of_digits_stay_texts(xyz, tmp_path, same):
    dataset = io.read(xyz(f'{FORCES} name="007" id=000123 hash=12e4567 run=1_000 k=0.5 n=0'))
    expected = {"name": "007", "id": "000123", "hash": "12e4567", "run": "1_000", "k": 0.5, "n": 0}
    assert dict(dataset[0].info) == expected
    io.write(dataset, tmp_path / "b.extxyz")
    same(dataset, io.read(tmp_path / "b.extxyz"))


def test_special_names_in_small_letters_count(tmp_path):  # as GPUMD allows
    text = f'2\nlattice="4 0 0 1 4 0 0 0 4" properties={FORCES[11:]} energy=-1\n{PUSHED}'
    (tmp_path / "train.xyz").write_text(text)
    [frame] = io.read(tmp_path / "train.xyz")
    np.testing.assert_array_equal(frame.cell, [[4, 0, 0], [1, 4, 0], [0, 0, 4]])
    assert frame.labels.forces is not None


def test_structures_after_an_empty_line_are_read(tmp_path):
    (tmp_path / "a.xyz").write_text(f"2\n\n{ATOMS}\n\n2\n\n{ATOMS}\n")
    assert len(io.read(tmp_path / "a.xyz")) == 2


def test_an_energy_in_a_free_comment_is_pointed_out(tmp_path, caplog):
    (tmp_path / "a.xyz").write_text(f"2\n energy: -5.07 gnorm: 0.0001 xtb: 6.5.1\n{ATOMS}")
    io.read(tmp_path / "a.xyz")
    assert "'energy: -5.07' in a comment line is not a label" in caplog.text


def test_columns_that_change_are_refused_with_the_number(tmp_path, refusal):
    one, other = (f"2\n{PLAIN}:q:{kind}:1\nH 0 0 0 1\nH 1 0 0 0\n" for kind in "RI")
    (tmp_path / "a.xyz").write_text(one + one + other)
    text = refusal(tmp_path / "a.xyz")
    assert (
        "structure 3: the per-atom array 'q' is 1 int32 here, and 1 float64 in structure 1" in text
    )


# ── files ─────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("suffix", "pack"), [("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress)]
)
@pytest.mark.parametrize("inner", ["extxyz", "XYZ", "h5", "db", "cif"])
def test_packed_files_go_through_the_same_reader(tmp_path, labelled_frames, suffix, pack, inner):
    frames = Dataset.from_frames(labelled_frames)
    plain, packed = tmp_path / f"a.{inner}", tmp_path / f"b.{inner}.{suffix}"
    if inner == "cif":
        ase.io.write(plain, labelled_frames[0].to_atoms())
    else:
        io.write(frames, plain)
    packed.write_bytes(pack(plain.read_bytes()))
    assert io.read(packed).ids == io.read(plain).ids
    with io.opened(packed) as dataset:
        assert io.counts(dataset) == io.counts(io.read(plain))


def test_suffixes_in_capitals_are_written_and_read(tmp_path, labelled_frames, same):
    dataset = Dataset.from_frames(labelled_frames)
    for suffix in ("EXTXYZ", "H5", "DB"):
        io.write(dataset, tmp_path / f"a.{suffix}")
        same(dataset, io.read(tmp_path / f"a.{suffix}"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.extxyz.gz", gzip.compress(b"1\n\nSi 0 0 0\n" * 9, mtime=0)[:25], "cannot be unpacked"),
        ("b.extxyz.gz", b"1\n\nSi 0 0 0\n", "is not packed as its suffix '.gz' says"),
        ("c.zip", b"PK\x03\x04", "is an archive; unpack it first"),
        ("d.cif", b"", "is empty"),
        ("e.npz", b"PK\x03\x04", r"unknown suffix '.npz' (arrays of NumPy"),
        ("f.cfg", b"BEGIN_CFG\n Size\n", "is a data set of MLIP (MTP)"),
        ("ML_AB", b" 1.0 Version\n", "is VASP's file of learned configurations"),
        ("g.xyz", b"\xff\xfe\x00", "begins with a byte order mark, and is not UTF-16"),
    ],
)
def test_files_that_are_something_else_are_recognised(tmp_path, name, content, message, refusal):
    (tmp_path / name).write_bytes(content)
    assert message in refusal(tmp_path / name)


def test_a_deepmd_folder_of_text_and_of_many_systems_is_recognised(tmp_path, refusal):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "type.raw").write_text("0\n")
    assert "deepmd/raw" in refusal(tmp_path / "raw")
    (tmp_path / "many" / "one" / "set.000").mkdir(parents=True)
    (tmp_path / "many" / "one" / "type.raw").write_text("0\n")
    assert "is a DeePMD system" in refusal(tmp_path / "many")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "OUTCAR").write_text("x")
    assert f"name a file in it: {tmp_path / 'run' / 'OUTCAR'}" in refusal(tmp_path / "run")


def test_a_poscar_with_other_counts_is_refused(tmp_path, refusal):
    head = "c\n1\n4 0 0\n0 4 0\n0 0 4\n"
    for body, message in (
        ("Cu\n1\nDirect\n0 0 0\n.5 .5 .5\n", "has 2 coordinates for 1 atoms"),
        ("Cu\n2\nDirect\n0 0 0\n", "has 1 coordinates for 2 atoms"),
        ("Qq\n1\nDirect\n0 0 0\n", "line 6: unknown element 'Qq'"),
        ("Cu\nx\nDirect\n0 0 0\n", "line 7: 'x' is not a count of atoms"),
    ):
        (tmp_path / "POSCAR").write_text(head + body)
        assert message in refusal(tmp_path / "POSCAR")
    (tmp_path / "POSCAR").write_text(f"In As{head[1:]}1 1\nDirect\n0 0 0\n.2 .2 .2\n")
    assert len(io.read(tmp_path / "POSCAR")[0]) == 2


CIF = """data_x
_cell_length_a 6\n_cell_length_b 6\n_cell_length_c 6
_cell_angle_alpha 90\n_cell_angle_beta 90\n_cell_angle_gamma 90
loop_\n_atom_site_label\n_atom_site_type_symbol\n_atom_site_fract_x\n_atom_site_fract_y
_atom_site_fract_z\n_atom_site_occupancy
Si1 Si 0 0 0 1\nSi2 Si 0.3 0.3 0.3 1\n"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("a 6", "a six", "_cell_length_a 'six' is not a number"),
        ("_cell_length_a 6\n", "", "_cell_length_a is missing; give the whole cell"),
        ("0.3 1", "? 1", "site Si2: _atom_site_fract_z '?' is not a number"),
        ("0.3 1", "0.3 full", "site 2: occupancy 'full' is not a number"),
        ("Si2 Si", "Si2 Wat", "site Si2: unknown element 'Wa'"),
        ("0.3 1", "0.3", "cannot be read|has not as many values"),
        ("0.3 1", "0.3 1 7", "the number of values in a row"),
        ("0.3 1", "0.3 0.5", "has partially occupied sites"),
    ],
)
def test_what_a_cif_says_wrongly_is_named(tmp_path, old, new, message):
    (tmp_path / "a.cif").write_text(CIF.replace(old, new))
    with pytest.raises(InputError, match=message.replace("?", r"\?")):
        io.read(tmp_path / "a.cif")


def test_a_label_that_begins_with_t_is_not_tritium(tmp_path, refusal):
    text = CIF.replace("_atom_site_type_symbol\n", "").replace("Si2 Si", "T1").replace(" Si ", " ")
    (tmp_path / "zeolite.cif").write_text(text)
    assert "site T1: unknown element 'T'; give its element in" in refusal(tmp_path / "zeolite.cif")


def test_names_of_labels_have_one_definition():
    assert labels.REF == {"energy": io.REF_ENERGY, "forces": io.REF_FORCES, "stress": io.REF_STRESS}
    assert source.suffix_of(source.Path("x/A.EXTXYZ.GZ")) == ".extxyz"
