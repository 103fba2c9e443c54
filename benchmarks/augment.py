"""Augmentation: frames a second from three input structures to a stored, split dataset.

Work: diamond (primitive cell), graphene and a MoTe2 layer (2H), through the inputs themselves,
supercells of 18 Å with at most 450 atoms, 50 rattled copies of each with strain and vacancies, and
isolated atoms: the list that was the default when the target was set. Everything is counted that
lies between the stored inputs and the stored result: the work chain with its calcfunctions, and
beside it the pure function with one stored node, to which the target belongs (decision 0029).

Baseline: the same recipe in a plain loop with ASE: supercells by the same repetition (given for
free), isotropic strain, displacements drawn again where atoms overlap, vacancies, a last check for
overlaps, all distances from ASE's neighbour lists; one stored ``StructureData`` a frame.

Limit: one process; SQLite storage on a local disk; no daemon, the work chain runs in this process.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from _harness import Row, Target, compared, interleaved, main, repeats

# isort: split
import numpy as np
from ase import Atoms
from ase.build import bulk, graphene, mx2
from ase.data import covalent_radii
from ase.neighborlist import neighbor_list

from _profile import temporary_profile
from trainspot.augment.plan import DEFAULT_PLAN, augment, parse_plan
from trainspot.augment.supercell import Supercell
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame
from trainspot.geometry import OVERLAP_FACTOR
from trainspot.split import assign

PLAN: Final[list[dict[str, Any]]] = [
    {"kind": "input"},
    {"kind": "supercell"},
    {"kind": "rattle"},
    {"kind": "isolated"},
]
_FRACTION, _STRAIN, _SHARE, _GONE, _ROUNDS = 0.3, (-0.2, 0.6), 0.3, 2, 50

_PROCESSES: Final = "AiiDA's price of a process a strategy, whatever the number of frames"


def inputs() -> list[Atoms]:
    """Diamond, graphene and MoTe2."""
    layer = graphene(vacuum=7.5)
    layer.pbc = (True, True, False)
    telluride = mx2("MoTe2", kind="2H", a=3.52, thickness=3.61, vacuum=7.5)
    telluride.pbc = (True, True, False)
    return [bulk("C", "diamond", a=3.567), layer, telluride]


# ── baseline ──────────────────────────────────────────────────────────────────
def plain_loop(structures: list[Atoms], shapes: list[Any], copies: int, seed: int) -> int:
    """Make and store the frames one by one; returns how many."""
    from aiida.orm import StructureData

    rng = np.random.default_rng(seed)
    made = [*structures, *_isolated(structures)]
    for atoms, shape in zip(structures, shapes, strict=True):
        cell = atoms.repeat(shape)
        made.append(cell)
        with_holes = set(rng.permutation(copies)[: int(_SHARE * copies)].tolist())
        for copy in range(copies):
            frame = _rattled(cell, rng)
            if copy in with_holes:
                del frame[rng.choice(len(frame), _GONE, replace=False).tolist()]
            if not len(_overlaps(frame)):
                made.append(frame)
    for frame in made:
        StructureData(ase=frame).store()
    return len(made)


def _isolated(structures: list[Atoms]) -> Iterator[Atoms]:
    for symbol in sorted({s for atoms in structures for s in atoms.symbols}):
        yield Atoms(symbol, positions=[[7.5] * 3], cell=[15.0] * 3)


def _rattled(cell: Atoms, rng: np.random.Generator) -> Atoms:
    atoms = cell.copy()
    scale = np.where(atoms.pbc, 1 + rng.uniform(*_STRAIN), 1.0)
    atoms.set_cell(atoms.cell.array * scale[:, None], scale_atoms=True)
    first, distance = neighbor_list("id", atoms, 5.0)
    nearest = np.full(len(atoms), np.inf)
    np.minimum.at(nearest, first, distance)
    start = atoms.positions.copy()
    if len(_overlaps(atoms)):  # the strain alone is too much: no draw can help
        atoms.positions = start + _in_balls(_FRACTION * nearest, rng)
        return atoms
    again = np.arange(len(atoms))
    for _ in range(_ROUNDS):
        atoms.positions[again] = start[again] + _in_balls(_FRACTION * nearest[again], rng)
        again = _overlaps(atoms)
        if not len(again):
            break
    return atoms


def _in_balls(longest: Any, rng: np.random.Generator) -> Any:
    directions = rng.standard_normal((len(longest), 3))
    lengths = rng.random(len(longest)) * longest
    return directions * (lengths / np.linalg.norm(directions, axis=1))[:, None]


def _overlaps(atoms: Atoms) -> Any:
    """Atoms that are closer to another than the screen allows."""
    radii = OVERLAP_FACTOR * covalent_radii[atoms.numbers]
    return np.unique(neighbor_list("i", atoms, radii))


# ── rows ──────────────────────────────────────────────────────────────────────
def rate(
    work: Callable[[], int], clock: Callable[[], float] = time.perf_counter
) -> Callable[[], float]:
    """A side that measures frames a second; ``work`` returns how many it made."""

    def side() -> float:
        gc.collect()
        start = clock()
        made = work()
        return made / (clock() - start)

    return side


def rows(options: argparse.Namespace) -> Iterator[Row]:
    """The explicit list by work chain and by pure function, then the default list."""
    often, copies = repeats(options, 5), 3 if options.quick else 50
    plan = [step | ({"copies": copies} if step["kind"] == "rattle" else {}) for step in PLAN]
    default = PLAN[:1] if options.quick else DEFAULT_PLAN
    structures = inputs()
    frames = Dataset.from_frames(Frame.from_atoms(atoms) for atoms in structures)
    repetitions = [np.diag(Supercell().matrix(frame)).tolist() for frame in frames]
    with temporary_profile():
        from aiida_trainspot.data.pes import PESData

        given = PESData(frames).store()
        samples = interleaved(
            {
                "ours": rate(lambda: _work_chain(given, plan)),
                "baseline": rate(lambda: plain_loop(structures, repetitions, copies, 1)),
                "pure": rate(lambda: _pure(frames, plan)),
                "processor": rate(lambda: _pure(frames, plan), time.process_time),
            },
            repeats=often,
        )
        work = f"three inputs, their supercells, {copies} rattled copies of each, isolated atoms"
        yield compared(
            "augment, work chain",
            samples,
            work=f"{work}; DatasetAugmentationWorkChain from stored inputs to stored outputs",
            unit="frames/s",
            ratio_is="ours / baseline",
            note=_PROCESSES,
        )
        yield compared(
            "augment, pure function and one node",
            samples,
            ours="pure",
            work=f"{work}; trainspot.augment, split, one PESData stored",
            unit="frames/s",
            ratio_is="ours / baseline",
            target=Target(600, of="ours"),
        )
        yield compared(
            "augment, pure function and one node, processor time",
            samples,
            ours="processor",
            baseline=None,
            work=f"{work}; the same, without waiting for the disk or for other users",
            unit="frames/CPU-s",
            ratio_is="ours / baseline",
            target=Target(600, of="ours"),
        )
        samples = interleaved(
            {
                "ours": rate(lambda: _work_chain(given, default)),
                "pure": rate(lambda: _pure(frames, default)),
            },
            repeats=often,
        )
        kinds = ", ".join(step["kind"] for step in default)
        for name, side, target, note in (
            ("work chain", "ours", None, _PROCESSES),
            ("pure function and one node", "pure", Target(600, of="ours"), ""),
        ):
            yield compared(
                f"augment, default list, {name}",
                samples,
                ours=side,
                baseline=None,
                work=f"the default list of this version ({kinds}) on the same inputs",
                unit="frames/s",
                ratio_is="ours / baseline",
                target=target,
                note=note,
            )


def _work_chain(given: Any, plan: list[dict[str, Any]]) -> int:
    from aiida.engine import run_get_node

    from aiida_trainspot.workflows.augment import DatasetAugmentationWorkChain

    outputs, node = run_get_node(DatasetAugmentationWorkChain, dataset=given, plan=plan, seed=1)
    assert node.is_finished_ok, node.exit_message
    return len(outputs["dataset"])


def _pure(frames: Dataset, plan: list[dict[str, Any]]) -> int:
    from aiida_trainspot.data.pes import PESData

    made = augment(frames, parse_plan(plan), seed=1)
    return len(PESData(assign(made.dataset, seed=1)).store())


if __name__ == "__main__":
    sys.exit(main("augment", __doc__, rows))
