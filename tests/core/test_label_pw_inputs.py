"""What pw.x is asked for a frame, and how its answer is read."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainspot.augment.isolated import Isolated
from trainspot.common.errors import InputError
from trainspot.data.frames import Frame
from trainspot.label.quantumespresso import PwOutputs, QuantumEspressoLabelEngine
from trainspot.label.quantumespresso import QuantumEspressoSettings as Settings

ENGINE = QuantumEspressoLabelEngine


def settings(**changes) -> Settings:
    return Settings.model_validate({"ecutwfc": 30.0, "ecutrho": 240.0} | changes)


@pytest.fixture
def atom() -> Frame:
    return Frame.make([14], [[0, 0, 0]], np.eye(3) * 15, False)


@pytest.fixture
def sheet() -> Frame:
    cell = [[2.46, 0, 0], [-1.23, 2.13, 0], [0, 0, 15]]
    return Frame.make([6, 6], [[0, 0, 7], [0, 1.42, 7]], cell, [True, True, False])


def test_the_default_is_a_stringent_scf(silicon):
    asked = ENGINE.inputs(silicon, settings())
    assert asked.parameters == {
        "CONTROL": {"calculation": "scf", "tprnfor": True, "tstress": True},
        "SYSTEM": {
            "ecutwfc": 30.0,
            "ecutrho": 240.0,
            "nosym": False,
            "occupations": "smearing",
            "smearing": "cold",
            "degauss": 0.0125,
        },
        "ELECTRONS": {"conv_thr": 8e-10, "electron_maxstep": 80, "mixing_beta": 0.4},
    }
    assert asked.mesh == (12, 12, 12)  # 2π / 5.43 Å / 0.1
    assert asked.offset == (0, 0, 0)
    assert not asked.gamma_only


def test_the_threshold_grows_with_the_frame(silicon, atom):
    few = ENGINE.inputs(atom, settings()).parameters["ELECTRONS"]["conv_thr"]
    many = ENGINE.inputs(silicon, settings()).parameters["ELECTRONS"]["conv_thr"]
    assert many == pytest.approx(8 * few, rel=1e-12)


@given(
    st.floats(2, 30), st.floats(2, 30), st.floats(2, 30), st.floats(0.05, 1.0), st.integers(0, 7)
)
def test_the_mesh_is_the_coarsest_within_the_distance(a, b, c, distance, bits):
    pbc = np.array([bits >> axis & 1 for axis in range(3)], bool)
    cell = np.array([[a, 0, 0], [0.3 * a, b, 0], [0.1 * a, 0.2 * b, c]])
    frame = Frame.make([14], [[0, 0, 0]], cell, pbc)
    mesh = np.array(ENGINE.inputs(frame, settings(kpoints_distance=distance)).mesh)
    reciprocal = 2 * np.pi * np.linalg.norm(np.linalg.inv(cell).T, axis=1)
    assert np.all(mesh[~pbc] == 1)
    assert np.all(reciprocal[pbc] / mesh[pbc] <= distance * (1 + 1e-4))
    finer = mesh[pbc] > 1
    assert np.all((reciprocal[pbc] / np.maximum(mesh[pbc] - 1, 1))[finer] > distance * (1 - 1e-4))


def test_k_points_ignore_vacuum(sheet, atom):
    chosen = settings(kpoints_mesh=[3, 4, 5], kpoints_offset=[1, 1, 1])
    assert ENGINE.inputs(sheet, chosen).mesh == (3, 4, 1)
    assert ENGINE.inputs(sheet, chosen).offset == (1, 1, 0)
    alone = ENGINE.inputs(atom, chosen)
    assert (alone.mesh, alone.offset, alone.gamma_only) == ((1, 1, 1), (0, 0, 0), True)
    assert alone.parameters["CONTROL"]["tstress"] is False


def test_isolated_atoms_are_smeared_whatever_the_crystal_is(silicon, atom):
    fixed = settings(occupations="fixed", degauss=0.01)
    assert ENGINE.inputs(silicon, fixed).parameters["SYSTEM"]["occupations"] == "fixed"
    assert "degauss" not in ENGINE.inputs(silicon, fixed).parameters["SYSTEM"]
    system = ENGINE.inputs(atom, fixed).parameters["SYSTEM"]
    assert (system["occupations"], system["smearing"]) == ("smearing", "gaussian")
    assert system["degauss"] == 0.01


def test_vacuum_gets_plain_periodic_images_unless_asked(sheet, atom, silicon):
    for frame in (sheet, atom, silicon):
        assert "assume_isolated" not in ENGINE.inputs(frame, settings()).parameters["SYSTEM"]
    flat = settings(assume_isolated="2D")
    assert ENGINE.inputs(sheet, flat).parameters["SYSTEM"]["assume_isolated"] == "2D"
    assert "assume_isolated" not in ENGINE.inputs(atom, flat).parameters["SYSTEM"]
    tilted = Frame.make(sheet.numbers, sheet.positions, sheet.cell, [True, False, True])
    with pytest.raises(InputError, match="third cell vector"):
        ENGINE.inputs(tilted, flat)


def test_spin(sheet):
    system = ENGINE.inputs(sheet, settings(spin=True)).parameters["SYSTEM"]
    assert system["nspin"] == 2
    assert system["starting_magnetization"] == {"C": 0.5}
    moments = settings(spin=True, moments={"C": 1.0})
    given = ENGINE.inputs(sheet, moments, {"C": 4.0}).parameters["SYSTEM"]
    assert given["starting_magnetization"] == {"C": 0.25}
    with pytest.raises(InputError, match="valence electrons of C"):
        ENGINE.inputs(sheet, moments)


def test_isolated_atoms_start_from_their_own_moment(sheet):
    (atom,) = Isolated(spin="hund").generate([sheet], np.random.default_rng(0))
    for some in (settings(), settings(spin=True), settings(spin=True, moments={"C": -1.0})):
        system = ENGINE.inputs(atom, some, {"C": 4.0}).parameters["SYSTEM"]
        assert system["nspin"] == 2
        assert system["starting_magnetization"] == {"C": 0.5}
    with pytest.raises(InputError, match="valence electrons of C"):
        ENGINE.inputs(atom, settings())
    # Moments of any other frame are not an engine's to guess from, and closed shells have none.
    ordered = sheet.with_(arrays={"initial_magmoms": np.ones(len(sheet))})
    assert "nspin" not in ENGINE.inputs(ordered, settings()).parameters["SYSTEM"]
    helium = Frame.make([2], [[0, 0, 0]], np.eye(3) * 9, arrays={"initial_magmoms": [0.0]})
    assert "nspin" not in ENGINE.inputs(helium, settings()).parameters["SYSTEM"]


def test_dispersion_and_own_keywords(silicon):
    own = {"SYSTEM": {"nbnd": 20}, "ELECTRONS": {"diagonalization": "cg", "mixing_beta": 0.1}}
    asked = ENGINE.inputs(silicon, settings(dispersion="d3", parameters=own)).parameters
    assert (asked["SYSTEM"]["vdw_corr"], asked["SYSTEM"]["nbnd"]) == ("grimme-d3", 20)
    assert asked["ELECTRONS"]["mixing_beta"] == 0.1
    d2 = ENGINE.inputs(silicon, settings(dispersion="d2")).parameters["SYSTEM"]
    assert d2["vdw_corr"] == "grimme-d2"


def test_what_cannot_be_asked(silicon):
    with pytest.raises(InputError, match="set ecutwfc"):
        ENGINE.inputs(silicon, Settings())
    with pytest.raises(InputError, match="add vacuum"):
        ENGINE.inputs(Frame.make([14], [[0, 0, 0]]), settings())


def test_units_and_sign_of_the_stress(silicon):
    pressure = 10.0  # GPa, compressed: pw.x prints positive numbers
    outputs = PwOutputs(-1.0, np.ones((8, 3)), np.eye(3) * pressure)
    labels = ENGINE.labels(silicon, outputs, "t")
    np.testing.assert_allclose(labels.stress, -np.eye(3) * pressure / 160.21766, rtol=1e-6)
    assert (labels.energy, labels.theory) == (-1.0, "t")
    np.testing.assert_array_equal(labels.forces, np.ones((8, 3)))


@pytest.mark.parametrize("bad", [np.ones((7, 3)), np.full((8, 3), np.nan)])
def test_an_answer_that_cannot_be_right_is_refused(silicon, bad):
    with pytest.raises(InputError):
        ENGINE.labels(silicon, PwOutputs(-1.0, bad), "t")
