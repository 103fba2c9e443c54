"""A node that holds already what a decision would make takes its place, and nothing else does."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from aiida.orm import Dict

from aiida_trainspot.data.pes import PESData
from aiida_trainspot.functions import explore, label
from trainspot.data.frames import Frame, Labels
from trainspot.explore import schedule as scheduling
from trainspot.explore.frames import cut, failed
from trainspot.explore.schedule import Plan
from trainspot.label import base

SETS = {"fractions": [0.5, 0.25, 0.25], "seed": 3}


def made(decision, **given) -> PESData | dict[str, PESData]:
    """What a decision makes, without a trace in the database."""
    return inspect.unwrap(decision)(**given)


def same(one: PESData, two: PESData) -> bool:
    """Whether two nodes hold the same bytes: then jobs of the one are found for the other."""
    contents = [n.base.repository.get_object_content(n.FILENAME, mode="rb") for n in (one, two)]
    return contents[0] == contents[1]


@pytest.fixture(autouse=True)
def profile(aiida_profile):
    """Nodes need a profile, though nothing is stored."""


@pytest.fixture
def done(labelled_frames):
    """Frames with labels and sets."""
    return [frame.with_(split="train") for frame in labelled_frames]


@pytest.fixture
def bare(done):
    """The same frames before they were labelled."""
    return [frame.with_(labels=Labels()) for frame in done]


# ── labels ────────────────────────────────────────────────────────────────────
def test_what_is_pending_is_the_dataset_or_what_was_chosen(done, bare):
    given = {"dataset": PESData(bare), "chosen": None}
    assert label.pending_already(**given) is given["dataset"]
    assert same(given["dataset"], made(label.pending, **given))
    given = {"dataset": PESData(done[:8]), "chosen": PESData(bare[8:])}
    assert label.pending_already(**given) is given["chosen"]
    assert same(given["chosen"], made(label.pending, **given))


@pytest.mark.parametrize("case", ["some labelled", "twice", "known", "both"])
def test_else_what_is_pending_is_written(done, bare, case):
    dataset, chosen = {
        "some labelled": ([*done[:3], *bare[3:]], None),
        "twice": ([*bare, bare[0]], None),
        "known": (done[:8], [*bare[8:], bare[0]]),
        "both": ([*done[:3], bare[3]], bare[8:]),
    }[case]
    nodes = {"dataset": PESData(dataset), "chosen": None if chosen is None else PESData(chosen)}
    assert label.pending_already(**nodes) is None
    known = {frame.id for frame in dataset if frame.labels}
    wanted = {frame.id for frame in (*dataset, *(chosen or []))} - known
    assert set(made(label.pending, **nodes).ids) == wanted


@pytest.mark.parametrize("with_sets", [False, True])
def test_labels_of_all_frames_are_the_dataset(done, bare, with_sets):
    splits = Dict(SETS) if with_sets else None
    given = {"dataset": PESData(bare), "labelled": PESData(done), "failures": PESData()}
    given |= {"names": Dict({"theory": "made-up", "former": ["old"]}), "splits": splits}
    assert label.merged_already(**given) is given["labelled"]
    assert same(given["labelled"], made(label.merge_labels, **given))
    nothing = {"labelled": PESData(), "failures": PESData(), "dataset": PESData(done)}
    assert label.merged_already(**nothing, splits=splits) is nothing["dataset"]
    assert same(nothing["dataset"], made(label.merge_labels, **nothing, splits=splits))


@pytest.mark.parametrize("case", ["failed", "chosen", "known", "order", "no set", "old name"])
def test_else_labels_are_merged(done, bare, case):
    given = {"dataset": bare, "labelled": done, "failures": []}
    given |= {
        "failed": {"labelled": done[1:], "failures": [base.failed(bare[0], "bad")]},
        "chosen": {"dataset": done[:8], "labelled": done[8:], "chosen": bare[8:]},
        "known": {"dataset": [*done[:3], *bare[3:]], "labelled": done[3:]},
        "order": {"labelled": done[::-1]},
        "no set": {"labelled": [done[0].with_(split=None), *done[1:]]},
        "old name": {},
    }[case]
    given = {name: PESData(frames) for name, frames in given.items()}
    given["splits"] = Dict(SETS)
    given["names"] = Dict({"theory": "new", "former": ["made-up"] if case == "old name" else []})
    assert label.merged_already(**given) is None
    found = made(label.merge_labels, **given)
    assert found.ids == [f.id for f in (done[1:] if case == "failed" else done)]
    assert found.n_labelled == len(found)
    assert (found.column("split") > 0).all()
    assert found.theories == ["new" if case == "old name" else "made-up"]


def test_a_single_part_is_what_was_gathered(done, bare):
    failures = [base.failed(frame, "bad") for frame in bare[5:7]]
    labelled = [*done[:5], *done[7:]]
    parts = {"labelled_part_0": PESData(labelled), "failures_part_0": PESData(failures)}
    given = {"dataset": PESData(bare), "lost": Dict({})}
    found = label.gathered_already(given["dataset"], parts)
    assert found == {"labelled": parts["labelled_part_0"], "failures": parts["failures_part_0"]}
    wanted = made(label.gather_parts, **given, **parts)
    assert all(same(found[name], wanted[name]) for name in ("labelled", "failures"))
    disordered = parts | {"labelled_part_0": PESData(labelled[::-1])}
    lost_in_disorder = parts | {"failures_part_0": PESData(failures[::-1])}
    incomplete = parts | {"failures_part_0": PESData()}
    more = parts | {"labelled_part_1": PESData(done[:1])}
    for other in (disordered, lost_in_disorder, incomplete, more, {}):
        assert label.gathered_already(given["dataset"], other) is None


def test_a_job_is_asked_the_same_whatever_labels_a_frame_has(done, bare):
    assert label.is_bare(PESData(bare))
    partial = done[0].with_(labels=Labels(1.0, None, None, "made-up"))
    for frame in (partial, bare[0].with_(labels=Labels(theory="made-up")), done[0]):
        assert not label.is_bare(PESData([*bare, frame]))


# ── exploration ───────────────────────────────────────────────────────────────
def test_explorations_start_from_the_same_node_until_it_is_another_set(done, bare, silicon):
    first = PESData(done)
    assert explore.initial_already(first, None) is first
    assert same(first, made(explore.initial, dataset=first))
    moved = silicon.positions + 0.1
    origin = silicon.origin.__class__("md", iteration=1)
    new = Frame.make(silicon.numbers, moved, silicon.cell, True, labels=done[0].labels)
    later = PESData([*done, new.with_(origin=origin)])
    assert explore.initial_already(later, first) is first
    assert same(first, made(explore.initial, dataset=later))
    assert explore.initial_already(later, None) is None
    assert explore.initial_already(later, PESData(done[1:])) is None


@pytest.fixture
def explored(done):
    """Two runs, the second of which failed, as one job left them."""
    plan = Plan(starts=2, temperature=(300, 300), time=0.02, sample_every=0.01)
    initial = PESData(done).dataset
    runs = scheduling.schedule(initial, plan, 3, iteration=1)
    starts = scheduling.start_frames(initial, runs)
    frames = []
    for run in runs:
        start = starts.by_id(run.start)
        steps = [run.steps // 2, run.steps][: 2 if run is runs[0] else 1]
        frames += [cut(start, run, start.positions + 1e-3 * s, start.cell, s) for s in steps]
    lost = failed(starts.by_id(runs[1].start), runs[1], "too hot")
    asked = {"starts": PESData(starts), "schedule": Dict(scheduling.dump(runs))}
    return asked, frames, [lost]


def test_a_single_job_is_what_was_explored(explored):
    asked, frames, lost = explored
    parts = {"explored_0000": PESData(frames), "failures_0000": PESData(lost)}
    found = explore.explored_already(**asked, parts=parts)
    assert found == {"explored": parts["explored_0000"], "failures": parts["failures_0000"]}
    wanted = made(explore.gather_exploration, **asked, **parts)
    assert all(same(found[name], wanted[name]) for name in ("explored", "failures"))


@pytest.mark.parametrize("case", ["disordered", "no record", "two jobs", "none"])
def test_else_what_was_explored_is_gathered(explored, case):
    asked, frames, lost = explored
    parts = {"explored_0000": PESData(frames), "failures_0000": PESData(lost)}
    parts |= {
        "disordered": {"explored_0000": PESData(frames[::-1])},
        "no record": {"failures_0000": PESData()},
        "two jobs": {"explored_0001": PESData(frames[:1])},
        "none": {},
    }[case]
    given = {} if case == "none" else parts
    assert explore.explored_already(**asked, parts=given) is None
    found = made(explore.gather_exploration, **asked, **parts)
    assert found["explored"].ids == [frame.id for frame in frames]
    assert len(found["failures"]) == 1
    np.testing.assert_array_equal(found["explored"].column("iteration"), 1)
