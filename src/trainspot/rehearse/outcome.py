"""Results of a rehearsal: tracks, labels that each arm needs, and ratios between arms."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from trainspot.common.seeds import generator
from trainspot.rehearse.arms import ARMS, OURS
from trainspot.rehearse.statistics import Ratio, median, ratio, reach
from trainspot.train.toy import ToyTrainer

if TYPE_CHECKING:
    from trainspot.rehearse.cost import CostModel
    from trainspot.rehearse.trial import Track

SPENT: Final = {"labels": "labels", "core_hours": "core-hours"}
"""Key and name of the costs of reaching an error."""

_ORACLE: Final = (
    "The oracle is not DFT. It says how the choices compare on a landscape of its kind, and "
    "nothing about a potential for research."
)
_TOY: Final = (
    "A toy committee is a linear fit that sees no angles: it learns other things first than "
    "MACE does, and disagrees in another way. Differences between arms may be smaller, larger "
    "or reversed with the real trainer."
)
_COST: Final = (
    "Core-hours are estimated from the number of atoms alone. Vacuum, elements, k-points, "
    "failures, training and molecular dynamics are not counted."
)
_TEST: Final = (
    "The test frames are the structures, temperatures and pressures of this campaign. An arm "
    "that prepares for other conditions is not rewarded for it here."
)


_POOL: Final = (
    "The test frames are drawn from the pool: the errors say nothing about structures of other "
    "kinds."
)


@dataclass(frozen=True)
class Outcome:
    """A finished rehearsal.

    Attributes:
        name: Name of the campaign.
        seed: The first seed, also that of the test frames.
        oracle: Name of the oracle.
        trainer: Name of the trainer.
        cost: Cost of a label.
        test: Number of common test frames by origin.
        tracks: One track for each arm and seed.
        notes: Settings that differ from the campaign file.
        of_pool: Whether the campaigns draw from a pool, and so do the test frames.
        looks_up: Whether the labels are those of the campaign itself, without an oracle.
    """

    name: str
    seed: int
    oracle: str
    trainer: str
    cost: CostModel
    test: dict[str, int]
    tracks: list[Track]
    notes: list[str] = field(default_factory=list)
    of_pool: bool = False
    looks_up: bool = False

    @property
    def arms(self) -> list[str]:
        """Names of the arms, in the order of ``ARMS`` and then of the tracks."""
        met = dict.fromkeys(track.arm for track in self.tracks)
        return [*(arm for arm in ARMS if arm in met), *(arm for arm in met if arm not in ARMS)]

    @property
    def limits(self) -> tuple[str, ...]:
        """Limits of the rehearsal; they depend on the trainer and on the origin of the labels."""
        toy = (_TOY,) if self.trainer == ToyTrainer.name else ()
        early = (
            f"The campaign of {track.arm} with seed {track.seed} could not go on: {track.ending}"
            for track in self.tracks
            if track.ending
        )
        oracle = () if self.looks_up else (_ORACLE,)
        return (*early, *oracle, *toy, _COST, _POOL if self.of_pool else _TEST)

    @property
    def seeds(self) -> list[int]:
        """The seeds, in order."""
        return sorted({track.seed for track in self.tracks})

    def of(self, arm: str) -> list[Track]:
        """The tracks of an arm, by seed."""
        return sorted((t for t in self.tracks if t.arm == arm), key=lambda track: track.seed)

    def targets(self) -> list[float]:
        """Force errors (eV/Å) of the comparison: one half way, one that every arm reached.

        Each track has a smallest error, even if the error rises at the end. The second target is
        the largest, over arms, of the median of these errors. The first target is the geometric
        mean of the second target and the median start error, which all arms share. The targets
        depend on the tracks only.
        """
        start, end = self._ends()
        return [float(np.sqrt(start * end)), end] if self.learned else [end]

    @property
    def learned(self) -> bool:
        """Whether the median error of every arm fell below that of the start."""
        start, end = self._ends()
        return start > end

    def _ends(self) -> tuple[float, float]:
        """Median first error of all tracks, and the largest median smallest error of an arm."""
        best = [median([min(t.column("forces")) for t in self.of(arm)]) for arm in self.arms]
        return median([track.points[0].forces for track in self.tracks]), max(best)

    def needed(self, arm: str, what: str, target: float) -> list[float]:
        """Cost of a force error for each seed of an arm; ``inf`` if the seed did not reach it."""
        return [reach(t.column(what), t.column("forces"), target) for t in self.of(arm)]

    def ratio(self, arm: str, base: str, what: str, target: float) -> Ratio:
        """Ratio of the costs of two arms, with a bootstrap interval over seeds."""
        rng = generator(self.seed, "rehearse", "bootstrap", arm, base, what)
        return ratio(self.needed(arm, what, target), self.needed(base, what, target), rng)

    def to_dict(self) -> dict[str, Any]:
        """JSON values only; null for targets that were not reached."""
        return {
            "name": self.name,
            "oracle": self.oracle,
            "trainer": self.trainer,
            "cost": self.cost.to_dict(),
            "test": self.test,
            "seeds": self.seeds,
            "notes": self.notes,
            "arms": {arm: self._arm(arm) for arm in self.arms},
            "targets": [self._target(target) for target in self.targets()],
            "limits": list(self.limits),
        }

    def _arm(self, arm: str) -> dict[str, Any]:
        tracks = self.of(arm)
        return {
            "meaning": ARMS.get(arm, ""),
            "ended": dict(sorted(Counter(track.state for track in tracks).items())),
            "forces": _spread([track.points[-1].forces for track in tracks]),
            "labels": _spread([track.labels for track in tracks]),
            "core_hours": _spread([track.core_hours for track in tracks]),
            "runs": [track.to_dict() for track in tracks],
        }

    def _target(self, target: float) -> dict[str, Any]:
        needed = {
            arm: {what: _spread(self.needed(arm, what, target)) for what in SPENT}
            for arm in self.arms
        }
        ratios = {
            base: {what: self.ratio(OURS, base, what, target).to_dict() for what in SPENT}
            for base in self.arms
            if base != OURS and OURS in self.arms
        }
        return {"forces": target, "needed": needed, "ratio_to": ratios}


def _spread(values: list[float]) -> dict[str, float | None]:
    """Median and extremes; null if the target was not reached."""
    spread = {"median": median(values), "low": min(values), "high": max(values)}
    return {name: value if np.isfinite(value) else None for name, value in spread.items()}
