"""Jobs whose machine goes down: they and their shell end without a word, and are run once more."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node
from aiida.plugins import CalculationFactory, WorkflowFactory
from ase.build import bulk

from aiida_trainspot import exit_codes
from aiida_trainspot.data.pes import PESData
from aiida_trainspot.results.status import stages_of
from aiida_trainspot.workflows.campaign.base import CampaignBase
from aiida_trainspot.workflows.once import children, submit_once
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Labels
from trainspot.train.toy import ToySettings, fit

# The shell of the job script is the parent: with both gone nobody writes that anything was killed.
DIES = """#!/bin/bash
for number in $(seq {times}); do
  if mkdir {folder}/cut-$number 2>/dev/null; then
    {before}
    kill -9 $PPID $$
  fi
done
exec {program} "$@"
"""


# What a job leaves that had labelled two frames when the power went.
JOURNAL = """\
from pathlib import Path
from trainspot import io
from trainspot.label import journal
from trainspot.label.ase import AseSettings, label_frame
frames = [frame for path in Path().glob("*.h5") for frame in io.read(path)]
with journal.opened(Path("journal")) as stream:
    for frame in frames[:2]:
        journal.add(stream, label_frame(frame, AseSettings(calculator="emt")))
"""


@pytest.fixture
def dying(aiida_profile_clean, aiida_localhost, tmp_path):
    """A code of the command line that goes down with its machine the first ``times`` times."""

    def make(times=1, before="true"):
        program = Path(sys.executable).with_name("trainspot")
        script = tmp_path / "trainspot"
        text = DIES.format(times=times, folder=tmp_path, before=before, program=program)
        script.write_text(text)
        script.chmod(0o755)
        return orm.InstalledCode(aiida_localhost, str(script), label="trainspot").store()

    return make


def label(frames, code, **settings):
    return run_get_node(
        WorkflowFactory("trainspot.label"),
        engine=orm.Str("ase"),
        dataset=PESData(frames),
        code=code,
        settings=orm.Dict({"calculator": "emt", **settings}),
    )


def jobs_of(name):
    found = orm.QueryBuilder().append(orm.CalcJobNode, filters={"attributes.process_label": name})
    return sorted(found.all(flat=True), key=lambda job: job.pk)


def test_labels_of_a_job_that_was_cut_off_are_computed_by_another(copper, dying):
    outputs, node = label(copper, dying())
    assert node.is_finished_ok, node.exit_message
    assert outputs["labelled"].ids == [frame.id for frame in copper]
    assert len(outputs["failures"]) == 0
    jobs = jobs_of("AseLabelCalculation")
    assert [job.exit_status for job in jobs] == [exit_codes.KILLED.status, 0]


def test_what_was_labelled_before_the_cut_is_not_labelled_again(copper, dying):
    outputs, node = label(copper, dying(before=f"{sys.executable} - <<'END'\n{JOURNAL}END"))
    assert node.is_finished_ok, node.exit_message
    assert outputs["labelled"].ids == [frame.id for frame in copper]
    first, second = jobs_of("AseLabelCalculation")
    assert first.outputs.labelled.ids == [frame.id for frame in copper[:2]]
    assert second.inputs.dataset.ids == [frame.id for frame in copper[2:]]


def test_a_job_that_is_cut_off_twice_without_a_label_is_given_up(copper, dying):
    _, node = label(copper, dying(times=9))
    assert not node.is_finished_ok
    assert len(jobs_of("AseLabelCalculation")) == 2
    assert "killed" in node.exit_message


def test_batches_after_a_cut_go_on(copper, dying):
    outputs, node = label(copper, dying(), frames_per_job=2)
    assert node.is_finished_ok, node.exit_message
    assert outputs["labelled"].ids == [frame.id for frame in copper]
    stage = jobs_of("AseLabelCalculation")[0].caller
    assert sorted(children(stage, "part_%")) == ["part_0000", "part_0000_again", "part_0001"]


@pytest.fixture
def springs(copper, tmp_path):
    """A toy model of copper, and its file."""
    home = bulk("Cu", cubic=True).positions
    frames = []
    for frame in copper:
        away = frame.positions - home
        labels = Labels(float((away**2).sum()), -2 * away, np.zeros((3, 3)))
        frames.append(frame.with_(labels=labels, split="train"))
    model, *_ = fit(Dataset.from_frames(frames), ToySettings(), 1)
    model.save(tmp_path / "model.toy")
    return tmp_path / "model.toy"


def test_runs_of_an_exploration_that_was_cut_off_are_done_by_another_job(copper, dying, springs):
    plan = {"starts": 2, "temperature": [50, 100], "time": 0.02, "sample_every": 0.01}
    outputs, node = run_get_node(
        WorkflowFactory("trainspot.explore"),
        engine=orm.Str("ase"),
        initial=PESData(copper),
        plan=orm.Dict(plan),
        seed=orm.Int(3),
        iteration=orm.Int(1),
        model=orm.SinglefileData(springs),
        kind=orm.Str("toy"),
        code=dying(),
        settings=orm.Dict({"runs_per_job": 1}),
        max_concurrent=orm.Int(1),
    )
    assert node.is_finished_ok, node.exit_message
    assert len(outputs["explored"]) == 4
    assert len(outputs["failures"]) == 0
    statuses = [job.exit_status for job in jobs_of("AseMdCalculation")]
    assert statuses == [exit_codes.KILLED.status, 0, 0]


class Evaluates(CampaignBase):
    """The evaluation of a campaign alone."""

    @classmethod
    def define(cls, spec):
        super().define(spec)
        spec.input("frames", valid_type=PESData)
        spec.input_namespace("job", dynamic=True)
        spec.outline(cls.start, cls.repeat, cls.end)

    def _evaluate(self, frames, iteration, label, key, **extra):
        assert (iteration, extra) == (1, {})
        process = CalculationFactory("trainspot.evaluate")
        job = submit_once(self, label, process, **frames, **self.inputs.job)
        self.to_context(**{key: job})

    def start(self):
        self._evaluate({"dataset": self.inputs.frames}, 1, "iteration_1_evaluate", "evaluate")

    def repeat(self):
        self._repeat_if_cut_off(1, "evaluate")

    def end(self):
        assert self.ctx.evaluate.is_finished_ok


def test_an_evaluation_that_was_cut_off_is_repeated(copper, dying, springs):
    model = orm.SinglefileData(springs).store()
    job = {
        "models": {"member_0": model, "member_1": model},
        "kind": orm.Str("toy"),
        "settings": orm.Dict({}),
        "code": dying(),
    }
    _, node = run_get_node(Evaluates, frames=PESData(copper), job=job)
    assert node.is_finished_ok, node.exception
    found = children(node, "%")
    assert sorted(found) == ["iteration_1_evaluate", "iteration_1_evaluate_again"]
    assert [stage.name for stage in stages_of(node)] == ["evaluate", "evaluate"]


def test_a_program_that_says_why_it_left_nothing_was_not_killed(copper, aiida_localhost, tmp_path):
    script = tmp_path / "trainspot"
    script.write_text("#!/bin/bash\necho no licence >&2\n")
    script.chmod(0o755)
    code = orm.InstalledCode(aiida_localhost, str(script), label="trainspot").store()
    _, node = label(copper, code)
    assert not node.is_finished_ok
    statuses = [job.exit_status for job in jobs_of("AseLabelCalculation")]
    assert statuses == [exit_codes.OUTPUT_MISSING.status]
