"""The whole loop in plain Python with engines that take seconds."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk

from trainspot.campaign import loop
from trainspot.campaign.decisions import completed
from trainspot.campaign.engines import engines_of
from trainspot.cli._why import in_words
from trainspot.common.errors import InputError, RunError
from trainspot.common.seeds import derive_seed
from trainspot.config.document import Document
from trainspot.config.load import resolve
from trainspot.data import hdf5
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame
from trainspot.data.refused import MARK
from trainspot.evaluate.batch import evaluate
from trainspot.judge.decision import Kind, Method, Way
from trainspot.judge.why import why
from trainspot.label.base import failed
from trainspot.predictions.predictions import Predictions
from trainspot.train.base import member_seeds


@pytest.fixture(scope="module")
def aluminium() -> Dataset:
    return Dataset.from_frames([Frame.from_atoms(bulk("Al", cubic=True).repeat((2, 1, 1)))])


def campaign_of(content):
    return resolve(Document(Path("toy.yaml"), content)).campaign


@pytest.fixture(scope="module")
def campaign(toy_campaign):
    return campaign_of(toy_campaign)


@pytest.fixture(scope="module")
def result(aluminium, campaign, tmp_path_factory):
    folder = tmp_path_factory.mktemp("loop")
    return loop.run(aluminium, campaign, engines_of(campaign, folder))


def test_the_loop_learns(result, campaign):
    records = result.records
    assert result.state == "exhausted"
    assert [r.n for r in records] == [1, 2, 3]
    assert records[-1].common_test["forces"] < records[0].common_test["forces"]
    assert all(r.selected + r.audit <= campaign.select.max_frames for r in records)
    assert records[1].labelled == records[0].selected + records[0].audit
    assert records[-1].labelled_total == int(result.dataset.is_labelled.sum())


def test_no_committee_evaluates_a_frame_twice(result, monkeypatch):
    labelled = result.dataset.labelled()
    for turn in result.turns:
        seen = []

        def counted(frames, committee, seen=seen):
            seen.extend(frames.ids)
            return evaluate(frames, committee)

        monkeypatch.setattr(loop, "evaluate", counted)
        for frames in (labelled.subset("test"), labelled):
            seen.clear()
            found = turn.predictions_of(frames)
            assert sorted(seen) == sorted(set(frames.ids) - set(turn.predictions.ids))
            assert len(seen) < len(frames)
            afresh = evaluate(frames, turn.committee)
            assert found.ids == afresh.ids
            for name in ("energy", "forces", "stress", "projector", "offsets"):
                np.testing.assert_allclose(getattr(found, name), getattr(afresh, name), atol=1e-9)


def test_completing_predictions_copies_only_what_is_compared(result):
    """Most of what was judged are explored frames, which no comparison needs."""
    turn = result.turns[0]
    compared = result.dataset.labelled().select(turn.predictions.ids[:1])
    judged = Predictions.concatenate([turn.predictions] * 50)
    tracemalloc.start()
    found = completed(compared, judged)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.ids == compared.ids
    assert peak < judged.forces.nbytes


def test_calibration_pairs_were_in_no_training_set(result):
    for turn in result.turns:
        for found in turn.calibrations.values():
            assert found.held_out == found.pairs
        trained_on = set(turn.decision.dataset.labelled().ids)
        assert not trained_on & set(turn.decision.judgement.audit)
        final = result.dataset.select(
            turn.predictions.select(trained_on & set(turn.predictions.ids)).ids
        )
        assert not len(
            final.subset("train")
        )  # what calibrated it was evaluated, and never trained on
    assert any(c.fitted for turn in result.turns for c in turn.calibrations.values())


def test_what_was_selected_may_all_be_trained_on(aluminium, toy_campaign, tmp_path, result):
    """With ``held_out: audit`` only audit frames may join the sets that measure."""
    content = {**toy_campaign, "select": {**toy_campaign["select"], "held_out": "audit"}}
    made = campaign_of(content)
    found = loop.run(aluminium, made, engines_of(made, tmp_path))

    def held_out(of):
        """Explored frames outside the training set, and those of them that were selected."""
        explored = of.dataset.labelled()
        explored = explored.take(explored.column("iteration") > 0)
        measures = set(explored.ids) - set(explored.subset("train").ids)
        return measures, measures & {i for t in of.turns for i in t.decision.judgement.selected}

    assert held_out(result)[1]  # by default selected frames are shared out as all others
    measures, selected = held_out(found)
    assert not selected
    assert measures <= {i for t in found.turns for i in t.decision.judgement.audit}


def test_frames_are_judged_by_all_that_there_is(result):
    """Thresholds are fitted, novelty has one too, and the batch is chosen among the flagged."""
    for turn in result.turns:
        judgement = turn.decision.judgement
        assert not judgement.fallback
        assert judgement.novelty.thresholds["3D"] > 0
        assert set(judgement.selected) <= set(judgement.flagged)
        assert turn.record.flagged_by == judgement.flagged_by
    first = result.turns[0].decision.judgement
    assert first.decisions[first.selected[0]].method.strategy == "diverse"


def test_judgements_are_scored_once_their_frames_are_labelled(result):
    scored = [turn.score for turn in result.turns]
    assert all(scored[:-1])
    assert scored[-1] is None
    first = result.turns[0]
    batch = len(first.decision.judgement.chosen)
    assert first.score.prospective["forces"].pairs == batch
    assert len(first.score.audit_pairs) == len(first.decision.judgement.audit)


def test_sets_are_for_good(result):
    """No frame of an early turn changes its set in a later one."""
    final = dict(zip(result.dataset.ids, result.dataset.column("split").tolist(), strict=True))
    for turn in result.turns:
        dataset = turn.decision.dataset.labelled()
        for identity, split in zip(dataset.ids, dataset.column("split").tolist(), strict=True):
            assert final[identity] == split


def test_same_seed_same_frames_another_seed_others(aluminium, campaign, toy_campaign, tmp_path):
    def chosen(campaign, name):
        folder = tmp_path / name
        folder.mkdir()
        turns = loop.run(aluminium, campaign, engines_of(campaign, folder)).turns
        return [turn.decision.judgement.chosen for turn in turns]

    short = toy_campaign | {"stop": {"max_iterations": 2}}
    first = chosen(campaign_of(short), "first")
    assert chosen(campaign_of(short), "second") == first
    assert chosen(campaign_of(short | {"seed": 12}), "third") != first


def test_the_label_budget_ends_the_loop_with_everything(aluminium, toy_campaign, tmp_path):
    campaign = campaign_of(toy_campaign | {"budget": {"labels": 30}})
    result = loop.run(aluminium, campaign, engines_of(campaign, tmp_path))
    assert result.state == "budget"
    last = result.turns[-1].decision.judgement
    assert last.budget_spent
    assert not last.chosen
    told = {one.kind: one.method for one in last.decisions.values() if one.exceeds}
    assert told == {Kind.PASSED_OVER: Method(Way.BUDGET_SPENT)}
    assert int(result.dataset.is_labelled.sum()) == 30
    assert len(result.committee) == 3


def test_failed_frames_leave_the_dataset_and_are_not_tried_again(
    aluminium, campaign, toy_campaign, tmp_path
):
    engines = engines_of(campaign, tmp_path)
    campaign = campaign_of({**toy_campaign, "label": {**toy_campaign["label"], "min_success": 0.5}})
    tried: list[str] = []

    def label(frames):
        tried.extend(frames.ids)
        bad = [frame for frame in frames if len(frame) > 1][:1]
        labelled, _ = engines.label(frames.without([frame.id for frame in bad]))
        return labelled, Dataset.from_frames([failed(frame, "made to fail") for frame in bad])

    result = loop.run(aluminium, campaign, loop.Engines(label, engines.train, engines.explore))
    assert len(tried) == len(set(tried))
    assert len(result.failed) >= 2
    assert not set(result.failed.ids) & set(result.dataset.ids)
    assert result.records[0].label_failures == 1


def test_refused_frames_are_labelled_when_asked_for(aluminium, toy_campaign, tmp_path):
    """Their labels count in the budget, their failures end nothing, and other draws stay."""
    screen = {"max_force": 0.8, "audit": 4}
    content = toy_campaign | {"screen": screen, "stop": {"max_iterations": 2}}
    campaign = campaign_of(content)
    engines, refused = engines_of(campaign, tmp_path), []

    def label(frames):
        bad = [frame for frame in frames if MARK in frame.info]
        refused.extend(frame.id for frame in bad)
        labelled, lost = engines.label(frames.without([frame.id for frame in bad[:2]]))
        assert not len(lost)
        return labelled, Dataset.from_frames([failed(frame, "made to fail") for frame in bad[:2]])

    found = loop.run(aluminium, campaign, loop.Engines(label, engines.train, engines.explore))
    first = found.turns[0]
    drawn = first.decision.judgement.screen_audit
    assert sorted(refused) == sorted(drawn)
    assert len(drawn) == 4
    assert found.failed.ids == refused[:2]
    audit = found.records[0].screen_audit
    assert (audit.drawn, audit.labelled) == (4, 2)
    forces = {i: found.dataset.by_id(i).labels.forces for i in refused[2:]}
    largest = {i: np.linalg.norm(f, axis=1).max() for i, f in forces.items()}
    assert audit.physical == sum(force <= 0.8 for force in largest.values())
    splits = {i: found.dataset.by_id(i).split for i in largest}
    assert splits == {i: "train" if force <= 0.8 else None for i, force in largest.items()}
    assert not set(first.score.audit_pairs.frame_ids) & set(drawn)
    plain = campaign_of(content | {"screen": {"max_force": 0.8}})
    without = loop.run(aluminium, plain, engines_of(plain, tmp_path / "plain"))
    before = without.turns[0].decision.judgement
    assert before.selected == first.decision.judgement.selected
    assert before.audit == first.decision.judgement.audit
    history = loop.history(found, campaign)
    lines = in_words(why(next(iter(largest)), history, found.dataset, found.failed))
    assert f"screen audit: {audit.physical} of 2 labelled frames" in "\n".join(lines)
    assert sum(line.startswith("physical: ") for line in lines) == 1


def test_too_many_failures_end_the_loop(aluminium, campaign, tmp_path):
    engines = engines_of(campaign, tmp_path)

    def label(frames):
        return Dataset.from_frames([]), Dataset.from_frames([failed(f, "no") for f in frames])

    with pytest.raises(RunError, match="could not be labelled"):
        loop.run(aluminium, campaign, loop.Engines(label, engines.train, engines.explore))


def test_a_committee_of_one_and_the_same_model_ends_the_loop(aluminium, toy_campaign, tmp_path):
    """Its members agree on everything, and a campaign would look converged."""
    train = toy_campaign["train"] | {"settings": {"bootstrap": False, "n_random": 0}}
    campaign = campaign_of(toy_campaign | {"train": train})
    with pytest.raises(RunError, match="all 3 members are the same model, so they never disagree"):
        loop.run(aluminium, campaign, engines_of(campaign, tmp_path))


@pytest.fixture(scope="module")
def bagged(aluminium, toy_campaign, tmp_path_factory):
    """A campaign whose members differ by their frames alone, and what each was trained on."""
    settings = {"bootstrap": False, "n_random": 0}
    train = toy_campaign["train"] | {"settings": settings, "bagging": 0.34, "start": "previous"}
    campaign = campaign_of(toy_campaign | {"train": train, "stop": {"max_iterations": 2}})
    folder = tmp_path_factory.mktemp("bagged")
    result = loop.run(aluminium, campaign, engines_of(campaign, folder))
    seeds = [derive_seed(campaign.seed, "train", n) for n in (1, 2)]
    members = [
        [
            set(hdf5.read(folder / f"committee-{seed}" / f"member-{s}" / "dataset.h5").ids)
            for s in member_seeds(seed, 3)
        ]
        for seed in seeds
    ]
    return result, members


def test_members_leave_out_frames_and_each_frame_has_a_member(bagged):
    result, members = bagged
    for turn, own in zip(result.turns, members, strict=True):
        known = turn.decision.dataset.labelled()
        train, validation = (set(known.subset(name).ids) for name in ("train", "validation"))
        assert set.union(*own) == train | validation
        for ids in own:
            assert validation < ids
            assert 0.1 < len(train - ids) / len(train) < 0.5  # few frames
            assert known.select(train - ids).is_isolated.sum() == 0


def test_frames_that_a_member_left_out_calibrate_nothing(bagged):
    """They are training frames of the committee: the other members have seen them."""
    for turn in bagged[0].turns:
        known = turn.decision.dataset.labelled()
        held_out = set(known.subset("validation").ids) | set(known.subset("test").ids)
        pairs = turn.calibrations["forces"].held_out
        assert pairs == turn.calibrations["forces"].pairs
        assert pairs <= len(held_out)
        assert not set(known.subset("train").ids) & set(turn.predictions.ids)


def test_a_model_to_start_from_has_not_seen_what_its_successor_leaves_out(bagged):
    result, (first, second) = bagged
    early = set(result.turns[0].decision.dataset.labelled().ids) - set(
        result.turns[0].decision.judgement.chosen
    )
    for before, after in zip(first, second, strict=True):
        assert before & early == after & early


def test_engines_that_need_aiida_are_refused(toy_campaign, tmp_path):
    needs = campaign_of(toy_campaign | {"label": {"engine": "quantumespresso"}})
    with pytest.raises(InputError, match="needs AiiDA"):
        engines_of(needs, tmp_path)
    lammps = toy_campaign["explore"] | {"engine": "lammps"}
    with pytest.raises(InputError, match="engine: ase"):
        engines_of(campaign_of(toy_campaign | {"explore": lammps}), tmp_path)


def test_a_labelled_dataset_is_used_as_it_is(result, campaign, toy_campaign, tmp_path):
    """Own data: no augmentation, no label made twice."""
    given = result.dataset.labelled()
    again = campaign_of(toy_campaign | {"augment": [], "stop": {"max_iterations": 1}})
    folder = tmp_path / "again"
    folder.mkdir()
    second = loop.run(given, again, engines_of(again, folder))
    assert second.records[0].labelled == 0
    np.testing.assert_array_equal(
        second.dataset.select(given.ids).column("split"), given.column("split")
    )


def test_given_labels_and_new_ones_are_mixed_only_if_asked_for(
    result, campaign, toy_campaign, tmp_path
):
    given = result.turns[0].decision.dataset.labelled()
    foreign = given.with_columns(theory=["given"] * len(given))
    content = toy_campaign | {"augment": [], "stop": {"max_iterations": 2}}
    with pytest.raises(InputError, match="2 levels of theory"):
        loop.run(foreign, campaign_of(content), engines_of(campaign_of(content), tmp_path))
    mixing = campaign_of(content | {"train": {**content["train"], "mix_theories": True}})
    folder = tmp_path / "mixed"
    folder.mkdir()
    second = loop.run(foreign, mixing, engines_of(mixing, folder))
    assert second.records[1].labelled > 0
    assert len(second.dataset.labelled().theories) == 2


def test_why_knows_every_frame_of_the_loop(result, campaign):
    history = loop.history(result, campaign)
    chosen = history[0].judgement.chosen[0]
    found = why(chosen, history, result.dataset, result.failed).judged
    assert found.explored.iteration == 1
    assert found.decision.kind in ("selected", "audit")
    assert found.properties["forces"].true_error > 0
    made = history[0].known.ids[0]
    assert why(made, history, result.dataset, result.failed).judged is None
