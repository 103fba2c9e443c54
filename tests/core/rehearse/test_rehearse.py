"""A rehearsal on aluminium with EMT and toy committees: the arms, the command, the page."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import tempfile
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from ase.build import bulk
from click.testing import CliRunner

from trainspot.cli import main
from trainspot.common import processes
from trainspot.common.errors import DataError, InputError, RunError, TrainingError
from trainspot.rehearse import arms, kept, page, rehearsal, testset, trial
from trainspot.rehearse.cost import CostModel
from trainspot.rehearse.outcome import Outcome
from trainspot.rehearse.trial import Point, Track


@pytest.fixture(scope="module")
def content(toy_campaign):
    explore = {**toy_campaign["explore"], "starts": 3, "time": 0.03, "sample_every": 0.006}
    return {**toy_campaign, "explore": explore, "stop": {"max_iterations": 2},
            "split": {"fractions": [0.4, 0.5, 0.1]}}  # fmt: skip


@pytest.fixture(scope="module")
def file(content, tmp_path_factory):
    folder = tmp_path_factory.mktemp("rehearse")
    bulk("Al", cubic=True).repeat((2, 1, 1)).write(folder / "al.cif")
    (folder / "campaign.yaml").write_text(yaml.safe_dump(content))
    return folder / "campaign.yaml"


@pytest.fixture(scope="module")
def prepared(file):
    return rehearsal.prepare(file, {}, "emt", "toy", CostModel(), 2)


@pytest.fixture(scope="module")
def ran(file):
    out = file.parent / "out.html"
    call = ["rehearse", str(file), "--oracle", "emt", "--seeds", "2", "--test-frames", "9"]
    return CliRunner().invoke(main, [*call, "-o", str(out), "--json"]), out


@pytest.fixture(scope="module")
def found(ran):
    return json.loads(ran[0].stdout)


def test_the_arms_differ_in_judging_only(prepared):
    made = prepared.campaigns
    assert list(made) == ["campaign", "paper", "random"]
    ours, paper, random = (made[name] for name in made)
    assert paper.calibrate.method == "regression"
    assert (paper.select.method, paper.select.audit, paper.select.novelty) == ("random", 0, None)
    assert paper.stop.final_audit == 0
    for other in (paper, random):
        assert other.select.max_frames == ours.select.max_frames
        assert other.stop.max_iterations == ours.stop.max_iterations
        for same in ("augment", "split", "label", "train", "explore", "screen", "seed"):
            assert getattr(other, same) == getattr(ours, same)
    assert paper.tolerance == ours.tolerance
    assert random.tolerance.forces < 1e-9
    assert random.tolerance.stress is None


def test_random_choice_takes_as_many_and_the_paper_as_it_would(prepared):
    content = prepared.campaigns["campaign"].model_dump(mode="json")
    content["select"] |= {"share": 0.2, "held_out": "audit"}
    made = arms.arms(type(prepared.campaigns["campaign"]).model_validate(content))
    assert made["random"].select.share == 0.2
    assert made["paper"].select.share == 1.0
    assert made["paper"].select.held_out == made["random"].select.held_out == "all"


def test_bagging_is_that_of_the_user_alone(prepared, file):
    content = prepared.campaigns["campaign"].model_dump(mode="json")
    content["train"] |= {"bagging": 0.3}
    made = arms.arms(type(prepared.campaigns["campaign"]).model_validate(content))
    assert [made[name].train.bagging for name in made] == [0.3, 0.0, 0.0]
    other = {"train": {"engine": "mace", "bagging": 0.3}}
    replaced = rehearsal.prepare(file, other, "emt", "toy", CostModel(), 1)
    assert replaced.campaigns["campaign"].train.bagging == 0.3, "also with another trainer"


def test_random_choice_flags_every_valid_frame(prepared):
    task = trial.tasks(
        {"random": prepared.campaigns["random"]},
        prepared.inputs,
        testset.common_test(prepared.inputs, prepared.campaigns["campaign"], prepared.oracle, 4),
        CostModel(),
        [3],
    )[0]
    track = trial.run(task)
    assert all(point.flagged == point.explored > point.chosen for point in track.points)


def test_engines_of_the_user_are_replaced_and_said_so(file):
    other = {"train": {"engine": "mace", "committee_size": 5}, "explore.engine": "lammps"}
    prepared = rehearsal.prepare(file, other, "emt", "toy", CostModel(), 1)
    ours = prepared.campaigns["campaign"]
    assert (ours.train.engine, ours.train.committee_size, ours.explore.engine) == ("toy", 5, "ase")
    assert ours.explore.starts == 3
    assert "trainer: toy instead of mace" in prepared.notes
    assert "dynamics: ase instead of lammps" in prepared.notes


@pytest.mark.parametrize(
    ("label", "said"),
    [
        ({"engine": "ase", "calculator": "emt"}, []),
        ({"engine": "ase", "calculator": "lj"}, ["labels: emt instead of lj"]),
        ({"engine": "quantumespresso"}, ["labels: emt instead of quantumespresso"]),
    ],
)
def test_a_reference_that_is_replaced_is_said_so(file, label, said):
    assert rehearsal.prepare(file, {"label": label}, "emt", "toy", CostModel(), 1).notes == said


def test_the_common_test_is_fixed_and_no_arm_trains_on_it(prepared):
    campaign = prepared.campaigns["campaign"]
    test = testset.common_test(prepared.inputs, campaign, prepared.oracle, 12)
    again = testset.common_test(prepared.inputs, campaign, prepared.oracle, 12)
    assert test.ids == again.ids
    assert 6 <= len(test) <= 12
    moving = testset.of_dynamics(test)
    assert 0 < len(moving) < len(test)
    assert test.is_labelled.all()
    temperatures = {frame.origin.parameters["temperature"] for frame in moving}
    assert max(temperatures) > 1.5 * min(temperatures)
    from trainspot.campaign.decisions import prepare

    for seed in prepared.seeds:
        assert not set(test.ids) & set(prepare(prepared.inputs, arms.seeded(campaign, seed)).ids)


def test_without_augmentation_the_test_is_dynamics_alone(file):
    prepared = rehearsal.prepare(file, {"augment": []}, "emt", "toy", CostModel(), 1)
    test = testset.common_test(prepared.inputs, prepared.campaigns["campaign"], prepared.oracle, 6)
    assert len(testset.of_dynamics(test)) == len(test) > 0
    assert not set(test.ids) & set(prepared.inputs.ids)
    assert test.is_labelled.all()


def test_the_command_gives_curves_of_all_arms_and_seeds(ran, found):
    assert ran[0].exit_code == 0, ran[0].output
    assert list(found["arms"]) == ["campaign", "paper", "random"]
    assert len(found["seeds"]) == 2
    assert found["test"]["molecular dynamics"] > found["test"]["augmentation"] > 0
    for arm in found["arms"].values():
        assert [run["seed"] for run in arm["runs"]] == found["seeds"]
        for run in arm["runs"]:
            labels = [point["labels"] for point in run["points"]]
            hours = [point["core_hours"] for point in run["points"]]
            assert labels == sorted(labels)
            assert np.all(np.diff(hours) > 0)
            assert all(point["forces"] > 0 for point in run["points"])


def test_the_arms_of_a_seed_start_from_the_same_frames(found):
    for row in range(2):
        starts = [arm["runs"][row]["points"][0] for arm in found["arms"].values()]
        first = {(p["labels"], p["core_hours"], p["forces"], p["explored"]) for p in starts}
        assert len(first) == 1
    firsts = {arm["runs"][row]["points"][0]["forces"]
              for arm in found["arms"].values() for row in range(2)}  # fmt: skip
    assert len(firsts) == 2


def test_the_page_is_one_file_and_says_what_it_does_not_tell(ran, found):
    text = ran[1].read_text(encoding="utf-8")
    assert "<script" not in text
    assert not re.search(r"https?:|@import", re.sub(r'src="data:[^"]*"', "", text))
    assert text.count("<img") == 2
    assert "What it does not tell" in text
    for limit in found["limits"]:
        assert limit in text
    assert "1.6 s" in text


def test_several_processes_give_the_same(prepared, found):
    names = ["campaign", "random"]
    campaigns = {name: prepared.campaigns[name] for name in names}
    few = dataclasses.replace(prepared, campaigns=campaigns, seeds=prepared.seeds[:1])
    tracks = few.run(test_frames=9, workers=2).tracks
    assert {track.arm: track.to_dict() for track in tracks} == {
        name: found["arms"][name]["runs"][0] for name in names
    }


def test_finished_campaigns_are_kept_and_not_run_again(prepared, tmp_path, monkeypatch):
    names = ["campaign", "random"]
    few = dataclasses.replace(
        prepared,
        campaigns={name: prepared.campaigns[name] for name in names},
        seeds=prepared.seeds[:1],
    )
    ran = []
    real = trial.run

    def run(task, progress=None):
        ran.append(task.arm)
        if len(ran) == 2:
            raise RunError("the lights went out")
        return real(task)

    monkeypatch.setattr(trial, "run", run)
    with pytest.raises(RunError, match="lights"):
        few.run(test_frames=6, keep=tmp_path / "kept")
    (file,) = (tmp_path / "kept").iterdir()
    again = few.run(test_frames=6, keep=tmp_path / "kept")
    assert ran == ["campaign", "random", "random"]
    assert sorted(track.arm for track in again.tracks) == names
    assert json.loads(file.read_text()) == again.of("campaign")[0].to_dict()

    few.run(test_frames=7, keep=tmp_path / "kept")  # other test frames are another rehearsal
    assert ran[3:] == names
    file.write_text(file.read_text()[:50])
    with pytest.raises(DataError, match="is damaged; remove it"):
        few.run(test_frames=6, keep=tmp_path / "kept")


def test_a_campaign_that_was_kept_under_former_names_of_keys_is_read(prepared, tmp_path):
    campaign, inputs = prepared.campaigns["campaign"], prepared.inputs
    task = trial.Task("campaign", campaign, inputs, inputs, prepared.cost)
    content = campaign.model_dump(mode="json")
    content["train"]["committee"] = content["train"].pop("committee_size")
    content["evaluate"]["jobs"] = content["evaluate"].pop("workers")
    before = SimpleNamespace(seed=campaign.seed, model_dump=lambda mode: {"json": content}[mode])
    file = kept.file_of(tmp_path, dataclasses.replace(task, campaign=before))
    assert file != kept.file_of(tmp_path, task)
    assert kept.read(tmp_path, task) is None
    track = Track(
        "campaign", campaign.seed, "converged", (Point(20, 20.0, 0.1, 0.1, 0.01, 30, 9, 10),)
    )
    file.write_text(json.dumps(track.to_dict()))
    assert kept.read(tmp_path, task) == track
    later = dataclasses.replace(track, state="budget")
    kept.write(tmp_path, task, later)
    assert kept.read(tmp_path, task) == later  # a file with today's names comes first
    assert json.loads(file.read_text()) == track.to_dict()
    file.write_text("{")
    kept.file_of(tmp_path, task).unlink()
    with pytest.raises(DataError, match="is damaged; remove it"):
        kept.read(tmp_path, task)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--oracle", "emtt"], "did you mean 'emt'"),
        (["--oracle", "tersoff"], "the oracle cannot compute Al8"),
        (["--oracle", "emt", "--trainer", "toyy"], "--trainer: unknown train engine 'toyy'; did"),
        (["--oracle", "emt", "--set", "explore.tmie=1"], "did you mean 'time'"),
        (["--oracle", "emt", "--set", "explore.time"], "is not KEY=VALUE"),
        (["--oracle", "emt", "--set", "seed=1", "seed=2"], "seed is given twice"),
        (["--oracle", "emt", "--set", "seed.x=1"], "'seed.x' is not a key of the campaign file"),
        (["--oracle", "emt", "--set", "seed=["], "is not YAML"),
        (["--oracle", "emt", "--set", "structures=[none.cif]"], "no file matches 'none.cif'"),
        (["--oracle", "emt", "-o", "nowhere/page.html"], "no such folder"),
        (["--oracle", "emt", "--keep", "nowhere/kept"], "no such folder"),
        (["--oracle", "emt", "--seeds", "0"], "--seeds"),
        ([], "--oracle"),
    ],
)
def test_bad_input_is_one_line(file, options, says, monkeypatch):
    monkeypatch.chdir(file.parent)
    before = sorted(file.parent.iterdir())
    result = CliRunner().invoke(main, ["rehearse", file.name, *options])
    assert result.exit_code == 2
    assert says in result.stderr
    assert result.stderr.count("\n") == 1
    assert sorted(file.parent.iterdir()) == before


def test_a_campaign_without_structures_is_refused(tmp_path):
    (tmp_path / "campaign.yaml").write_text("name: empty\n")
    with pytest.raises(InputError, match="no structures"):
        arms.load(tmp_path / "campaign.yaml", {})


def test_labels_of_the_final_audit_are_spent_too(file):
    lenient = {"tolerance": {"energy": None, "forces": 50.0, "stress": None},
               "stop.final_audit": 4, "select.novelty": None}  # fmt: skip
    prepared = rehearsal.prepare(file, lenient, "emt", "toy", CostModel(), 1)
    test = testset.common_test(prepared.inputs, prepared.campaigns["campaign"], prepared.oracle, 6)
    task = trial.tasks(prepared.campaigns, prepared.inputs, test, prepared.cost, prepared.seeds)[0]
    track = trial.run(task)
    assert (track.state, len(track.points)) == ("converged", 1)
    assert track.labels == track.points[0].labels + 4
    assert track.core_hours > track.points[0].core_hours
    made = Outcome("made-up", 1, "emt", "toy", prepared.cost, {"md": 4}, [track])
    assert made.to_dict()["arms"]["campaign"]["labels"]["median"] == track.labels
    assert page.endings(made).rows[0][3].startswith(f"{track.labels} ")
    assert Track.from_dict(json.loads(json.dumps(track.to_dict()))) == track


def test_a_process_that_dies_is_a_failed_run(monkeypatch):
    dead = Future()
    dead.set_exception(BrokenProcessPool("A process in the process pool was terminated"))
    pool = SimpleNamespace(submit=lambda *_: dead)
    monkeypatch.setattr(processes, "pool", lambda *_: nullcontext(pool))
    with pytest.raises(RunError, match="a process that rehearsed a campaign died"):
        list(trial.run_all([None, None], 2))


@pytest.mark.parametrize(("given", "used"), [({}, "1"), ({"OMP_NUM_THREADS": "4"}, "4")])
def test_each_of_several_processes_keeps_to_one_core(monkeypatch, given, used):
    started = []

    def submit(*_):
        done = Future()
        done.set_result("a track")
        return done

    def pool(workers, initializer):
        started.append(workers)
        initializer()
        return nullcontext(SimpleNamespace(submit=submit))

    monkeypatch.setattr(os, "environ", dict(given))
    monkeypatch.setattr(processes, "pool", pool)
    assert list(trial.run_all([None, None], 2)) == [(None, "a track")] * 2
    assert started == [2]
    assert os.environ["OMP_NUM_THREADS"] == used


@pytest.mark.parametrize(("error", "kept"), [(TrainingError, True), (RunError, False)])
def test_the_folder_of_a_failed_training_is_kept(prepared, tmp_path, monkeypatch, error, kept):
    def fail(*_):
        folder = next(tmp_path.iterdir())
        (folder / "train.err").write_text("out of memory")
        raise error("mace_run_train ended with status 1", hint=f"see {folder / 'train.err'}")

    engines = SimpleNamespace(label=lambda frames: (frames, frames.take([])), train=fail)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(trial, "engines_of", lambda *_: engines)
    task = trial.tasks(prepared.campaigns, prepared.inputs, None, CostModel(), [1])[0]
    with pytest.raises(error, match=r"train\.err"):
        trial.run(task)
    assert [path.name for path in tmp_path.rglob("train.err")] == ["train.err"] * kept
