"""Why a campaign ended, from bare nodes: every exit code, a crash, a stop; terminal and JSON."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from aiida import orm
from aiida.common.links import LinkType
from click.testing import CliRunner
from plumpy import ProcessState

from aiida_trainspot import exit_codes
from aiida_trainspot.cli import _watch
from aiida_trainspot.data.pes import PESData
from aiida_trainspot.results.status import status
from trainspot.cli import main
from trainspot.common.text import sentences
from trainspot.config.document import Document
from trainspot.config.load import resolve
from trainspot.data.frames import Frame
from trainspot.label.base import failed

CONTENT = {
    "name": "silicon",
    "structures": ["si.cif"],
    "augment": [{"kind": "input"}, {"kind": "isolated"}],
    "label": {"engine": "quantumespresso", "max_iterations": 1},
    "train": {"engine": "mace", "lr": 0.5},
    "screen": {"max_force": 0.5},
    "budget": {"labels": 12},
}
RECORD = {"n": 1, "explored": 29, "refused": {"force": 5, "overlap": 24}, "duplicates": 0}
RECORD |= {"exploration_failures": 5, "runs": 5, "flagged": 0, "selected": 0, "audit": 0}
RECORD |= {"labelled": 42, "labelled_total": 42}


def ended(node, exit_status=0, message="", state=ProcessState.FINISHED):
    node.set_process_state(state)
    if state is ProcessState.FINISHED:
        node.set_exit_status(exit_status)
        node.set_exit_message(message)
    return node


def child(parent, label, kind=orm.WorkChainNode, name="", inputs=None):
    node = kind(computer=None)
    node.set_process_label(name or label)
    link = LinkType.CALL_WORK if kind is orm.WorkChainNode else LinkType.CALL_CALC
    made = LinkType.INPUT_WORK if kind is orm.WorkChainNode else LinkType.INPUT_CALC
    for key, one in (inputs or {}).items():
        node.base.links.add_incoming(one.store(), made, key)
    node.base.links.add_incoming(parent, link, label)
    return node.store()


def returned(node, **outputs):
    """Outputs of a work chain, each made by a calculation of it."""
    maker = child(node, "maker", orm.CalcFunctionNode)
    for key, one in outputs.items():
        one.base.links.add_incoming(maker, LinkType.CREATE, key)
        one.store()
        one.base.links.add_incoming(node, LinkType.RETURN, key)


@pytest.fixture
def campaign(aiida_profile_clean, silicon):
    config = resolve(Document(Path("c.yaml"), CONTENT)).campaign.model_dump(mode="json")
    node = orm.WorkChainNode(label="silicon")
    node.set_process_label("TrainsPotWorkChain")
    for key, one in {"config": orm.Dict(config), "dataset": PESData([silicon])}.items():
        node.base.links.add_incoming(one.store(), LinkType.INPUT_WORK, key)
    node.store()
    node.set_process_state(ProcessState.RUNNING)
    return node


def judged(campaign):
    record = orm.Dict(RECORD)
    judge = child(campaign, "CALL", orm.CalcFunctionNode, "judge")
    record.base.links.add_incoming(judge, LinkType.CREATE, "record")
    record.store()
    ended(judge)


def told(campaign):
    """The sentence of the terminal, which must be that of ``status --json``."""
    found = json.loads(CliRunner().invoke(main, ["status", "silicon", "--json"]).stdout)
    ending = found["exit"]
    sentence = sentences(ending["message"], ending["remedy"])
    lines = [str(line) for line in _watch.closing(found, campaign.pk)]
    assert lines[0] == f"{ending['label']}: {sentence}"
    assert lines[-1].startswith("next: trainspot report")
    return found["state"], sentence


def test_failed_labels_are_counted(campaign, silicon):
    atom = Frame.make([14], np.zeros((1, 3)))
    stage = child(
        campaign,
        "iteration_1_label",
        inputs={"dataset": PESData([silicon, atom])},
    )
    reason = "PwCalculation 410: The electronic minimization cycle did not reach self-consistency."
    returned(stage, labelled=PESData([silicon]), failures=PESData([failed(atom, reason, 410)]))
    ended(stage, 410, "too many")
    ended(campaign, 410, "too many frames could not be labelled: …")
    state, sentence = told(campaign)
    assert state == "failed"
    assert sentence == (
        "1 of 2 frames could not be labelled: isolated atom Si did not reach self-consistency (1). "
        "Raise label.max_iterations (now 1) or give train.e0s in place of {kind: isolated}: "
        "finished labels come from the cache."
    )
    assert status(campaign)["exit"]["counts"]["reasons"][0]["exit_status"] == 410


def test_nothing_passes_the_screen(campaign):
    judged(campaign)
    ended(campaign, 411, exit_codes.NO_VALID_EXPLORATION.message)
    state, sentence = told(campaign)
    assert state == "failed"
    assert sentence.startswith(
        "no explored frame passed the screen: 24 overlap (screen.overlap 0.6), 5 above "
        "screen.max_force (0.5 eV/Å), of 29; 5 of 5 runs broke off before their end. Explore"
    )


def test_a_diverged_training_names_member_loss_and_epoch(campaign):
    stage = child(campaign, "iteration_1_train")
    ended(child(stage, "member_0", name="MaceTrainWorkChain"))
    member = child(stage, "member_1", name="MaceTrainWorkChain")
    job = child(member, "iteration_01", orm.CalcJobNode, "MaceTrainCalculation")
    ended(job, 305, "the training diverged: the loss is not finite in epoch 7: nan")
    ended(member, 305, "…")
    ended(stage, 452, "…")
    ended(campaign, 452, "…")
    state, sentence = told(campaign)
    assert state == "failed"
    assert sentence == (
        "a training failed in iteration 1: member_1: the training diverged: the loss is not finite "
        "in epoch 7: nan. Lower train.lr (now 0.5), then run the file again: the labels come from "
        "the cache."
    )


def test_of_several_attempts_the_last_says_why(campaign):
    stage = child(campaign, "iteration_2_train")
    member = child(stage, "member_0", name="MaceTrainWorkChain")
    for n, (code, words) in enumerate([(400, "out of time"), (405, "out of memory")]):
        job = child(member, f"iteration_0{n}", orm.CalcJobNode, "MaceTrainCalculation")
        ended(job, code, words)
    for node, code in ((member, 405), (stage, 452), (campaign, 452)):
        ended(node, code, "…")
    _, sentence = told(campaign)
    assert "in iteration 2: member_0: out of memory. Give the jobs more memory" in sentence
    assert "(resources.mace@localhost.memory) or lower train.batch_size" in sentence


@pytest.mark.parametrize(
    ("code", "label", "inner", "said"),
    [
        (450, "augment", 200, "the augmentation failed: no. Change structures or augment, then"),
        (451, "iteration_1_label", 202, "the labelling failed in iteration 1: no. Set label.pseu"),
        (452, "iteration_1_train", 203, "in iteration 1: no. Ask for at least two members (train."),
        (
            452,
            "iteration_1_train",
            201,
            "Give more structures, or a larger share of training frames",
        ),
        (453, "iteration_1_explore", 200, "the exploration failed in iteration 1: no. Change str"),
        (453, "iteration_1_explore", 303, "the exploration failed in iteration 1: no. See verdi p"),
        (454, "iteration_1_evaluate", 306, "the evaluation failed in iteration 1: no. Lower train"),
    ],
)
def test_a_stage_that_failed_is_told_by_its_innermost_process(campaign, code, label, inner, said):
    ended(child(campaign, label), inner, "no")
    ended(campaign, code, "…")
    state, sentence = told(campaign)
    assert (state, said in sentence) == ("failed", True), sentence


def test_a_stage_that_crashed_is_told_by_the_line_that_names_it(campaign):
    stage = child(campaign, "iteration_1_explore", name="ExplorationWorkChain")
    stage.set_exception("Traceback:\n  File x\nOSError: no space left on device\n")
    ended(stage, state=ProcessState.EXCEPTED)
    ended(campaign, 453, "…")
    _, sentence = told(campaign)
    assert "ExplorationWorkChain raised an error: OSError: no space left on device. See" in sentence


def test_an_error_of_ours_is_told_and_not_what_aiida_made_of_it(campaign):
    """As when a job's input files cannot be written."""
    stage = child(campaign, "iteration_1_train", name="MaceTrainCalculation")
    stage.set_exception(
        "Traceback:\n  File x\ntrainspot.common.errors.InputError: s.model: no Si\n\n"
        "The above exception was the direct cause of the following exception:\n\n"
        "aiida.engine.processes.calcjobs.tasks.PreSubmitException: exception in presubmit call"
    )
    ended(stage, state=ProcessState.EXCEPTED)
    ended(campaign, 452, "…")
    _, sentence = told(campaign)
    assert "MaceTrainCalculation raised an error: s.model: no Si. See" in sentence


def test_the_regular_ends_are_no_failures(campaign):
    judged(campaign)
    ended(campaign, 420, "…")
    state, sentence = told(campaign)
    assert state == "finished"
    assert sentence == (
        "not converged after 1 iteration (stop.max_iterations 10). Raise stop.max_iterations and "
        "run the file again: finished calculations come from the cache."
    )


def test_the_budget_counts_what_is_labelled(campaign, labelled_frames):
    judged(campaign)
    returned(campaign, dataset=PESData(labelled_frames))
    ended(campaign, 421, "…")
    assert told(campaign)[1].startswith("the budget is spent: 12 of 12 labels (budget.labels)")


def test_a_stop_says_where(campaign):
    stage = child(campaign, "iteration_1_label")
    for n, state in enumerate((ProcessState.FINISHED, ProcessState.KILLED)):
        ended(child(stage, f"part_{n}", orm.CalcJobNode), state=state)
    ended(stage, state=ProcessState.KILLED)
    ended(campaign, state=ProcessState.KILLED)
    state, sentence = told(campaign)
    assert state == "killed"
    assert sentence == (
        "stopped while labelling in iteration 1; 1 of 2 jobs had finished successfully. To "
        "continue, run the same file again: finished calculations come from the cache."
    )


def test_a_crash_says_where(campaign):
    child(campaign, "iteration_3_train")
    campaign.set_exception("Traceback:\n  File x\nValueError: no\n    For more, see y\n")
    ended(campaign, state=ProcessState.EXCEPTED)
    state, sentence = told(campaign)
    assert state == "excepted"
    assert sentence.startswith("ValueError: no (while training in iteration 3). Run the same file")


def test_what_another_version_wrote_is_told_by_its_own_message(aiida_profile_clean):
    other = orm.WorkChainNode(label="old")
    other.set_process_label("TrainsPotWorkChain")
    other.base.links.add_incoming(orm.Dict({"label": 3}).store(), LinkType.INPUT_WORK, "config")
    other.store()
    ended(other, 411, "no explored frame passed the screen")
    assert status(other)["exit"]["message"] == "no explored frame passed the screen"
