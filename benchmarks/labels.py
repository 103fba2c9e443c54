"""Labels, and estimated DFT core-hours, that a campaign needs to reach a given error.

Work: whole campaigns through ``trainspot.rehearse`` on three systems with ASE's EMT as the oracle:
aluminium (bulk, vacancy, surface), copper-gold (two metals and an alloy), hot nickel. Toy
committees of three, molecular dynamics through ASE, five iterations with ten labels each. The start
is 51 gently rattled cells, far from what the dynamics meets. The arms of a seed start from the same
frames and are tested on the same frames, which no campaign chose.
Baselines: the protocol of the paper exactly, and random choice among all explored frames.
Limit: a toy committee is a linear fit without angles (silicon by Tersoff it cannot learn), and an
oracle is not DFT. Core-hours follow from the number of atoms (``trainspot.rehearse.cost``).
``ours`` and ``baseline`` are medians over seeds; ``spread`` is the 95 % bootstrap interval of their
ratio over seeds, not the extremes.
"""

from __future__ import annotations

import _harness as harness  # isort: split

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from ase import Atoms
from ase.build import bulk, fcc111

from trainspot.config.document import Document
from trainspot.config.load import resolve
from trainspot.config.models import Campaign
from trainspot.dataset import Dataset
from trainspot.frames import Frame
from trainspot.rehearse import arms, oracle, testset, trial
from trainspot.rehearse.cost import CostModel
from trainspot.rehearse.outcome import SPENT, Outcome
from trainspot.rehearse.statistics import geometric_mean
from trainspot.rehearse.trial import Track

COST: Final = CostModel()
TARGET: Final = harness.Target(0.8, sense="at most")
SEED: Final = 2026


# ── systems ───────────────────────────────────────────────────────────────────
def _without_first(atoms: Atoms) -> Atoms:
    rest = atoms.copy()
    del rest[0]
    return rest


def _copper_gold(repeat: tuple[int, int, int] = (2, 1, 1)) -> list[Atoms]:
    """Copper, gold and an ordered alloy of equal parts, 8 atoms each unless repeated more."""
    alloy = bulk("Cu", a=3.87, cubic=True)
    alloy.symbols = ["Cu", "Cu", "Au", "Au"]
    cells = [bulk("Cu", cubic=True), bulk("Au", cubic=True), alloy]
    return [cell.repeat(repeat) for cell in cells]


def _aluminium() -> list[Atoms]:
    """Bulk, vacancy and (111) surface: 8, 7 and 8 atoms."""
    cell = bulk("Al", cubic=True).repeat((2, 1, 1))
    slab = fcc111("Al", (2, 1, 4), vacuum=7.5)
    slab.pbc = (True, True, False)
    return [cell, _without_first(cell), slab]


@dataclass(frozen=True)
class System:
    """What a campaign is run on.

    Attributes:
        structures: Its inputs.
        oracle: Its reference.
        hottest: Of the exploration, K.
    """

    structures: Sequence[Atoms]
    oracle: str
    hottest: float


def systems() -> dict[str, System]:
    """The systems, by name."""
    nickel = bulk("Ni", cubic=True).repeat((2, 1, 1))
    return {
        "aluminium": System(_aluminium(), "emt", 900.0),
        "copper-gold": System(_copper_gold(), "emt", 1200.0),
        "nickel": System([nickel], "emt", 2500.0),
    }


def campaign(system: System, *, quick: bool) -> Campaign:
    """The campaign that all arms vary; what is not said here has its default."""
    copies = 48 // len(system.structures)
    content = {
        "structures": ["given"],
        "seed": SEED,
        "augment": [
            {"kind": "input"},
            {"kind": "isolated"},
            {"kind": "rattle", "fraction": 0.05, "copies": copies,
             "strain": {"range": [-0.02, 0.02]}},
        ],
        "split": {"fractions": [0.5, 0.42, 0.08]},
        "label": {"engine": "ase", "calculator": system.oracle},
        "train": {
            "engine": "toy", "committee": 3,
            "settings": {"ridge": 1e-4, "n_random": 40},
        },
        "explore": {
            "engine": "ase", "starts": 2 if quick else 5, "temperature": [300, system.hottest],
            "time": 0.06 if quick else 0.15, "sample_every": 0.01, "timestep": 2.0,
            "ensemble": "nvt",
        },
        "evaluate": {"dtype": "float64"},
        # Forces alone: one property, so that a threshold is one number and the arms compare.
        "tolerance": {"energy": None, "forces": 0.1, "stress": None},
        "select": {"max_frames": 10},
        "stop": {"max_iterations": 2 if quick else 5},
    }  # fmt: skip
    return resolve(Document(Path("labels"), content)).campaign


# ── arms ──────────────────────────────────────────────────────────────────────
VARIANTS: Final[Mapping[str, dict[str, Any]]] = {
    "random of the flagged": {"select": {"method": "random"}},
    "no novelty": {"select": {"novelty": None}},
    "quantile 0.5": {"calibrate": {"quantile": 0.5}},
    "quantile 0.9": {"calibrate": {"quantile": 0.9}},
    "no audit": {"select": {"audit": 0}},
}
"""Defaults changed one at a time."""


def all_arms(base: Campaign) -> dict[str, Campaign]:
    """The campaign, its two baselines, and its variants."""
    found = arms.arms(base)
    for name, sections in VARIANTS.items():
        content = base.model_dump(mode="json")
        for section, values in sections.items():
            content[section] |= values
        found[name] = Campaign.model_validate(content)
    return found


# ── cells ─────────────────────────────────────────────────────────────────────
_SMALL: Final = "campaign, 8 atoms"
_LARGE: Final = "paper, 32 atoms"


def cells(seeds: int, work: Path) -> Outcome:
    """Nickel from small cells with the defaults, and from large ones with the paper's protocol.

    Here the starts differ, for that is the question. Both are tested on large cells.
    """
    small = System([bulk("Ni", cubic=True).repeat((2, 1, 1))], "emt", 2500.0)
    large = System([bulk("Ni", cubic=True).repeat((2, 2, 2))], "emt", 2500.0)
    sides = {
        _SMALL: (small, campaign(small, quick=False)),
        _LARGE: (large, arms.as_in_the_paper(campaign(large, quick=False))),
    }
    test = None
    tracks = []
    for seed in range(SEED, SEED + seeds):
        for arm, (system, made) in sides.items():
            file = work / "cells" / f"{arm}-{seed}.json".replace(" ", "_")
            if not file.is_file():
                if test is None:
                    test = testset.common_test(_frames(large), sides[_LARGE][1],
                                               oracle.parse("emt"), 24)  # fmt: skip
                task = trial.Task(arm, arms.seeded(made, seed), _frames(system), test, COST)
                _run(task, "cells", file)
            tracks.append(Track.from_dict(json.loads(file.read_text(encoding="utf-8"))))
    return Outcome("cells", SEED, "emt", "toy", COST, {}, tracks)


# ── running ───────────────────────────────────────────────────────────────────
def _frames(system: System) -> Dataset:
    return Dataset.from_frames(Frame.from_atoms(atoms) for atoms in system.structures)


def _run(task: trial.Task, name: str, file: Path) -> None:
    track = trial.run(task)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(track.to_dict()) + "\n", encoding="utf-8")
    errors = ", ".join(f"{1000 * e:.0f}" for e in track.column("forces"))
    harness.say(f"    {name}, {task.arm}, seed {track.seed}: {errors} meV/Å ({track.state})")


def outcome(
    name: str, system: System, names: Sequence[str], seeds: int, work: Path, *, quick: bool
) -> Outcome:
    """Run what has not been run; every finished campaign is a file below ``work``."""
    base, reference = campaign(system, quick=quick), oracle.parse(system.oracle)
    inputs = _frames(system)
    chosen = {arm: made for arm, made in all_arms(base).items() if arm in names}
    test: Dataset | None = None
    tracks = []
    for seed in range(SEED, SEED + seeds):
        for arm, made in chosen.items():
            file = work / name / f"{arm}-{seed}.json".replace(" ", "_")
            if not file.is_file():
                if test is None:
                    test = testset.common_test(inputs, base, reference, 9 if quick else 45)
                _run(trial.Task(arm, arms.seeded(made, seed), inputs, test, COST), name, file)
            tracks.append(Track.from_dict(json.loads(file.read_text(encoding="utf-8"))))
    return Outcome(name, SEED, system.oracle, "toy", COST, {}, tracks)


def row(name: str, found: Outcome, arm: str, base: str, what: str) -> harness.Row | None:
    """One comparison at the error that every arm of it reached in the median."""
    two = Outcome(found.name, found.seed, found.oracle, found.trainer, found.cost, found.test,
                  [*found.of(arm), *found.of(base)])  # fmt: skip
    if not two.learned:
        harness.say(f"    {name}: nothing learned, no ratio")
        return None
    target = two.targets()[-1]
    ratio = two.ratio(arm, base, what, target)
    if ratio.value is None:
        harness.say(f"    {name}: not reached by enough seeds, no ratio")
        return None
    ours, theirs = (float(np.median(two.needed(one, what, target))) for one in (arm, base))
    judged = TARGET if arm == arms.OURS and base == arms.PAPER else None
    return harness.Row(
        name=name,
        work=f"campaigns on {found.name} until the common test errs by {1000 * target:.0f} meV/Å",
        unit=SPENT[what],
        ours=ours,
        baseline=theirs,
        ratio=ratio.value,
        ratio_is="ours / baseline",
        spread=ratio.interval or (ratio.value, ratio.value),
        repeats=ratio.seeds,
        target=judged,
        met=None if judged is None else judged.met_by(ratio.value),
        note=f"{ratio.wins} of {ratio.seeds} seeds need less; "
        + (
            "the spread is a bootstrap interval"
            if ratio.interval
            else "no interval, for some seeds never got there"
        ),
    )


def rows(options: argparse.Namespace) -> Iterator[harness.Row]:
    """Every system: the campaign against its baselines, then each variant against the campaign."""
    seeds = 2 if options.quick else options.seeds
    wanted = [*arms.ARMS, *VARIANTS] if options.variants else list(arms.ARMS)
    ratios: dict[tuple[str, str], list[float]] = {}
    for name, system in list(systems().items())[: 1 if options.quick else None]:
        found = outcome(name, system, wanted, seeds, Path(options.work), quick=options.quick)
        pairs = [(arms.OURS, arms.PAPER), (arms.OURS, arms.RANDOM)]
        pairs += [(one, arms.OURS) for one in wanted if one in VARIANTS]
        for arm, base in pairs:
            for what in SPENT:
                made = row(f"{name}: {arm} / {base}, {SPENT[what]}", found, arm, base, what)
                if made is not None:
                    yield made
                    assert made.ratio is not None
                    if what == "labels":
                        ratios.setdefault((arm, base), []).append(made.ratio)
    if options.cells:
        found = cells(seeds, Path(options.work))
        for what in SPENT:
            made = row(f"cells: {_SMALL} / {_LARGE}, {SPENT[what]}", found, _SMALL, _LARGE, what)
            if made is not None:
                yield made
    for (arm, base), values in ratios.items():
        harness.say(f"  {arm} / {base}, labels, all systems: {geometric_mean(values):.2f}")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    parser.add_argument("--seeds", type=int, default=5, help="repetitions of every arm")
    parser.add_argument("--variants", action="store_true", help="defaults changed one at a time")
    parser.add_argument("--cells", action="store_true", help="small cells against large ones")
    parser.add_argument("--work", default="build/labels", help="finished campaigns are kept here")


if __name__ == "__main__":
    sys.exit(harness.main("labels", __doc__ or "", rows, add_arguments))
