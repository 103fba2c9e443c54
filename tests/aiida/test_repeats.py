"""How many labels are there, and how many a changed setting repeats, said before the start."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from aiida.common.links import LinkType
from aiida.engine import ProcessState
from aiida.orm import StructureData, WorkChainNode
from ase.build import bulk

from aiida_trainspot.data.pes import PESData
from aiida_trainspot.launch import builder, checks
from aiida_trainspot.launch.repeats import repeats
from trainspot.campaign.decisions import prepare
from trainspot.config.document import Document
from trainspot.config.load import resolve
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame, Labels

INPUTS = Dataset.from_frames([Frame.from_atoms(bulk("Cu", cubic=True))])
PLAN = [{"kind": "input"}, {"kind": "rattle", "copies": 4, "fraction": 0.1}]


@pytest.fixture
def campaign(ours, toys):
    """A campaign with EMT, or with other settings of labelling."""

    def call(name="first", **settings):
        label = settings if "engine" in settings else {**toys["label"], **settings}
        written = {**toys, "name": name, "augment": PLAN, "label": label}
        return resolve(Document(Path("c.yaml"), written)).campaign

    return call


def frames_of(campaign):
    return prepare(INPUTS, campaign)


def child(parent, label, *, outputs=None):
    node = WorkChainNode()
    node.set_process_state(ProcessState.FINISHED)
    node.base.links.add_incoming(parent, LinkType.CALL_WORK, label)
    node.store()
    for name, output in (outputs or {}).items():
        output.store()
        output.base.links.add_incoming(node, LinkType.RETURN, name)
    return node


def started(campaign):
    inputs = builder.campaign_inputs(campaign, INPUTS)
    node = WorkChainNode(label=campaign.name)
    node.set_process_label("TrainsPotWorkChain")
    node.set_process_state(ProcessState.FINISHED)
    for name in ("config", "dataset"):
        node.base.links.add_incoming(inputs[name].store(), LinkType.INPUT_WORK, name)
    return node.store()


def ran(campaign, number=None):
    """The node of a campaign that labelled so many of its first frames."""
    node = started(campaign)
    labelled = [
        frame.with_(labels=Labels(-1.0, np.zeros((4, 3)), None, "t"))
        for frame in list(frames_of(campaign))[:number]
    ]
    child(node, "iteration_1_label", outputs={"labelled": PESData(labelled)})
    return node


def told(campaign):
    return [(remark.level, remark.text) for remark in repeats(campaign, frames_of(campaign))]


def test_labels_that_are_there_are_counted(campaign):
    assert told(campaign()) == []
    ran(campaign(), 3)
    expected = "3 of 5 labels will be taken from earlier campaigns"
    assert told(campaign(name="other", frames_per_job=7)) == [("note", expected)]


def test_a_changed_setting_says_what_it_costs(campaign):
    node = ran(campaign(calculator="lj", parameters={"sigma": 2.0}))
    changed = campaign(calculator="lj", parameters={"sigma": 2.3})
    text = "label.parameters.sigma (2.0 → 2.3) differs from campaign 'first' "
    text += f"<{node.pk}>: 5 labels will be computed again"
    assert told(changed) == [("warning", text)]
    # those that are there with the new setting are not among them
    ran(changed, 2)
    assert ("warning", text.replace("5 labels", "3 labels")) in told(changed)
    # other frames have nothing in common
    assert not list(repeats(changed, INPUTS.take([])))


def test_labels_of_a_campaign_that_was_cut_off_count(campaign):
    asked = campaign(engine="quantumespresso", code="ours@localhost")
    engine = child(child(started(asked), "iteration_1_label"), "engine")
    structure = StructureData(ase=bulk("Cu", cubic=True))
    structure.label = frames_of(asked)[0].id
    done = WorkChainNode()
    done.set_process_label("PwBaseWorkChain")
    done.set_process_state(ProcessState.FINISHED)
    done.set_exit_status(0)
    done.base.links.add_incoming(structure.store(), LinkType.INPUT_WORK, "pw__structure")
    done.base.links.add_incoming(engine, LinkType.CALL_WORK, "frame_000000")
    done.store()
    assert told(asked)[0][1].startswith("1 of 5 labels will be taken")


@pytest.mark.parametrize("thorough", [True, False])
def test_check_and_run_say_it(campaign, monkeypatch, thorough):
    monkeypatch.setattr(checks, "_daemon", list)
    ran(campaign(calculator="lj", parameters={"sigma": 2.0}))
    changed = campaign(calculator="lj", parameters={"sigma": 2.3})
    document = Document(Path("c.yaml"), changed.model_dump(mode="json"))
    found = checks.check(resolve(document), INPUTS, thorough=thorough)
    assert any("5 labels will be computed again" in remark.text for remark in found)
