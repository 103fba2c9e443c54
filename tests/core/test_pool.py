"""A pool in place of molecular dynamics: files, settings, draws, labels, and a whole campaign."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from trainspot import io
from trainspot.campaign import loop
from trainspot.campaign.engines import engines_of
from trainspot.campaign.preflight import foresee
from trainspot.cli import main as program
from trainspot.common.errors import InputError
from trainspot.config.load import load, read_inputs
from trainspot.config.models import Campaign
from trainspot.data.dataset import Dataset
from trainspot.data.failure import failure_of
from trainspot.data.frames import Frame, Labels
from trainspot.explore.pool import PoolExplorer, PoolSettings, drawn
from trainspot.io.pool import read_pool
from trainspot.judge.settings import StopSettings
from trainspot.judge.verdict import State, verdict
from trainspot.label import base
from trainspot.label.pool import PoolLabelEngine, look_up
from trainspot.label.pool import PoolSettings as LabelSettings
from trainspot.rehearse.cost import CostModel
from trainspot.rehearse.rehearsal import prepare
from trainspot.rehearse.testset import of_pool
from trainspot.rehearse.trial import tasks
from trainspot.report.campaign.progress import steps
from trainspot.report.findings import tables
from trainspot.report.findings.data import ReportData
from trainspot.report.findings.verdict import summarise

ATOM = Frame.make([29], [[0, 0, 0]], labels=Labels(-1.0, np.zeros((1, 3)), None, "emt"))


# ── the file ──────────────────────────────────────────────────────────────────
def test_labels_without_a_name_get_one_that_only_their_content_decides(copper_pool, tmp_path):
    nameless = copper_pool.with_columns(theory=[""] * len(copper_pool))
    io.write(nameless, tmp_path / "a.h5")
    io.write(nameless.take(np.arange(len(nameless))[::-1]), tmp_path / "b.extxyz")
    changed = nameless.with_columns(energy=nameless.column("energy") + 1e-3)
    io.write(changed, tmp_path / "c.h5")
    names = [read_pool(tmp_path / name).theories for name in ("a.h5", "b.extxyz", "c.h5")]
    assert names[0] == names[1] != names[2]
    assert names[0][0].startswith("pool-")
    io.write(copper_pool, tmp_path / "a.h5")  # the file changes, and is read again
    assert read_pool(tmp_path / "a.h5").theories == ["emt"]


def test_labels_of_two_levels_of_theory_are_refused(copper_pool, tmp_path):
    theories = ["pbe", *["emt"] * (len(copper_pool) - 1)]
    io.write(copper_pool.with_columns(theory=theories), tmp_path / "mixed.h5")
    with pytest.raises(InputError, match=r"mixed.h5: .*several levels of theory \('emt', 'pbe'\)"):
        read_pool(tmp_path / "mixed.h5")
    with pytest.raises(InputError, match="no such file"):
        read_pool(tmp_path / "missing.h5")


# ── the explorer ──────────────────────────────────────────────────────────────
def draw(pool, taken=(), iteration=1, seed=1, **settings):
    rows = PoolExplorer.draw(pool, taken, PoolSettings(**settings), seed=seed, iteration=iteration)
    return [pool.ids[row] for row in rows]


def test_frames_that_are_not_taken_are_drawn(copper_pool):
    taken = copper_pool.ids[:10]
    assert draw(copper_pool, taken) == copper_pool.ids[10:]
    assert draw(copper_pool, copper_pool.ids) == []


def test_a_large_pool_is_drawn_from_at_random(copper_pool):
    first = draw(copper_pool, frames_per_iteration=20)
    assert len(first) == 20
    assert first != copper_pool.ids[:20]
    assert draw(copper_pool, frames_per_iteration=20) == first
    assert draw(copper_pool, frames_per_iteration=20, iteration=2) != first
    assert draw(copper_pool, frames_per_iteration=20, seed=2) != first
    turned = copper_pool.take(np.arange(len(copper_pool))[::-1])
    assert sorted(draw(turned, frames_per_iteration=20)) == sorted(first)


def test_isolated_atoms_are_for_the_first_training_alone(copper_pool):
    pool = Dataset.concatenate([copper_pool, Dataset.from_frames([ATOM])])
    start = draw(pool, iteration=0, initial=5)
    assert len(start) == 6
    assert ATOM.id in start
    assert ATOM.id not in draw(pool)


def test_a_drawn_frame_keeps_its_origin_and_loses_its_labels(copper_pool):
    named = copper_pool.with_columns(strategy=["slab", *["input"] * (len(copper_pool) - 1)])
    frames = drawn(named, np.array([0, 1]), 4)
    assert not frames.column("has_forces").any()
    assert [frame.origin.strategy for frame in frames] == ["slab", "pool"]
    assert {frame.origin.iteration for frame in frames} == {4}
    assert frames.ids == named.ids[:2]


# ── the label engine ──────────────────────────────────────────────────────────
def test_labels_are_looked_up_by_id(copper_pool):
    asked = [copper_pool[3], copper_pool[1]]
    wrong = Labels(9.0, np.ones((4, 3)), None, "other")
    result = look_up(copper_pool, [base.failed(asked[0], "before"), asked[1].with_(labels=wrong)])
    assert not len(result.failures)
    assert result.labelled.ids == [frame.id for frame in asked]
    np.testing.assert_array_equal(result.labelled[1].labels.forces, asked[1].labels.forces)
    assert result.labelled.theories == ["emt"]
    assert failure_of(result.labelled[0]) is None


def test_a_frame_without_a_label_fails_with_the_reason(copper_pool, silicon):
    bare = copper_pool.with_columns(has_forces=[False] + [True] * (len(copper_pool) - 1))
    result = look_up(bare, [silicon, bare[0], bare[1]])
    assert result.labelled.ids == [bare[1].id]
    reasons = [failure_of(frame).reason for frame in result.failures]
    assert reasons[0] == "the pool does not have this frame"
    assert "without forces" in reasons[1]


def test_the_level_of_theory_is_that_of_the_file(copper_pool, tmp_path):
    io.write(copper_pool, tmp_path / "pool.h5")
    settings = LabelSettings(file=str(tmp_path / "pool.h5"))
    assert PoolLabelEngine.theory(settings) == "emt"
    assert PoolLabelEngine.has_stress(settings)
    with pytest.raises(InputError, match=r"give label\.file"):
        PoolLabelEngine.theory(LabelSettings())


def test_the_command_looks_labels_up(copper_pool, tmp_path):
    io.write(copper_pool, tmp_path / "pool.h5")
    io.write(copper_pool[:5].without_labels(), tmp_path / "bare.h5")
    bare, out = str(tmp_path / "bare.h5"), tmp_path / "out.h5"
    pool = ["--pool", str(tmp_path / "pool.h5")]
    done = CliRunner().invoke(program, ["label", bare, "--engine", "pool", *pool, "-o", str(out)])
    assert done.exit_code == 0, done.output
    np.testing.assert_array_equal(io.read(out).column("energy"), copper_pool[:5].column("energy"))
    wrong = CliRunner().invoke(program, ["label", bare, *pool, "-o", str(out)])
    assert wrong.exit_code == 2
    assert "--pool: the engine 'ase' looks no labels up" in wrong.output


# ── the campaign file ─────────────────────────────────────────────────────────
def test_the_label_engine_takes_the_file_of_the_explorer(pool_campaign):
    file = pool_campaign()
    campaign = load(file).campaign
    where = str(file.parent / "frames.extxyz")
    assert campaign.pools == {"label": where, "explore": where}  # relative to the campaign file
    assert campaign.augment == ()
    assert campaign.starts_from_pool
    again = Campaign.model_validate(campaign.model_dump(mode="json"))
    assert again == campaign
    assert "temperature" not in campaign.model_dump(mode="json")["explore"]


@pytest.mark.parametrize("key", ["temperature", "starts", "time", "pressure", "ensemble"])
def test_settings_of_molecular_dynamics_are_refused(pool_campaign, key):
    values = {"temperature": [1, 2], "starts": 3, "pressure": [0, 0], "ensemble": "nvt"}
    explore = {"engine": "pool", "file": "frames.extxyz", key: values.get(key, 1.0)}
    with pytest.raises(
        InputError, match=rf"campaign.yaml:\d+: explore: '{key}' is a setting of mo"
    ):
        load(pool_campaign(explore=explore))


def test_a_protocol_gives_a_pool_no_settings_of_molecular_dynamics(pool_campaign):
    campaign = load(pool_campaign(protocol="fast")).campaign
    assert campaign.select.max_frames == 6
    assert campaign.stop.max_iterations == 3


def test_a_missing_file_is_told(pool_campaign):
    with pytest.raises(InputError, match=r"of explore needs a file of frames; give explore\.file"):
        load(pool_campaign(explore={"engine": "pool"}))
    label = {"engine": "pool"}
    with pytest.raises(InputError, match=r"of label needs a file of frames; give label\.file"):
        load(pool_campaign(explore={"engine": "ase"}, label=label))


def test_the_first_frames_are_drawn_without_labels_and_with_splits(pool_campaign, copper_pool):
    frames = read_inputs(load(pool_campaign()))
    assert len(frames) == 24
    assert set(frames.ids) < set(copper_pool.ids)
    assert not frames.is_labelled.any()
    assert (frames.column("split") > 0).all()
    other = read_inputs(load(pool_campaign(seed=4)))
    assert set(other.ids) != set(frames.ids)


def test_a_given_dataset_of_the_same_level_of_theory_is_a_start(pool_campaign, copper_pool):
    file = pool_campaign(dataset="start.h5")
    io.write(copper_pool[:20], file.with_name("start.h5"))
    assert len(read_inputs(load(file))) == 20
    foreign = copper_pool[:20].with_columns(theory=["pbe"] * 20)
    io.write(foreign, file.with_name("start.h5"))
    with pytest.raises(InputError, match="mix_theories"):
        read_inputs(load(file))


def remarks(file: Path) -> list[str]:
    loaded = load(file)
    told = foresee(loaded.campaign, read_inputs(loaded), here=())
    return [f"{remark.level}: {remark.text}" for remark in told]


def test_the_check_tells_what_the_pool_has(pool_campaign, copper_pool, silicon):
    told = remarks(pool_campaign())
    assert "note: 48 frames in the pool, 24 of them outside the first dataset" in told
    assert not any(text.startswith("error") for text in told)
    file = pool_campaign(structures=["si.h5"], augment=[])
    io.write(Dataset.from_frames([silicon]), file.with_name("si.h5"))
    assert any(text.startswith("error: label.file: lacks 1 frame of") for text in remarks(file))
    file = pool_campaign()
    bare = copper_pool.with_columns(has_forces=[False] + [True] * (len(copper_pool) - 1))
    io.write(bare, file.with_name("frames.extxyz"))
    assert any("1 of 48 frames have no label" in text for text in remarks(file))


# ── the campaign ──────────────────────────────────────────────────────────────
def run(file: Path, folder: Path, **engines):
    loaded = load(file)
    made = engines_of(loaded.campaign, folder, **engines)
    messages: list[str] = []
    result = loop.run(read_inputs(loaded), loaded.campaign, made, progress=messages.append)
    return result, loaded.campaign, messages


def test_a_campaign_learns_from_the_frames_it_is_unsure_of(pool_campaign, copper_pool, tmp_path):
    file = pool_campaign(stop={"max_iterations": 3})
    result, _, messages = run(file, tmp_path)
    records = result.records
    assert records[0].explored == 24
    assert [record.pool.frames for record in records] == [48] * len(records)
    for before, after in pairwise(records):
        assert after.pool.left == before.pool.left - after.labelled
    assert set(result.dataset.ids) <= set(copper_pool.ids)
    assert records[-1].runs == 0
    assert records[-1].reference.code == ""
    assert not any("dynamics" in text for text in messages)
    assert "24 of 24 frames left in the pool" in " ".join(messages)

    # the errors are those of the pool's own labels
    turn = result.turns[0]
    true = copper_pool.select(turn.explored.ids)
    assert records[0].pool.rmse == pytest.approx(turn.predictions.select(true.ids).rmse(true))
    unflagged = set(true.ids) - set(turn.decision.judgement.flagged)
    errors = turn.predictions.select(sorted(unflagged)).errors(true.select(sorted(unflagged)))
    wrong = (errors["forces"] > 0.02) | (errors["energy"] > 0.02)
    assert (records[0].pool.unflagged, records[0].pool.missed) == (len(unflagged), wrong.sum())


def test_the_committee_does_not_see_the_labels_of_the_pool(pool_campaign, copper_pool, tmp_path):
    file = pool_campaign(stop={"max_iterations": 1})
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    plain, _, _ = run(file, tmp_path / "a")
    forces = copper_pool.column("forces") * -3
    pool = Dataset({**copper_pool.columns, "forces": forces})
    other, _, _ = run(file, tmp_path / "b", pool=pool)
    assert not plain.turns[0].explored.column("has_forces").any()
    assert other.dataset.ids == plain.dataset.ids


def test_an_exhausted_pool_is_no_error(pool_campaign, tmp_path):
    file = pool_campaign(
        tolerance={"energy": 1e-7, "forces": 1e-7, "stress": None},
        select={"max_frames": 500, "share": 1.0, "novelty": None},
    )
    result, campaign, _ = run(file, tmp_path)
    assert result.state == State.POOL_EXHAUSTED
    assert result.dataset.is_labelled.all()
    assert len(result.dataset) == 48
    ending = loop.ending_of(result, campaign)
    assert ending.message == "the pool is exhausted: all 48 frames are used"
    assert "explore.file" in ending.remedy


def test_a_frame_that_cannot_be_labelled_is_not_drawn_again(pool_campaign, copper_pool, tmp_path):
    file = pool_campaign(
        tolerance={"energy": 1e-7, "forces": 1e-7, "stress": None},
        select={"max_frames": 500, "share": 1.0, "novelty": None},
    )
    start = set(read_inputs(load(file)).ids)
    row = next(k for k, identity in enumerate(copper_pool.ids) if identity not in start)
    has_forces = copper_pool.column("has_forces").copy()
    has_forces[row] = False
    io.write(copper_pool.with_columns(has_forces=has_forces), file.with_name("frames.extxyz"))
    result, _, _ = run(file, tmp_path)
    assert result.failed.ids == [copper_pool.ids[row]]
    assert result.state == State.POOL_EXHAUSTED
    assert result.records[-1].pool.left == 0


def test_only_the_rest_of_a_pool_ends_without_an_error():
    settings = StopSettings()
    shared = {"flagged": 0, "fitted": True, "iteration": 1, "settings": settings, "valid": 0}
    assert verdict(explored=0, is_rest=True, **shared) is State.POOL_EXHAUSTED
    assert verdict(explored=4, is_rest=False, **shared) is State.NO_VALID_EXPLORATION


def test_the_report_counts_the_pool_and_names_no_dynamics(pool_campaign, tmp_path):
    result, campaign, _ = run(pool_campaign(stop={"max_iterations": 2}), tmp_path)
    status = {
        "name": "pool",
        "state": "finished",
        "exit": {"status": 420, "label": "max_iterations"},
        "tolerance": campaign.tolerance.given,
        "iterations": [record.to_dict() for record in result.records],
    }
    data = ReportData(status, result.dataset)
    assert data.records[0].pool == result.records[0].pool  # through JSON and back
    table = tables.pool(data)
    pool = result.records[0].pool
    assert table.rows[0][:4] == ["1", "24", "24", "24"]
    assert table.rows[0][-2:] == [str(pool.unflagged), str(pool.missed)]
    summary = summarise(data)
    said = " ".join([*summary.sentences, *summary.limits])
    labelled = int(result.dataset.is_labelled.sum())
    assert f"It has {labelled} frames with labels, of a pool of 48." in said
    last = result.records[-1].pool
    assert f"{last.missed} of the {last.unflagged} frames that were not flagged" in said
    assert "dynamics" not in said
    titles = [step.title for step in steps(data)]
    assert "Drawn from the pool" in titles
    assert "Explored by MD" not in titles


# ── rehearsals ────────────────────────────────────────────────────────────────
def test_a_rehearsal_tests_on_frames_of_the_pool_that_no_campaign_can_draw(pool_campaign):
    cost = CostModel(1.6, 2.1)
    rehearsal = prepare(pool_campaign(stop={"max_iterations": 2}), {}, None, "toy", cost, 1)
    assert rehearsal.oracle is None
    outcome = rehearsal.run(test_frames=10)
    assert outcome.test == {"frames of the pool": 10}
    assert not any("oracle" in limit for limit in outcome.limits)
    assert {track.points[0].explored for track in outcome.tracks} == {48 - 10 - 24}
    test = of_pool(rehearsal.pool, next(iter(rehearsal.campaigns.values())), None, 10)
    left = rehearsal.pool.without(test.ids)
    [ours, *_] = tasks(rehearsal.campaigns, rehearsal.inputs, test, cost, (3,), None, left)
    assert not set(ours.start.ids) & set(test.ids)
    assert len(ours.start) == 24


def test_a_rehearsal_of_computed_labels_needs_an_oracle(pool_campaign):
    file = pool_campaign(label={"engine": "ase", "calculator": "emt"})
    with pytest.raises(InputError, match="need a cheap reference in their place"):
        prepare(file, {}, None, "toy", CostModel(1.6, 2.1), 1)
    assert prepare(file, {}, "emt", "toy", CostModel(1.6, 2.1), 1).pool is not None
