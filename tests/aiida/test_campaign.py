"""The campaign workchain with toy engines: parity with the loop, endings, provenance."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from aiida.common.links import LinkType
from aiida.engine import run_get_node
from aiida.orm import CalcFunctionNode, InstalledCode, QueryBuilder, WorkChainNode
from ase.build import bulk
from click.testing import CliRunner

from aiida_trainspot.calculations.evaluate import ids_of
from aiida_trainspot.cli._watch import closing
from aiida_trainspot.cli.why import why
from aiida_trainspot.data.predictions import read_predictions
from aiida_trainspot.launch.builder import get_builder
from aiida_trainspot.results.campaign import collect, committee, history
from aiida_trainspot.results.status import status
from trainspot.campaign import loop
from trainspot.campaign.engines import engines_of
from trainspot.cli._why import as_json, in_words, sentence
from trainspot.common.text import screen_audit
from trainspot.config.document import Document
from trainspot.config.load import resolve
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame
from trainspot.judge import why as pure
from trainspot.judge.decision import Kind
from trainspot.judge.earlier import VERSION
from trainspot.judge.judgement import Judgement


@pytest.fixture
def aluminium() -> Dataset:
    return Dataset.from_frames([Frame.from_atoms(bulk("Al", cubic=True).repeat((2, 1, 1)))])


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
def run(codes, aluminium):
    def start(content, dataset=aluminium):
        builder = get_builder(content, dataset=dataset, codes=codes)
        return run_get_node(builder)[1]

    return start


def judgements(node):
    """What each iteration chose, from the provenance graph."""
    found = [
        child
        for child in node.called
        if isinstance(child, CalcFunctionNode) and child.process_label == "judge"
    ]
    found.sort(key=lambda child: child.pk)
    return [child.outputs.judgement.get_dict() for child in found]


def evaluated(node, label):
    """Ids of the frames that a job of the campaign evaluated."""
    links = node.base.links.get_outgoing(link_type=LinkType.CALL_CALC, link_label_filter=label)
    return [identity for job in links.all_nodes() for identity in ids_of(job.inputs)]


def check_that_no_frame_is_evaluated_twice(node, plain):
    """By one committee, and that its predictions are complete all the same."""
    final = node.outputs.dataset.dataset.labelled()
    for n, compared in ((1, final.subset("test")), (2, final)):
        first = set(evaluated(node, f"iteration_{n}_evaluate"))
        later = evaluated(node, f"compare_{n}")
        assert sorted(later) == sorted(set(compared.ids) - first)
        assert len(later) < len(compared)
        made = node.outputs.predictions[f"iteration_{n}"]
        assert made.creator.process_label == "complete_predictions"
        found = read_predictions(made)
        assert found.ids == compared.ids
        wanted = plain.turns[n - 1].predictions_of(compared)
        np.testing.assert_allclose(found.forces, wanted.forces, atol=1e-6)
    assert set(later) <= set(final.subset("train").ids)  # what it learned from, and nothing else


def check_that_decisions_are_alike(found, wanted):
    """The same about each frame, in values but for rounding and in words."""
    assert found.decisions.keys() == wanted.decisions.keys()
    for identity, one in found.decisions.items():
        other = wanted.decisions[identity]
        assert (one.kind, one.cause, one.method) == (other.kind, other.cause, other.method)
        assert one.value == pytest.approx(other.value, rel=1e-6)
        assert one.limit == pytest.approx(other.limit, rel=1e-6)
        assert sentence(one) == sentence(other)


def check_that_the_export_calls_novel_what_the_campaign_did(domain, past):
    """On all valid frames of the last exploration."""
    judged = {
        identity: decision.novelty is not None
        for identity, decision in past.judgement.decisions.items()
        if decision.kind not in (Kind.REFUSED, Kind.KNOWN)
    }
    assert judged
    ratios = domain.novelty(past.explored.select(list(judged)))
    assert dict(zip(judged, (ratios > 1.0).tolist(), strict=True)) == judged


def check_that_it_judged_alike(found, plain):
    """The same frames are chosen and flagged, on the same grounds."""
    for content, turn in zip(found, plain.turns, strict=True):
        assert content["version"] == VERSION
        judgement, wanted = Judgement.from_dict(content), turn.decision.judgement
        assert judgement.selected == wanted.selected
        assert judgement.audit == wanted.audit
        assert judgement.flagged == wanted.flagged
        assert judgement.novelty.thresholds == pytest.approx(wanted.novelty.thresholds)
        check_that_decisions_are_alike(judgement, wanted)


def check_that_frames_are_written_once_a_change(written):
    """Where a frame was made, with its set, with its label, and in the dataset of each iteration.

    Few frames stand in nodes of an exploration too: those it starts from, and of runs that fail.
    """
    assert max(written.nodes_of_frames(without=("starts", "failures")).values()) == 4
    assert max(written.nodes_of_frames().values()) <= 7
    assert written.frames <= 190
    assert written.data["PESData"] <= 17
    assert written.nodes <= 222  # eight of them say what is left out: one a training, one a member


def check_that_each_choice_has_its_reason(node, plain, campaign):
    """Read from the graph, the same as the plain loop tells."""
    past = loop.history(plain, campaign)
    for identity in (past[0].judgement.selected[0], past[0].known.ids[1]):
        found = CliRunner().invoke(why, [node.uuid, identity[:12], "--json"]).stdout
        account = pure.why(identity, past, plain.dataset, plain.failed)
        wanted = as_json(account)
        told = json.loads(found)
        assert told["decision"] == wanted["decision"]
        assert told["nearest"] == wanted["nearest"]
        assert told["reason"] == wanted["reason"]
        assert told["set"] == wanted["set"]
        assert told["frame"] == identity
        lines = CliRunner().invoke(why, [node.uuid, identity]).stdout.splitlines()
        assert lines == in_words(account)


@pytest.mark.slow
def test_the_campaign_selects_what_the_plain_loop_selects(
    run, aluminium, toy_campaign, tmp_path, writes_of
):
    train = toy_campaign["train"] | {"bagging": 0.34}
    content = toy_campaign | {"train": train, "stop": {"max_iterations": 2}}
    node = run(content)
    campaign = resolve(Document(Path("toy.yaml"), content)).campaign
    plain = loop.run(aluminium, campaign, engines_of(campaign, tmp_path))

    check_that_it_judged_alike(judgements(node), plain)
    assert node.outputs.dataset.dataset.ids == plain.dataset.ids

    # the ending, with everything attached
    assert node.exit_status == 420
    assert "not converged" in node.exit_message
    assert sorted(node.outputs.models) == ["member_0", "member_1", "member_2"]
    records = [node.outputs.iterations[f"iteration_{n}"].get_dict() for n in (1, 2)]
    assert [record.pop("version") for record in records] == [VERSION, VERSION]
    expected_records = [record.to_dict() for record in plain.records]
    for found, wanted in zip(records, expected_records, strict=True):
        reference = found.pop("reference")
        assert reference["engine"] == wanted.pop("reference")["engine"]
        assert found.keys() == wanted.keys()
        for key in ("sets", "labelled", "explored", "flagged", "selected", "audit", "refused"):
            assert found[key] == wanted[key]
        assert found["common_test"] == pytest.approx(wanted["common_test"], rel=1e-6)
    assert records[1]["common_test"]["forces"] < records[0]["common_test"]["forces"]

    check_that_no_frame_is_evaluated_twice(node, plain)
    check_that_frames_are_written_once_a_change(writes_of(node))

    # what an export takes
    kept = committee(node, collect(node))
    assert kept.models.keys() == {f"member_{j}.toy" for j in range(3)}
    for name, content in kept.models.items():
        model = node.outputs.models[name.removesuffix(".toy")]
        assert model.get_content(mode="rb") == content
    assert {
        n: c.to_dict() for n, c in kept.calibration.items()
    } == node.outputs.calibration.get_dict()
    assert kept.note == ""
    check_that_the_export_calls_novel_what_the_campaign_did(kept.domain, history(node)[-1])

    check_that_each_choice_has_its_reason(node, plain, campaign)

    report = status(node)
    assert report["exit"]["label"] == "max_iterations"
    stages = {"label", "train", "explore", "evaluate"}
    assert all(stages <= record["seconds"].keys() for record in report["iterations"])
    assert [record["common_test"] for record in report["iterations"]] == [
        record["common_test"] for record in records
    ]

    # every decision stands in the graph
    decisions = {
        c.process_label for c in node.called_descendants if isinstance(c, CalcFunctionNode)
    }
    expected = {"run_step", "merge_steps", "merge_labels"}
    expected |= {"schedule", "draw_member", "calibrate", "judge", "score"}
    assert expected <= decisions
    stages = {c.process_label for c in node.called if isinstance(c, WorkChainNode)}
    assert len(stages) == 4


@pytest.mark.slow
def test_the_campaign_labels_the_refused_frames_of_the_plain_loop(
    run, aluminium, toy_campaign, tmp_path
):
    content = toy_campaign | {
        "screen": {"max_force": 0.8, "audit": 4},
        "stop": {"max_iterations": 2},
    }
    node = run(content)
    campaign = resolve(Document(Path("toy.yaml"), content)).campaign
    plain = loop.run(aluminium, campaign, engines_of(campaign, tmp_path))
    check_that_it_judged_alike(judgements(node), plain)
    drawn = [turn.decision.judgement.screen_audit for turn in plain.turns]
    assert len(drawn[0]) == 4
    judged = [Judgement.from_dict(content) for content in judgements(node)]
    assert [judgement.screen_audit for judgement in judged] == drawn
    dataset = node.outputs.dataset.dataset
    assert dataset.ids == plain.dataset.ids
    assert [f.split for f in dataset] == [f.split for f in plain.dataset]
    audits = [record.get("screen_audit") for record in status(node)["iterations"]]
    assert audits == [record.to_dict().get("screen_audit") for record in plain.records]
    assert audits[0]["labelled"] == 4
    said = screen_audit(4, audits[0]["physical"])
    assert any(said in line.plain for line in closing(status(node), node.pk))


def test_a_failed_label_stage_ends_with_what_there_is(run, toy_campaign, aluminium):
    broken = toy_campaign | {
        "label": {"engine": "ase", "calculator": "emt"},
        "augment": [{"kind": "input"}, {"kind": "isolated"}],
    }
    silicon = Dataset.from_frames([Frame.from_atoms(bulk("Si", cubic=True))])  # EMT knows no Si
    node = run(broken, silicon)
    assert node.exit_status == 410
    assert len(node.outputs.failures) == 2
    assert "models" not in node.outputs
    assert QueryBuilder().append(WorkChainNode, filters={"id": node.pk}).count() == 1
