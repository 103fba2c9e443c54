"""Bags: which training frames each member of a committee leaves out."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trainspot.common.errors import InputError
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame, Labels, Origin
from trainspot.train import base
from trainspot.train.bagging import Bag, bags

STRATEGIES = ("rattle", "strain", "slab")


def frame(place, *, split="train", strategy="rattle", iteration=0, numbers=(14, 14), energy=None):
    """A molecule that differs from others by the distance of its atoms."""
    n = len(numbers)
    positions = np.arange(3 * n).reshape(n, 3) + place * 1e-3
    labels = Labels(-float(place) if energy is None else energy, np.zeros((n, 3)), None, "made-up")
    origin = Origin(strategy=strategy, iteration=iteration)
    return Frame.make(numbers, positions, labels=labels, split=split, origin=origin)


def atom(number, energy=-5.0):
    labels = Labels(energy, np.zeros((1, 3)), None, "made-up")
    origin = Origin(strategy="isolated")
    return Frame.make([number], [[0, 0, 0]], labels=labels, split="train", origin=origin)


@st.composite
def datasets(draw, least=1, most=40):
    """Training frames of several strategies and iterations, held-out frames, and an atom."""
    size = draw(st.integers(least, most))
    kinds = draw(st.lists(st.integers(0, 5), min_size=size, max_size=size))
    frames = [
        frame(place, strategy=STRATEGIES[kind % 3], iteration=kind // 3)
        for place, kind in enumerate(kinds)
    ]
    held_out = [frame(1000 + n, split=("validation", "test")[n % 2]) for n in range(4)]
    return Dataset.from_frames([*frames, *held_out, atom(14)])


@st.composite
def committees(draw):
    """The bags of a committee."""
    size = draw(st.integers(2, 8))
    share = draw(st.floats(0.01, 1 - 1 / size) | st.sampled_from([1 / size, 1 - 1 / size]))
    return bags(share, size, draw(st.integers(0, 5)))


def times_out(dataset, committee):
    """How many members leave each training frame out, (N,)."""
    out = [set(bag.left_out(dataset)) for bag in committee]
    train = [f for f in dataset.subset("train") if len(f) > 1]
    return np.array([sum(f.id in ids for ids in out) for f in train])


@given(datasets(), committees())
def test_every_frame_is_used_by_a_member_and_every_member_has_frames(dataset, committee):
    assert (times_out(dataset, committee) < len(committee)).all()
    for bag in committee:
        train, validation = base.training_sets(bag.of(dataset))
        assert not train.is_isolated.all()
        assert train.is_isolated.sum() == 1, "isolated atoms are in every bag"
        assert validation.ids == dataset.subset("validation").ids
        assert bag.of(dataset).subset("test").ids == dataset.subset("test").ids


@given(datasets(), committees())
def test_each_frame_is_left_out_equally_often(dataset, committee):
    """By share·M members; and by none twice where share·M is at most 1."""
    expected = committee[0].share * len(committee)
    assert times_out(dataset, committee).max() <= np.ceil(round(expected, 9))


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5])
@pytest.mark.parametrize("size", [32, 101])
def test_members_leave_out_the_share_of_all_frames_and_of_each_strategy(share, size):
    frames = [frame(n, strategy=STRATEGIES[0 if n % 4 else 1]) for n in range(size)]
    dataset = Dataset.from_frames(frames)
    committee = bags(share, 4, 3)
    counts = [len(bag.left_out(dataset)) for bag in committee]
    assert max(counts) - min(counts) <= np.ceil(4 * share)
    for bag in committee:
        out = dataset.select(bag.left_out(dataset))
        assert abs(len(out) - share * size) < 3
        for name, count in dataset.counts("strategy").items():
            assert abs(out.counts("strategy").get(name, 0) - share * count) < 3


@given(datasets(), committees(), st.randoms())
def test_the_order_of_the_file_and_copies_do_not_matter(dataset, committee, random):
    rows = [*range(len(dataset)), 0, 0]
    random.shuffle(rows)
    for bag in committee:
        assert bag.left_out(dataset.take(rows)) == bag.left_out(dataset)
        out = set(bag.left_out(dataset))
        assert out.isdisjoint(bag.of(dataset.take(rows)).ids), "no copy stays"


@given(datasets(least=4), st.integers(1, 9))
def test_later_frames_do_not_move_earlier_ones(dataset, n_new):
    """A model of the last iteration has not seen the frames that its successor leaves out."""
    new = [frame(2000 + n, strategy="md", iteration=2) for n in range(n_new)]
    grown = Dataset.concatenate([dataset, Dataset.from_frames(new)])
    for bag in bags(0.25, 4, 1):
        earlier = set(dataset.ids)
        assert set(bag.left_out(dataset)) == {i for i in bag.left_out(grown) if i in earlier}


@given(committees())
@example(bags(0.5, 2, 0))
def test_one_or_two_frames_leave_no_member_without(committee):
    for size in (1, 2):
        dataset = Dataset.from_frames([*(frame(n) for n in range(size)), atom(14)])
        for bag in committee:
            assert len(bag.left_out(dataset)) < size


@given(committees())
def test_each_member_keeps_a_frame_of_each_element_and_strategy(committee):
    """MACE refuses validation frames of an element that no training frame has."""
    common = [frame(n) for n in range(20)]
    rare = [frame(50 + n, numbers=(14, 8)) for n in range(2)]
    dataset = Dataset.from_frames([*common, *rare, frame(60, strategy="slab"), atom(14), atom(8)])
    for bag in committee:
        kept = bag.of(dataset).filter(lambda f: len(f) > 1)
        assert set(kept.species) == {"Si", "O"}
        assert set(kept.counts("strategy")) == {"rattle", "slab"}


def test_another_seed_draws_other_frames():
    dataset = Dataset.from_frames(frame(n) for n in range(40))
    first, second = (Bag(0.25, 0, 4, seed).left_out(dataset) for seed in (1, 2))
    assert first != second
    assert Bag.from_dict(Bag(0.25, 0, 4, 1).to_dict()).left_out(dataset) == first


def test_frames_without_labels_take_no_place():
    dataset = Dataset.from_frames(frame(n) for n in range(40))
    bare = Dataset.from_frames(frame(100 + n).with_(labels=Labels()) for n in range(10))
    bag = Bag(0.25, 1, 4, 1)
    assert bag.left_out(Dataset.concatenate([bare, dataset])) == bag.left_out(dataset)


def test_members_have_the_same_reference_energies_and_warn():
    """Fitted to the frames of all members: another zero is no disagreement."""
    frames = [frame(n, energy=-10.0 - n, numbers=(14, 14, 8)[: 2 + n % 2]) for n in range(12)]
    dataset = Dataset.from_frames([*frames, atom(8, -430.0)])
    energies, warnings = base.reference_energies(dataset)
    assert "isolated atom of Si" in warnings[0]
    for bag in bags(0.25, 4, 1):
        train, _ = base.training_sets(bag.of(dataset))
        assert base.reference_energies(train) == (energies, warnings)
        own = base.reference_energies(train.filter(lambda f: len(f) > 1 or f.numbers[0] == 8))
        assert own[0][14] != pytest.approx(energies[14]), "the frames of one member say otherwise"


def test_no_bagging_is_no_bag():
    assert bags(0.0, 4, 1) == []


@pytest.mark.parametrize(("share", "size"), [(-0.1, 4), (0.6, 2), (0.76, 4), (float("nan"), 4)])
def test_a_share_that_would_waste_frames_is_refused(share, size):
    with pytest.raises(InputError, match="each frame belongs to a member"):
        bags(share, size, 1)


def test_no_frame_is_left_out_by_two_of_few_members():
    dataset = Dataset.from_frames(frame(n) for n in range(33))
    out = [set(bag.left_out(dataset)) for bag in bags(0.25, 4, 7)]
    assert all(one.isdisjoint(other) for one, other in itertools.combinations(out, 2))
    assert len(set.union(*out)) == 33
