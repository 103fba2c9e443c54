"""Datasets: columns and frames say the same, selections and merges lose nothing."""

from __future__ import annotations

import pickle
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from trainspot.common.errors import DataError
from trainspot.data import hdf5
from trainspot.data.dataset import CHUNK, Dataset
from trainspot.data.frames import SPLITS, Frame, Labels, Origin

FINITE = st.floats(-1e3, 1e3, allow_nan=False)


@st.composite
def frames(draw, max_atoms: int = 4) -> Frame:
    """A frame with any combination of what a frame may have."""
    n = draw(st.integers(1, max_atoms))
    vectors = hnp.arrays(np.float64, (n, 3), elements=FINITE)
    pbc = draw(st.booleans())
    labels = Labels(
        draw(st.none() | FINITE),
        draw(st.none() | vectors),
        draw(st.none() | hnp.arrays(np.float64, (3, 3), elements=FINITE)),
        draw(st.sampled_from(["", "one", "two"])),
    )
    origin = Origin(
        strategy=draw(st.sampled_from(["input", "rattle", "md"])),
        parent=draw(st.sampled_from(["", "f" * 64])),
        parameters=draw(st.dictionaries(st.sampled_from("abc"), FINITE, max_size=2)),
        seed=draw(st.none() | st.integers(0, 2**63 - 1)),
        trajectory=draw(st.sampled_from(["", "t1"])),
        iteration=draw(st.integers(0, 100)),
    )
    return Frame.make(
        draw(hnp.arrays(np.int64, n, elements=st.integers(1, 118))),
        draw(vectors),
        np.eye(3) * draw(st.floats(1, 50)) if pbc else None,
        pbc,
        labels=labels,
        origin=origin,
        split=draw(st.sampled_from([None, *SPLITS])),
        arrays=draw(st.fixed_dictionaries({}, optional={"q": vectors, "tag": st.just([7] * n)})),
        info=draw(st.dictionaries(st.sampled_from("xyz"), FINITE | st.text("aé", max_size=3))),
    )


def contents(frame: Frame) -> tuple:
    """Everything a frame holds, comparable."""

    def plain(array):
        return None if array is None else (array.dtype.str, array.shape, array.tobytes())

    labels = frame.labels
    return (
        *(plain(a) for a in (frame.numbers, frame.positions, frame.cell, frame.pbc)),
        *(frame.id, labels.energy, plain(labels.forces), plain(labels.stress), labels.theory),
        *(frame.origin, frame.split, dict(frame.info)),
        {name: plain(array) for name, array in frame.arrays.items()},
    )


def same(dataset, expected) -> bool:
    return [contents(f) for f in dataset] == [contents(f) for f in expected]


@given(st.lists(frames(), max_size=6))
def test_frames_come_back_as_they_went_in(given_frames):
    dataset = Dataset.from_frames(given_frames)
    assert len(dataset) == len(given_frames)
    assert same(dataset, given_frames)
    assert same([dataset[i] for i in range(len(dataset))], given_frames)


@given(st.lists(frames(), max_size=8), st.data())
def test_taking_rows_is_indexing_a_list(given_frames, data):
    dataset = Dataset.from_frames(given_frames)
    n = len(given_frames)
    rows = data.draw(st.lists(st.integers(-n, n - 1), max_size=6) if n else st.just([]))
    assert same(dataset.take(rows), [given_frames[i] for i in rows])
    assert same(dataset[rows], [given_frames[i] for i in rows])
    cut = data.draw(st.slices(n))
    assert same(dataset[cut], given_frames[cut])
    mask = data.draw(hnp.arrays(np.bool_, n))
    kept = [f for f, k in zip(given_frames, mask, strict=True) if k]
    assert same(dataset[mask], kept)


@given(st.lists(st.lists(frames(), max_size=3), max_size=4))
def test_concatenating_is_adding_lists(groups):
    whole = Dataset.concatenate(Dataset.from_frames(group) for group in groups)
    assert same(whole, [frame for group in groups for frame in group])


@given(st.lists(frames(), max_size=9), st.integers(1, 4))
def test_chunks_cover_everything_in_order(given_frames, size):
    chunks = list(Dataset.from_frames(given_frames).chunks(size))
    assert all(1 <= len(chunk) <= size for chunk in chunks)
    assert same([f for chunk in chunks for f in chunk], given_frames)


def test_iteration_crosses_the_internal_chunk_boundary(silicon):
    positions = np.arange(1100)
    many = [Frame.make([14], [[x, 0, 0]]) for x in positions]
    assert [f.positions[0, 0] for f in Dataset.from_frames(many)] == positions.tolist()


@given(
    st.lists(frames(), max_size=8),
    st.sampled_from([None, *SPLITS]),
    st.sampled_from([None, True, False]),
)
def test_views_are_filters(given_frames, split, labelled):
    dataset = Dataset.from_frames(given_frames)
    expected = [
        f
        for f in given_frames
        if split in (None, f.split)
        and labelled in (None, f.labels.energy is not None and f.labels.forces is not None)
    ]
    assert same(dataset.frames(split=split, labelled=labelled), expected)


def test_views_cross_the_internal_chunk_boundary():
    many = [Frame.make([14], [[x, 0, 0]], split=SPLITS[x % 2]) for x in range(2100)]
    found = Dataset.from_frames(many).frames(split="train")
    assert [f.positions[0, 0] for f in found] == list(range(0, 2100, 2))


@pytest.mark.parametrize("view", [{}, {"labelled": False}])
def test_iteration_holds_one_chunk_and_a_kept_frame_only_itself(tmp_path, view):
    frame = Frame.make([14] * 50, np.random.default_rng(1).uniform(0, 9, (50, 3)))
    held = {}
    for n_chunks in (1, 4):
        path = tmp_path / f"{n_chunks}.h5"
        hdf5.write(Dataset.from_frames([frame]).take(np.zeros(n_chunks * CHUNK, int)), path)
        with hdf5.opened(path) as dataset:
            found = dataset.frames(**view)
            tracemalloc.start()
            kept = [one for row, one in enumerate(found) if row % CHUNK == 0]
            held[n_chunks] = tracemalloc.get_traced_memory()
            tracemalloc.stop()
        assert same(kept, [frame] * n_chunks)
    chunk = CHUNK * frame.positions.nbytes
    assert held[4][1] < held[1][1] + chunk / 2, "no chunk is held while the next is read"
    assert held[4][0] < chunk, "no chunk is kept by a frame of it"


def written(tmp_path_factory, given_frames, data):
    """A file of the frames, and rows of it in any order, from the end too."""
    path = tmp_path_factory.mktemp("written") / "frames.h5"
    hdf5.write(Dataset.from_frames(given_frames), path)
    n = len(given_frames)
    return path, data.draw(st.lists(st.integers(-n, n - 1), max_size=20))


@given(st.lists(frames(), min_size=1, max_size=12), st.data())
def test_single_frames_in_any_order_are_those_of_the_list(tmp_path_factory, given_frames, data):
    path, rows = written(tmp_path_factory, given_frames, data)
    small = {"CHUNK": 2, "_BLOCKS": 3}  # more blocks than are kept
    with pytest.MonkeyPatch.context() as patch, hdf5.opened(path) as dataset:
        for name, value in small.items():
            patch.setattr(f"trainspot.data.dataset.{name}", value)
        assert same([dataset[row] for row in rows], [given_frames[row] for row in rows])
        assert len(dataset._blocks) <= 3, "memory does not grow with the frames asked for"


@given(st.lists(frames(), min_size=1, max_size=12), st.data())
def test_a_part_is_what_is_taken_and_reads_when_asked(tmp_path_factory, given_frames, data):
    path, rows = written(tmp_path_factory, given_frames, data)
    size = data.draw(st.integers(1, 7))
    blocks = data.draw(st.integers(1, 5))
    with pytest.MonkeyPatch.context() as patch, hdf5.opened(path) as dataset:
        patch.setattr("trainspot.data.rows._BLOCK_ROWS", blocks)
        part, taken = dataset.part(rows), dataset.take(rows)
        assert part.ids == taken.ids
        assert same(
            [f for chunk in part.chunks(size) for f in chunk], [given_frames[r] for r in rows]
        )
        assert same([part[row] for row in range(len(rows))], list(taken))
        hdf5.write(part, path.with_name("part.h5"))
        hdf5.write(taken, path.with_name("taken.h5"))
    assert path.with_name("part.h5").read_bytes() == path.with_name("taken.h5").read_bytes()


def test_a_part_has_no_other_rows_than_those_asked_for(labelled_frames):
    dataset = Dataset.from_frames(labelled_frames)
    with pytest.raises(IndexError, match="out of range"):
        dataset.part([12])
    column = dataset.part([3, 1]).columns["energy"]
    assert (column.ndim, len(column), column.shape, column.dtype) == (1, 2, (2,), np.float64)
    assert column[...].tolist() == [labelled_frames[row].labels.energy for row in (3, 1)]
    assert column[5:9].tolist() == column[1:1].tolist() == []
    with pytest.raises(IndexError, match="one after another"):
        column[::2]


def test_a_single_frame_cannot_be_changed(tmp_path, labelled_frames):
    dataset = Dataset.from_frames(labelled_frames)
    hdf5.write(dataset, tmp_path / "a.h5")
    with hdf5.opened(tmp_path / "a.h5") as lazy:
        for frame in (dataset[2], lazy[2]):
            arrays = (frame.numbers, frame.positions, frame.cell, frame.pbc, frame.labels.forces)
            assert not any(array.flags.writeable for array in arrays)


def test_another_process_gets_the_frames_alone(labelled_frames):
    dataset = Dataset.from_frames(labelled_frames)
    before = len(pickle.dumps(dataset))
    assert same([dataset[3], dataset[0]], [labelled_frames[3], labelled_frames[0]])
    assert dataset.ids
    assert len(pickle.dumps(dataset)) == before, "what was read for single frames stays here"
    assert same(pickle.loads(pickle.dumps(dataset)), labelled_frames)


# ── rows ──────────────────────────────────────────────────────────────────────
def test_rows_that_do_not_exist(labelled_frames):
    dataset = Dataset.from_frames(labelled_frames)
    for wrong in (12, -13):
        with pytest.raises(IndexError):
            dataset[wrong]
        with pytest.raises(IndexError, match="out of range"):
            dataset[[0, wrong]]
    with pytest.raises(TypeError, match="integers"):
        dataset[[0.5]]
    with pytest.raises(ValueError, match="mask of shape"):
        dataset[np.ones(3, dtype=bool)]


def test_membership_and_index_go_by_identity(labelled_frames):
    dataset = Dataset.from_frames(labelled_frames)
    foreign = Frame.make([6], [[0, 0, 0]])
    assert labelled_frames[3] in dataset
    assert labelled_frames[3].id in dataset
    assert foreign not in dataset
    assert dataset.index(labelled_frames[3]) == dataset.index(labelled_frames[3].id) == 3
    assert dataset.by_id(labelled_frames[5].id).id == labelled_frames[5].id
    twice = Dataset.concatenate([dataset, dataset])
    assert twice.count(labelled_frames[3]) == 2
    assert twice.index(labelled_frames[3], 4) == 15
    assert twice.index(labelled_frames[3], -12) == 15
    with pytest.raises(ValueError, match="no frame"):
        twice.index(labelled_frames[3], 4, 15)
    with pytest.raises(ValueError, match="no frame"):
        dataset.index(foreign)


def test_select_and_without(labelled_frames):
    dataset = Dataset.from_frames(labelled_frames)
    chosen = [labelled_frames[7].id, labelled_frames[2].id]
    assert dataset.select(chosen).ids == chosen
    assert dataset.without(chosen).ids == [i for i in dataset.ids if i not in chosen]
    with pytest.raises(ValueError, match="no frame abc"):
        dataset.select(["abc"])


def test_filter_and_subsets(labelled_frames):
    splits = ["train", "validation", "test", None]
    varied = [f.with_(split=splits[i % 4]) for i, f in enumerate(labelled_frames)]
    dataset = Dataset.from_frames(varied)
    for split in SPLITS:
        assert dataset.subset(split).ids == [f.id for f in varied if f.split == split]
    assert len(dataset.filter(lambda f: f.split is None)) == 3


def test_a_level_of_theory_without_a_label_does_not_depend_on_the_order():
    frame = Frame.make([14], [[0.0, 0.0, 0.0]])
    named = frame.with_(labels=Labels(theory="one"))
    for pair in ([frame, named], [named, frame]):
        assert Dataset.from_frames([]).merge(Dataset.from_frames(pair))[0].labels.theory == "one"


# ── merging: what a frame is must not depend on which side it comes from ──────
def groups_of_copies():
    """A few geometries, each in several parts with labels, sets and origins of their own."""
    made = st.lists(frames(), min_size=1, max_size=3)
    return st.tuples(made, st.lists(st.lists(st.integers(0, 2), max_size=4), max_size=4), st.data())


@given(groups_of_copies())
def test_a_merge_knows_no_sides(drawn):
    geometries, picks, data = drawn
    sets = [data.draw(st.sampled_from(SPLITS)) for _ in geometries]
    # Copies with other labels must agree in all else, or they are refused.
    torn = [data.draw(st.booleans()) for _ in geometries]
    parts = []
    for pick in picks:
        part = []
        for number in (n % len(geometries) for n in pick):
            other = data.draw(frames(max_atoms=1))
            labels = geometries[number].labels
            varied = {}
            if labels.energy is not None and torn[number]:
                labels = Labels(data.draw(FINITE), labels.forces, None, labels.theory)
            else:
                arrays = data.draw(st.sampled_from([{}, geometries[number].arrays]))
                varied = {"info": other.info, "arrays": arrays}
            part.append(
                geometries[number].with_(
                    labels=data.draw(st.sampled_from([Labels(), labels])),
                    split=data.draw(st.sampled_from([None, sets[number]])),
                    origin=other.origin,
                    **varied,
                )
            )
        parts.append(Dataset.from_frames(part))
    merged = Dataset.from_frames([]).merge(*parts)
    copies = [frame for part in parts for frame in part]
    assert merged.ids == list(dict.fromkeys(frame.id for frame in copies))
    for frame in merged:
        mine = [copy for copy in copies if copy.id == frame.id]
        assert {frame.split} == ({c.split for c in mine} - {None} or {None})
        assert bool(frame.labels) == any(c.labels for c in mine)
        assert frame.origin.iteration == min(c.origin.iteration for c in mine)
        assert any(frame.origin == c.origin for c in mine)
        assert any(frame.info == c.info and same([frame.with_(origin=c.origin, split=c.split)], [c])
                   for c in mine)  # fmt: skip
    order = data.draw(st.permutations(parts))
    inward = Dataset.from_frames([])
    for part in order:
        inward = part.merge(inward)
    by_id = sorted(merged, key=lambda frame: frame.id)
    assert same(by_id, sorted(inward, key=lambda frame: frame.id))
    assert same(merged.merge(*parts), merged)


def test_a_test_frame_that_is_found_again_stays_a_test_frame(silicon):
    known = Dataset.from_frames([silicon.with_(split="test")])
    origin = Origin("md", "p" * 64, trajectory="t1", iteration=2)
    found = Dataset.from_frames([silicon.with_(origin=origin)])
    for merged in (known.merge(found), found.merge(known)):
        assert [frame.split for frame in merged] == ["test"]
        assert merged[0].origin == silicon.origin


def test_a_frame_cannot_be_in_two_sets(silicon):
    train, test = (Dataset.from_frames([silicon.with_(split=s)]) for s in ("train", "test"))
    for one, other in ((train, test), (test, train)):
        with pytest.raises(DataError, match="same geometry is in the splits train and test"):
            one.merge(other)


def test_a_merge_never_loses_a_label(labelled_frames):
    bare = [f.with_(labels=Labels(), split="test") for f in labelled_frames]
    merged = Dataset.from_frames(bare).merge(Dataset.from_frames(labelled_frames[::2]))
    assert merged.is_labelled.tolist() == [True, False] * 6
    assert merged[4].labels.energy == labelled_frames[4].labels.energy
    assert np.array_equal(merged[4].labels.forces, labelled_frames[4].labels.forces)
    assert merged[4].labels.theory == "made-up"
    assert set(merged.column("split").tolist()) == {3}
    both = Dataset.from_frames(labelled_frames).merge(Dataset.from_frames(bare))
    assert same(both, [f.with_(split="test") for f in labelled_frames])


def test_a_merge_keeps_the_most_complete_and_then_the_lowest_label(silicon):
    def labelled(energy, theory="pbe", stress=None, forces=True):
        labels = Labels(energy, np.zeros((8, 3)) if forces else None, stress, theory)
        return Dataset.from_frames([silicon.with_(labels=labels)])

    low, high, bare = labelled(1.0), labelled(2.0), Dataset.from_frames([silicon])
    whole = labelled(3.0, stress=np.eye(3))
    for parts in ((low, high), (high, low), (bare, high, low), (labelled(0.0, forces=False), low)):
        assert parts[0].merge(*parts[1:]).column("energy").tolist() == [1.0]
    for parts in ((low, whole), (whole, low)):
        merged = parts[0].merge(*parts[1:])[0].labels
        assert (merged.energy, merged.stress.trace()) == (3.0, 3.0)
    scan = labelled(2.0, "scan")
    for parts in ((low, scan), (scan, low), (bare, low, scan)):
        with pytest.raises(DataError, match=r"two levels of theory, 'pbe' and 'scan'"):
            parts[0].merge(*parts[1:])
    for parts in ((labelled(0.0, forces=False), scan), (scan, labelled(0.0, forces=False))):
        assert parts[0].merge(*parts[1:])[0].labels.theory == "scan"  # an energy alone is no label


def test_a_merge_of_an_open_file_outlives_it(tmp_path, labelled_frames):
    hdf5.write(Dataset.from_frames(labelled_frames), tmp_path / "a.h5")
    with hdf5.opened(tmp_path / "a.h5") as lazy:
        merged = lazy.merge()
    assert same(merged, labelled_frames)


def test_new_labels_replace_old_ones_and_absent_ones_do_not(labelled_frames):
    dataset = Dataset.from_frames(labelled_frames)
    new = labelled_frames[2].with_(labels=Labels(9.0, np.ones((8, 3)), theory="pbe"))
    bare = labelled_frames[3].with_(labels=Labels())
    changed = dataset.with_labels_of(Dataset.from_frames([bare, new]))
    assert changed[2].labels.energy == 9.0
    assert changed[2].labels.stress is None
    assert np.array_equal(changed[2].labels.forces, np.ones((8, 3)))
    assert same(changed.without([new.id]), [f for f in labelled_frames if f.id != new.id])
    assert same(dataset, labelled_frames)
