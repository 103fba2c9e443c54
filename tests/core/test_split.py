"""The split: stratified, sticky, without leakage, deterministic."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainspot.common.errors import InputError
from trainspot.data.dataset import Dataset
from trainspot.data.frames import SPLITS, Frame, Origin
from trainspot.split import assign


def frame(number, strategy="rattle", parent="p", trajectory="", split=None, copies=1):
    """A frame that is different for every number."""
    origin = Origin(strategy, parent, trajectory=trajectory)
    positions = [[0, 0, 0], [0, 0, 1 + number * 1e-3]]
    return Frame.make([1, 1], positions, np.eye(3) * 9, True, origin=origin, split=split)


def of(frames):
    return Dataset.from_frames(frames)


def counts(dataset, strategy=None):
    found = Counter(f.split for f in dataset if strategy in (None, f.origin.strategy))
    return [found[name] for name in SPLITS]


def sets(dataset):
    return dict(zip(dataset.ids, dataset.column("split").tolist(), strict=True))


UNITS = st.lists(
    st.tuples(
        st.sampled_from(["rattle", "vacancies", "md", "slab"]),
        st.sampled_from(["a", "b", "c"]),
        st.sampled_from(["", "", "t1", "t2", "t3"]),
        st.sampled_from([None, None, None, *SPLITS]),
    ),
    min_size=1,
    max_size=60,
)


def made_of(units, start=0):
    """Frames of drawn units; the first split of a trajectory holds for all of it."""
    known: dict[str, str | None] = {}
    frames = []
    for number, (strategy, parent, trajectory, split) in enumerate(units, start=start):
        taken = known.setdefault(trajectory, split) if trajectory else split
        frames.append(frame(number, strategy, parent, trajectory, taken))
    return frames


@given(units=UNITS, seed=st.integers(0, 2**63 - 1))
@settings(max_examples=60, deadline=None)
def test_everything_gets_a_set_and_nothing_leaks(units, seed):
    frames = made_of(units)
    done = assign(of(frames), seed=seed)
    assert done.ids == [f.id for f in frames]
    assert all(f.split is not None for f in done)
    for before, after in zip(frames, done, strict=True):
        assert before.split in (None, after.split)
    trajectories = {}
    for after in done:
        if after.origin.trajectory:
            trajectories.setdefault(after.origin.trajectory, set()).add(after.split)
    assert all(len(found) == 1 for found in trajectories.values())


@given(first=UNITS, second=UNITS, seed=st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_a_frame_keeps_its_set_when_others_come(first, second, seed):
    once = assign(of(made_of(first)), seed=seed)
    more = of([f.with_(split=None) for f in made_of(second, start=1000)])
    twice = assign(Dataset.concatenate([once, more]), seed=seed + 1)
    assert sets(once).items() <= sets(twice).items()
    assert sets(assign(twice, seed=seed + 2)) == sets(twice)


@given(units=UNITS, seed=st.integers(0, 1000), order=st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_the_order_of_the_frames_does_not_matter(units, seed, order):
    frames = made_of(units)
    shuffled = list(frames)
    order.shuffle(shuffled)
    assert sets(assign(of(frames), seed=seed)) == sets(assign(of(shuffled), seed=seed))


@given(units=UNITS, strategies=st.lists(st.sampled_from("xyz"), min_size=60, max_size=60))
@settings(max_examples=40, deadline=None)
def test_copies_with_other_origins_may_come_in_any_order(units, strategies):
    """The stratum of a geometry must not depend on which of its copies is met first."""
    frames = [f.with_(split=None) for f in made_of(units)]
    copies = [
        f.with_(origin=Origin(s, "q", iteration=n % 2))
        for n, (f, s) in enumerate(zip(frames, strategies, strict=False))
    ]
    expected = sets(assign(of([*frames, *copies]), seed=3))
    assert sets(assign(of([*copies, *frames]), seed=3)) == expected
    if not any(trajectory for _, _, trajectory, _ in units):  # of which a merge keeps one
        for merged in (of(frames).merge(of(copies)), of(copies).merge(of(frames))):
            assert sets(assign(merged, seed=3)) == expected


@given(
    rounds=st.lists(st.tuples(UNITS, st.booleans(), st.integers(0, 59)), min_size=1, max_size=4),
    seed=st.integers(0, 1000),
)
@settings(max_examples=40, deadline=None)
def test_nothing_leaks_over_iterations_and_merges(rounds, seed):
    """Frames found again without their set, on either side of the merge, keep it."""
    dataset, before = of([]), {}
    for iteration, (units, first, again) in enumerate(rounds):
        new = made_of(units, start=100 * iteration)
        new = [
            f.with_(
                split=None,
                origin=Origin(
                    f.origin.strategy, f.origin.parent, iteration=iteration,
                    trajectory=f"{f.origin.trajectory}-{iteration}" if f.origin.trajectory else "",
                ),
            )
            for f in new
        ]  # fmt: skip
        found = [
            f.with_(split=None, origin=Origin("md", "p", trajectory="x", iteration=iteration))
            for f in dataset[:again]
        ]
        batch = of([*new, *found])
        dataset = assign(batch.merge(dataset) if first else dataset.merge(batch), seed=seed)
        now = sets(dataset)
        assert before.items() <= now.items()
        assert len(now) == len(dataset)
        trajectories = {}
        for frame_ in dataset:
            if frame_.origin.trajectory:
                trajectories.setdefault(frame_.origin.trajectory, set()).add(frame_.split)
        assert all(len(held) == 1 for held in trajectories.values())
        before = now


def test_the_seed_decides():
    dataset = of([frame(n) for n in range(40)])
    assert sets(assign(dataset, seed=1)) == sets(assign(dataset, seed=1))
    assert sets(assign(dataset, seed=1)) != sets(assign(dataset, seed=2))


@pytest.mark.parametrize("fractions", [(0.8, 0.1, 0.1), (0.6, 0.3, 0.1), (0.5, 0.25, 0.25)])
def test_each_motif_has_its_share_in_each_set(fractions):
    frames = [frame(n, "rattle", f"p{n % 3}") for n in range(105)]
    frames += [frame(200 + n, "vacancies", f"p{n % 3}") for n in range(45)]
    done = assign(of(frames), fractions, seed=3)
    for strategy, size in (("rattle", 105), ("vacancies", 45)):
        found = counts(done, strategy)
        assert np.all(np.abs(np.array(found) - np.array(fractions) * size) <= 1.0)
        for parent in ("p0", "p1", "p2"):
            mine = Counter(
                f.split for f in done if f.origin.parent == parent and f.origin.strategy == strategy
            )
            assert all(
                abs(mine[s] - f * size / 3) <= 1.5 for s, f in zip(SPLITS, fractions, strict=True)
            )
    assert np.all(np.abs(np.array(counts(done)) - np.array(fractions) * 150) <= 1.0)


@pytest.mark.parametrize("seed", range(10))
def test_a_rare_motif_is_held_out_too(seed):
    """4 vacancies among 20: chance alone would leave them out of both sets in 4 of 10 cases."""
    frames = [frame(n, "rattle") for n in range(16)]
    frames += [frame(100 + n, "vacancies") for n in range(4)]
    done = assign(of(frames), seed=seed)
    train, validation, test = counts(done, "vacancies")
    assert validation + test >= 1
    assert train >= 2


def test_many_small_strata_are_shared_out_together():
    """Twenty start frames with one trajectory each must not all end up in training."""
    frames = [frame(n, "md", f"start{n}", f"t{n}") for n in range(20)]
    assert counts(assign(of(frames), seed=1)) == [16, 2, 2]


def test_frames_that_come_one_by_one_keep_the_shares():
    dataset = of([])
    for number in range(40):
        dataset = assign(Dataset.concatenate([dataset, of([frame(number)])]), seed=5)
    assert counts(dataset) == [32, 4, 4]


def test_a_set_the_user_kept_small_is_not_filled_up():
    users = [frame(n, split="train") for n in range(90)] + [frame(95, split="validation")]
    new = [frame(100 + n, "md", f"s{n}") for n in range(20)]
    done = assign(of([*users, *new]), seed=1)
    assert counts(done, "md")[0] >= 14
    assert counts(done)[2] >= 2


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (1, [1, 0, 0]),
        (2, [1, 1, 0]),
        (3, [1, 1, 1]),
        (4, [2, 1, 1]),
        (5, [3, 1, 1]),
        (10, [8, 1, 1]),
    ],
)
def test_tiny_datasets_fill_every_set_they_can(size, expected):
    assert counts(assign(of([frame(n) for n in range(size)]), seed=4)) == expected


def test_empty_sets_are_filled_from_the_largest_stratum():
    frames = [frame(n, "rattle") for n in range(4)] + [frame(9, "slab")]
    done = assign(of(frames), seed=1)
    assert counts(done) == [3, 1, 1]
    assert counts(done, "slab") == [1, 0, 0]


@pytest.mark.parametrize("new", [1, 2, 3])
def test_sets_that_earlier_frames_fill_are_not_filled_again(new):
    done = assign(of([frame(n) for n in range(10)]), seed=1)
    again = assign(Dataset.concatenate([done, of([frame(20 + n) for n in range(new)])]), seed=1)
    assert counts(again) == [8 + new, 1, 1]


def test_a_set_without_a_share_stays_empty():
    assert counts(assign(of([frame(n) for n in range(10)]), (0.9, 0.1, 0.0), seed=1)) == [9, 1, 0]


def test_isolated_atoms_always_train():
    atoms = [Frame.make([z], [[5, 5, 5]], np.eye(3) * 15) for z in range(1, 11)]
    done = assign(of([*atoms, *(frame(n) for n in range(3))]), seed=1)
    assert counts(done) == [11, 1, 1]
    assert {f.split for f in done if len(f) == 1} == {"train"}
    own = assign(of([atoms[0].with_(split="test"), atoms[1]]), seed=1)
    assert [f.split for f in own] == ["test", "train"]


def test_a_trajectory_goes_where_its_earlier_frames_are():
    done = assign(
        of([frame(0, "md", trajectory="t", split="test"), frame(1, "md", trajectory="t")])
    )
    assert [f.split for f in done] == ["test", "test"]


def test_a_trajectory_that_the_user_has_cut_stays_cut():
    pieces = [
        frame(n, "md", trajectory="t", split=s) for n, s in enumerate(["test", "train", None])
    ]
    assert [f.split for f in assign(of(pieces))] == ["test", "train", "train"]


def test_copies_go_to_one_set():
    frames = [frame(n) for n in range(30)]
    done = assign(of([*frames, *frames]), seed=1)
    halves = done.column("split").reshape(2, 30)
    assert np.array_equal(halves[0], halves[1])
    assert counts(done) == [48, 6, 6]
    late = assign(of([frame(1), frame(1, split="test")]))
    assert [f.split for f in late] == ["test", "test"]


def test_copies_in_two_sets_are_refused():
    with pytest.raises(InputError, match="same geometry is in the splits train and test"):
        assign(of([frame(1, split="train"), frame(1, split="test")]))


def test_nothing_is_split_into_nothing():
    assert len(assign(of([]))) == 0


@pytest.mark.parametrize(
    "fractions", [(0.8, 0.1), (0.8, 0.1, 0.2), (0.0, 0.5, 0.5), (1.1, -0.1, 0.0), (np.nan,) * 3]
)
def test_impossible_fractions_are_refused(fractions):
    with pytest.raises(InputError, match="are not shares of a split"):
        assign(of([frame(1)]), fractions)
