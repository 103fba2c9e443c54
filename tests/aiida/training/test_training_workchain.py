"""The training stage through AiiDA, in this process."""

from __future__ import annotations

import io

import pytest
from aiida import orm
from aiida.common.links import LinkType
from aiida.engine import run_get_node
from aiida.engine.utils import instantiate_process
from aiida.manage import get_manager
from aiida.manage.caching import enable_caching
from aiida.plugins import WorkflowFactory

from aiida_trainspot.data.pes import PESData
from aiida_trainspot.workflows.train.member import with_threads
from trainspot.train.bagging import bags
from trainspot.train.base import member_seeds
from trainspot.train.toy import ToyPotential, ToySettings, fit

TINY = {
    "r_max": 3.5,
    "num_channels": 1,
    "max_L": 0,
    "max_ell": 1,
    "correlation": 1,
    "num_radial_basis": 3,
    "MLP_irreps": "2x0e",
    "batch_size": 100,
    "max_num_epochs": 2,
    "extra": {"radial_MLP": "[4]"},
}


def run_stage(pes, program, **inputs):
    return run_get_node(
        WorkflowFactory("trainspot.train"),
        **{
            "engine": orm.Str("toy"),
            "dataset": pes,
            "code": program,
            "seed": orm.Int(5),
            "committee": orm.Int(3),
            "max_concurrent": orm.Int(2),
            **inputs,
        },
    )


def test_a_committee_of_toys(program, pes, copper):
    with enable_caching(identifier="aiida.calculations:trainspot.toy_train"):
        outputs, node = run_stage(pes, program("trainspot"))
        assert node.is_finished_ok, node.exit_message
        assert set(outputs["models"]) == {"member_0", "member_1", "member_2"}
        assert "checkpoints" not in outputs
        assert set(outputs["metrics"].get_dict()) == set(outputs["models"])

        # the members are those that the same seeds give without AiiDA
        seeds = member_seeds(5, 3)
        for member, seed in enumerate(seeds):
            with outputs["models"][f"member_{member}"].as_path() as path:
                found = ToyPotential.load(path)
            here = fit(copper, ToySettings(), seed)[0]
            assert (found.coefficients == here.coefficients).all()
        jobs = [n for n in node.called_descendants if isinstance(n, orm.CalcJobNode)]
        assert sorted(job.inputs.seed.value for job in jobs) == sorted(seeds)

        # never more at once than asked: the third began after the first two had ended
        labels = {link.link_label for link in node.base.links.get_outgoing().all()}
        assert set(outputs["models"]) <= labels
        first, second, third = sorted(
            (n for n in node.called if n.process_label == "ToyTrainWorkChain"), key=lambda n: n.pk
        )
        assert third.ctime > max(first.mtime, second.mtime)

        # resubmitting finds every job in the cache, and no member stands for another
        again = run_stage(PESData(copper), node.inputs.code)[1]
        repeated = [n for n in again.called_descendants if isinstance(n, orm.CalcJobNode)]
        sources = {job.base.caching.get_cache_source() for job in repeated}
        assert sources == {job.uuid for job in jobs}


def test_members_with_bags_are_those_of_the_files(program, pes, copper):
    """Each job has its own bag and the same dataset, and is found again in the cache."""
    bagging = orm.Dict({"share": 0.34, "seed": 42})
    with enable_caching(identifier="aiida.calculations:trainspot.toy_train"):
        outputs, node = run_stage(pes, program("trainspot"), bagging=bagging)
        assert node.is_finished_ok, node.exit_message
        seeds = member_seeds(5, 3)
        trained = []
        for member, bag in enumerate(bags(0.34, 3, 42)):
            own = bag.of(copper)
            trained.append(set(own.subset("train").ids))
            with outputs["models"][f"member_{member}"].as_path() as path:
                model = ToyPotential.load(path)
            assert (
                model.coefficients == fit(own, ToySettings(), seeds[member])[0].coefficients
            ).all()
        assert len(set.union(*trained)) == 7
        assert [len(ids) for ids in trained] == [5, 5, 5]  # four of six cells, and the atom
        jobs = [n for n in node.called_descendants if isinstance(n, orm.CalcJobNode)]
        assert {job.inputs.dataset.pk for job in jobs} == {pes.pk}
        again = run_stage(PESData(copper), node.inputs.code, bagging=bagging)[1]
        repeated = [n for n in again.called_descendants if isinstance(n, orm.CalcJobNode)]
        assert {job.base.caching.get_cache_source() for job in repeated} == {j.uuid for j in jobs}


def test_without_bagging_the_inputs_of_a_job_are_those_of_before(program, pes):
    """So that jobs of earlier campaigns are found in the cache."""
    node = run_stage(pes, program("trainspot"), committee=orm.Int(2))[1]
    jobs = [n for n in node.called_descendants if isinstance(n, orm.CalcJobNode)]
    assert len(jobs) == 2
    for job in jobs:
        names = {
            link.link_label for link in job.base.links.get_incoming(link_type=LinkType.INPUT_CALC)
        }
        assert names == {"code", "dataset", "settings", "seed"}


@pytest.mark.parametrize(
    ("change", "status", "reason"),
    [("committee", 203, "1 asked for"), ("unlabelled", 201, "nothing to train on")],
)
def test_what_is_refused_before_anything_is_spent(program, copper, pes, change, status, reason):
    inputs = {"committee": orm.Int(1)}
    if change == "unlabelled":
        pes = PESData(copper.with_columns(has_energy=[False] * len(copper)))
        inputs = {}
    node = run_stage(pes, program("trainspot"), **inputs)[1]
    assert node.exit_status == status
    assert reason in node.exit_message
    assert not node.called


def test_a_committee_of_one_and_the_same_model_is_too_small(program, pes):
    settings = orm.Dict({"bootstrap": False, "n_random": 0})
    outputs, node = run_stage(pes, program("trainspot"), settings=settings)
    assert node.exit_status == 203
    assert "all 3 members are the same model, so they never disagree" in node.exit_message
    assert len(outputs["models"]) == 3  # kept, for a look


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"engine": lambda: orm.Str("tyo")}, "trainspot.train.tyo"),
        ({"settings": lambda: orm.Dict({"cutof": 1})}, "cutof"),
        ({"bagging": lambda: orm.Dict({"share": 0.7, "seed": 1})}, "share from 0 to 0.667"),
        ({"bagging": lambda: orm.Dict({"share": 0.2})}, "bagging needs 'share' and 'seed'"),
    ],
)
def test_wrong_inputs_are_refused_at_submission(program, pes, inputs, message):
    with pytest.raises(ValueError, match=message):
        run_stage(pes, program("trainspot"), **{name: make() for name, make in inputs.items()})


def test_a_failed_member_fails_the_stage_with_its_reason(program, pes):
    """A start model of another kind: the program ends without a model."""
    bad = orm.SinglefileData(io.BytesIO(b"no model"), filename="model.toy")
    committee = {"committee": orm.Int(2), "start": {"member_1": bad}}
    node = run_stage(pes, program("trainspot"), **committee)[1]
    assert node.exit_status == 452
    assert "member_1" in node.exit_message
    assert "model.toy" in node.exit_message
    assert set(node.outputs.models) == {"member_0"}


# ── restarts, step by step ────────────────────────────────────────────────────
@pytest.fixture
def member(program, pes):
    """A training workchain of MACE that has been set up and not run."""
    workchain = instantiate_process(
        get_manager().get_runner(),
        WorkflowFactory("trainspot.train.mace"),
        dataset=pes,
        code=program("mace_run_train"),
        seed=orm.Int(7),
        settings=orm.Dict({"batch_size": 4, "valid_batch_size": 1}),
    )
    workchain.setup()
    return workchain


def checkpoint(epoch):
    return orm.SinglefileData(io.BytesIO(b"state"), filename=f"mace_run-7_epoch-{epoch}.pt")


def test_out_of_walltime_continues_from_the_checkpoint(member, finished):
    node = finished("mace", {}, exit_status=400, outputs={"checkpoint": checkpoint(5)})
    assert member.continue_from_checkpoint(node).do_break
    assert member.ctx.inputs["checkpoint"].filename == "mace_run-7_epoch-5.pt"
    assert member.ctx.inputs["seed"].value == 7  # another seed would start over
    # the same checkpoint again: no progress, so the reason is passed on
    node = finished("mace", {}, exit_status=400, outputs={"checkpoint": checkpoint(5)})
    assert member.continue_from_checkpoint(node).exit_code.status == 400


def test_out_of_walltime_without_a_checkpoint_gives_up(member, finished):
    report = member.continue_from_checkpoint(finished("mace", {}, exit_status=400))
    assert report.exit_code.status == 400


def test_out_of_memory_is_for_the_stage_to_mend(member, finished):
    node = finished("mace", {}, exit_status=405)
    assert member.pass_on_memory(node).exit_code.status == 405
    assert member.ctx.inputs["settings"]["batch_size"] == 4
    assert member.continue_from_checkpoint(node) is None  # not its exit code


@pytest.mark.parametrize("status", [406, 140])
def test_what_was_killed_goes_on_as_it_was(member, finished, status):
    node = finished("mace", {}, exit_status=status, outputs={"checkpoint": checkpoint(5)})
    assert member.go_on_after_a_kill(node).exit_code.status == 0
    assert member.ctx.inputs["checkpoint"].filename == "mace_run-7_epoch-5.pt"
    assert member.ctx.inputs["settings"]["batch_size"] == 4
    # once more without progress, and then it is taken for missing memory
    node = finished("mace", {}, exit_status=status, outputs={"checkpoint": checkpoint(5)})
    assert member.go_on_after_a_kill(node).exit_code.status == 0
    assert member.go_on_after_a_kill(node).exit_code.status == 405


@pytest.mark.parametrize("status", [303, 304, 305])
def test_what_would_end_the_same_way_is_not_repeated(member, finished, status):
    report = member.give_up(finished("mace", {}, exit_status=status))
    assert report.do_break
    assert report.exit_code.status == status


def test_a_program_gets_as_many_threads_as_cores():
    assert with_threads({})["environment_variables"]["OMP_NUM_THREADS"] == "1"
    wide = {"resources": {"num_machines": 1, "num_cores_per_mpiproc": 4}}
    assert with_threads(wide)["environment_variables"]["OMP_NUM_THREADS"] == "4"
    own = {"environment_variables": {"OMP_NUM_THREADS": "3", "X": "y"}}
    found = with_threads(own, OMP_NUM_THREADS="9", Z="1")["environment_variables"]
    assert (found["OMP_NUM_THREADS"], found["X"]) == ("3", "y")
    assert found["Z"] == "1"


# ── real ──────────────────────────────────────────────────────────────────────
@pytest.mark.engine
@pytest.mark.slow
def test_a_real_mace_member(program, pes):
    outputs, node = run_get_node(
        WorkflowFactory("trainspot.train.mace"),
        dataset=pes,
        code=program("mace_run_train"),
        settings=orm.Dict(TINY),
        seed=orm.Int(7),
    )
    assert node.is_finished_ok, node.exit_message
    assert outputs["model"].filename == "model.mace"
    assert outputs["checkpoint"].filename.startswith("mace_run-7_epoch-")
    assert [epoch["epoch"] for epoch in outputs["metrics"]["epochs"]] == [0, 1]
    assert outputs["metrics"]["warnings"] == []
