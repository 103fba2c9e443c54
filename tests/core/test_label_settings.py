"""Settings, fingerprints and failures of label engines."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainspot.common.errors import InputError, UnknownNameError
from trainspot.common.validation import parse_settings
from trainspot.data.dataset import Dataset
from trainspot.data.failure import without_failure
from trainspot.data.frames import Frame, Labels
from trainspot.label import base
from trainspot.label.ase import AseLabelEngine, AseSettings
from trainspot.label.quantumespresso import QuantumEspressoLabelEngine, QuantumEspressoSettings

FORMER = "quantumespresso-438627f8300c"

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=4), JSON, max_size=5), st.text(max_size=80))
def test_fingerprint_is_short_ascii_and_blind_to_the_order_of_keys(decisive, prefix):
    backwards = dict(reversed(decisive.items()))
    theory = base.fingerprint(prefix, decisive)
    assert theory == base.fingerprint(prefix, backwards)
    assert theory.isascii()
    assert len(theory) <= 64


def test_settings_that_are_not_finite_have_no_fingerprint():
    with pytest.raises(InputError, match="not finite"):
        base.fingerprint("ase", {"sigma": float("inf")})


def test_fingerprint_tells_settings_apart():
    one, two = (AseSettings(calculator="lj", parameters={"sigma": s}) for s in (1.0, 1.1))
    assert AseLabelEngine.theory(one) != AseLabelEngine.theory(two)
    assert AseLabelEngine.theory(one).startswith("ase-lj-")
    own = AseSettings(calculator="my.module:Potential")
    assert AseLabelEngine.theory(own).startswith("ase-potential-")


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"mixing_beta": 0.1}, True),
        ({"electron_maxstep": 200}, True),
        ({"max_iterations": 1}, True),
        ({"clean_workdir": False}, True),
        ({"parallelization": {"npool": 2}}, True),
        ({"kpoints_distance": 0.1, "conv_thr_per_atom": 1e-10, "degauss": 0.0125}, True),
        ({"protocol": "fast"}, False),
        ({"pseudo_family": "other"}, False),
        ({"ecutwfc": 40.0, "ecutrho": 160.0}, False),
        ({"kpoints_mesh": [2, 2, 2]}, False),
        ({"kpoints_offset": [1, 1, 1]}, False),
        ({"occupations": "fixed"}, False),
        ({"spin": True}, False),
        ({"dispersion": "d3"}, False),
        ({"assume_isolated": "2D"}, False),
        ({"parameters": {"SYSTEM": {"input_dft": "pbesol"}}}, False),
        ({"parameters": {"ELECTRONS": {"mixing_mode": "local-TF", "mixing_ndim": 4}}}, True),
        ({"parameters": {"ELECTRONS": {"diagonalization": "cg", "diago_cg_maxiter": 40}}}, True),
        ({"parameters": {"ELECTRONS": {"startingwfc": "file", "mixing_fixed_ns": 2}}}, False),
        ({"parameters": {"CONTROL": {"max_seconds": 900, "disk_io": "none"}}}, True),
        ({"parameters": {"ELECTRONS": {"scf_must_converge": False}}}, False),
    ],
)
def test_what_belongs_to_the_level_of_theory(change, same):
    engine = QuantumEspressoLabelEngine
    one = engine.theory(QuantumEspressoSettings())
    two = engine.theory(QuantumEspressoSettings.model_validate(change))
    assert (one == two) is same


def test_steps_count_where_what_is_not_converged_is_taken():
    """With scf_must_converge off, the number of steps decides the label."""
    loose = {"scf_must_converge": False, "mixing_ndim": 4}
    few, many = (
        QuantumEspressoSettings(electron_maxstep=n, parameters={"ELECTRONS": loose})
        for n in (10, 50)
    )
    assert QuantumEspressoLabelEngine.theory(few) != QuantumEspressoLabelEngine.theory(many)
    assert few.decisive()["parameters"] == {"ELECTRONS": loose}


@pytest.mark.parametrize(
    ("calculator", "one", "two", "same"),
    [
        ("tblite", {"max_iterations": 50, "verbosity": 1}, {"mixer_damping": 0.2}, True),
        ("tblite", {"accuracy": 1.0}, {"accuracy": 0.1}, False),
        ("gpaw:GPAW", {"h": 0.2, "txt": "a", "maxiter": 9}, {"h": 0.2, "maxiter": 99}, True),
        ("gpaw:GPAW", {"h": 0.2}, {"h": 0.1}, False),
        # ASE takes what VASP left after its last step, converged or not
        ("ase.calculators.vasp:Vasp", {"nelm": 60}, {"nelm": 200}, False),
        ("ase.calculators.vasp:Vasp", {"ncore": 4}, {"ncore": 8, "txt": "vasp.out"}, True),
        (
            "ase.calculators.espresso:Espresso",
            {"input_data": {"system": {"ecutwfc": 30}, "electrons": {"electron_maxstep": 9}}},
            {"input_data": {"system": {"ecutwfc": 30}, "electrons": {"electron_maxstep": 99}}},
            True,
        ),
        # of a calculator that nobody knows, everything counts
        ("my.module:Potential", {"maxiter": 9}, {"maxiter": 99}, False),
    ],
)
def test_what_belongs_to_the_level_of_theory_of_a_calculator(calculator, one, two, same):
    theories = {
        AseLabelEngine.theory(AseSettings(calculator=calculator, parameters=parameters))
        for parameters in (one, two)
    }
    assert (len(theories) == 1) is same


def test_the_user_knows_what_is_practical_for_a_calculator_of_his_own():
    plain = AseSettings(calculator="my.module:Potential", parameters={"depth": 3})
    told = AseSettings(
        calculator="my.module:Potential",
        parameters={"depth": 3, "steps": 9},
        practical_parameters=("steps",),
    )
    assert AseLabelEngine.theory(plain) == AseLabelEngine.theory(told)


def test_names_that_earlier_versions_gave_to_a_level_of_theory_are_known(labelled_frames):
    """The fingerprint that the release of November 2026 gave with ``mixing_ndim`` in the file."""
    settings = QuantumEspressoSettings(
        ecutwfc=30.0, ecutrho=240.0, parameters={"ELECTRONS": {"mixing_ndim": 4}}
    )
    engine = QuantumEspressoLabelEngine()
    former = base.former_theories(engine, settings)
    assert former == [FORMER]
    assert base.former_theories(engine, QuantumEspressoSettings(ecutwfc=30.0, ecutrho=240.0)) == []
    old = labelled_frames[0].with_(labels=replace(labelled_frames[0].labels, theory=FORMER))
    mixed = Dataset.from_frames([old, *labelled_frames[1:]])
    now = base.renamed(mixed, former, engine.theory(settings))
    assert now[0].labels.theory == engine.theory(settings)
    assert now[1].labels.theory == labelled_frames[1].labels.theory
    assert now[0].labels.energy == old.labels.energy


def test_an_explicit_mesh_makes_the_distance_of_the_protocol_irrelevant():
    theories = {
        QuantumEspressoLabelEngine.theory(
            QuantumEspressoSettings(
                protocol=protocol, kpoints_mesh=(2, 2, 2), conv_thr_per_atom=1e-9, degauss=0.01
            )
        )
        for protocol in ("fast", "balanced", "stringent")
    }
    assert len(theories) == 1


def test_cutoffs_are_the_highest_of_all_elements():
    full = QuantumEspressoSettings().with_cutoffs({"C": (45.0, 360.0), "Si": (30.0, 400.0)})
    assert (full.ecutwfc, full.ecutrho) == (45.0, 400.0)
    given = QuantumEspressoSettings(ecutwfc=20, ecutrho=80)
    assert given.with_cutoffs({"C": (45.0, 360.0)}) is given


def test_a_misspelt_setting_is_answered_with_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean 'protocol'"):
        parse_settings(QuantumEspressoSettings, {"protocoll": "fast"}, where="campaign.yaml")


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"ecutwfc": 30.0}, "together"),
        ({"ecutwfc": -1.0, "ecutrho": 4.0}, "ecutwfc"),
        ({"kpoints_mesh": [0, 1, 1]}, "at least 1"),
        ({"kpoints_mesh": [1, 1, 1], "kpoints_distance": 0.2}, "not both"),
        ({"kpoints_offset": [2, 0, 0]}, "kpoints_offset"),
        ({"spin": True, "occupations": "fixed"}, "spin"),
        ({"moments": {"Fe": 2.0}}, "spin: true"),
        ({"parameters": {"IONS": {}}}, "no namelist IONS"),
        ({"parameters": {"CONTROL": {"calculation": "relax"}}}, "cannot be set"),
        ({"protocol": "paper"}, "protocol"),
    ],
)
def test_bad_settings_are_one_clear_line(raw, message):
    with pytest.raises(InputError, match=message) as caught:
        parse_settings(QuantumEspressoSettings, raw)
    assert "\n" not in str(caught.value)


def test_failures_and_labels_come_back_together(labelled_frames, silicon):
    known = Dataset.from_frames([silicon, *labelled_frames])
    broken = base.failed(labelled_frames[3], "too\nbad " + "x" * 900, 410)
    assert not broken.labels
    failure = broken.info["failure"]
    assert failure["exit_status"] == 410
    assert "\n" not in failure["reason"]
    assert len(failure["reason"]) <= 500

    fresh = silicon.with_(labels=Labels(-1.0, np.zeros((8, 3)), None, "t"))
    result = base.gathered([fresh, broken])
    merged = base.merged(known, result.labelled, result.failures)
    assert merged.ids == [i for i in known.ids if i != broken.id]
    assert merged[0].labels.energy == -1.0
    assert merged[1].labels.theory == "made-up"
    assert "failure" not in without_failure(broken).info


def test_stress_is_reduced_to_the_periodic_subspace(rng):
    cell = np.array([[3.0, 1.0, 0.5], [-1.0, 4.0, 0.3], [0.0, 0.0, 15.0]])
    stress = rng.normal(size=(3, 3))
    stress += stress.T

    def reduced(pbc):
        frame = Frame.make([6], [[0, 0, 0]], cell, pbc)
        return base.labels_of(frame, 0.0, np.zeros((1, 3)), stress, "t").stress

    assert reduced([False] * 3) is None
    np.testing.assert_array_equal(reduced([True] * 3), stress)
    normal = np.cross(cell[0], cell[1])
    plane = reduced([True, True, False])
    np.testing.assert_allclose(plane @ normal, 0, atol=1e-12)
    np.testing.assert_allclose(cell[0] @ plane @ cell[1], cell[0] @ stress @ cell[1])
    line = reduced([False, True, False])
    np.testing.assert_allclose(cell[1] @ line @ cell[1], cell[1] @ stress @ cell[1])
    assert np.linalg.matrix_rank(line) == 1
