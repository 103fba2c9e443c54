"""What descriptors add to a judgement: novelty, near-duplicates and diverse batches."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
from ase.build import bulk, surface
from scipy.spatial.distance import cdist
from scipy.spatial.transform import Rotation

from trainspot.cli._summaries import of_judgement
from trainspot.cli._why import sentence
from trainspot.common.errors import InputError, MissingExtraError
from trainspot.config.document import Document
from trainspot.config.load import resolve
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame, Labels
from trainspot.descriptors import DescriptorSettings
from trainspot.judge import Judgement, State, judge
from trainspot.judge.judgement import check_installed
from trainspot.judge.select import Judged
from trainspot.judge.select.diverse import DiverseSelection
from trainspot.judge.select.ranked import RankedSelection
from trainspot.judge.settings import JudgeSettings, SelectSettings, StopSettings
from trainspot.judge.space import Space
from trainspot.judge.verdict import verdict
from trainspot.predictions.calibration import Calibration

CRYSTAL = bulk("Si", cubic=True).repeat((2, 1, 1))
LABELS = Labels(-1.0, np.zeros((16, 3)), np.zeros((3, 3)), "made-up")


def rattled(seed, *, strain=0.0, amplitude=0.08, of=CRYSTAL):
    atoms = of.copy()
    atoms.set_cell(atoms.cell * (1 + strain), scale_atoms=True)
    atoms.positions += np.random.default_rng(seed).normal(0, amplitude, (len(atoms), 3))
    return Frame.from_atoms(atoms)


def slab(seed):
    atoms = surface(bulk("Si", cubic=True), (1, 0, 0), 2, vacuum=6.0, periodic=True)
    atoms.positions += np.random.default_rng(seed).normal(0, 0.08, (len(atoms), 3))
    return Frame.from_atoms(atoms)


@pytest.fixture(scope="module")
def known():
    """The bulk, rattled: 40 frames to train on, 20 to validate."""
    frames = [
        rattled(k).with_(labels=LABELS, split="train" if k < 40 else "validation")
        for k in range(60)
    ]
    return Dataset.from_frames(frames)


@pytest.fixture(scope="module")
def explored():
    """20 frames like the known ones, 6 surfaces, 6 strained ones."""
    same = [rattled(k) for k in range(100, 120)]
    return Dataset.from_frames(
        [*same, *map(slab, range(6)), *(rattled(k, strain=0.04) for k in range(6))]
    )


def decide(explored, predictions, known, *, threshold=1e9, stop=None, **select):
    """Judged with all defaults; the disagreement flags what is beyond the threshold on forces."""
    return judge(
        explored,
        predictions,
        {"forces": Calibration.given("forces", threshold)},
        known,
        JudgeSettings(select=SelectSettings(**select), stop=stop or StopSettings()),
        iteration=1,
        seed=5,
        starts=explored[:0],
    )


# ── novelty ───────────────────────────────────────────────────────────────────
def test_novelty_catches_unseen_motifs_that_the_committee_agrees_on(explored, known, predict):
    predictions = predict(explored, noise=0.01)
    found = decide(explored, predictions, known)
    unseen, alike = set(explored.ids[20:]), set(explored.ids[:20])
    assert unseen <= set(found.flagged)
    assert len(alike & set(found.flagged)) <= 3
    assert found.flagged_by.pop("novelty_frames") + found.flagged_by.pop("novelty_atoms") >= 12
    assert found.flagged_by == {"forces": 0, "novelty": len(found.flagged)}
    assert found.novelty.validation == 20
    assert found.verdict is State.CONTINUE
    one = next(i for i in found.selected if i in unseen)
    assert "disagreement on forces" in sentence(found.decisions[one])
    assert "; novelty: a" in sentence(found.decisions[one])
    assert not decide(explored, predictions, known, novelty=None).flagged


def test_one_odd_atom_in_a_large_cell_is_novel_by_itself(predict):
    """The frame as a whole looks like the others; one of its atoms does not."""
    cell = CRYSTAL.repeat((1, 2, 2))
    labels = Labels(-1.0, np.zeros((64, 3)), np.zeros((3, 3)), "made-up")
    known = Dataset.from_frames(
        rattled(k, of=cell, amplitude=0.02 + 0.03 * (k % 4), strain=0.01 * (k % 3)).with_(
            labels=labels, split="train" if k < 20 else "validation"
        )
        for k in range(50)
    )
    odd = cell.copy()
    odd.positions[5] += [0.4, 0.4, -0.3]
    explored = Dataset.from_frames([rattled(60, of=cell), rattled(61, of=odd, amplitude=0.05)])
    judged = {
        of: decide(explored, predict(explored, noise=0.01), known, novelty_of=of)
        for of in ("frames", "atoms", "both")
    }
    assert judged["frames"].flagged == ()
    assert judged["frames"].flagged_by["novelty"] == 0
    assert judged["atoms"].flagged == judged["both"].flagged == (explored.ids[1],)
    assert judged["both"].flagged_by["novelty_atoms"] == judged["both"].flagged_by["novelty"] == 1
    assert judged["both"].flagged_by["novelty_frames"] == 0
    decision = judged["both"].decisions[explored.ids[1]]
    near = odd.get_distances(5, range(64), mic=True) < 2.6
    assert near[decision.novelty.atom]
    where = f"novelty: atom {decision.novelty.atom + 1} has a distance of "
    assert where in sentence(decision)
    assert "from the nearest training atom of its element exceeds " in sentence(decision)
    assert judged["both"].novelty.to_dict()["atoms"]["3D"] == decision.novelty.limit
    again = Judgement.from_dict(json.loads(json.dumps(judged["both"].to_dict(), allow_nan=False)))
    assert again == judged["both"]


def test_an_element_that_no_training_frame_has_is_novel_and_stored_without_infinity(
    explored, known, predict
):
    other = CRYSTAL.copy()
    other.symbols[3] = "Ge"
    frames = explored.merge(Dataset.from_frames([Frame.from_atoms(other)]))
    judged = decide(frames, predict(frames, noise=0.01), known)
    alone = judged.decisions[Frame.from_atoms(other).id]
    assert alone.novelty.value is None
    assert alone.novelty.atom == 3
    assert "novelty: no training frame has the element of atom 4" in sentence(alone)
    text = json.dumps(judged.to_dict(), allow_nan=False)
    assert Judgement.from_dict(json.loads(text)) == judged


def test_both_causes_are_counted_and_a_frame_once(explored, known, predict):
    found = decide(explored, predict(explored, noise=1.0), known, threshold=0.2)
    assert len(found.flagged) == len(explored)
    assert found.flagged_by["forces"] == len(explored)
    assert found.flagged_by["novelty"] >= 12
    assert "(forces: 32, novelty: " in of_judgement(found)


@pytest.mark.parametrize("n", [0, 5, 18])
def test_too_few_validation_frames_switch_the_flag_off_and_say_so(explored, known, predict, n):
    few = known.take([*range(40), *range(40, 40 + n)])
    found = decide(explored, predict(explored, noise=0.01), few)
    assert found.flagged == ()
    assert found.novelty.thresholds == {}
    assert found.novelty.note == (f"no novelty flag: {n} validation frames, 19 are needed for 0.95")


def test_without_training_frames_nothing_is_novel(explored, known, predict):
    found = decide(explored, predict(explored, noise=0.01), known.subset("validation"))
    assert found.flagged == ()
    assert found.novelty.note == "no novelty flag: there are no labelled training frames"


def test_unlabelled_frames_train_nobody(explored, known):
    waiting = Dataset.from_frames([f.with_(split="train") for f in explored])
    alone = Space.of(explored, known, DescriptorSettings())
    both = Space.of(explored, known.merge(waiting), DescriptorSettings())
    assert np.array_equal(alone.from_training(), both.from_training())


def test_clusters_among_the_validation_frames_do_not_hide_unseen_crystals(predict):
    """Clusters lie far from one another, and none of that says how far a crystal may be."""
    clusters = [cluster(k) for k in range(60)]
    crystals = [rattled(k) for k in range(60)]
    known = Dataset.from_frames(
        frame.with_(labels=LABELS if len(frame) == 16 else Labels(-1.0, np.zeros((5, 3))),
                    split="train" if k < 30 else "validation")
        for frames in (clusters, crystals) for k, frame in enumerate(frames)
    )  # fmt: skip
    unseen = [rattled(k, strain=0.03) for k in range(6)]
    explored = Dataset.from_frames([*(rattled(k) for k in range(100, 120)), *unseen,
                                    *(cluster(k) for k in range(100, 120))])  # fmt: skip
    found = decide(explored, predict(explored, noise=0.01), known, novelty_of="frames")
    limits = found.novelty.thresholds
    assert limits["0D"] > 3 * limits["3D"] > 0
    flagged = set(found.flagged)
    assert {frame.id for frame in unseen} <= flagged
    assert len(flagged) <= 6 + 4  # 5 % of the others, and chance
    assert f"the nearest training frame exceeds {limits['3D']:.3g}" in sentence(
        found.decisions[unseen[0].id]
    )
    distances = Space.of(explored, known, DescriptorSettings()).from_training()
    assert distances[20:26].max() < limits["0D"]  # one threshold for all would have hidden them


def test_no_threshold_is_smaller_than_the_distance_of_near_duplicates(explored, known):
    """Validation frames that copy training frames would make everything novel."""
    train = known[:30]
    copies = Dataset.from_frames(
        Frame.make(f.numbers, f.positions + 0.01, f.cell, f.pbc, labels=LABELS, split="validation")
        for f in train
    )
    space = Space.of(explored, train.merge(copies), DescriptorSettings())
    assert set(space.novelty(0.95, floor=5e-4).thresholds.values()) == {5e-4}
    assert max(space.novelty(0.95, floor=0.0).thresholds.values()) < 5e-4


def test_free_atoms_to_validate_with_say_nothing_of_clusters(explored, known):
    """An atom alone is far from everything and never explored, so it would hide what is novel."""
    atom = Frame.make([14], [[0, 0, 0]], labels=Labels(0.0, np.zeros((1, 3))), split="validation")
    with_atom = known.merge(Dataset.from_frames([atom]))
    alone, both = (
        Space.of(explored, frames, DescriptorSettings()).novelty(0.95, floor=0.0)
        for frames in (known, with_atom)
    )
    assert both == alone
    cell = Frame.make([14], [[0, 0, 0]], np.eye(3) * 2.5, True, labels=atom.labels)
    crystals = known.merge(Dataset.from_frames([cell.with_(split="validation")]))
    counted = Space.of(explored, crystals, DescriptorSettings()).novelty(0.95, floor=0.0)
    assert counted.validation == alone.validation + 1
    few = Space.of(explored, with_atom.take([*range(58), 60]), DescriptorSettings())
    assert few.novelty(0.95, floor=0.0).note.startswith("no novelty flag: 18 validation frames")


def cluster(seed):
    rng = np.random.default_rng((7, seed))
    return Frame.make(
        [14] * 5, rng.uniform(0.0, 2.0, (5, 3)) + 2.2 * np.eye(5, 3) * rng.uniform(1, 2)
    )


@pytest.mark.parametrize(
    ("flagged", "novel", "expected", "state"),
    [
        (0, 5, 0.05, State.AUDIT),
        (0, 6, 0.05, State.CONTINUE),
        (0, 1, 0.0, State.CONTINUE),
        (1, 0, 0.05, State.CONTINUE),
        (0, 100, 1.0, State.AUDIT),
    ],
)
def test_the_share_that_is_novel_by_definition_does_not_prevent_the_end(
    flagged, novel, expected, state
):
    counts = {"explored": 100, "valid": 100, "flagged": flagged, "novel": novel}
    found = verdict(**counts, expected=expected, fitted=True, iteration=1, settings=StopSettings())
    assert found is state


def test_the_final_audit_looks_at_novel_frames_too(explored, known, predict):
    """Nobody else would: they are tolerated, and agreed on."""
    stop = StopSettings(converged_share=0.9, final_audit=32)
    found = decide(explored, predict(explored, noise=0.01), known, stop=stop)
    assert found.verdict is State.AUDIT
    assert set(found.audit) == set(explored.ids)


# ── near-duplicates ───────────────────────────────────────────────────────────
def turned(frame, shift=0.0):
    turn = Rotation.from_euler("xyz", [20, 30, 40], degrees=True).as_matrix()
    step = np.random.default_rng(1).normal(0, shift, (len(frame), 3))
    cell = frame.cell @ turn.T
    return Frame.make(frame.numbers, (frame.positions + step) @ turn.T, cell, frame.pbc)


def test_near_duplicates_are_left_out_with_a_reason(known, predict):
    fresh = [rattled(k) for k in range(200, 204)]
    again, near = turned(known[3]), turned(known[41], 0.001)
    twin = turned(fresh[0], 0.001)
    explored = Dataset.from_frames([*fresh, again, near, twin])
    noise = np.array([1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 3.0])
    predictions = predict(explored, noise=noise)
    found = decide(explored, predictions, known, threshold=0.2, audit=0)
    assert len(found.flagged) == 7
    assert found.near_duplicates == 3
    assert set(found.selected) == {*(f.id for f in fresh[1:]), twin.id}  # the louder twin stays
    assert f"the known frame {known[3].id[:12]}" in sentence(found.decisions[again.id])
    assert f"the known frame {known[41].id[:12]}" in sentence(found.decisions[near.id])
    assert f"the explored frame {twin.id[:12]}" in sentence(found.decisions[fresh[0].id])
    assert all(
        sentence(found.decisions[i]).startswith("not selected: ") for i in (again.id, near.id)
    )
    everything = decide(explored, predictions, known, threshold=0.2, audit=0, near_duplicate=0.0)
    assert len(everything.selected) == 7


def test_where_all_is_repeated_something_is_still_labelled(known, predict):
    explored = Dataset.from_frames([turned(known[k]) for k in range(5)])
    found = decide(explored, predict(explored, noise=1.0), known, threshold=0.2, max_frames=2)
    assert found.verdict is State.CONTINUE
    assert len(found.chosen) == 2


# ── batches ───────────────────────────────────────────────────────────────────
def farthest(points, known, budget):
    """Farthest-point sampling, the textbook's way."""
    nearest, chosen = cdist(points, known).min(axis=1), []
    for _ in range(budget):
        chosen.append(int(np.argmax(nearest)))
        nearest = np.minimum(nearest, cdist(points, points[chosen[-1:]])[:, 0])
    return chosen


def test_diverse_is_farthest_point_sampling_from_what_is_known(rng):
    frames = Dataset.from_frames([rattled(k) for k in range(30)])
    points, known = rng.normal(size=(30, 4)), rng.normal(size=(12, 4))
    judged = Judged(frames, np.ones(30), points, known)
    chosen = DiverseSelection().select(judged, 8, rng)
    assert chosen == [frames.ids[row] for row in farthest(points, known, 8)]
    score = np.linspace(0, 1, 30)
    alone = DiverseSelection().select(Judged(frames, score, points), 3, rng)
    assert alone[0] == frames.ids[-1]
    with pytest.raises(InputError, match="needs descriptors"):
        DiverseSelection().select(Judged(frames, score), 3, rng)


def test_a_small_diverse_batch_meets_every_motif(explored, known, predict):
    found = decide(explored, predict(explored, noise=1.0), known, threshold=0.2, max_frames=6)
    rows = [explored.ids.index(i) for i in found.selected]
    assert any(20 <= row < 26 for row in rows)
    assert any(row >= 26 for row in rows)
    assert f"one of {len(rows)} chosen among {32 - len(found.audit)} (diverse)" in sentence(
        found.decisions[found.selected[0]]
    )
    passed = next(i for i in found.flagged if i not in found.chosen)
    assert f"not among the {len(rows)} chosen" in sentence(found.decisions[passed])


def test_a_strategy_is_given_what_it_needs(explored, known, predict, monkeypatch):
    """Audit frames will be labelled too, so for a strategy they are known."""
    seen = []

    class Spy:
        needs_descriptors = True

        def select(self, judged, budget, rng):
            seen.append((judged, budget))
            return judged.frames.ids[:budget]

    monkeypatch.setattr("trainspot.judge.judgement.strategy", lambda name: Spy())
    options = {"threshold": 0.2, "audit": 3, "novelty": None, "near_duplicate": 0.0, "share": 1.0}
    found = decide(explored, predict(explored, noise=1.0), known, **options)
    ((judged, budget),) = seen
    space = Space.of(explored.select(found.audit), known, DescriptorSettings())
    assert np.array_equal(judged.known, np.concatenate([space.places, space.points]))
    assert len(judged.descriptors) == len(judged.frames) == len(judged.score) == 29
    assert budget == 997
    assert judged.score.min() > 1.0
    Spy.needs_descriptors = False
    decide(explored, predict(explored, noise=1.0), known, **options)
    assert seen[1][0].descriptors is seen[1][0].known is None


def test_ranked_takes_the_top(rng):
    frames = Dataset.from_frames([rattled(k) for k in range(6)])
    judged = Judged(frames, np.array([1.0, 5.0, 2.0, 5.0, 9.0, 1.0]))
    chosen = RankedSelection().select(judged, 3, rng)
    assert chosen == [frames.ids[4], *sorted([frames.ids[1], frames.ids[3]])]


# ── what it rests on ──────────────────────────────────────────────────────────
def test_the_order_of_frames_changes_nothing(explored, known, predict, rng):
    predictions = predict(explored, noise=1.0)
    first = decide(explored, predictions, known, threshold=0.2, max_frames=10)
    mixed = explored.take(rng.permutation(len(explored)))
    shuffled = known.take(rng.permutation(len(known)))
    assert decide(mixed, predictions, shuffled, threshold=0.2, max_frames=10) == first


def test_json_round_trip_and_judgements_without_novelty(explored, known, predict):
    found = decide(explored, predict(explored, noise=0.01), known)
    content = json.loads(json.dumps(found.to_dict()))
    assert Judgement.from_dict(content) == found
    for name in ("flagged_by", "near_duplicates", "novelty"):
        del content[name]
    assert Judgement.from_dict(content).flagged_by == {}


def test_without_the_library_only_the_paper_can_be_judged(explored, known, predict, monkeypatch):
    monkeypatch.setitem(sys.modules, "featomic", None)
    predictions = predict(explored, noise=0.01)
    with pytest.raises(MissingExtraError, match=r"trainspot\[descriptors\]"):
        decide(explored, predictions, known)
    paper = resolve(Document(None, {"protocol": "paper"})).campaign.select
    assert (paper.method, paper.novelty, paper.near_duplicate) == ("random", None, 0.0)
    assert not decide(explored, predictions, known, **paper.model_dump()).flagged
    check_installed(paper)
    monkeypatch.setattr("trainspot.descriptors.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError):
        check_installed(SelectSettings())
    monkeypatch.setitem(sys.modules, "fpsample", None)
    judged = Judged(explored, np.ones(32), np.zeros((32, 2)), np.zeros((1, 2)))
    with pytest.raises(MissingExtraError):
        DiverseSelection().select(judged, 3, np.random.default_rng(0))
