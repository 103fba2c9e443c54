"""The augmentation in AiiDA: the frames of the plain function, each step a node of the graph."""

from __future__ import annotations

import pytest
from aiida.common.links import LinkType
from aiida.engine import run_get_node
from aiida.orm import CalcFunctionNode, Dict, Node, QueryBuilder
from aiida.plugins import WorkflowFactory
from ase.build import bulk, graphene

from aiida_trainspot.data.pes import PESData
from aiida_trainspot.workflows.augment import DatasetAugmentationWorkChain
from trainspot import split
from trainspot.augment import steps as running
from trainspot.augment.plan import augment, parse_plan
from trainspot.data import hdf5
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame, Labels

pytestmark = pytest.mark.usefixtures("aiida_profile")

PLAN = [
    {"kind": "rattle", "copies": 4},
    {"kind": "input"},
    {"kind": "supercell", "min_length": 6.0, "max_atoms": 40},
    {"kind": "strain", "copies": 3, "range": [-0.7, 0.1]},
    {"kind": "rattle", "copies": 3, "strain": None},
    {"kind": "slab", "thickness": 4.0, "min_length": 1.0},
    {"kind": "swap"},
    {"kind": "isolated"},
]


def silicon_cell() -> Frame:
    return Frame.from_atoms(bulk("Si", a=5.43, cubic=True))


@pytest.fixture(scope="module")
def inputs() -> Dataset:
    """Crystals, a sheet with too little vacuum, a labelled molecule, and a copy."""
    sheet, cell = Frame.from_atoms(graphene(vacuum=3)), silicon_cell()
    molecule = Frame.make([14, 1], [[0, 0, 0], [0, 0, 1.5]], labels=Labels(-1.0, [[0] * 3] * 2))
    return Dataset.from_frames([Frame.from_atoms(bulk("Si")), sheet, cell, molecule, cell])


def calls(node):
    """Calcfunctions by the label of their call link, in the order they ran."""
    links = node.base.links.get_outgoing(link_type=LinkType.CALL_CALC).all()
    return {link.link_label: link.node for link in sorted(links, key=lambda link: link.node.pk)}


def run(dataset, plan, **rest):
    dataset = dataset if isinstance(dataset, PESData) else PESData(dataset)
    node = run_get_node(DatasetAugmentationWorkChain, dataset=dataset, plan=plan, **rest)[1]
    assert node.is_finished, node.exception
    return node


@pytest.fixture(scope="module")
def augmented(inputs, aiida_profile):
    """A run of the whole plan."""
    del aiida_profile
    node = run(inputs, PLAN, seed=7, vacuum=12.0)
    assert node.is_finished_ok, node.exit_message
    return node


# ── the frames ────────────────────────────────────────────────────────────────
def test_the_frames_are_those_of_the_plain_function(augmented, inputs, tmp_path):
    made = augment(inputs, parse_plan(PLAN), 7, vacuum=12.0)
    assert made.refused["overlap"] > 0
    assert made.notes
    assert augmented.outputs.dataset.ids == made.dataset.ids
    assert augmented.outputs.report.get_dict() == {
        "refused": made.refused,
        "by_step": made.by_step,
        "notes": made.notes,
        "frames": len(made.dataset),
    }
    hdf5.write(split.assign(made.dataset, seed=7), tmp_path / "plain.h5")
    augmented.outputs.dataset.write(tmp_path / "node.h5")
    assert (tmp_path / "node.h5").read_bytes() == (tmp_path / "plain.h5").read_bytes()


def test_an_empty_plan_passes_the_inputs_on(inputs):
    node = run(inputs, [], vacuum=5.0)
    assert node.outputs.dataset.ids == augment(inputs, [], 0, vacuum=5.0).dataset.ids
    assert node.outputs.report["notes"] == ["1 input left out, because they equal another input"]


def test_the_default_plan_by_entry_point_and_builder(silicon):
    builder = WorkflowFactory("trainspot.augment").get_builder()
    builder.dataset = PESData([silicon])
    builder.seed = 3
    builder.fractions = [0.5, 0.25, 0.25]
    node = run_get_node(builder)[1]
    assert node.is_finished_ok, node.exit_message
    assert node.outputs.dataset.counts("strategy") == {
        "supercell": 1,
        "input": 1,
        "rattle": 35,
        "vacancies": 15,
        "cluster": 20,
        "slab": 3,
        "isolated": 1,
    }
    assert len(node.outputs.dataset.subset("validation")) == 19


# ── the graph ─────────────────────────────────────────────────────────────────
def test_each_strategy_is_a_calcfunction_and_all_merge_in_one_node(augmented):
    called = calls(augmented)
    steps = ["supercell_3", "rattle_1", "input_2", "strain_4", "rattle_5", "slab_6", "swap_7"]
    steps.append("isolated_8")
    assert list(called) == ["inputs", *steps, "merge"]
    assert all(isinstance(child, CalcFunctionNode) for child in called.values())
    padded = called["inputs"].outputs.result
    for label in steps:
        child = called[label]
        assert child.process_label == "run_step"
        assert isinstance(child.outputs.result, PESData)
        prepared = label.startswith(("rattle", "strain", "swap"))
        parent = called["supercell_3"].outputs.result if prepared else padded
        assert child.inputs["supercell_3" if prepared else "inputs"].uuid == parent.uuid
        assert called["merge"].inputs[label].uuid == child.outputs.result.uuid
    swapped = called["swap_7"]
    earlier = set(steps) - {"swap_7", "isolated_8"}
    assert earlier == {key for key in swapped.inputs if key in steps}
    assert all(swapped.inputs[k].uuid == called[k].outputs.result.uuid for k in earlier)
    assert not [
        key for key in called["merge"].inputs if isinstance(called["merge"].inputs[key], Dict)
    ]
    assert augmented.outputs.dataset.uuid == called["merge"].outputs.dataset.uuid
    assert not any(child.base.caching.is_created_from_cache for child in called.values())


@pytest.mark.parametrize("plan", [PLAN, [{"kind": "rattle", "copies": 2}]], ids=["all", "rattle"])
def test_every_frame_leads_back_to_an_input(augmented, inputs, plan):
    """Parents stand in nodes of the graph, also where the plan does not keep them."""
    node = augmented if plan is PLAN else run(inputs, plan)
    query = QueryBuilder()
    query.append(Node, filters={"id": node.outputs.dataset.pk}, tag="result")
    query.append(PESData, with_descendants="result")
    known = {frame.id: frame for (data,) in query.all() for frame in data}
    given = set(inputs.ids)
    generations = set()
    for frame in node.outputs.dataset:
        if frame.origin.strategy == "isolated":
            continue
        chain = [frame]
        while chain[-1].id not in given:
            chain.append(known[chain[-1].origin.parent])
        generations.add(len(chain))
    assert max(generations) == (4 if plan is PLAN else 3)  # rattled, supercell, padded, given


def test_inputs_that_are_right_already_are_taken_as_they_are(silicon):
    data = PESData([silicon])
    called = calls(run(data, [{"kind": "input"}, {"kind": "rattle", "copies": 2}]))
    assert list(called) == ["rattle_2", "merge"]
    assert called["rattle_2"].inputs["inputs"].uuid == data.uuid
    assert called["merge"].inputs["input_1"].uuid == data.uuid


# ── a worker that dies ────────────────────────────────────────────────────────
class Repeated(DatasetAugmentationWorkChain):
    """Steps that are done twice, as after the death of a worker."""

    def run_steps(self):
        with pytest.raises(RuntimeError):
            super().run_steps()
        self.pad()
        super().run_steps()

    def merge(self):
        super().merge()
        return super().merge()


def test_a_repeated_step_takes_what_was_made_before(inputs, monkeypatch):
    plan = [{"kind": "rattle", "copies": 2}, {"kind": "input"}, {"kind": "supercell"}]
    plan[2] |= {"min_length": 6.0, "max_atoms": 40}
    real, met = running.run_step, []

    def dying(step, *rest):
        met.append(step.label)
        if len(met) == 2:
            raise RuntimeError
        return real(step, *rest)

    monkeypatch.setattr(running, "run_step", dying)
    node = run_get_node(Repeated, dataset=PESData(inputs), plan=plan)[1]
    assert node.is_finished_ok, node.exception
    assert met == ["supercell_3", "rattle_1", "rattle_1", "input_2"]
    assert [child.process_label for child in node.called].count("merge_steps") == 1
    monkeypatch.undo()
    assert node.outputs.dataset.ids == augment(inputs, parse_plan(plan), 0).dataset.ids


# ── bad input ─────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("port", "value", "message"),
    [
        ("plan", [{"kind": "ratle"}], "did you mean 'rattle'"),
        ("plan", [{"kind": "rattle", "copies": 0}], "rattle.copies must be at least"),
        ("vacuum", -1.0, "a vacuum of -1.0 Å"),
        ("vacuum", float("nan"), "a vacuum of nan Å"),
        ("fractions", [1, 1, 1], "are not shares of a split"),
    ],
)
def test_bad_settings_are_refused_before_anything_runs(silicon, port, value, message):
    before = QueryBuilder().append(CalcFunctionNode).count()
    with pytest.raises(ValueError, match=message):
        run_get_node(DatasetAugmentationWorkChain, dataset=PESData([silicon]), **{port: value})
    assert QueryBuilder().append(CalcFunctionNode).count() == before


def test_unusable_inputs_end_with_a_code(silicon):
    node = run([], [])
    assert (node.exit_status, node.exit_message.partition(";")[0]) == (
        200,
        "the dataset has no usable frames: no structures",
    )
    node = run([silicon, Frame.make([14, 14], [[0, 0, 0], [0, 0, 0.5]])], PLAN)
    assert node.exit_status == 200
    assert "structure 2 (Si2): overlapping atoms: atoms 1 (Si) and 2 (Si)" in node.exit_message
    assert not calls(node)


def test_a_plan_of_which_nothing_is_left_ends_with_a_code_and_the_counts(silicon):
    node = run([silicon], [{"kind": "strain", "copies": 3, "range": [-0.8, -0.7]}])
    assert node.exit_status == 200
    assert "no strategy made a frame; see the output 'report'" in node.exit_message
    assert node.outputs.report["refused"] == {"overlap": 3}
    assert "dataset" not in node.outputs
    node = run([silicon], [{"kind": "swap"}])
    assert node.exit_status == 200
    assert node.outputs.report["refused"] == {}
    assert "swap: nothing to exchange in 1 of 1 structures" in node.outputs.report["notes"][0]
