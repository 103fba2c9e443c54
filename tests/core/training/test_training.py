"""What every trainer trains on: sets, reference energies, seeds; and running members."""

from __future__ import annotations

import json
import stat
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from trainspot.common.errors import (
    InputError,
    MissingExtraError,
    OutputMissingError,
    TrainingDivergedError,
    TrainingError,
    UnknownNameError,
)
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame, Labels
from trainspot.train import base, run
from trainspot.train.base import TrainingResult
from trainspot.train.mace import MaceTrainer


def atom(number, energy):
    labels = Labels(energy, np.zeros((1, 3)), None, "made-up")
    return Frame.make([number], [[0, 0, 0]], labels=labels, split="train")


def molecule(numbers, energy, split="train", theory="made-up"):
    n = len(numbers)
    positions = np.arange(3 * n).reshape(n, 3) * 1.1 + energy * 1e-3
    labels = Labels(energy, np.zeros((n, 3)), None, theory)
    return Frame.make(numbers, positions, labels=labels, split=split)


def test_seeds_do_not_depend_on_the_size_of_the_committee():
    assert base.member_seeds(1, 5)[:3] == base.member_seeds(1, 3)
    assert len(set(base.member_seeds(1, 50))) == 50
    assert all(0 <= seed < 2**31 for seed in base.member_seeds(1, 50))
    assert base.member_seeds(1, 3) != base.member_seeds(2, 3)


def test_a_committee_of_one_is_refused():
    with pytest.raises(InputError, match="at least 2"):
        base.member_seeds(1, 1)


def test_sets_hold_labelled_frames_of_their_split_only():
    frames = [molecule([1, 8], -1.0), molecule([1, 8], -2.0, "validation")]
    frames += [molecule([1, 8], -3.0, "test"), Frame.make([1], [[0, 0, 0]], split="train")]
    train, validation = base.training_sets(Dataset.from_frames(frames))
    assert train.column("energy").tolist() == [-1.0]
    assert validation.column("energy").tolist() == [-2.0]


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([], "no frame is labelled"),
        ([molecule([1], -1.0, None)], "no labelled frame is in the train split"),
        ([molecule([1], -1.0), molecule([1], -2.0, theory="other")], "2 levels of theory"),
    ],
)
def test_nothing_to_train_on(frames, message):
    with pytest.raises(InputError, match=message):
        base.training_sets(Dataset.from_frames(frames))


def test_reference_energies_come_from_isolated_atoms():
    frames = [atom(1, -13.6), atom(8, -400.0), molecule([1, 1, 8], -999.0)]
    energies, warnings = base.reference_energies(Dataset.from_frames(frames))
    assert energies == {1: -13.6, 8: -400.0}
    assert not warnings


def test_missing_reference_energies_are_fitted_with_a_warning():
    frames = [atom(1, -10.0), molecule([1, 1, 8], -120.0), molecule([1, 8, 8], -210.0)]
    energies, warnings = base.reference_energies(Dataset.from_frames(frames))
    assert energies[1] == -10.0
    assert energies[8] == pytest.approx(-100.0)
    assert len(warnings) == 1
    assert "isolated atom of O" in warnings[0]


# ── running members ───────────────────────────────────────────────────────────
def scripted(script, **changes):
    """A trainer whose program is this interpreter running ``script``."""

    def write_inputs(directory, dataset, settings, seed, *, start=None):
        (directory / "seed").write_text(str(seed))
        if start is not None:
            (directory / "start").write_bytes(start.read_bytes())

    def read_outputs(directory):
        return TrainingResult(directory / "model", None, [{"epoch": 0}], ["careful"])

    fake = SimpleNamespace(
        executable="python",
        model_filename="model.txt",
        write_inputs=write_inputs,
        arguments=lambda _: ["-c", script],
        read_outputs=read_outputs,
        progress=lambda folder, _: float((folder / "model").exists()),
    )
    return SimpleNamespace(**(vars(fake) | changes))


COPY = "import shutil; shutil.copy('seed', 'model')"


def test_members_run_in_their_folders_and_leave_models(tmp_path):
    seen = []
    results = run.train_committee(
        scripted(COPY), None, None, tmp_path / "out", seeds=[5, 6, 7], workers=2,
        progress=seen.append,
    )  # fmt: skip
    names = ["member_0.txt", "member_1.txt", "member_2.txt"]
    assert [(tmp_path / "out" / name).read_text() for name in names] == ["5", "6", "7"]
    assert [result.metrics for result in results] == [[{"epoch": 0}]] * 3
    report = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert report["member_2"] == {"epochs": [{"epoch": 0}], "warnings": ["careful"]}
    assert seen[-1] == [1.0, 1.0, 1.0]


def test_the_program_gets_one_thread_and_huge_pages_unless_told_otherwise(tmp_path, monkeypatch):
    script = (
        "import os, pathlib; pathlib.Path('model').write_text("
        "os.environ['OMP_NUM_THREADS'] + os.environ['THP_MEM_ALLOC_ENABLE'])"
    )
    for name, variables, expected in (
        ("plain", {}, "11"),
        ("told", {"OMP_NUM_THREADS": "2", "THP_MEM_ALLOC_ENABLE": "0"}, "20"),
    ):
        for variable in ("OMP_NUM_THREADS", "THP_MEM_ALLOC_ENABLE"):
            monkeypatch.delenv(variable, raising=False)
        for variable, value in variables.items():
            monkeypatch.setenv(variable, value)
        run.train_committee(scripted(script), None, None, tmp_path / name, seeds=[1], workers=1)
        assert (tmp_path / name / "member_0.txt").read_text() == expected


def test_no_more_members_at_once_than_workers(tmp_path):
    script = (
        "import os, pathlib, time; here = pathlib.Path('../busy'); here.mkdir(exist_ok=True);"
        "mine = here / str(os.getpid()); mine.touch(); time.sleep(0.2);"
        "pathlib.Path('model').write_text(str(len(list(here.iterdir())))); mine.unlink()"
    )
    run.train_committee(scripted(script), None, None, tmp_path / "o", seeds=range(4), workers=2)
    assert max(int(p.read_text()) for p in tmp_path.glob("o/*/model")) <= 2


def test_a_failed_member_says_why_and_stops_the_others(tmp_path):
    script = (
        "import sys, time\nif open('seed').read() == '1': sys.exit('no such element')\n"
        "time.sleep(60)"
    )
    with pytest.raises(TrainingError, match=r"member_1: python.* status 1: no such element"):
        run.train_committee(scripted(script), None, None, tmp_path / "o", seeds=[0, 1], workers=2)


NOISE = (
    "import sys, warnings; {}\n"
    "print('/x/torch/load.py:9: UserWarning: weights_only\\n  torch.load(f)', file=sys.stderr)\n"
)


@pytest.mark.parametrize(
    ("error", "raised", "said"),
    [
        (
            TrainingDivergedError("not finite in epoch 7: nan"),
            TrainingDivergedError,
            "epoch 7: nan",
        ),
        (OutputMissingError("was not written"), TrainingError, "status 3: Error: no element"),
    ],
)
def test_a_failure_is_not_told_by_the_last_warning(tmp_path, error, raised, said):
    """After aiida-trains-pot #34: what is told of a training that failed."""

    def read_outputs(_):
        raise error

    script = NOISE.format("print('Error: no element', file=sys.stderr)") + "sys.exit(3)"
    engine = scripted(script, read_outputs=read_outputs)
    with pytest.raises(raised, match=said) as caught:
        run.train_committee(engine, None, None, tmp_path / "o", seeds=[0], workers=1)
    assert caught.value.where == "member_0"
    assert "torch.load" not in str(caught.value)


# Killed at its first start (by itself), it leaves a checkpoint; resumed, it says from which.
DIES = (
    "import os, pathlib, signal\n"
    "if {when} and not os.path.exists('resumed'):\n"
    "    pathlib.Path('state').write_text('6'); os.kill(os.getpid(), signal.SIGKILL)\n"
    "was = pathlib.Path('resumed')\n"
    "pathlib.Path('model').write_text(was.read_text() if was.exists() else 'whole')"
)


def resumable(script):
    """A trainer that keeps a checkpoint, and notes what it is given."""

    def write_inputs(directory, dataset, settings, seed, *, start=None, checkpoint=None):
        (directory / "seed").write_text(str(seed))
        (directory / "settings").write_text(str(settings))
        if checkpoint is not None:
            (directory / "resumed").write_text(checkpoint.read_text())

    def read_checkpoint(directory):
        path = directory / "state"
        return path if path.exists() else None

    return scripted(script, write_inputs=write_inputs, read_checkpoint=read_checkpoint)


def test_a_killed_member_goes_on_from_its_checkpoint_as_it_was(tmp_path):
    engine = resumable(DIES.format(when="open('seed').read() == '5'"))
    found = run.train_committee(engine, None, "batch 4", tmp_path / "o", seeds=[5, 6], workers=2)
    assert "member_0 was killed and went on from state, with the same settings" in found[0].warnings
    assert found[1].warnings == ["careful"]
    assert [(tmp_path / "o" / f"member_{j}.txt").read_text() for j in (0, 1)] == ["6", "whole"]
    assert {p.read_text() for p in tmp_path.glob("o/*/settings")} == {"batch 4"}


def test_a_member_killed_again_at_one_place_fails(tmp_path):
    always = DIES.format(when="True").replace(" and not os.path.exists('resumed')", "")
    with pytest.raises(TrainingError, match=r"member_0: python.* ended with status -9"):
        run.train_committee(resumable(always), None, None, tmp_path / "o", seeds=[5])
    assert (tmp_path / "o" / "member_0" / "resumed").exists()


def test_a_member_that_is_short_of_memory_is_not_repeated_but_told(tmp_path):
    script = "import sys; sys.exit('torch.OutOfMemoryError: CUDA out of memory.')"
    with pytest.raises(TrainingError, match="ran out of memory: lower batch_size"):
        run.train_committee(scripted(script), None, None, tmp_path / "o", seeds=[5])


def test_bad_input_leaves_nothing(tmp_path):
    def refuse(*args, **kwargs):
        raise InputError("nothing to train on")

    trainer = scripted(COPY, write_inputs=refuse)
    with pytest.raises(InputError):
        run.train_committee(trainer, None, None, tmp_path / "o", seeds=[1, 2])
    assert not list(tmp_path.iterdir())


def test_a_folder_in_use_is_refused(tmp_path):
    (tmp_path / "precious").touch()
    with pytest.raises(InputError, match="not empty"):
        run.train_committee(scripted(COPY), None, None, tmp_path, seeds=[1, 2])
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]


def test_start_models_are_shared_or_one_a_member(tmp_path):
    models = [tmp_path / name for name in "ab"]
    for path in models:
        path.write_text(path.name)
    run.train_committee(
        scripted(COPY), None, None, tmp_path / "o", seeds=[1, 2, 3], start=models[:1]
    )
    assert {p.read_text() for p in tmp_path.glob("o/*/start")} == {"a"}
    with pytest.raises(InputError, match="2 models to start 3 members"):
        run.train_committee(
            scripted(COPY), None, None, tmp_path / "p", seeds=[1, 2, 3], start=models
        )


def test_programs_are_found_beside_the_interpreter_first(tmp_path, monkeypatch):
    for folder in ("env", "path"):
        (tmp_path / folder).mkdir()
        program = tmp_path / folder / "mace_run_train"
        program.touch()
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "env" / "python"))
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    assert run.find_executable("mace_run_train", MaceTrainer) == str(
        tmp_path / "env" / "mace_run_train"
    )
    (tmp_path / "env" / "mace_run_train").unlink()
    assert run.find_executable("mace_run_train", MaceTrainer) == str(
        tmp_path / "path" / "mace_run_train"
    )
    (tmp_path / "path" / "mace_run_train").unlink()
    with pytest.raises(MissingExtraError, match=r"trainspot\[mace\]"):
        run.find_executable("mace_run_train", MaceTrainer)


def test_an_unknown_trainer_offers_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean 'mace'"):
        run.trainer("maze")
