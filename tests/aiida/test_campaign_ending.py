"""The last steps of a campaign on made-up contexts: comparing committees, attaching results."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from aiida.common.links import LinkType
from aiida.engine import ProcessState
from aiida.engine.persistence import get_object_loader
from aiida.engine.utils import instantiate_process
from aiida.manage import get_manager
from aiida.orm import CalcJobNode, Dict, SinglefileData, WorkChainNode
from aiida.plugins import WorkflowFactory

from aiida_trainspot.calculations.evaluate import frames_of
from aiida_trainspot.data.pes import PESData
from aiida_trainspot.data.predictions import PredictionsData
from aiida_trainspot.functions import evaluate as functions
from aiida_trainspot.launch.builder import get_builder
from aiida_trainspot.workflows.campaign import base
from trainspot.data.dataset import Dataset
from trainspot.data.lattice import periodic_projector
from trainspot.predictions.predictions import Predictions


@pytest.fixture
def dataset(labelled_frames):
    splits = ["train"] * 6 + ["validation"] * 3 + ["test"] * 3
    pairs = zip(labelled_frames, splits, strict=True)
    return Dataset.from_frames([frame.with_(split=split) for frame, split in pairs])


def predictions_of(dataset, offset=0.1):
    return Predictions(
        dataset.column("id"), dataset.column("offsets"),
        np.stack([dataset.column("energy") + k * offset for k in range(3)]),
        np.stack([dataset.column("forces") + k * offset for k in range(3)]),
        np.stack([dataset.column("stress")] * 3),
        periodic_projector(dataset.column("cell"), dataset.column("pbc")), ("a", "b", "c"),
    )  # fmt: skip


def finished(node, **outputs):
    """A process with these outputs that ended well."""
    link = LinkType.CREATE if isinstance(node, CalcJobNode) else LinkType.RETURN
    node.store()
    for name, one in outputs.items():
        one.base.links.add_incoming(node, link, name)
        one.store()
    node.set_process_state(ProcessState.FINISHED)
    node.set_exit_status(0)
    return node


def training(name):
    model = SinglefileData(io.BytesIO(name), filename="model.toy").store()
    return finished(WorkChainNode(), models__member_0=model)


@pytest.fixture
def campaign(ours, toy_campaign, dataset):
    """Judged once, and trained once more; a judged test frame is lacking in the predictions."""
    content = toy_campaign | {"augment": []}
    codes = dict.fromkeys(("label", "train", "explore", "evaluate"), ours)
    builder = get_builder(content, dataset=dataset, codes=codes)
    process = instantiate_process(get_manager().get_runner(), builder)
    process.setup()
    known = predictions_of(dataset)
    process.ctx.update(
        judged=1,
        trained=2,
        committee_1=training(b"judged"),
        committee_2=training(b"newer"),
        predictions_1=PredictionsData(known.take(np.arange(11))).store(),
        calibration_1=Dict({}).store(),
        pairs_1=Dict({}).store(),
        record_1=Dict({"n": 1}).store(),
    )
    return process


def compared(dataset, **changes):
    """A job that predicted the test frame which had been lacking."""
    made = replace(predictions_of(dataset[11:]), **changes)
    return finished(CalcJobNode(), predictions=PredictionsData(made))


def test_models_and_calibration_are_of_one_committee(campaign):
    campaign.ctx.exit = ["ERROR_SUB_PROCESS_FAILED_EXPLORE", "why"]
    assert campaign.results().status == 453
    assert campaign.outputs["models"]["member_0"].get_content(mode="rb") == b"judged"
    assert campaign.outputs["calibration"].uuid == campaign.ctx.calibration_1.uuid


def test_without_a_judgement_the_last_committee_is_kept(campaign):
    campaign.ctx.update(judged=0, exit=["ERROR_SUB_PROCESS_FAILED_EXPLORE", "why"])
    campaign.results()
    assert campaign.outputs["models"]["member_0"].get_content(mode="rb") == b"newer"
    assert "calibration" not in campaign.outputs


def test_a_frame_without_finite_predictions_does_not_end_a_comparison(
    campaign, dataset, monkeypatch
):
    given = {}
    job = compared(dataset, energy=np.full((3, 1), np.inf))
    monkeypatch.setattr(base, "submit_once", lambda *_, **inputs: given.update(inputs) or job)
    monkeypatch.setattr(campaign, "to_context", campaign.ctx.update)
    campaign.run_compare()
    assert frames_of(given).ids == dataset.ids[11:]
    assert given["metadata"]["options"]["allow_non_finite"] is True
    campaign.inspect_compare()
    found = campaign.outputs["predictions"]["iteration_1"].predictions
    assert found.ids == dataset.ids
    assert found.is_finite.tolist() == [True] * 11 + [False]
    record = campaign.outputs["iterations"]["iteration_1"].get_dict()
    assert record["common_test"]["forces"] == pytest.approx(0.1)


def test_a_judged_committee_must_predict_something(campaign, dataset, monkeypatch):
    """Only a comparison may be of one or two frames."""
    given = {}
    monkeypatch.setattr(base, "submit_once", lambda *_, **inputs: given.update(inputs))
    monkeypatch.setattr(campaign, "to_context", campaign.ctx.update)
    campaign._evaluate({"dataset": PESData(dataset)}, 1, "iteration_1_evaluate", "evaluate")
    assert "allow_non_finite" not in given["metadata"]["options"]


def test_the_class_that_checkpoints_of_earlier_versions_name_is_found():
    """A worker that takes up a running campaign after an upgrade loads it by this name."""
    earlier = "aiida_trainspot.workflows.campaign:TrainsPotWorkChain"
    assert get_object_loader().load_object(earlier) is WorkflowFactory("trainspot.campaign")


@pytest.mark.parametrize("some", [True, False])
def test_a_checkpoint_of_an_earlier_version_can_be_continued(campaign, dataset, some):
    """Its job predicted all that is compared; without one there was nothing to compare."""
    campaign.ctx.compare = compared(dataset) if some else None
    assert "comparable" not in campaign.ctx
    campaign.inspect_compare()
    assert ("predictions" in campaign.outputs) is some
    assert campaign.outputs["iterations"]["iteration_1"]["n"] == 1


def test_what_a_committee_has_yet_to_predict_is_told_by_ids_alone(campaign, monkeypatch):
    monkeypatch.delattr(functions, "read_predictions")
    dataset, predictions = campaign.ctx.dataset, campaign.ctx.predictions_1
    for everything, counts in ((True, (12, 1)), (False, (3, 1))):
        found = functions.frames_to_compare(dataset, predictions, everything=everything)
        assert found == counts


def test_frames_that_never_came_out_of_labelling_are_in_the_final_dataset(campaign, silicon):
    campaign.ctx.chosen = PESData([silicon]).store()
    campaign.ctx.exit = ["ERROR_SUB_PROCESS_FAILED_LABEL", "why"]
    campaign.results()
    found = campaign.outputs["dataset"]
    assert found.ids == [*campaign.ctx.dataset.ids, silicon.id]
    assert found.n_labelled == len(found) - 1
