"""From a campaign's node to a page and a folder, on a made-up provenance graph."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from click.testing import CliRunner

from trainspot.common.errors import InputError
from trainspot.data import hdf5
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame, Labels, Origin
from trainspot.data.lattice import periodic_projector
from trainspot.judge.calibrate import calibrate
from trainspot.judge.pairs import collect_pairs
from trainspot.judge.settings import CalibrateSettings, Tolerance
from trainspot.predictions.predictions import Predictions

TOLERANCE = Tolerance(energy=0.01, forces=0.5, stress=None)


@pytest.fixture
def dataset(labelled_frames):
    splits = ["train"] * 6 + ["validation"] * 3 + ["test"] * 3
    pairs = zip(labelled_frames, splits, strict=True)
    return Dataset.from_frames([frame.with_(split=split) for frame, split in pairs])


@pytest.fixture
def predictions(dataset, rng):
    def near(reference):
        return reference + rng.normal(0, 0.1, (3, *reference.shape))

    return Predictions(
        dataset.column("id"), dataset.column("offsets"), near(dataset.column("energy")),
        near(dataset.column("forces")), near(dataset.column("stress")),
        periodic_projector(dataset.column("cell"), dataset.column("pbc")), ("a", "b", "c"),
    )  # fmt: skip


def trained(campaign, iteration, *contents, exit_status=0):
    """Store a training of an iteration that has ended, with a model of each content."""
    from aiida.common.links import LinkType
    from aiida.engine import ProcessState
    from aiida.orm import CalcJobNode, SinglefileData, WorkChainNode

    stage, job = WorkChainNode(), CalcJobNode(process_type="aiida.calculations:trainspot.toy")
    stage.base.links.add_incoming(campaign, LinkType.CALL_WORK, f"iteration_{iteration}_train")
    stage.store()
    job.base.links.add_incoming(stage, LinkType.CALL_CALC, "members")
    job.store()
    models = [SinglefileData(io.BytesIO(content), filename="model.toy") for content in contents]
    for j, model in enumerate(models):
        model.base.links.add_incoming(job, LinkType.CREATE, f"model_{j}")
        model.store()
        model.base.links.add_incoming(stage, LinkType.RETURN, f"models__member_{j}")
    stage.set_process_state(ProcessState.FINISHED)
    stage.set_exit_status(exit_status)
    return models


def met_in_exploration(dataset):
    """Two frames of the dataset and one that was not chosen, unlabelled."""
    frames = [frame.with_(labels=Labels(), split=None) for frame in dataset[:2]]
    first = frames[0]
    moved = first.positions + np.array([0.1, 0, 0]) * (np.arange(len(first)) == 0)[:, None]
    new = Frame.make(first.numbers, moved, first.cell, first.pbc, origin=Origin("md", iteration=1))
    return Dataset.from_frames([*frames, new])


@pytest.fixture
def campaign(aiida_profile, dataset, predictions, tmp_path):
    """A campaign of one judged iteration, stored node by node as AiiDA would, which has ended."""
    from aiida.common.links import LinkType
    from aiida.engine import ProcessState
    from aiida.orm import CalcJobNode, Dict, SinglefileData, WorkChainNode

    from aiida_trainspot.data.pes import PESData

    pairs = collect_pairs(dataset, predictions)
    made = calibrate(pairs, TOLERANCE, CalibrateSettings(), 1)
    record = {
        "n": 1, "labelled": 12, "labelled_total": 12, "explored": 20, "refused": {}, "flagged": 3,
        "sets": {"train": 6, "validation": 3, "test": 3}, "selected": 2, "audit": 1,
        "rmse": {"test": {"forces": {"mean": 0.4, "std": 0.1}}},
        "calibration": {name: one.to_dict() for name, one in made.items()},
    }  # fmt: skip
    predictions.write(tmp_path / "predictions.h5")

    node = WorkChainNode(process_type="aiida.workflows:trainspot.campaign")
    node.set_process_label("TrainsPotWorkChain")
    node.label = "made-up"
    config = Dict(
        {
            "tolerance": {"energy": 0.01, "forces": 0.5, "stress": None},
            "calibrate": {"method": "quantile", "quantile": 0.9, "miss_rate": 0.1},
            "label": {"engine": "x", "settings": {"pseudo_family": "trainspot-demonstration"}},
        }
    )
    for name, one in {"config": config, "dataset": PESData(dataset)}.items():
        node.base.links.add_incoming(one.store(), LinkType.INPUT_WORK, name)
    node.store()
    met = WorkChainNode()
    met.set_process_label("ExplorationWorkChain")
    met.base.links.add_incoming(node, LinkType.CALL_WORK, "iteration_1_explore")
    met.store()
    frames = PESData(met_in_exploration(dataset))
    maker = CalcJobNode(process_type="aiida.calculations:trainspot.ase_md")
    maker.base.links.add_incoming(met, LinkType.CALL_CALC, "run_0")
    maker.store()
    frames.base.links.add_incoming(maker, LinkType.CREATE, "explored")
    frames.store()
    frames.base.links.add_incoming(met, LinkType.RETURN, "explored")
    job = CalcJobNode(process_type="aiida.calculations:trainspot.evaluate")
    job.base.links.add_incoming(node, LinkType.CALL_CALC, "compare_1")
    job.store()
    outputs = {
        "dataset": PESData(dataset),
        "iterations__iteration_1": Dict(record),
        "pairs__iteration_1": Dict(pairs.to_dict()),
        "calibration": Dict(record["calibration"]),
        "predictions__iteration_1": SinglefileData(tmp_path / "predictions.h5"),
    }
    trained(node, 1, b"zero", b"one")
    for number, (name, one) in enumerate(outputs.items()):
        one.base.links.add_incoming(job, LinkType.CREATE, f"output_{number}")
        one.store()
        one.base.links.add_incoming(node, LinkType.RETURN, name)
    node.set_process_state(ProcessState.FINISHED)
    node.set_exit_status(420)
    return node


@pytest.fixture
def young(aiida_profile, dataset):
    """A campaign that has just been submitted."""
    from aiida.common.links import LinkType
    from aiida.engine import ProcessState
    from aiida.orm import Dict, WorkChainNode

    from aiida_trainspot.data.pes import PESData

    node = WorkChainNode()
    node.set_process_label("TrainsPotWorkChain")
    for name, one in {"config": Dict({}), "dataset": PESData(dataset)}.items():
        node.base.links.add_incoming(one.store(), LinkType.INPUT_WORK, name)
    node.store()
    node.set_process_state(ProcessState.RUNNING)
    return node


def test_everything_is_collected(campaign, dataset, predictions):
    from aiida_trainspot.results.campaign import collect, committee

    data = collect(campaign)
    assert data.dataset.ids == dataset.ids
    assert data.tolerance == {"energy": 0.01, "forces": 0.5}
    assert data.calibrate == CalibrateSettings(quantile=0.9)
    assert "demonstration quality" in data.notes[0]
    assert data.status["exit"]["label"] == "max_iterations"
    (iteration,) = data.iterations
    assert np.array_equal(iteration.predictions.forces, predictions.forces)
    assert len(iteration.pairs) == 12
    assert set(iteration.calibration) == {"energy", "forces"}
    assert data.explored.ids == met_in_exploration(dataset).ids
    found = committee(campaign, data)
    assert found.models == {"member_0.toy": b"zero", "member_1.toy": b"one"}
    assert found.calibration == iteration.calibration
    assert found.note == ""


def test_frames_that_were_just_chosen_are_in_the_dataset(young, dataset, silicon):
    """Between a judgement and the labels of what it chose, no node holds both."""
    from aiida.common.links import LinkType
    from aiida.orm import CalcFunctionNode, Dict

    from aiida_trainspot.data.pes import PESData
    from aiida_trainspot.results.campaign import latest_dataset

    judge = CalcFunctionNode()
    judge.set_process_label("judge")
    judge.base.links.add_incoming(young, LinkType.CALL_CALC, "judge_1")
    judge.store()
    chosen = PESData([silicon, dataset[0].with_(labels=Labels())])
    for name, one in {"record": Dict({"n": 1}), "chosen": chosen}.items():
        one.base.links.add_incoming(judge, LinkType.CREATE, name)
        one.store()
    found = latest_dataset(young)
    assert found.ids == [*dataset.ids, silicon.id]
    assert found.is_labelled.tolist() == [True] * 12 + [False]


def test_a_campaign_without_results_has_a_report_and_its_dataset(young, dataset, tmp_path):
    from aiida_trainspot.cli.export import export
    from aiida_trainspot.results.campaign import collect, committee

    data = collect(young)
    assert data.dataset.ids == dataset.ids
    assert data.iterations == []
    assert data.calibrate == CalibrateSettings()
    assert data.explored is None
    assert data.notes == []
    assert committee(young, data).models == {}
    out = tmp_path / "out"
    result = CliRunner().invoke(export, [young.uuid, "-o", str(out)], catch_exceptions=False)
    assert result.exit_code == 0
    assert result.stderr == "note: No committee was trained: this is the dataset alone.\n"
    assert result.stdout == f"export: {out}\nlabelled: 12 of 12 frames\n"
    assert hdf5.read(out / "dataset.h5").ids == dataset.ids
    assert "No committee was trained" in (out / "README.md").read_text()


def test_the_report_command_writes_page_and_data(campaign, tmp_path):
    from aiida_trainspot.cli.report import report

    page, folder = tmp_path / "page.html", tmp_path / "data"
    arguments = [campaign.uuid, "-o", str(page), "--data", str(folder)]
    result = CliRunner().invoke(report, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    assert str(page) in result.output
    assert "made-up" in page.read_text()
    assert (folder / "iteration_1" / "pairs.json").is_file()


def test_the_map_command_takes_a_campaign(campaign, dataset, tmp_path):
    from trainspot.cli import main

    path = tmp_path / "map.json"
    for name in (campaign.uuid, "made-up"):
        arguments = ["map", name, "-o", str(path), "--method", "pca", "--colour", "status"]
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 0, result.output
        content = json.loads(path.read_text())
        assert [row["id"] for row in content["frames"][:12]] == dataset.ids
        assert [row["status"] for row in content["frames"]] == ["labelled"] * 12 + [
            "explored, not chosen"
        ]
        assert content["frames"][-1]["iteration"] == 1


def test_the_map_command_says_what_a_campaign_is_not(campaign, tmp_path):
    from trainspot.cli import main

    path = str(tmp_path / "map.json")
    unknown = CliRunner().invoke(main, ["map", "nothing", "-o", path])
    assert unknown.exit_code == 2
    assert unknown.output == (
        "Error: nothing: neither a file nor a campaign (no campaign 'nothing'); "
        "trainspot status lists the campaigns\n"
    )
    both = CliRunner().invoke(main, ["map", campaign.uuid, "-o", path, "--explored", path])
    assert "--explored is for files" in both.output
    assert not (tmp_path / "map.json").exists()


def test_the_report_command_refuses_before_it_works(campaign, tmp_path):
    from aiida_trainspot.cli.report import report

    with pytest.raises(InputError, match="no such folder"):
        CliRunner().invoke(
            report, ["x", "-o", str(tmp_path / "no" / "page.html")], catch_exceptions=False
        )


def test_the_export_command_writes_the_folder(campaign, tmp_path):
    from aiida_trainspot.cli.export import export

    arguments = [campaign.uuid, "-o", str(tmp_path / "out")]
    result = CliRunner().invoke(export, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    assert (tmp_path / "out" / "models" / "member_1.toy").read_bytes() == b"one"
    assert "trainspot.calculator" in result.output
    assert result.stderr == ""


@pytest.mark.parametrize("returned", [False, True])
def test_a_committee_that_was_not_judged_has_not_the_bars_of_another(campaign, tmp_path, returned):
    """While the second iteration explores, or when that failed in an earlier version."""
    from aiida.common.links import LinkType

    from aiida_trainspot.cli.export import export

    for j, model in enumerate(trained(campaign, 2, b"two", b"three")):
        if returned:
            model.base.links.add_incoming(campaign, LinkType.RETURN, f"models__member_{j}")
    out = tmp_path / "out"
    result = CliRunner().invoke(export, [campaign.uuid, "-o", str(out)], catch_exceptions=False)
    assert (out / "models" / "member_0.toy").read_bytes() == b"zero"
    assert set(json.loads((out / "calibration.json").read_text())["properties"])
    said = "A newer committee, of iteration 2, was trained but not judged."
    assert result.stderr.startswith(f"note: {said} This is the one of iteration 1, to which")
    assert said in (out / "README.md").read_text()


def test_a_training_that_failed_made_no_committee(campaign):
    from aiida_trainspot.results.campaign import collect, committee

    trained(campaign, 2, b"two", exit_status=305)
    assert committee(campaign, collect(campaign)).note == ""


def test_without_a_judgement_the_last_committee_has_no_calibration(young, tmp_path):
    from aiida_trainspot.cli.export import export

    trained(young, 1, b"zero", b"one")
    out = tmp_path / "out"
    result = CliRunner().invoke(export, [young.uuid, "-o", str(out)], catch_exceptions=False)
    assert (out / "models" / "member_1.toy").read_bytes() == b"one"
    assert json.loads((out / "calibration.json").read_text())["properties"] == {}
    assert result.stderr.startswith("note: This committee, of iteration 1, was not judged")
    assert "was not judged" in (out / "README.md").read_text()
