"""The campaigns of the benchmark of labels: their systems, their start, and their arms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ase import Atoms
from ase.build import bulk, fcc111

from trainspot.campaign.decisions import prepare
from trainspot.config.document import Document
from trainspot.config.load import resolve
from trainspot.config.models import Campaign
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame
from trainspot.label.ase import AseLabelEngine
from trainspot.rehearse import arms, oracle

SEED: Final = 4001
"""The first seed; the study was developed on others, 2026 to 2029 and 3001."""


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


def nickel(repeat: tuple[int, int, int]) -> System:
    return System([bulk("Ni", cubic=True).repeat(repeat)], "emt", 2500.0)


def systems() -> dict[str, System]:
    """The systems, by name."""
    return {
        "aluminium": System(_aluminium(), "emt", 900.0),
        "copper-gold": System(_copper_gold(), "emt", 1200.0),
        "nickel": nickel((2, 1, 1)),
    }


def _resolved(content: dict[str, Any]) -> Campaign:
    return resolve(Document(Path("labels"), content)).campaign


def campaign(system: System, *, quick: bool) -> Campaign:
    """The campaign that all arms vary; what is not said here has its default."""
    return _resolved({
        "dataset": "given",
        "seed": SEED,
        "label": {"engine": "ase", "calculator": system.oracle},
        "train": {
            # EMT reaches beyond the cutoff of 4.5 Å that the toy trainer has by default: with that
            # an error is left which no label lowers.
            "engine": "toy", "committee_size": 3,
            "settings": {"ridge": 1e-4, "n_random": 120, "cutoff": 6.0, "n_radial": 12},
        },
        "explore": {
            "engine": "ase", "starts": 2 if quick else 6, "temperature": [300, system.hottest],
            "time": 0.06 if quick else 0.12, "sample_every": 0.012, "timestep": 2.0,
            "ensemble": "nvt",
        },
        "evaluate": {"dtype": "float64"},
        # Forces alone: one property, so that a threshold is one number and the arms compare. The
        # tolerance is below what these committees reach, so that few campaigns end by themselves.
        "tolerance": {"energy": None, "forces": 0.02, "stress": None},
        "select": {"max_frames": 4 if quick else 10},
        "stop": {"max_iterations": 2 if quick else 6},
    })  # fmt: skip


def augmented(system: System, made: Campaign) -> Campaign:
    """The same campaign when it still has to make its start."""
    content = made.model_dump(mode="json") | {
        "dataset": None,
        "structures": ["given"],
        "augment": [
            {"kind": "input"},
            {"kind": "isolated"},
            {"kind": "rattle", "fraction": 0.05, "copies": 38 // len(system.structures),
             "strain": {"range": [-0.02, 0.02]}},
        ],
        "split": {"fractions": [0.5, 0.5, 0.0]},
    }  # fmt: skip
    return Campaign.model_validate(content)


def start(system: System, made: Campaign, seed: int) -> Dataset:
    """What all arms of a seed start from: labelled frames, half of them held out."""
    frames = prepare(frames_of(system), arms.seeded(augmented(system, made), seed))
    return AseLabelEngine().label(frames, oracle.parse(system.oracle)).labelled


def frames_of(system: System) -> Dataset:
    return Dataset.from_frames(Frame.from_atoms(atoms) for atoms in system.structures)


# ── arms ──────────────────────────────────────────────────────────────────────
VARIANTS: Final[Mapping[str, dict[str, Any]]] = {
    "random of the flagged": {"select": {"method": "random"}},
    "no novelty": {"select": {"novelty": None}},
    "quantile 0.5": {"calibrate": {"quantile": 0.5}},
    "quantile 0.9": {"calibrate": {"quantile": 0.9}},
    "no audit": {"select": {"audit": 0}},
}
"""Defaults changed one at a time."""

WHOLE: Final = ", all flagged"
"""What an arm is called that labels every flagged frame, as the paper does."""

THIRD: Final = ", a third"
"""What an arm is called whose batch is a third of what was explored: twenty of sixty frames."""

TRAINED: Final = ", all selected trained on"
"""Added to the name of an arm none of whose selected frames is held out."""

FRUGAL: Final = "frugal"
"""The protocol of this name: its batch of a sixth is ten of the sixty frames explored here."""

_AUDIT: Final = {"select": {"held_out": "audit"}}
_WHOLE: Final = {"select": {"max_frames": 1000, "share": 1.0}, "stop": {"max_iterations": 3}}
_THIRD: Final = {"select": {"max_frames": 1000, "share": 0.33}, "stop": {"max_iterations": 4}}


def all_arms(base: Campaign) -> dict[str, Campaign]:
    """The campaign, its two baselines, its variants, and other batches of all of these."""
    found = arms.arms(base)
    found |= {name: _changed(base, sections) for name, sections in VARIANTS.items()}
    found[FRUGAL] = _changed(base, _AUDIT)
    for name in (arms.OURS, arms.PAPER):
        found[name + WHOLE] = _changed(found[name], _WHOLE)
    third = _changed(base, _THIRD)
    found[arms.OURS + THIRD] = third
    found[arms.OURS + THIRD + TRAINED] = _changed(third, _AUDIT)
    found[arms.RANDOM + THIRD] = arms.at_random(third)
    return found


def _changed(base: Campaign, sections: Mapping[str, Mapping[str, Any]]) -> Campaign:
    content = base.model_dump(mode="json")
    for section, values in sections.items():
        content[section] |= values
    return Campaign.model_validate(content)
