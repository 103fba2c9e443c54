"""Files that people reported, each with the right values; ``reports`` holds them, cut to the point.

The sources are public reports about other programs, named beside each case.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import ase.db
import numpy as np
import pytest
from ase.build import bulk

from trainspot import io
from trainspot.common.errors import InputError

REPORTS = Path(__file__).parent / "reports"
FORCE = [0.04684179, -0.44425822, -0.51641809]  # of the first atom of the first frame, eV/Å
STRESS = [0.007007470, -0.023797400]  # xx and xy of the first frame, eV/Å³


def counts(dataset):
    return tuple(io.counts(dataset).values())


def first_stress(dataset):
    return dataset[0].labels.stress[0, :2]


# ── labels under other names ──────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("name", "named", "mapping"),
    [  # ACEsuit/mace-jax#23; libAtoms/QUIP#156, GPUMD#601; ACEsuit/mace#262
        ("ref-with-stress.extxyz", ["'REF_energy' and 'stress'"], {"stress": "REF_stress"}),
        ("force.xyz", ["'force'"], {"force": "forces"}),
        ("total-energy.xyz", ["'TotEnergy' and 'force'"],
         {"TotEnergy": "energy", "force": "forces"}),
    ],
)  # fmt: skip
def test_labels_of_other_names_are_refused_with_the_line_that_reads_them(name, named, mapping):
    path = REPORTS / name
    with pytest.raises(InputError) as caught:
        io.read(path)
    message = str(caught.value)
    assert f"{name}, structure 1: " in message
    assert all(text in message for text in named)
    command = " ".join(f"--map {old}={new}" for old, new in mapping.items())
    assert f"trainspot convert {path} NEW.extxyz {command}" in message
    dataset = io.read(path, mapping=mapping)
    assert dataset.is_labelled.all()


def test_the_force_that_is_mapped_is_the_one_in_the_file():
    dataset = io.read(REPORTS / "force.xyz", mapping={"force": "forces"})
    np.testing.assert_array_equal(dataset[0].labels.forces[0], FORCE)
    dataset = io.read(REPORTS / "ref-with-stress.extxyz", mapping={"stress": "REF_stress"})
    assert counts(dataset) == (6, 6, 6, 6)
    np.testing.assert_allclose(first_stress(dataset), STRESS, atol=1e-8)


@pytest.mark.parametrize(
    ("name", "key"), [("virial.xyz", "virial"), ("ref-virials.extxyz", "REF_virials")]
)  # GPUMD#275, JuLIP.jl#166, ACEsuit/mace#1518
def test_a_virial_is_named_and_becomes_a_stress(name, key, caplog):
    assert counts(io.read(REPORTS / name)) == (6, 6, 6, 0)
    assert f"'{key}' is metadata, not a label" in caplog.text
    assert f"--map {key}=stress makes a label of it (6 of 6 structures)" in caplog.text
    dataset = io.read(REPORTS / name, mapping={key: "stress"})
    assert counts(dataset) == (6, 6, 6, 6)
    np.testing.assert_allclose(first_stress(dataset), STRESS, atol=1e-8)


def test_columns_that_are_not_declared_are_refused():  # ACEsuit/mace#960, #406
    with pytest.raises(InputError) as caught:
        io.read(REPORTS / "columns.xyz")
    message = str(caught.value)
    assert "columns.xyz:1, structure 1: atom 1 has 7 columns, 4 are read" in message
    assert "Properties=species:S:1:pos:R:3:REF_forces:R:3" in message
    assert "call 'TotEnergy' REF_energy" in message


def test_a_frame_id_of_the_user_is_kept(tmp_path, same):  # matbench-discovery PR#130
    dataset = io.read(REPORTS / "frame-id.extxyz")
    assert dataset[0].info["frame_id"] == "mp-30-0-0"
    assert dataset[0].info["mp_id"] == "mp-30"
    for suffix in ("extxyz", "db", "h5"):
        io.write(dataset, tmp_path / f"a.{suffix}")
        same(dataset, io.read(tmp_path / f"a.{suffix}"))


def test_forces_of_fixed_atoms_are_those_of_the_file():  # ACEsuit/mace PR#1448, schnetpack#229
    np.testing.assert_array_equal(io.read(REPORTS / "fixed.extxyz")[0].labels.forces[0], FORCE)


# ── what parsers stumbled over ────────────────────────────────────────────────
def test_matrices_in_nested_brackets_are_read():  # libAtoms/extxyz README@0070661
    dataset = io.read(REPORTS / "brackets.extxyz")
    assert counts(dataset) == (6, 6, 6, 6)
    np.testing.assert_allclose(first_stress(dataset), STRESS, atol=1e-8)


def test_none_is_no_label():
    assert counts(io.read(REPORTS / "none.extxyz")) == (6, 6, 6, 0)


def test_an_unknown_occupancy_is_one():  # aiidateam/aiida-core#2373
    [frame] = io.read(REPORTS / "occupancy.cif")
    assert sorted(frame.numbers) == [8, 14, 14]


@pytest.mark.parametrize(("name", "atoms"), [("mark.cif", 2), ("mark.extxyz", 1)])
def test_a_byte_order_mark_is_passed_over(tmp_path, name, atoms):  # materialsproject/pymatgen#331
    assert len(io.read(REPORTS / name)[0]) == atoms
    other = tmp_path / name
    text = (REPORTS / name).read_text(encoding="utf-8-sig")
    other.write_text(text, encoding="utf-16")
    assert len(io.read(other)[0]) == atoms


@pytest.mark.parametrize(("name", "mass"), [("d2o.cif", 2.014), ("t2o.cif", 3.016)])
def test_hydrogen_isotopes_keep_their_masses(tmp_path, name, mass):  # pymatgen#2151, PR#3542
    from trainspot.augment.plan import augment, parse_plan

    dataset = io.read(REPORTS / name)
    assert dataset[0].to_atoms().get_chemical_formula() == "H2O"
    np.testing.assert_allclose(dataset[0].arrays["masses"], [15.999, mass, mass], atol=1e-3)
    alloy = {"kind": "alloy", "alloy_species": ["S", "Se"], "fixed_species": ["H"], "copies": 2}
    kinds = ["supercell", "rattle", "cluster", "slab", "swap"]
    plan = [*({"kind": kind} for kind in kinds), alloy]
    made = augment(dataset, parse_plan(plan), 1).dataset
    kinds = set()
    for frame in made:
        kinds.add(frame.origin.strategy)
        np.testing.assert_allclose(frame.arrays["masses"][frame.numbers == 1], mass, atol=1e-3)
    assert {"supercell", "rattle", "cluster", "slab", "swap", "alloy"} <= kinds


@pytest.mark.parametrize("name", ["POSCAR_slash", "POSCAR_crlf", "POSCAR_negative"])
def test_dialects_of_poscar_are_read(name):
    [frame] = io.read(REPORTS / name)
    assert frame.to_atoms().get_chemical_formula() == "AuCu3"
    if name == "POSCAR_negative":
        assert abs(np.linalg.det(frame.cell)) == pytest.approx(60.0)


@pytest.mark.parametrize("name", ["POSCAR_v4", "POSCAR_v4_words"])
def test_words_of_a_comment_are_no_elements(name):  # custodian#291, oekosheri/GB_code#12
    with pytest.raises(InputError, match="add a line with the elements above the counts"):
        io.read(REPORTS / name)


def test_a_deepmd_system_is_recognised():  # deepmodeling/dpdata#708, GPUMDkit#117
    with pytest.raises(InputError, match=r"is a DeePMD system.*dpdata.LabeledSystem\(sys.argv"):
        io.read(REPORTS / "deepmd")


def test_json_of_pymatgen_is_recognised(tmp_path):  # SevenNet#61
    entry = {"structure": {"@module": "pymatgen.core.structure", "@class": "Structure"}}
    (tmp_path / "mptrj.json").write_text(json.dumps({"mp-30": {"mp-30-0-0": entry}}))
    with pytest.raises(InputError, match="is JSON of pymatgen, not an ASE database"):
        io.read(tmp_path / "mptrj.json")


def test_a_database_that_speaks_of_pymatgen_is_one(tmp_path):
    with ase.db.connect(tmp_path / "a.json") as database:
        database.write(bulk("Cu"), origin='pymatgen "@class"', data={"lattice": 1})
    assert len(io.read(tmp_path / "a.json")) == 1


def test_a_magnetic_cif_is_recognised():  # pymatgen#2947
    with pytest.raises(InputError, match=r"unknown suffix '\.mcif' .*rename it to \.cif"):
        io.read(REPORTS / "nio.mcif")


# ── names ─────────────────────────────────────────────────────────────────────
def test_names_are_literal():
    assert io.read(REPORTS / "names" / "POSCAR@300K")[0].cell[0, 0] == pytest.approx(4.1)
    assert io.read(REPORTS / "names" / "POSCAR")[0].cell[0, 0] == pytest.approx(3.9)
    assert len(io.read(REPORTS / "names" / "Cu3Au[1].vasp")[0]) == 4


# ── outputs of calculations ───────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("name", "step"), [("scf/OUTCAR", 2), ("scf/vasprun.xml", 2), ("scf/relax.pwo", 4)]
)  # deepmodeling/dpgen#503, #1333, FitSNAP#127, dpdata PR#7
@pytest.mark.parametrize("packed", [False, True])
def test_steps_that_did_not_converge_are_left_out(tmp_path, name, step, packed, caplog):
    path = REPORTS / name
    if packed:
        path = tmp_path / f"{path.name}.gz"
        path.write_bytes(gzip.compress((REPORTS / name).read_bytes()))
    dataset = io.read(path)
    assert counts(dataset) == (3, 3, 3, 3)
    assert f"1 of 4 steps left out (step {step}): SCF cycle did not converge" in caplog.text
    np.testing.assert_allclose(dataset[0].labels.forces[0], FORCE, atol=1e-5)
    np.testing.assert_allclose(first_stress(dataset), STRESS, atol=1e-6)
    if "relax" not in name:
        assert dataset[0].labels.energy == pytest.approx(0.17789571)  # the free energy


def test_steps_of_a_machine_learned_force_field_are_left_out(caplog):  # dpdata#274, #586, #828
    dataset = io.read(REPORTS / "mlff" / "OUTCAR")
    assert counts(dataset) == (2, 2, 2, 2)
    assert "2 of 4 steps left out (step 2, 3): is of a machine-learned" in caplog.text
