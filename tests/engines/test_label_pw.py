"""Labels from real pw.x: consistent in themselves, with other readers, and through AiiDA."""

from __future__ import annotations

import itertools
import subprocess
from pathlib import Path

import ase.io
import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node
from aiida.manage.caching import enable_caching
from aiida.plugins import DataFactory, GroupFactory, WorkflowFactory
from aiida_quantumespresso.parsers.parse_xml.parse import parse_xml
from ase.build import bulk

from aiida_trainspot.data.pes import PESData
from aiida_trainspot.functions.label import gather_pw
from trainspot.augment.isolated import Isolated
from trainspot.common.errors import RunError
from trainspot.data.failure import without_failure
from trainspot.data.frames import Frame
from trainspot.label.base import failed, gathered
from trainspot.label.quantumespresso import PwOutputs, QuantumEspressoLabelEngine
from trainspot.label.quantumespresso import QuantumEspressoSettings as Settings
from trainspot.testing import check_label_engine

pytestmark = pytest.mark.engine

FAMILY = "silicon"
CHEAP = {
    "pseudo_family": FAMILY,
    "kpoints_mesh": [2, 2, 2],
    "degauss": 0.01,
    "conv_thr_per_atom": 1e-9,
}


@pytest.fixture
def two() -> Frame:
    """Two atoms of silicon, compressed by 4 %, displaced."""
    atoms = bulk("Si", a=5.22)
    atoms.rattle(0.1, seed=5)
    return Frame.from_atoms(atoms)


@pytest.fixture
def direct(pwx, write_pw, tmp_path):
    """Labels from pw.x without AiiDA: our parameters, ASE's writer, the plugin's XML reader."""

    numbers = itertools.count()

    def label(frame: Frame, settings: Settings, theory="direct"):
        folder = tmp_path / f"{next(numbers)}_{frame.id[:12]}"
        folder.mkdir()
        write_pw(frame, settings, folder)
        with (folder / "log").open("w") as log:
            subprocess.run([str(pwx), "-in", "in"], cwd=folder, stdout=log, check=True)
        with (folder / "out" / "x.save" / "data-file-schema.xml").open() as xml:
            found = parse_xml(xml)[0]["trajectory"]
        stress = found["stress"][-1] if frame.pbc.any() else None
        outputs = PwOutputs(found["energy"][-1], found["forces"][-1], stress)
        return QuantumEspressoLabelEngine.labels(frame, outputs, theory)

    return label


def displaced(frame: Frame, row: int, axis: int, by: float) -> Frame:
    atoms = frame.to_atoms()
    atoms.positions[row, axis] += by
    return Frame.from_atoms(atoms)


def scaled(frame: Frame, by: float) -> Frame:
    atoms = frame.to_atoms()
    atoms.set_cell(atoms.cell * (1 + by), scale_atoms=True)
    return Frame.from_atoms(atoms)


def test_forces_and_stress_are_derivatives_of_the_energy(two, direct):
    settings = Settings(ecutwfc=32, ecutrho=128, nosym=True, **CHEAP)
    labels = direct(two, settings)
    axis = int(np.abs(labels.forces[1]).argmax())
    plus, minus = (direct(displaced(two, 1, axis, by), settings).energy for by in (0.01, -0.01))
    assert abs(labels.forces[1, axis]) > 0.3
    assert labels.forces[1, axis] == pytest.approx(-(plus - minus) / 0.02, rel=0.02)
    # The basis is not complete, so the difference quotient holds a little Pulay stress.
    plus, minus = (direct(scaled(two, by), settings).energy for by in (0.01, -0.01))
    trace = (plus - minus) / 0.02 / two.to_atoms().get_volume()
    assert np.trace(labels.stress) < -0.1  # compressed: the energy falls when the cell grows
    assert np.trace(labels.stress) == pytest.approx(trace, rel=0.03)


@pytest.mark.slow
def test_the_contract_of_label_engines(two, direct):
    """With pw.x run directly, by the pure half of the engine."""

    def label(dataset, settings):
        theory = QuantumEspressoLabelEngine.theory(settings)
        frames = []
        for frame in map(without_failure, dataset):
            if set(frame.numbers) != {14}:  # AiiDA would say that the family lacks it
                frames.append(failed(frame, "no pseudopotential"))
            else:
                frames.append(frame.with_(labels=direct(frame, settings, theory)))
        return gathered(frames)

    dimer = Frame.make([14, 14], [[0, 0, 0], [0.3, 0, 2.2]], np.diag([4.5, 4.5, 6.5]))
    settings = {**CHEAP, "ecutwfc": 18, "ecutrho": 72, "nosym": True}
    tungsten = Frame.make([74, 74], [[0, 0, 0], [0, 0, 2.5]], np.diag([5.0, 5.0, 7.0]))
    check_label_engine(
        "quantumespresso", settings, frames=[two, dimer], failing=tungsten, label=label,
        indifferent={"kpoints_distance", "protocol"}, step=0.02, tolerance=0.02,
    )  # fmt: skip


def test_demonstration_silicon_has_the_lattice_constant_of_pbe(direct):
    settings = Settings(ecutwfc=16, ecutrho=64, **{**CHEAP, "kpoints_mesh": [4, 4, 4]})
    constants = (5.35, 5.47, 5.59)
    energies = [direct(Frame.from_atoms(bulk("Si", a=a)), settings).energy for a in constants]
    a, b, _ = np.polyfit(constants, energies, 2)
    assert -b / (2 * a) == pytest.approx(5.469, rel=0.01)


def test_a_missing_program_is_said(tmp_path):
    from aiida_trainspot.setup.demo_pseudos import generate

    with pytest.raises(RunError, match="does not answer"):
        generate("Si", "/nowhere/ld1.x", tmp_path)
    with pytest.raises(RunError, match="made no pseudopotential"):
        generate("Si", "/bin/cat", tmp_path)
    assert not list(tmp_path.iterdir())


def test_pseudopotentials_are_the_same_every_time(ld1x, silicon_upf, tmp_path):
    from aiida_trainspot.setup.demo_pseudos import generate

    again = generate("Si", str(ld1x), tmp_path)
    assert again.read_bytes() == silicon_upf.read_bytes()


# ── through AiiDA ─────────────────────────────────────────────────────────────
@pytest.fixture
def pw_code(pwx, aiida_localhost, silicon_upf):
    """The code, and the family with the cutoffs 12 and 48 Ry."""
    aiida_localhost.configure(use_login_shell=False, safe_interval=0.0)
    aiida_localhost.set_minimum_job_poll_interval(0.1)
    families = GroupFactory("pseudo.family.cutoffs")
    family = families.create_from_folder(
        silicon_upf.parent, FAMILY, pseudo_type=DataFactory("pseudo.upf")
    )
    family.set_cutoffs({"Si": {"cutoff_wfc": 12.0, "cutoff_rho": 48.0}}, "normal", unit="Ry")
    yield orm.InstalledCode(
        label="pw",
        computer=aiida_localhost,
        filepath_executable=str(pwx),
        default_calc_job_plugin="quantumespresso.pw",
        prepend_text="export OMP_NUM_THREADS=1",
    ).store()
    families.collection.delete(family.pk)


def run_stage(frames, code, settings, **inputs):
    return run_get_node(
        WorkflowFactory("trainspot.label"),
        engine=orm.Str("quantumespresso"),
        dataset=PESData(frames),
        code=code,
        settings=orm.Dict(settings),
        options=orm.Dict({"max_wallclock_seconds": 600}),
        **inputs,
    )


def of_kind(node, name):
    return [child for child in node.called_descendants if child.process_label == name]


@pytest.mark.slow
def test_frames_are_labelled_through_aiida(two, pw_code, tmp_path):
    other = displaced(two, 0, 2, 0.05)
    atom = Frame.make([14], [[0, 0, 0]], np.eye(3) * 8, False)
    no_cell = Frame.make([14, 14], [[0, 0, 0], [0, 0, 2.3]])
    frames = [two, no_cell, atom, other]
    cached = enable_caching(identifier="aiida.calculations:quantumespresso.pw")
    with cached:
        outputs, node = run_stage(
            frames, pw_code, CHEAP, min_success=orm.Float(0.7), max_concurrent=orm.Int(2)
        )
        assert node.exit_status == 0, node.exit_message
        labelled = outputs["labelled"].dataset
        assert labelled.ids == [two.id, atom.id, other.id]
        assert outputs["failures"].dataset.ids == [no_cell.id]
        assert "add vacuum" in outputs["failures"].dataset[0].info["failure"]["reason"]
        assert set(labelled.e0s()) == {14}
        assert labelled.by_id(atom.id).labels.stress is None
        full = Settings(ecutwfc=12, ecutrho=48, **CHEAP)  # what the family recommends
        assert labelled.theories == [QuantumEspressoLabelEngine.theory(full)]
        check_against_ase(node, labelled, tmp_path)
        check_provenance(outputs["labelled"], two)

        check_lanes(node, 2)

        again, node = run_stage([two, atom], pw_code, CHEAP)
        assert not of_kind(node, "PwCalculation")
        expected = labelled.select([two.id, atom.id]).column("energy")
        np.testing.assert_array_equal(again["labelled"].dataset.column("energy"), expected)


@pytest.mark.slow
def test_what_changes_no_converged_label_does_not_repeat_it(two, pw_code):
    """The remedy for one frame that does not converge must not be paid for by all others."""
    two, other = displaced(two, 1, 0, 0.07), displaced(two, 1, 1, 0.06)
    with enable_caching(identifier="aiida.calculations:quantumespresso.pw"):
        first, node = run_stage([two], pw_code, CHEAP)
        (computed,) = of_kind(node, "PwCalculation")
        practical = {"electron_maxstep": 33, "mixing_beta": 0.3, "max_iterations": 2}
        practical |= {"parameters": {"ELECTRONS": {"mixing_ndim": 4, "diagonalization": "cg"}}}
        practical["parameters"]["CONTROL"] = {"max_seconds": 1000, "verbosity": "high"}
        again, node = run_stage([two, other], pw_code, CHEAP | practical)
        (second,) = of_kind(node, "PwCalculation")
        assert second.inputs.structure.label == other.id
        energies = [o["labelled"].dataset.by_id(two.id).labels.energy for o in (first, again)]
        assert energies[0] == energies[1]
        assert len(again["labelled"].dataset.theories) == 1
        assert again["labelled"].dataset.theories == first["labelled"].dataset.theories
        # the graph tells where the label comes from
        (taken,) = of_kind(node, "reuse")
        assert taken.inputs.output_trajectory.creator.pk == computed.pk

        # what decides its numbers does, and so does a calculation that the user rejects
        changed = CHEAP | {"conv_thr_per_atom": 1e-7}
        assert len(of_kind(run_stage([two], pw_code, changed)[1], "PwCalculation")) == 1
        computed.base.caching.is_valid_cache = False
        assert len(of_kind(run_stage([two], pw_code, CHEAP | practical)[1], "PwCalculation")) == 1
    # as does switching the cache off
    assert len(of_kind(run_stage([two], pw_code, CHEAP)[1], "PwCalculation")) == 1


@pytest.mark.slow
def test_hunds_rule_lowers_the_energy_of_an_atom(pw_code):
    plain = Frame.make([14], [[1, 0, 0]], np.eye(3) * 8, False)
    (hund,) = Isolated(box=8.0, spin="hund").generate(
        [Frame.from_atoms(bulk("Si"))], np.random.default_rng(0)
    )
    outputs, node = run_stage([plain, hund], pw_code, CHEAP)
    labelled = outputs["labelled"].dataset
    energies = [labelled.by_id(frame.id).labels.energy for frame in (plain, hund)]
    assert 0.3 < energies[0] - energies[1] < 1.5  # about 0.8 eV with PBE
    assert len(labelled.theories) == 1
    (polarised,) = (
        c for c in of_kind(node, "PwCalculation") if c.inputs.parameters["SYSTEM"].get("nspin") == 2
    )
    assert polarised.inputs.structure.label == hund.id
    assert polarised.outputs.output_parameters["total_magnetization"] == pytest.approx(2.0, abs=0.1)


def check_lanes(node, number):
    """Never more than ``number`` at once: as many lanes, and no overlap within one."""
    (engine,) = (c for c in node.called if c.process_label == "QuantumEspressoLabelWorkChain")
    lanes = [c for c in engine.called if c.process_label == "QuantumEspressoLabelWorkChain"]
    assert len(lanes) == number
    for lane in lanes:
        work = sorted(of_kind(lane, "PwBaseWorkChain"), key=lambda child: child.pk)
        for one, next_one in itertools.pairwise(work):
            assert one.mtime <= next_one.ctime


def check_against_ase(node, labelled, tmp_path):
    """ASE reads the text output of pw.x; we read its XML."""
    for calculation in of_kind(node, "PwCalculation"):
        frame = labelled.by_id(calculation.inputs.structure.label)
        path = Path(tmp_path, f"{calculation.pk}.out")
        path.write_text(
            calculation.outputs.retrieved.base.repository.get_object_content("aiida.out")
        )
        atoms = ase.io.read(path, format="espresso-out")
        assert frame.labels.energy == pytest.approx(atoms.get_potential_energy(), abs=1e-5)
        np.testing.assert_allclose(frame.labels.forces, atoms.get_forces(), atol=2e-5)
        if frame.pbc.all():
            stress = atoms.get_stress(voigt=False)
            np.testing.assert_allclose(frame.labels.stress, stress, atol=2e-6)


def check_provenance(node, frame):
    """From the labelled dataset back to the calculation of one frame, by links alone."""
    query = orm.QueryBuilder()
    query.append(orm.Node, filters={"uuid": node.uuid}, tag="dataset")
    query.append(orm.TrajectoryData, with_descendants="dataset", tag="trajectory")
    query.append(orm.CalcJobNode, with_outgoing="trajectory", tag="pw")
    query.append(
        orm.StructureData, with_outgoing="pw", filters={"label": frame.id}, tag="structure"
    )
    query.append(PESData, with_descendants="structure")
    assert query.distinct().count() > 0
    gathered = orm.QueryBuilder().append(
        orm.CalcFunctionNode, filters={"attributes.function_name": gather_pw.__name__}
    )
    assert gathered.count() > 0


@pytest.mark.slow
def test_a_calculation_that_does_not_converge_is_a_failure_with_its_reason(two, pw_code):
    hopeless = CHEAP | {"electron_maxstep": 1, "max_iterations": 1}
    outputs, node = run_stage([two], pw_code, hopeless)
    assert node.exit_status == 410
    assert "self-consistency" in node.exit_message
    assert len(outputs["labelled"]) == 0
    failure = outputs["failures"].dataset[0].info["failure"]
    assert failure["exit_status"] == 410
    assert "PwBaseWorkChain 401" in failure["reason"]


@pytest.fixture
def dies_at(monkeypatch):
    """Lets the work chain die when it comes to the frame of this id."""

    def arrange(identity):
        inputs = QuantumEspressoLabelEngine.inputs

        def fail(frame, *args):
            if frame.id == identity:
                raise OSError("no space left on device")
            return inputs(frame, *args)

        monkeypatch.setattr(QuantumEspressoLabelEngine, "inputs", staticmethod(fail))

    return arrange


@pytest.mark.slow
def test_a_lane_that_dies_keeps_the_frames_it_had_finished(two, pw_code, dies_at):
    frames = [two, displaced(two, 0, 2, 0.05), displaced(two, 1, 0, 0.05)]
    dies_at(frames[2].id)  # the second frame of the first lane
    lanes = {"max_concurrent": orm.Int(2), "min_success": orm.Float(0.5)}
    outputs, node = run_stage(frames, pw_code, CHEAP, **lanes)
    assert node.exit_status == 0, node.exit_message
    assert outputs["labelled"].dataset.ids == [frames[0].id, frames[1].id]
    assert len(outputs["labelled"].dataset.theories) == 1
    (failure,) = outputs["failures"].dataset
    assert failure.id == frames[2].id
    reason = "QuantumEspressoLabelWorkChain was excepted"
    assert failure.info["failure"] == {"reason": reason, "exit_status": None}
    states = [lane.process_state.value for lane in of_kind(node, "QuantumEspressoLabelWorkChain")]
    assert sorted(states) == ["excepted", "finished", "finished"]


@pytest.mark.slow
def test_an_engine_that_dies_keeps_the_frames_it_had_finished(two, pw_code, dies_at):
    other = displaced(two, 0, 2, 0.05)
    dies_at(other.id)
    outputs, node = run_stage([two, other], pw_code, CHEAP)
    assert node.exit_status == 451
    assert outputs["labelled"].dataset.ids == [two.id, other.id][:1]
    assert outputs["failures"].dataset.ids == [other.id]


def test_an_element_without_pseudopotential_is_said_before_anything_runs(two, pw_code):
    germanium = Frame.from_atoms(bulk("Ge"))
    _, node = run_stage([two, germanium], pw_code, CHEAP)
    assert node.exit_status == 202
    assert "no pseudopotential of Ge" in node.exit_message
    assert of_kind(node, "PwCalculation") == []


def test_a_calculation_that_goes_down_with_its_machine_is_run_once_more(
    two, pw_code, pwx, tmp_path
):
    script = tmp_path / "pw.x"
    script.write_text(
        f"#!/bin/bash\nmkdir {tmp_path}/cut 2>/dev/null && kill -9 $PPID $$\n"  # its shell as well
        f'exec {pwx} "$@"\n'
    )
    script.chmod(0o755)
    code = orm.InstalledCode(pw_code.computer, str(script), label="dying").store()
    outputs, node = run_stage([two], code, CHEAP)
    assert node.exit_status == 0, node.exit_message
    assert outputs["labelled"].dataset.ids == [two.id]
    dead, alive = sorted(of_kind(node, "PwCalculation"), key=lambda job: job.pk)
    assert dead.is_failed
    assert alive.is_finished_ok
