"""A campaign that draws its frames from a pool: the same choice as the loop, and no copies."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from aiida.engine import run_get_node
from aiida.orm import CalcJobNode, InstalledCode
from ase.build import bulk

from aiida_trainspot.data.pes import PESData
from aiida_trainspot.data.selection import PESSelection
from aiida_trainspot.launch.builder import get_builder
from aiida_trainspot.results.campaign import collect
from aiida_trainspot.results.status import status
from trainspot.campaign import loop
from trainspot.campaign.engines import engines_of
from trainspot.campaign.preflight import foresee
from trainspot.config.load import load, read_inputs
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame
from trainspot.report.campaign.page import html
from trainspot.report.campaign.progress import steps
from trainspot.report.findings import tables
from trainspot.report.findings.verdict import summarise
from trainspot.report.pages.skeleton import Section

EXAMPLE = Path(__file__).parents[2] / "examples" / "pool"


@pytest.fixture
def codes(aiida_profile, aiida_localhost):
    del aiida_profile
    code = InstalledCode(
        label="trainspot",
        computer=aiida_localhost,
        filepath_executable=str(Path(sys.executable).parent / "trainspot"),
    ).store()
    return dict.fromkeys(("label", "train", "explore", "evaluate"), code)


@pytest.fixture
def aluminium() -> Dataset:
    return Dataset.from_frames([Frame.from_atoms(bulk("Al", cubic=True))])


@pytest.fixture
def pool_node(aiida_profile_clean, copper_pool):
    return PESData(copper_pool).store()


def test_a_selection_has_the_frames_of_its_pool_without_labels(pool_node, copper_pool):
    node = PESSelection(pool_node, np.array([5, 2]), 3).store()
    frames = node.dataset
    assert frames.ids == [copper_pool.ids[5], copper_pool.ids[2]]
    assert not frames.column("has_energy").any()
    assert not frames.theories
    assert frames.column("iteration").tolist() == [3, 3]
    assert (len(node), node.n_labelled, node.species) == (2, 0, ["Cu"])
    with node.opened() as opened:
        assert opened[0].id == frames.ids[0]
    assert [frame.id for frame in node] == frames.ids
    size = sum(
        len(node.base.repository.get_object_content(name, "rb"))
        for name in node.base.repository.list_object_names()
    )
    assert size < 200  # rows, not frames


def test_equal_selections_of_equal_pools_have_one_hash(pool_node, copper_pool):
    again = PESData(copper_pool).store()
    first, second, other = (
        PESSelection(node, np.array(rows), 1).store()
        for node, rows in ((pool_node, [0, 1]), (again, [0, 1]), (again, [0, 2]))
    )
    hashes = [node.base.caching.get_hash() for node in (first, second, other)]
    assert hashes[0] == hashes[1] != hashes[2]
    changed = PESData(copper_pool.with_columns(energy=copper_pool.column("energy") + 1)).store()
    of_changed = PESSelection(changed, np.array([0, 1]), 1).store()
    assert of_changed.base.caching.get_hash() != hashes[0]


@pytest.mark.slow
def test_a_campaign_selects_what_the_loop_selects(
    codes, copper_pool, pool_campaign, tmp_path, writes_of
):
    file = pool_campaign(stop={"max_iterations": 2})
    loaded = load(file)
    node = run_get_node(get_builder(file, codes=codes))[1]
    plain = loop.run(read_inputs(loaded), loaded.campaign, engines_of(loaded.campaign, tmp_path))

    assert node.exit_status == 420
    records = [node.outputs.iterations[f"iteration_{n}"].get_dict() for n in (1, 2)]
    for written, turn in zip(records, plain.records, strict=True):
        wanted = turn.to_dict()
        for key in ("sets", "labelled", "explored", "flagged", "selected", "audit", "reference"):
            assert written[key] == wanted[key]
        for key in ("frames", "left", "unflagged", "missed"):
            assert written["pool"][key] == wanted["pool"][key]
        assert written["pool"]["rmse"] == pytest.approx(wanted["pool"]["rmse"], rel=1e-5)
    assert node.outputs.dataset.dataset.ids == plain.dataset.ids
    assert records[1]["pool"]["left"] == records[0]["pool"]["left"] - records[1]["labelled"]

    # no job for exploration and labels, and the pool is stored once for both
    jobs = [c for c in node.called_descendants if isinstance(c, CalcJobNode)]
    assert {job.process_label for job in jobs} == {"ToyTrainCalculation", "EvaluationCalculation"}
    assert node.inputs.pools.explore.uuid == node.inputs.pools.label.uuid
    written = writes_of(node)
    selections = [data for data in written.datasets if isinstance(data, PESSelection)]
    assert [len(data) for data in selections] == [record["explored"] for record in records]
    copies = {type(data) for data in written.datasets if len(data) == len(node.inputs.pools.label)}
    assert copies == {PESData}

    # the committee judges blindly: no evaluation sees a label of a frame that is not in the dataset
    for job in jobs:
        if "explored" in job.inputs:
            assert job.inputs.explored.n_labelled == 0
    told = status(node)
    assert told["exit"]["label"] == "max_iterations"
    report = collect(node)
    assert set(report.explored.ids) <= set(copper_pool.ids)


@pytest.mark.slow
def test_an_exhausted_pool_ends_the_campaign_with_its_outputs(codes, pool_campaign):
    file = pool_campaign(
        tolerance={"energy": 1e-7, "forces": 1e-7, "stress": None},
        select={"max_frames": 500, "share": 1.0, "novelty": None},
    )
    node = run_get_node(get_builder(file, codes=codes))[1]
    assert node.exit_status == 422
    told = status(node)
    assert told["state"] == "finished"
    assert told["exit"]["label"] == "pool_exhausted"
    assert "the pool is exhausted: all 48 frames are used" in told["exit"]["message"]
    assert node.outputs.dataset.n_labelled == 48
    assert sorted(node.outputs.models) == ["member_0", "member_1"]


def test_frames_outside_the_pool_end_the_campaign_with_the_reason(codes, pool_campaign, aluminium):
    file = pool_campaign()
    node = run_get_node(get_builder(file, dataset=aluminium, codes=codes))[1]
    assert node.exit_status == 410
    assert "the pool does not have this frame" in status(node)["exit"]["message"]


@pytest.mark.slow
def test_the_example_converges_before_it_has_used_half_of_its_pool(codes, tmp_path):
    for file in EXAMPLE.iterdir():
        if file.is_file():
            shutil.copy(file, tmp_path)
    subprocess.run([sys.executable, "make_pool.py"], cwd=tmp_path, check=True)
    loaded = load(tmp_path / "campaign.yaml")
    told = list(foresee(loaded.campaign, read_inputs(loaded), here=("label", "explore")))
    assert not [remark for remark in told if remark.level == "error"]
    node = run_get_node(get_builder(loaded, codes=codes))[1]
    assert node.exit_status == 0
    data = collect(node)
    labelled = int(data.dataset.is_labelled.sum())
    assert 40 < labelled < 120

    summary = summarise(data)
    assert summary.answer == "yes"
    said = " ".join([summary.headline, *summary.sentences, *summary.limits])
    assert f"It has {labelled} frames with labels, of a pool of 240." in said
    assert "the rest of the pool has nothing new" in said
    table = tables.pool(data)
    assert [row[1:4] for row in table.rows] == [["40", "200", "200"], ["60", "180", "180"],
                                                ["80", "160", "160"]]  # fmt: skip
    page = html(data, Section("explored", "What was explored?", "", "nothing"))
    words = re.sub("<style.*?</style>|<img[^>]*>", "", page, flags=re.DOTALL)
    assert "Drawn from the pool" in [step.title for step in steps(data)]
    for wrong in ("olecular dynamics", "“md”", "by MD", "runs broke"):
        assert wrong not in words
