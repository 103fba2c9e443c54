"""Every registered augmentation strategy keeps its contract, for structures of any kind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Literal

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, graphene, graphene_nanoribbon, make_supercell, molecule, mx2
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from trainspot.augment.base import GROUP, Strategy, child
from trainspot.augment.plan import DEFAULT_PLAN, augment, parse_plan
from trainspot.common import plugins
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame, Labels
from trainspot.geometry import nearest_distances, overlapping
from trainspot.testing.augmentation import check_strategy

REQUIRED = {"alloy": {"alloy_species": ["Ge", "C", "Mo"]}}
"""Parameters of strategies that have no defaults for all."""

FEW = {
    "alloy": {"copies": 2},
    "cluster": {"copies": 2, "distance": "auto"},
    "rattle": {"copies": 3},
    "strain": {"copies": 2},
    "supercell": {"min_length": 8.0, "max_atoms": 60},
    "slab": {"thickness": 5.0, "min_length": 4.0},
    "swap": {"share": 1.0},
    "vacancies": {"copies": 2},
}
"""Less work; the rest of the parameters as they come."""


def distorted_sheet():
    """MoTe2 in its 1T-prime form: two units, in which rows of metal pair up to zigzag chains."""
    atoms = mx2("MoTe2", "1T", a=3.5, thickness=3.6, vacuum=8)
    rectangle = make_supercell(atoms, [[1, 0, 0], [1, 2, 0], [0, 0, 1]])
    moved = next(atom for atom in rectangle if atom.symbol == "Mo")
    moved.y += 0.4
    return rectangle


def tilted_sheet():
    atoms = mx2("MoTe2", "1T", a=3.5, thickness=3.6, vacuum=4)
    atoms.rotate(40, (1, 2, 0), rotate_cell=True)
    return atoms


def left_handed():
    atoms = bulk("ZnS", "wurtzite", a=3.8, c=6.2)
    return Atoms(atoms.numbers, atoms.positions, cell=atoms.cell[[1, 0, 2]], pbc=True)


def sheet_along(axis):
    atoms = graphene(vacuum=8)
    order = np.roll([0, 1, 2], axis + 1)
    return Atoms(atoms.numbers, atoms.positions, cell=atoms.cell[order], pbc=atoms.pbc[order])


ZOO = {
    "crystal": bulk("Si"),
    "left-handed crystal": left_handed(),
    "one atom": bulk("Cu"),
    "450 atoms": bulk("Ti", a=2.95, c=4.68) * (5, 5, 9),
    "sheet": graphene(vacuum=3),
    "sheet along the first vector": sheet_along(0),
    "sheet along the second vector": sheet_along(1),
    "distorted sheet": distorted_sheet(),
    "tilted sheet": tilted_sheet(),
    "ribbon": graphene_nanoribbon(2, 2, type="zigzag", saturated=True, vacuum=3),
    "chain of one atom": Atoms("Au", cell=[[0, 0, 0], [0.5, 2.5, 0], [0, 0, 0]], pbc=[0, 1, 0]),
    "molecule": molecule("C2H6"),
    "fullerene": molecule("C60"),
    "dimer": Atoms("CO", positions=[[0, 0, 0], [0, 0, 1.13]]),
    "free atom": Atoms("Fe"),
}


@pytest.mark.parametrize("name", plugins.names(GROUP))
def test_strategies_keep_their_contract(name):
    frames = [Frame.from_atoms(atoms) for atoms in ZOO.values()]
    frames[0] = frames[0].with_(labels=Labels(-1.0, np.zeros((2, 3)), None, "x"))
    part = check_strategy(name, frames, REQUIRED.get(name, {}) | FEW.get(name, {}))
    assert part.frames


@st.composite
def structures(draw):
    """Up to four atoms in any cell, periodic in any directions."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    pbc = draw(st.tuples(st.booleans(), st.booleans(), st.booleans()))
    cell = rng.normal(size=(3, 3)) * rng.uniform(2.0, 6.0)
    assume(abs(np.linalg.det(cell)) > 15.0)
    cell[~np.array(pbc)] *= rng.integers(0, 2)  # missing vectors as well
    numbers = rng.choice([6, 14, 32, 52], draw(st.integers(1, 4)))
    frame = Frame.make(numbers, rng.uniform(0, 5, (len(numbers), 3)), cell, pbc)
    assume(not overlapping(frame))
    nearest = nearest_distances(frame)
    assume(len(frame) == 1 or nearest[np.isfinite(nearest)].max(initial=0.0) < 8.0)
    return frame


@given(frame=structures(), seed=st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_any_structure_is_treated_or_refused_with_a_reason(frame, seed):
    for name in plugins.names(GROUP):
        check_strategy(name, [frame], REQUIRED.get(name, {}) | FEW.get(name, {}), seed)


def test_no_frame_of_the_default_plan_equals_another():
    for name in ("crystal", "left-handed crystal", "distorted sheet", "ribbon", "molecule"):
        made = augment(
            Dataset.from_frames([Frame.from_atoms(ZOO[name])]), parse_plan(DEFAULT_PLAN), 2
        )
        assert len(set(made.dataset.ids)) == len(made.dataset)
        assert "duplicate" not in made.refused
        assert min(made.dataset.n_atoms) >= 1


SCRIPT = """
import json, sys
from ase.build import bulk
from trainspot.augment.plan import augment, parse_plan
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame
salt = Frame.from_atoms(bulk("NaCl", "rocksalt", a=5.64))
plan = parse_plan(json.loads(sys.argv[1]))
print(json.dumps(augment(Dataset.from_frames([salt]), plan, 3).dataset.ids))
"""


def test_another_process_makes_the_same_frames():
    """Whatever the order of sets and the hashes of strings are there."""
    plan = [
        {"kind": name, **REQUIRED.get(name, {}), **FEW.get(name, {})}
        for name in plugins.names(GROUP)
    ]
    found = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(plan)],
        env={**os.environ, "PYTHONHASHSEED": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    salt = Frame.from_atoms(bulk("NaCl", "rocksalt", a=5.64))
    here = augment(Dataset.from_frames([salt]), parse_plan(plan), 3).dataset.ids
    assert json.loads(found.stdout) == here
    assert len(here) > 10


# ── the contract itself ───────────────────────────────────────────────────────
class Sloppy(Strategy):
    """Breaks one clause after the other."""

    kind: Literal["sloppy"] = "sloppy"
    how: str = "nothing"

    def generate(self, frames, rng):
        for frame in frames:
            positions = frame.positions + 0.01 * rng.random(3)
            made = child(frame, self.kind, positions=positions)
            if self.how == "chance":
                yield child(frame, self.kind, positions=frame.positions + np.random.rand(3))  # noqa: NPY002
            elif self.how == "twice":
                yield from (made, made)
            elif self.how == "parent":
                yield made.with_(origin=type(made.origin)("sloppy", "elsewhere"))
            elif self.how == "labels":
                yield made.with_(labels=Labels(-1.0))
            elif self.how == "json":
                yield made.with_(origin=type(made.origin)("sloppy", frame.id, {"x": np.nan}))
            elif self.how != "silence":
                yield made


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("chance", "same seed"),
        ("twice", "no frame twice"),
        ("parent", "parent"),
        ("labels", "never invented"),
        ("silence", "a structure without frames has a refusal or a note"),
        ("nothing", "explains itself"),
    ],
)
def test_a_broken_strategy_is_caught(monkeypatch, silicon, how, message):
    monkeypatch.setattr(plugins, "load", lambda *_, **__: Sloppy)
    described = how != "nothing"
    monkeypatch.setattr(Sloppy.model_fields["how"], "description", "what is broken" * described)
    with pytest.raises(AssertionError, match=message):
        check_strategy("sloppy", [silicon], {"how": how})


def test_what_json_cannot_say_is_caught(monkeypatch, silicon):
    monkeypatch.setattr(plugins, "load", lambda *_, **__: Sloppy)
    monkeypatch.setattr(Sloppy.model_fields["how"], "description", "what is broken")
    with pytest.raises(ValueError, match="JSON"):
        check_strategy("sloppy", [silicon], {"how": "json"})
