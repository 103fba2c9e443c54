"""Running a plan: order, screening, vacuum, reproducibility, bad input."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Literal

import numpy as np
import pytest
from ase.build import bulk, graphene, mx2
from pydantic import Field

from trainspot.augment import steps as running
from trainspot.augment.base import GROUP, Scope, Strategy, child
from trainspot.augment.plan import DEFAULT_PLAN, augment, check_inputs, parse_plan
from trainspot.common import plugins
from trainspot.common.errors import InputError, UnknownNameError
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame, Labels
from trainspot.geometry import overlapping, vacuum_gaps

SMALL = [
    {"kind": "input"},
    {"kind": "supercell", "min_length": 6.0, "max_atoms": 40},
    {"kind": "rattle", "copies": 10},
    {"kind": "isolated"},
]


@pytest.fixture
def inputs() -> Dataset:
    """A crystal and a sheet with too little vacuum."""
    sheet = graphene(vacuum=3)
    return Dataset.from_frames([Frame.from_atoms(bulk("Si")), Frame.from_atoms(sheet)])


class Echo(Strategy):
    """A strategy from elsewhere: copies, and pairs of atoms on top of each other."""

    kind: Literal["echo"] = "echo"
    distance: float = Field(0.0)

    def generate(self, frames: Sequence[Frame], rng: np.random.Generator) -> Iterator[Frame]:
        for frame in frames:
            positions = frame.positions.copy()
            positions[0] = positions[1] + [self.distance, 0, 0]
            yield child(frame, self.kind, positions=positions)
            yield child(frame, self.kind, positions=frame.positions)


def test_every_frame_is_kept_once_screened_and_has_a_parent(inputs):
    made = augment(inputs, parse_plan(SMALL), seed=1)
    frames = list(made.dataset)
    assert made.dataset.counts("strategy") == {
        "supercell": 2,
        "input": 2,
        "rattle": 14,
        "vacancies": 6,
        "isolated": 2,
    }
    ids = set(made.dataset.ids)
    assert len(ids) == len(frames)
    assert made.refused == {}
    assert not any(overlapping(frame) for frame in frames)
    for frame in frames:
        if frame.origin.strategy in ("supercell", "rattle", "vacancies"):
            assert frame.origin.parent in ids
    supercells = {f.id for f in frames if f.origin.strategy == "supercell"}
    assert {f.origin.parent for f in frames if f.origin.strategy == "rattle"} == supercells


def test_supercells_come_first_wherever_they_stand_in_the_plan(inputs):
    forward = augment(inputs, parse_plan(SMALL), seed=1).dataset
    backward = augment(inputs, parse_plan(SMALL[::-1]), seed=1).dataset
    assert set(forward.ids) == set(backward.ids)


def test_same_seed_same_ids_another_seed_others(inputs):
    runs = [augment(inputs, parse_plan(DEFAULT_PLAN), seed).dataset for seed in (5, 5, 6)]
    one, again, other = (set(run.ids) for run in runs)
    assert one == again
    fixed = {"input", "supercell", "slab", "isolated"}  # nothing random in them
    assert one & other == {f.id for f in runs[0] if f.origin.strategy in fixed}


def test_the_default_list_is_that_of_the_paper():
    """Every strategy but alloy, whose elements nobody can guess; supercells first."""
    kinds = [item["kind"] for item in DEFAULT_PLAN]
    with_rattle = {"strain", "vacancies"}
    assert {*kinds, *with_rattle, "alloy"} == set(plugins.names(GROUP))
    assert kinds[0] == "supercell"
    sheet = Frame.from_atoms(mx2("MoTe2", "2H", a=3.52, thickness=3.6, vacuum=10))
    made = augment(Dataset.from_frames([sheet]), parse_plan(DEFAULT_PLAN), 1)
    counts = made.dataset.counts("strategy")
    refused = made.refused.get("overlap", 0)
    assert counts["supercell"] == counts["input"] == 1
    assert counts["rattle"] + counts["vacancies"] == 50
    assert counts["isolated"] == 2
    assert 20 - refused <= counts["cluster"] <= 20
    assert 8 <= counts["swap"] <= 0.2 * 71 + 0.5, "a fifth of what has two elements"
    diamond = Frame.from_atoms(bulk("C", a=3.57))
    counts = augment(Dataset.from_frames([diamond]), parse_plan(DEFAULT_PLAN), 1)
    assert counts.dataset.counts("strategy") == {
        "supercell": 1,
        "rattle": 35,
        "vacancies": 15,
        "cluster": 20,
        "slab": 3,
        "isolated": 1,
        "input": 1,
    }


def test_ids_are_those_of_every_machine(silicon):
    """A value that must never change: campaigns are resumed on other machines."""
    made = augment(Dataset.from_frames([silicon]), parse_plan(SMALL[:3]), seed=42)
    assert (
        made.dataset.ids[-1] == "0af2c660b2ab2b8b222a2cdfe457214f584ff5320a394fda09d5a11d5eaaaddf"
    )


def test_ids_of_every_strategy_are_those_of_every_machine(data_regression):
    """Of a sheet and a crystal of two elements; made by this test, with --force-regen."""
    sheet = mx2("MoTe2", "2H", a=3.52, thickness=3.6, vacuum=10)
    given = Dataset.from_frames(
        [Frame.from_atoms(sheet), Frame.from_atoms(bulk("GaAs", "zincblende", a=5.65))]
    )
    needed = {
        "alloy": {"alloy_species": ["Al", "In"], "copies": 2},
        "slab": {"thickness": 5.0, "min_length": 4.0},
        "swap": {"share": 1.0},
    }
    first = {"kind": "supercell", "min_length": 6.0, "max_atoms": 40}
    found = {}
    for kind in plugins.names(GROUP):
        rest = [] if kind == first["kind"] else [{"kind": kind} | needed.get(kind, {})]
        plan = parse_plan([first, *rest])
        ids = augment(given, plan, seed=42).dataset.ids
        found[kind] = {"frames": len(ids), "digest": sha256("".join(ids).encode()).hexdigest()[:16]}
    data_regression.check(found)


def test_each_frame_can_be_made_again_from_its_seed(inputs):
    from trainspot.augment.base import from_seed

    made = augment(inputs, parse_plan([{"kind": "strain", "copies": 3}]), seed=1).dataset
    (strategy,) = parse_plan([{"kind": "strain", "copies": 3}])
    for frame in made:
        parent = inputs.by_id(frame.origin.parent) if frame.pbc.all() else None
        if parent is not None:
            _, done = strategy.draw(parent, from_seed(frame.origin.seed))
            assert done == frame.origin.parameters


def test_refused_frames_are_counted_by_reason(silicon):
    made = augment(Dataset.from_frames([silicon]), [*parse_plan([{"kind": "input"}]), Echo()], 1)
    assert made.refused == {"overlap": 1, "duplicate": 1}
    assert made.dataset.ids == [silicon.id]


def test_the_screen_is_a_limit_not_a_verdict_on_the_strategy(silicon):
    made = augment(Dataset.from_frames([silicon]), [Echo(distance=1.4)], 1)
    assert made.refused == {}
    assert len(made.dataset) == 2


def test_every_frame_gets_its_vacuum(inputs):
    made = augment(inputs, parse_plan(SMALL), seed=1, vacuum=18.0)
    for frame in made.dataset:
        assert np.all(vacuum_gaps(frame)[~frame.pbc] >= 18.0 - 1e-5)
    assert any("vacuum enlarged to 18.0" in note for note in made.notes)
    kept = next(f for f in made.dataset if f.origin.strategy == "input" and not f.pbc.all())
    assert kept.origin.parent == inputs[1].id


def test_labelled_inputs_are_kept_as_they_are():
    frame = Frame.from_atoms(graphene(vacuum=3), labels=Labels(-18.0, np.zeros((2, 3)), None, "x"))
    made = augment(Dataset.from_frames([frame]), parse_plan(SMALL), seed=1)
    kept = made.dataset.by_id(frame.id)
    assert kept.labels.energy == -18.0
    assert len(made.dataset.labelled()) == 1


def test_an_empty_plan_passes_the_inputs_on(silicon):
    assert augment(Dataset.from_frames([silicon]), [], 1).dataset.ids == [silicon.id]


def test_copies_among_the_inputs_are_noted(silicon):
    made = augment(Dataset.from_frames([silicon, silicon]), [], 1)
    assert made.dataset.ids == [silicon.id]
    assert made.notes == ["1 input left out, because they equal another input"]


def test_a_large_input_is_its_own_supercell(silicon):
    plan = parse_plan([{"kind": "input"}, {"kind": "supercell", "min_length": 5}])
    made = augment(Dataset.from_frames([silicon]), plan, 1)
    assert made.dataset.ids == [silicon.id]
    assert made.refused == {}


@pytest.mark.parametrize("parameter", [
    {"copies": 9}, {"fraction": 0.2}, {"strain": None}, {"vacancies": None},
    {"strain": {"mode": "full"}}, {"strain": {"range": [-0.1, 0.1]}},
    {"vacancies": {"count": 1}}, {"vacancies": {"share": 1.0}},
])  # fmt: skip
def test_every_parameter_of_rattle_changes_something(silicon, parameter):
    data = Dataset.from_frames([silicon])
    plain = augment(data, parse_plan([{"kind": "rattle", "copies": 10}]), 1).dataset.ids
    changed = [{"kind": "rattle", "copies": 10} | parameter]
    assert augment(data, parse_plan(changed), 1).dataset.ids != plain


# ── step by step ──────────────────────────────────────────────────────────────
class Give(Strategy):
    """A strategy from elsewhere: what it was given, or copies of it, as often as asked."""

    kind: Literal["give-2"] = "give-2"
    wants: str = "inputs"
    copies: int = 0

    @property
    def scope(self) -> Scope:
        return Scope(self.wants)

    def generate(self, frames: Sequence[Frame], rng: np.random.Generator) -> Iterator[Frame]:
        for frame in frames:
            for number in range(self.copies):
                seed = 10 * (self.wants == "prepared") + number
                yield child(frame, self.kind, positions=frame.positions, seed=seed)
            if not self.copies:
                yield frame


def test_steps_have_a_place_a_number_of_their_kind_and_a_label():
    plan = [*parse_plan([*SMALL, {"kind": "rattle"}]), Give()]
    steps = running.steps_of(plan)
    assert [(step.label, step.place, step.number) for step in steps] == [
        ("supercell_2", 1, 0),
        ("input_1", 0, 0),
        ("rattle_3", 2, 0),
        ("isolated_4", 3, 0),
        ("rattle_5", 4, 1),
        ("give_2_6", 5, 0),
    ]
    assert [running.sources_of(step, steps) for step in steps[:3]] == [[], [], ["supercell_2"]]
    plan.insert(2, Give(wants="made"))
    steps = running.steps_of(plan)
    step = next(step for step in steps if step.place == 2)
    assert running.sources_of(step, steps) == ["supercell_2", "input_1"]
    assert [step.label for step in running.steps_of([])] == ["input_1"]


def test_another_strategy_in_the_plan_changes_no_random_numbers(silicon):
    data = Dataset.from_frames([silicon])
    rattles = [{"kind": "rattle", "copies": 3}] * 2
    more = [rattles[0], {"kind": "strain", "copies": 2}, {"kind": "isolated"}, rattles[1]]
    alone = augment(data, parse_plan(rattles), 4).dataset.ids
    together = augment(data, parse_plan(more), 4).dataset
    assert [f.id for f in together if f.origin.strategy in ("rattle", "vacancies")] == alone
    assert len(set(alone)) == 6  # the second of a kind is not the first again


@pytest.mark.parametrize(
    ("plan", "duplicates"),
    [
        ([Give(), Give()], 0),
        ([Give(copies=2)], 1),
        ([Give(), Give(copies=2)], 2),
        ([Give(copies=2), Give()], 2),
        ([Give(wants="prepare"), Give(), Give(wants="prepared")], 0),
        ([Give(wants="prepare", copies=1), Give(wants="prepared")], 0),
        ([Give(wants="prepare", copies=1), Give(wants="prepared", copies=2)], 2),
        ([Give(wants="prepare", copies=1), Give(wants="prepare", copies=1)], 1),
        ([Give(wants="prepare", copies=1), Give(wants="prepared"), Give()], 1),
        ([Give(wants="made"), Give(wants="made")], 0),
        ([Give(), Give(wants="made")], 0),
        ([Give(), Give(wants="made", copies=2)], 2),
        ([Give(wants="prepare", copies=1), Give(wants="made")], 0),
    ],
)
def test_frames_made_twice_are_counted_and_inputs_stay_inputs(silicon, plan, duplicates):
    """What is passed on is no duplicate of itself; labels are never lost to a copy."""
    labelled = silicon.with_(labels=Labels(-1.0, np.zeros((8, 3)), None, "x"))
    made = augment(Dataset.from_frames([labelled]), plan, 1)
    assert made.refused == ({"duplicate": duplicates} if duplicates else {})
    assert [frame.id for frame in made.dataset] == [silicon.id]
    assert made.dataset[0].origin.strategy == "input"
    assert made.dataset[0].labels.energy == -1.0


def test_inputs_that_differ_in_their_vacuum_alone_are_one():
    sheet = graphene(vacuum=3)
    frames = []
    for height in (6.0, 8.0, 20.0):
        sheet.cell[2, 2] = height
        frames.append(Frame.from_atoms(sheet))
    frames[2] = frames[2].with_(labels=Labels(-1.0, np.zeros((2, 3))))
    part = running.pad_inputs(Dataset.from_frames(frames), 20.0)
    assert len(part.frames) == 1
    assert part.frames[0].labels.energy == -1.0
    assert part.notes[-1] == "2 inputs left out, because they equal another input"


def test_a_sheet_that_is_read_as_a_crystal_is_pointed_out():
    sheet = graphene(vacuum=8.0)
    given = Frame.from_atoms(sheet)
    sheet.pbc = True
    crystals = [Frame.from_atoms(sheet), Frame.from_atoms(sheet * (2, 1, 1))]
    assert running.pad_inputs(Dataset.from_frames([given])).notes == []
    (note,) = running.pad_inputs(Dataset.from_frames(crystals)).notes
    assert note.startswith("input C2 ")
    assert "16.0 Å without atoms along c, a periodic direction (1 other input has this too)" in note
    assert "--periodic TTF" in note


def test_many_overlaps_of_a_strategy_are_a_note_with_a_remedy(silicon):
    plan = parse_plan([{"kind": "cluster", "distance": 1.0}, {"kind": "rattle", "copies": 2}])
    made = augment(Dataset.from_frames([silicon]), plan, 1)
    refused = made.by_step["cluster_1"]["overlap"]
    assert f"cluster: {refused} of 20 frames overlapped; try distance: auto" in made.notes
    assert not [note for note in made.notes if note.startswith("rattle")]


# ── bad input ─────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({"kind": "ratle"}, "unknown augmentation 'ratle'; did you mean 'rattle'?"),
        ({"kind": "rattle", "copeis": 3}, "unknown key 'copeis'; did you mean 'copies'?"),
        ({"kind": "rattle", "strain": {"rang": 1}}, "unknown key 'rang'; did you mean 'range'?"),
        ({"kind": "rattle", "vacancies": {"shares": 1}}, "did you mean 'share'?"),
        ({"kind": "rattle", "fraction": 1.5}, "rattle.fraction must be at most 1"),
        ({"kind": "rattle", "fraction": float("nan")}, "rattle.fraction must be a finite number"),
        ({"kind": "strain", "range": [0.3, 0.1]}, "range must be two numbers in order"),
        ({"kind": "isolated", "box": -1}, "isolated.box must be greater than 0"),
        ({"kind": "rattle", "copies": 0}, "rattle.copies must be at least 1"),
        ({"copies": 3}, "a strategy needs a 'kind'"),
    ],
)
def test_bad_plans_are_refused_in_one_line(item, message):
    with pytest.raises(InputError) as caught:
        parse_plan([item], where="c.yaml:3")
    assert message in str(caught.value)
    assert str(caught.value).startswith("c.yaml:3: ")
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, UnknownNameError) == ("unknown" in str(caught.value))


@pytest.mark.parametrize(("distance", "good"), [(0.41, True), (0.39, False)])
def test_inputs_with_labelled_forces_may_be_close(distance, good):
    at = [[0.0, 0.0, 0.0], [distance * 2 * 1.11, 0.0, 0.0]]
    bare = Frame.make([14, 14], at)
    labelled = bare.with_(labels=Labels(-1.0, np.zeros((2, 3)), None, "t"))
    with pytest.raises(InputError, match="overlapping atoms"):
        check_inputs([bare])
    if good:
        made = augment(Dataset.from_frames([labelled]), [], 0).dataset
        assert [frame.id for frame in made] == [labelled.id]
    else:
        with pytest.raises(InputError, match="overlapping atoms"):
            check_inputs([labelled])


def test_overlapping_inputs_are_refused_by_name(silicon):
    bad = Frame.make([14, 14], [[0, 0, 0], [0, 0, 0.5]], np.eye(3) * 9, True)
    with pytest.raises(
        InputError, match=r"x\.cif, structure 2 \(Si2\): overlapping atoms: atoms 1"
    ):
        check_inputs([silicon, bad], "x.cif")
    with pytest.raises(InputError, match="structure 1"):
        augment(Dataset.from_frames([bad]), parse_plan(SMALL), 1)


def test_no_structures_is_an_error():
    with pytest.raises(InputError, match="no structures"):
        augment(Dataset.from_frames([]), parse_plan(SMALL), 1)


@pytest.mark.parametrize("vacuum", [-1.0, float("nan"), float("inf")])
def test_impossible_vacuum_is_refused(silicon, vacuum):
    with pytest.raises(InputError, match="vacuum"):
        augment(Dataset.from_frames([silicon]), [], 1, vacuum=vacuum)


@pytest.mark.parametrize("atoms_first", [True, False])
def test_isolated_atoms_of_what_alloys_bring(atoms_first, silicon):
    alloy = {"kind": "alloy", "alloy_species": ["Si", "Ge", "C"]}
    items = [alloy, {"kind": "isolated", "species": ["Sn"]}]
    plan = parse_plan(items[::-1] if atoms_first else items)
    made = augment(Dataset.from_frames([silicon]), plan, 1).dataset
    atoms = [frame for frame in made if frame.origin.strategy == "isolated"]
    assert sorted(str(frame.to_atoms().symbols) for frame in atoms) == ["C", "Ge", "Si", "Sn"]
