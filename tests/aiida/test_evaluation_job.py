"""``EvaluationCalculation``: a committee of toy models, evaluated by a job."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from aiida import orm
from aiida.common.folders import SandboxFolder
from aiida.common.links import LinkType
from aiida.engine import run_get_node
from aiida.engine.utils import instantiate_process
from aiida.manage import get_manager
from aiida.manage.caching import enable_caching
from aiida.plugins import CalculationFactory, ParserFactory
from ase.build import bulk
from ase.calculators.emt import EMT

from aiida_trainspot import exit_codes
from aiida_trainspot.calculations.base import ENDED
from aiida_trainspot.calculations.evaluate import ids_of
from aiida_trainspot.data.pes import PESData
from aiida_trainspot.data.predictions import PredictionsData
from aiida_trainspot.functions.base import decision
from aiida_trainspot.parsers.base import interruption
from trainspot.data import hdf5
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame, Labels
from trainspot.evaluate.batch import evaluate
from trainspot.train.toy import ToyPotential, ToySettings, ToyTrainer

NAME = "trainspot.evaluate"


@pytest.fixture(scope="module")
def committee(tmp_path_factory):
    """Six frames of copper and the files of two toy models."""
    folder = tmp_path_factory.mktemp("committee")
    rng = np.random.default_rng(0)
    frames = []
    for k in range(6):
        atoms = bulk("Cu", cubic=True)
        atoms.positions += rng.normal(0, 0.1, (4, 3))
        frame = Frame.from_atoms(atoms)
        atoms = frame.to_atoms()
        atoms.calc = EMT()
        labels = Labels(atoms.get_potential_energy(), atoms.get_forces(), None, "emt")
        frames.append(frame.with_(labels=labels, split="train" if k < 4 else "validation"))
    dataset = Dataset.from_frames(frames)
    paths = []
    for j in range(2):
        work = folder / str(j)
        work.mkdir()
        ToyTrainer.write_inputs(work, dataset, ToySettings(), seed=j)
        ToyTrainer.run(work)
        paths.append(work / "model.toy")
    return dataset, paths


@pytest.fixture
def code(aiida_localhost):
    aiida_localhost.set_minimum_job_poll_interval(0.1)
    executable = Path(sys.executable).with_name("trainspot")
    return orm.InstalledCode(
        label="trainspot", computer=aiida_localhost, filepath_executable=str(executable)
    ).store()


@pytest.fixture
def inputs(committee, code):
    dataset, paths = committee
    return {
        "code": code,
        "dataset": PESData(dataset),
        "models": {f"member_{j}": orm.SinglefileData(path) for j, path in enumerate(paths)},
        "kind": orm.Str("toy"),
        "settings": orm.Dict({"dtype": "float64"}),
        "practical": {"max_atoms": 8},
    }


def test_the_job_predicts_what_the_pure_function_does(inputs, committee):
    dataset, paths = committee
    calculation = CalculationFactory(NAME)
    with enable_caching(identifier=f"aiida.calculations:{NAME}"):
        outputs, node = run_get_node(calculation, **inputs)
        assert node.is_finished_ok, node.exit_message
        assert outputs["predictions"].filename == "predictions.h5"
        found = outputs["predictions"].predictions
        here = evaluate(dataset, [ToyPotential.load(path) for path in paths])
        np.testing.assert_allclose(found.energy, here.energy)
        np.testing.assert_allclose(found.forces, here.forces)
        assert found.members == ("member_0", "member_1")
        assert node.base.repository.list_object_names() == [".aiida", "_aiidasubmit.sh"]
        # neither another node nor other batches and processes repeat the job
        practical = {"max_atoms": 64, "workers": 2, "device": "cpu"}
        fresh = inputs | {"dataset": PESData(dataset), "practical": practical}
        again = run_get_node(calculation, **fresh)[1]
        assert again.base.caching.get_cache_source() == node.uuid


def write_job(inputs, folder):
    runner = get_manager().get_runner()
    process = instantiate_process(runner, CalculationFactory(NAME), **inputs)
    return process, process.prepare_for_submission(folder)


def test_what_is_written(inputs, committee):
    """If this changes, a cached result may not be what the job would give: bump CACHE_VERSION."""
    members = [orm.SinglefileData(committee[1][0]) for _ in range(11)]
    inputs["models"] = {f"member_{j}": node for j, node in enumerate(members)}
    with SandboxFolder() as folder:
        process, info = write_job(inputs, folder)
        assert folder.get_content_list() == []
    assert process.CACHE_VERSION == 1
    names = [f"member_{j}.toy" for j in range(11)]
    assert info.codes_info[0].cmdline_params == [
        *("evaluate", "dataset.h5", "--models", *names, "--kind", "toy", "--dtype", "float64"),
        *("--max-atoms", "8", "--device", "cpu", "--output", "predictions.h5"),
    ]
    assert [target for _, _, target in info.local_copy_list] == ["dataset.h5", *names]
    assert info.retrieve_list == ["predictions.h5", "trainspot.out", "trainspot.err", ENDED]
    for name in ("workers", "jobs"):  # the latter is its former name
        with SandboxFolder() as folder:
            info = write_job(inputs | {"practical": {name: 3}}, folder)[1]
        assert info.codes_info[0].cmdline_params[-2:] == ["--workers", "3"]


@pytest.fixture
def selections(committee, inputs):
    """Inputs that select frames, and the ids of those that are evaluated."""
    frames = list(committee[0])
    unlabelled = Frame.from_atoms(bulk("Cu", a=3.7, cubic=True)).with_(split="test")
    given = PESData([*frames[:5], frames[5].with_(split="test"), unlabelled])
    explored = PESData([Frame.from_atoms(bulk("Cu", a=3.8, cubic=True)), unlabelled])
    paths = committee[1]
    predicted = PredictionsData(evaluate(committee[0][2:6], [ToyPotential.load(p) for p in paths]))
    ids = given.ids
    return [
        ({"dataset": given, "view": orm.Str("all")}, ids),
        ({"dataset": given, "view": orm.Str("held_out"), "explored": explored},
         [*ids[4:6], *explored.ids]),
        ({"dataset": given, "view": orm.Str("test")}, ids[5:6]),
        ({"dataset": given, "view": orm.Str("labelled"), "predicted": predicted}, ids[:2]),
        ({"dataset": given, "explored": explored}, [*ids, explored.ids[0]]),
    ]  # fmt: skip


def test_a_selection_of_frames_is_brought_and_not_kept(inputs, selections):
    for given, ids in selections:
        assert ids_of(given) == ids
        with SandboxFolder() as folder:
            info = write_job(inputs | given, folder)[1]
            assert folder.get_content_list() == ["dataset.h5"]
            assert hdf5.read(Path(folder.abspath) / "dataset.h5").ids == ids
        assert info.provenance_exclude_list == ["dataset.h5"]
        assert "dataset.h5" not in [target for _, _, target in info.local_copy_list]


def test_a_selection_is_evaluated(inputs, selections):
    given, ids = selections[1]
    outputs, node = run_get_node(CalculationFactory(NAME), **(inputs | given))
    assert node.is_finished_ok, node.exit_message
    assert outputs["predictions"].ids == ids
    assert node.base.repository.list_object_names() == [".aiida", "_aiidasubmit.sh"]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("view", "tested", "'tested' is none of all, held_out, test, labelled"),
        ("settings", {"dtyp": "float64"}, "did you mean 'dtype'"),
        ("settings", {"max_atoms": 8}, "max_atoms: goes into the input 'practical'"),
        ("settings", {"jobs": 8}, "jobs: goes into the input 'practical'"),
        ("practical", {"max_atoms": 0}, "max_atoms"),
        ("practical", {"dtype": "float64"}, "dtype: goes into the input 'settings'"),
        ("models", {}, "at least one model"),
    ],
)
def test_bad_inputs_are_refused_before_anything_runs(inputs, name, value, message):
    bad = orm.to_aiida_type(value) if name in {"settings", "view"} else value
    with pytest.raises(ValueError, match=message):
        run_get_node(CalculationFactory(NAME), **(inputs | {name: bad}))


# ── the parser, on what jobs may leave ────────────────────────────────────────
@pytest.fixture
def parse(inputs, aiida_localhost, tmp_path):
    """Parse a job that left the given files (name: content), without running one."""

    def call(files, exit_status=None, scheduler="", **options):
        node = orm.CalcJobNode(computer=aiida_localhost, process_type=f"aiida.calculations:{NAME}")
        node.set_option("resources", {"num_machines": 1})
        node.set_option("scheduler_stderr", "_scheduler-stderr.txt")
        for name, value in options.items():
            node.set_option(name, value)
        links = {"dataset": inputs["dataset"]}
        links |= {f"models__{name}": model for name, model in inputs["models"].items()}
        for label, source in links.items():
            node.base.links.add_incoming(source.store(), LinkType.INPUT_CALC, label)
        node.store()
        if exit_status is not None:
            node.set_exit_status(exit_status)
        retrieved = orm.FolderData()
        for name, content in ({"_scheduler-stderr.txt": scheduler, ENDED: "0"} | files).items():
            (tmp_path / name).write_bytes(
                content if isinstance(content, bytes) else content.encode()
            )
            retrieved.base.repository.put_object_from_file(tmp_path / name, name)
        retrieved.base.links.add_incoming(node, LinkType.CREATE, "retrieved")
        retrieved.store()
        outputs, process = ParserFactory(NAME).parse_from_node(node, store_provenance=False)
        return outputs, process

    return call


@pytest.fixture
def file_of(committee, tmp_path):
    dataset, paths = committee
    good = evaluate(dataset, [ToyPotential.load(path) for path in paths])

    def call(**changes):
        replace(good, **changes).write(tmp_path / "made.h5")
        return (tmp_path / "made.h5").read_bytes()

    return call


def test_good_file(parse, file_of):
    outputs, process = parse({"predictions.h5": file_of()})
    assert process.exit_status == 0
    assert set(outputs) == {"predictions"}


def test_missing_and_damaged_files(parse, file_of):
    process = parse({"trainspot.err": "noise\nError: m.toy: no such model file\n"})[1]
    assert process.exit_status == 303
    assert "no such model file" in process.exit_message
    assert parse({"predictions.h5": ""})[1].exit_status == 303
    assert parse({"predictions.h5": file_of()[:600]})[1].exit_status == 304


def test_foreign_frames_and_members(parse, file_of, committee):
    ids = committee[0].column("id")
    process = parse({"predictions.h5": file_of(frame_id=ids[::-1])})[1]
    assert (process.exit_status, "other frames" in process.exit_message) == (304, True)


def test_members_of_which_nothing_is_finite(parse, file_of):
    energy = np.zeros((2, 6))
    energy[1] = np.nan
    process = parse({"predictions.h5": file_of(energy=energy)})[1]
    assert process.exit_status == 306
    assert "member_1: no prediction is finite" in process.exit_message
    one_bad_frame = np.zeros((2, 6))
    one_bad_frame[:, 3] = np.nan
    assert parse({"predictions.h5": file_of(energy=one_bad_frame)})[1].exit_status == 0
    outputs, process = parse({"predictions.h5": file_of(energy=energy)}, allow_non_finite=True)
    assert process.exit_status == 0
    assert set(outputs) == {"predictions"}


def test_killed_jobs(parse, file_of):
    assert parse({}, exit_status=120)[1].exit_status == 400
    assert parse({}, exit_status=110)[1].exit_status == 405
    assert parse({}, scheduler="x CANCELLED AT y DUE TO TIME LIMIT ***")[1].exit_status == 400
    assert parse({"trainspot.err": "CUDA out of memory."})[1].exit_status == 405
    # the scheduler killed it though the file is whole: resources were short all the same
    assert parse({"predictions.h5": file_of()}, exit_status=110)[1].exit_status == 405


def test_the_schedulers_other_reasons_stay(parse):
    """No exit code of ours, so that AiiDA keeps 140, a dead node."""
    assert parse({}, exit_status=140)[1].exit_status == 0


@pytest.mark.parametrize(
    ("status", "text", "code"),
    [
        (None, "", None),
        (None, "Traceback: ValueError: bad", None),
        (None, "job killed the mood", None),
        (None, "/bin/bash: line 1: 77 Killed    trainspot evaluate", exit_codes.KILLED),
        (None, "_aiidasubmit.sh: line 7:   77 Killed                  x", exit_codes.KILLED),
        (None, "_aiidasubmit.sh: line 7:   77 Terminated              x", exit_codes.KILLED),
        (None, "mpirun: process rank 0 exited on signal 9 (Killed).", exit_codes.KILLED),
        (None, "JOB 7 ON n1 CANCELLED AT 2026-01-01 DUE TO PREEMPTION", exit_codes.KILLED),
        (None, "Memory cgroup out of memory\n 77 Killed   x", exit_codes.OUT_OF_MEMORY),
        (None, "some of your processes: OUT_OF_MEMORY", exit_codes.OUT_OF_MEMORY),
        (110, " 77 Killed   x", exit_codes.OUT_OF_MEMORY),
        (None, "slurmstepd: error: Detected 1 oom_kill event", exit_codes.OUT_OF_MEMORY),
        (None, "numpy._core._exceptions._ArrayMemoryError: Unable", exit_codes.OUT_OF_MEMORY),
        (None, "terminate called after std::bad_alloc", exit_codes.OUT_OF_MEMORY),
        (None, "CPU time limit exceeded (core dumped)", exit_codes.OUT_OF_WALLTIME),
        (None, "DUE TO TIME LIMIT\n 77 Killed   x", exit_codes.OUT_OF_WALLTIME),
        (120, "out of memory", exit_codes.OUT_OF_WALLTIME),
    ],
)
def test_how_interruptions_are_recognised(status, text, code):
    assert interruption(status, text) == code


def test_failures_are_never_cached():
    calculation = CalculationFactory(NAME)
    failures = [c for c in calculation.exit_codes.values() if c.status in {303, 304, 305, 306, 405}]
    assert len(failures) == 5
    assert all(code.invalidates_cache for code in failures)


def test_exit_codes_have_one_number_and_one_label():
    every = [value for value in vars(exit_codes).values() if isinstance(value, exit_codes.Exit)]
    assert len({code.status for code in every}) == len({code.label for code in every}) == len(every)
    reason = exit_codes.OUTPUT_MISSING.because("x.h5")
    assert (reason.status, reason.message) == (303, "an output file is missing: x.h5")


# ── decisions ─────────────────────────────────────────────────────────────────
CALLS = []


@decision
def add_one(number: orm.Int) -> orm.Int:
    CALLS.append(number.value)
    return orm.Int(number.value + 1)


def test_decisions_are_computed_even_if_everything_is_cached(aiida_profile):
    with enable_caching():
        assert [add_one(orm.Int(1)).value, add_one(orm.Int(1)).value] == [2, 2]
    assert CALLS == [1, 1]
    assert add_one(orm.Int(1), metadata={"label": "named"}).creator.label == "named"
