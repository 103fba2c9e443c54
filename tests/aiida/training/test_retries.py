"""Trainings that are killed or run out of memory, with a stand-in for ``mace_run_train``."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

import pytest
from aiida import orm
from aiida.common.links import LinkType
from aiida.engine import run_get_node
from aiida.plugins import WorkflowFactory

from aiida_trainspot.results.retries import retries, sentences
from aiida_trainspot.results.status import Stage
from aiida_trainspot.workflows.train import member as module
from trainspot.train.bagging import Bag
from trainspot.train.base import member_seeds

REAL = Path(__file__).parents[2] / "core" / "training" / "mace_restarted"
SEED, MEMBERS = 5, 2
SETTINGS = {"batch_size": 4, "valid_batch_size": 4, "max_num_epochs": 9}


@pytest.fixture
def pretender(aiida_localhost, tmp_path):
    """The code of a program that leaves what MACE leaves, unless ``fate`` ends it before.

    ``fate`` is Python with ``seed``, ``batch``, ``resumed`` and ``die`` (a SIGKILL) at hand.
    """
    aiida_localhost.set_minimum_job_poll_interval(0.1)

    def call(fate):
        script = tmp_path / "mace_run_train"
        script.write_text(
            f"#!{sys.executable}\n"
            + textwrap.dedent(
                """
                import os, pathlib, shutil, signal, sys, zipfile
                import yaml
                config = yaml.safe_load(open("config.yaml"))
                seed, batch = config["seed"], config["batch_size"]
                resumed = bool(config.get("restart_latest"))
                def archive(path):
                    path.parent.mkdir(exist_ok=True)
                    zipfile.ZipFile(path, "w").writestr("data", str(seed))
                def checkpoint(epoch):
                    archive(pathlib.Path(f"checkpoints/mace_run-{seed}_epoch-{epoch}.pt"))
                def die():
                    os.kill(os.getpid(), signal.SIGKILL)
                """
            )
            + textwrap.dedent(fate)
            + textwrap.dedent(
                f"""
                shutil.copytree({str(REAL)!r} + "/results", "results")
                checkpoint(8)
                archive(pathlib.Path("mace.model"))
                """
            )
        )
        script.chmod(0o755)
        return orm.InstalledCode(
            label="pretender", computer=aiida_localhost, filepath_executable=str(script)
        ).store()

    return call


def train(pes, code, **more):
    node = run_get_node(
        WorkflowFactory("trainspot.train"),
        engine=orm.Str("mace"),
        dataset=pes,
        code=code,
        settings=orm.Dict(SETTINGS),
        seed=orm.Int(SEED),
        committee=orm.Int(MEMBERS),
        max_concurrent=orm.Int(MEMBERS),
        **more,
    )[1]
    assert node.is_finished_ok, node.exit_message
    return node


def jobs(node):
    found = [n for n in node.called_descendants if isinstance(n, orm.CalcJobNode)]
    return sorted(found, key=lambda job: job.pk)


def told(stage):
    """What ``status``, the report and the model card say of a campaign with this training."""
    found = retries([Stage(1, "train", stage)])
    assert [one["iteration"] for one in found] == [1] * len(found)
    return [one["settings"] for one in found], sentences({"retries": found})


def test_a_killed_member_goes_on_from_its_checkpoint_as_it_was(pes, pretender):
    """Source: aiida-trains-pot #34, dpgen #1645; a kill -9 of one of two members."""
    first = member_seeds(SEED, MEMBERS)[0]
    node = train(
        pes, pretender(f"if seed == {first} and not resumed:\n    checkpoint(6)\n    die()")
    )
    assert [job.exit_status for job in jobs(node)].count(406) == 1
    assert len(jobs(node)) == 3
    assert {job.inputs.settings["batch_size"] for job in jobs(node)} == {4}
    (resumed,) = (job for job in jobs(node) if "checkpoint" in job.inputs)
    assert resumed.inputs.checkpoint.filename == f"mace_run-{first}_epoch-6.pt"
    assert resumed.inputs.seed.value == first
    settings, texts = told(node)
    assert settings == [{}]
    said = (
        "In iteration 1 the training of member_0 was killed and continued after epoch 6, with the"
    )
    assert texts == [f"{said} same settings."]


def test_where_memory_is_short_all_members_get_half_the_batch(pes, pretender):
    second = member_seeds(SEED, MEMBERS)[1]
    error = "torch.OutOfMemoryError: CUDA out of memory."
    node = train(pes, pretender(f"if seed == {second} and batch > 2:\n    sys.exit('{error}')"))
    last = jobs(node)[-MEMBERS:]
    assert [job.inputs.settings["batch_size"] for job in last] == [2, 2]
    assert {job.inputs.seed.value for job in last} == set(member_seeds(SEED, MEMBERS))
    models = [node.outputs.models[f"member_{m}"].creator.pk for m in range(MEMBERS)]
    assert sorted(models) == [job.pk for job in last]  # no model of the first round
    settings, texts = told(node)
    assert settings == [
        {"batch_size": {"file": 4, "used": 2}, "valid_batch_size": {"file": 4, "used": 2}}
    ]
    said = "all members were trained with batch_size 2 (file: 4), valid_batch_size 2 (file: 4)"
    assert texts == [f"In iteration 1 {said}: member_1 ran out of memory."]


def test_a_member_that_is_trained_again_keeps_its_bag(pes, pretender):
    """After a kill, and with half the batch."""
    fate = """
        if batch > 2:
            if resumed:
                sys.exit("CUDA out of memory.")
            checkpoint(6)
            die()
    """
    bagging = orm.Dict({"share": 0.5, "seed": SEED})
    node = train(pes, pretender(fate), bagging=bagging)
    of_member = dict(zip(member_seeds(SEED, MEMBERS), range(MEMBERS), strict=True))
    assert len(jobs(node)) == 3 * MEMBERS
    for job in jobs(node):
        member = of_member[job.inputs.seed.value]
        assert job.inputs.bag.get_dict() == Bag(0.5, member, MEMBERS, SEED).to_dict()


def test_a_member_killed_again_and_again_at_one_place_is_short_of_memory(pes, pretender):
    node = train(pes, pretender("if batch > 2:\n    die()"))
    batches = [job.inputs.settings["batch_size"] for job in jobs(node)]
    assert sorted(batches) == [2, 2, 4, 4, 4, 4]  # each once as it was, and then all with half
    assert "ran out of memory" in told(node)[1][-1]


def test_the_kernel_says_that_memory_is_short(pes, pretender, monkeypatch):
    counts = iter(range(100))
    monkeypatch.setattr(module, "kills_for_memory", lambda: next(counts))
    node = train(pes, pretender("if batch > 2:\n    checkpoint(3)\n    die()"))
    assert sorted(job.inputs.settings["batch_size"] for job in jobs(node)) == [2, 2, 4, 4]


def test_members_that_earlier_versions_made_unlike_are_marked(program):
    """There a member that was killed went on alone with half the batch."""
    stage = orm.WorkChainNode()
    asked = orm.Dict(SETTINGS).store()
    stage.base.links.add_incoming(asked, LinkType.INPUT_WORK, "settings")
    stage.store()
    for member, batch in enumerate((2, 4)):
        child = orm.WorkChainNode()
        child.base.links.add_incoming(stage, LinkType.CALL_WORK, f"member_{member}")
        child.store()
        job = orm.CalcJobNode(computer=program("true").computer)
        job.set_option("resources", {"num_machines": 1})
        job.base.links.add_incoming(child, LinkType.CALL_CALC, "iteration_01")
        used = orm.Dict({**SETTINGS, "batch_size": batch}).store()
        job.base.links.add_incoming(used, LinkType.INPUT_CALC, "settings")
        job.store()
    (text,) = told(stage)[1]
    assert "member_0 was trained with batch_size 2 (file: 4)" in text
    assert "the other members were not" in text
