"""What the version before wrote still opens: the export of its demo, and a campaign of it.

Both were made by commit 28be9e7. ``before/demo-export`` is what ``make demo`` left in
``demo/export``. ``before/campaign.aiida`` is ``verdi archive create -N`` of the campaign that
``trainspot run campaign.yaml`` made of ``before/campaign.yaml`` (copper, EMT, toy committee).
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from aiida.orm import QueryBuilder, WorkChainNode
from aiida.tools.archive import import_archive
from click.testing import CliRunner

import trainspot
from aiida_trainspot.cli.export import export
from aiida_trainspot.cli.why import why
from aiida_trainspot.functions.campaign import campaign_of
from aiida_trainspot.results.campaign import collect, history, latest_dataset
from aiida_trainspot.results.status import status
from trainspot import io
from trainspot.cli import main
from trainspot.cli._why import sentence

BEFORE = Path(__file__).parent / "before"
EXPORT = BEFORE / "demo-export"


# ── the export of the demo ────────────────────────────────────────────────────
def test_frames_of_the_demo_keep_their_ids_and_labels():
    dataset, text = io.read(EXPORT / "dataset.h5"), io.read(EXPORT / "dataset.extxyz")
    assert len(dataset) == 48
    assert dataset.is_labelled.all()
    assert dataset.ids == text.ids == [frame.identity() for frame in dataset]
    np.testing.assert_array_equal(dataset.column("energy"), text.column("energy"))
    assert len(dataset.merge(text)) == 48
    assert list(dataset.e0s()) == [14]


def test_the_committee_of_the_demo_still_predicts_with_its_error_bars():
    pytest.importorskip("mace")
    frame = next(f for f in io.read(EXPORT / "dataset.h5") if len(f) == 8)
    atoms = frame.to_atoms()
    atoms.calc = trainspot.calculator(str(EXPORT))
    assert abs(atoms.get_potential_energy() - frame.labels.energy) / 8 < 0.1
    errors = np.abs(atoms.get_forces() - frame.labels.forces)
    assert np.sqrt(np.mean(errors**2)) < 0.3


def test_single_stages_take_the_export_of_before(tmp_path):
    run = CliRunner().invoke
    predictions = tmp_path / "p.h5"
    found = run(
        main,
        ["evaluate", str(EXPORT / "dataset.h5"), "--models", str(EXPORT), "-o", str(predictions)],
    )
    assert found.exit_code == 0, found.output
    assert predictions.exists()
    shown = run(main, ["inspect", str(EXPORT / "dataset.h5"), "--json"])
    assert json.loads(shown.stdout)["frames"] == 48


# ── a campaign ────────────────────────────────────────────────────────────────
@pytest.fixture
def campaign(aiida_profile_clean) -> WorkChainNode:
    import_archive(BEFORE / "campaign.aiida")
    query = QueryBuilder().append(WorkChainNode, filters={"label": "before"})
    return query.one()[0]


def test_a_campaign_of_before_is_told_reported_and_exported(campaign, tmp_path):
    found = status(campaign)
    assert found["exit"]["label"] == "max_iterations"
    assert [one["labelled_total"] for one in found["iterations"]] == [14, 20]
    assert len(latest_dataset(campaign)) == 20
    for one in found["iterations"]:
        stored = campaign.outputs.iterations[f"iteration_{one['n']}"].get_dict()
        assert known_then(one, stored | {"seconds": one["seconds"]}) == stored | {
            "seconds": one["seconds"]
        }
    data = collect(campaign)
    assert [iteration.n for iteration in data.iterations] == [1, 2]
    result = CliRunner().invoke(export, [str(campaign.pk), "-o", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    back = io.read(tmp_path / "out" / "dataset.h5")
    assert back.is_labelled.all()
    assert len(list((tmp_path / "out" / "models").iterdir())) == 2
    assert campaign_of(campaign.inputs.config).select.novelty_of == "frames"
    from aiida_trainspot.cli.report import report

    page = tmp_path / "report.html"
    result = CliRunner().invoke(report, [str(campaign.pk), "-o", str(page)])
    assert result.exit_code == 0, result.output
    told = page.read_text(encoding="utf-8")
    assert "before" in told
    assert "the campaign ran out of iterations before it converged" in told
    assert "trainspot report with --kinetic-map draws it" in told
    result = CliRunner().invoke(report, [str(campaign.pk), "-o", str(page), "--kinetic-map"])
    assert result.exit_code == 0, result.output
    assert "The same by the descriptor of the paper" in page.read_text(encoding="utf-8")


def known_then(found, before):
    """The keys of before; keys that are newer say that nothing is known."""
    if not isinstance(before, dict):
        return found
    for key in found.keys() - before.keys():
        assert found[key] in (None, "", 0), key
    return {key: known_then(found[key], value) for key, value in before.items()}


def test_why_a_campaign_of_before_chose_its_frames_is_read_from_its_sentences(campaign):
    judges = [node for node in campaign.called if node.process_label == "judge"]
    stored = [node.outputs.judgement.get_dict() for node in sorted(judges, key=lambda n: n.ctime)]
    for content, past in zip(stored, history(campaign), strict=True):
        decisions = past.judgement.decisions
        assert {i: sentence(one) for i, one in decisions.items()} == content["reasons"]
        assert not any(one.told for one in decisions.values())
    reasons, identity = stored[0]["reasons"], stored[0]["selected"][0]
    result = CliRunner().invoke(why, [str(campaign.pk), identity, "--json"])
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert f"{told['decision']}: {told['reason']}" == reasons[identity]
    assert told["decided"]["kind"] == told["decision"] == "selected"
