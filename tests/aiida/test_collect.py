"""From a campaign's node to a page and a folder, on a made-up provenance graph."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from click.testing import CliRunner

from trainspot.dataset import Dataset
from trainspot.errors import InputError
from trainspot.evaluate.predictions import Predictions
from trainspot.frames import Frame, Labels, Origin
from trainspot.geometry import periodic_projector
from trainspot.judge.calibrate import calibrate
from trainspot.judge.pairs import collect_pairs
from trainspot.judge.settings import CalibrateSettings, Tolerance

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


def met_in_exploration(dataset):
    """Two frames of the dataset and one that was not chosen, unlabelled."""
    frames = [frame.with_(labels=Labels(), split=None) for frame in dataset[:2]]
    first = frames[0]
    moved = first.positions + np.array([0.1, 0, 0]) * (np.arange(len(first)) == 0)[:, None]
    new = Frame.make(first.numbers, moved, first.cell, first.pbc, origin=Origin("md", iteration=1))
    return Dataset.from_frames([*frames, new])


@pytest.fixture
def campaign(aiida_profile, dataset, predictions, tmp_path):
    """A finished campaign of one iteration, stored node by node as AiiDA would."""
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
        "models__member_0": SinglefileData(io.BytesIO(b"zero"), filename="model.toy"),
        "models__member_1": SinglefileData(io.BytesIO(b"one"), filename="model.toy"),
    }
    for number, (name, one) in enumerate(outputs.items()):
        one.base.links.add_incoming(job, LinkType.CREATE, f"output_{number}")
        one.store()
        one.base.links.add_incoming(node, LinkType.RETURN, name)
    node.set_process_state(ProcessState.FINISHED)
    node.set_exit_status(420)
    node.seal()
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
    from aiida_trainspot.collect import collect, models

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
    assert models(campaign) == {"member_0.toy": b"zero", "member_1.toy": b"one"}


def test_a_campaign_without_results_has_a_report_but_no_export(young, dataset):
    from aiida_trainspot.collect import collect, models

    data = collect(young)
    assert data.dataset.ids == dataset.ids
    assert data.iterations == []
    assert data.calibrate == CalibrateSettings()
    assert data.explored is None
    assert data.notes == []
    with pytest.raises(InputError, match="no trained committee yet"):
        models(young)


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
    assert "--explored goes with a file" in both.output
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
