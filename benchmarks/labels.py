"""Labels, and estimated DFT core-hours, that a campaign needs to reach a given error.

Work: whole campaigns through ``trainspot.rehearse`` on three systems with ASE's EMT as the oracle:
aluminium (bulk, vacancy, surface), copper-gold (two metals and an alloy), hot nickel. Toy
committees of three, molecular dynamics through ASE, six iterations with ten labels each, chosen
among sixty explored frames. The start is forty gently rattled cells, half of them held out so that
thresholds can be fitted, far from what the dynamics meets. The arms of a seed share the start, and
all committees are tested on the same 120 frames, which no campaign chose.
Baselines: the protocol of the paper, and random choice among all explored frames, both with batches
of ten too. The defaults also run with the batch they have when nothing is said, a third of what was
explored, random choice with the same, and the paper with its own, all flagged frames. ``frugal`` is
the protocol of that name.
Measure: ln(error) averaged over seeds and made non-increasing (``_curves.py``); what
two arms need to go three quarters of the way that both go. ``ratio`` of all systems is a geometric
mean, ``spread`` its 95 % bootstrap interval over paired seeds.
Limit: a toy committee is a linear fit without angles (silicon by Tersoff it cannot learn), and an
oracle is not DFT. Core-hours follow from the number of atoms (``trainspot.rehearse.cost``).
"""

from __future__ import annotations

import _harness as harness  # isort: split

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from _curves import RESAMPLES, Comparison, Curves, compare
from _labels import (
    FRUGAL,
    SEED,
    THIRD,
    TRAINED,
    VARIANTS,
    WHOLE,
    System,
    all_arms,
    augmented,
    campaign,
    frames_of,
    nickel,
    start,
    systems,
)
from trainspot.common.seeds import generator
from trainspot.config.models import Campaign
from trainspot.data.dataset import Dataset
from trainspot.rehearse import arms, oracle, testset, trial
from trainspot.rehearse.cost import CostModel
from trainspot.rehearse.outcome import SPENT
from trainspot.rehearse.statistics import geometric_mean
from trainspot.rehearse.trial import Track

COST: Final = CostModel()
TARGET: Final = harness.Target(0.8, sense="at most")
WAYS: Final = {0.5: "half of the way", 0.75: "three quarters of the way", 1.0: "the whole way"}
"""How far the errors compared lie on the way that both arms go; see ``curves.needs``."""

HEADLINE: Final = 0.75


ARMS: Final = (
    *arms.ARMS,
    FRUGAL,
    *(arms.OURS + THIRD, arms.RANDOM + THIRD),
    *(arms.OURS + WHOLE, arms.PAPER + WHOLE),
)
"""What runs if nothing else is asked for."""

JUDGED: Final = (
    (arms.OURS + THIRD, arms.PAPER + WHOLE),
    (arms.OURS + THIRD, arms.RANDOM + THIRD),
    (FRUGAL, arms.PAPER + WHOLE),
    (FRUGAL, arms.RANDOM),
    (arms.OURS, arms.PAPER),
    (arms.OURS, arms.RANDOM),
)
"""What is compared with a baseline; the first two are the defaults with their own batch."""

PAIRS: Final = (
    *JUDGED,
    (FRUGAL, arms.PAPER),
    (FRUGAL, arms.OURS),
    (arms.OURS + WHOLE, arms.PAPER + WHOLE),
    (arms.OURS + THIRD, arms.OURS + WHOLE),
    (arms.PAPER, arms.PAPER + WHOLE),
    (arms.OURS + THIRD + TRAINED, arms.OURS + THIRD),
)
"""What is compared with what."""


# ── running ───────────────────────────────────────────────────────────────────
@dataclass(frozen=True)
class Runner:
    """Runs what has not been run; every finished campaign is a file below ``work``.

    Attributes:
        work: Where.
        seeds: Those of every arm.
        quick: For trying out.
    """

    work: Path
    seeds: Sequence[int]
    quick: bool = False

    def tracks(
        self,
        name: str,
        sides: Mapping[str, tuple[System, Campaign]],
        tested: System,
        few: Mapping[str, int] = MappingProxyType({}),
    ) -> dict[str, list[Track]]:
        """The tracks of each arm, by seed.

        Args:
            name: Of the study.
            sides: What each arm runs on, and its campaign.
            tested: Gives the structures of the common test.
            few: How many seeds an arm has, if not all.
        """
        found: dict[str, list[Track]] = {arm: [] for arm in sides}
        test: Dataset | None = None
        for k, seed in enumerate(self.seeds):
            for arm, (system, made) in sides.items():
                if k >= few.get(arm, len(self.seeds)):
                    continue
                file = self.work / name / f"{arm}-{seed}.json".replace(" ", "_")
                if not file.is_file():
                    test = self._test(tested, made) if test is None else test
                    given = start(system, made, seed)
                    self._run(trial.Task(arm, arms.seeded(made, seed), given, test, COST), file)
                found[arm].append(Track.from_dict(json.loads(file.read_text(encoding="utf-8"))))
        return found

    def _test(self, system: System, made: Campaign) -> Dataset:
        made = arms.seeded(augmented(system, made), SEED)
        reference = oracle.parse(system.oracle)
        return testset.common_test(frames_of(system), made, reference, 9 if self.quick else 120)

    @staticmethod
    def _run(task: trial.Task, file: Path) -> None:
        track = trial.run(task)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(track.to_dict()) + "\n", encoding="utf-8")
        errors = ", ".join(f"{1000 * e:.0f}" for e in track.column("forces"))
        where = file.parent.name
        harness.say(f"    {where}, {task.arm}, seed {track.seed}: {errors} meV/Å ({track.state})")


# ── rows ──────────────────────────────────────────────────────────────────────
Tracks = Mapping[str, Mapping[str, Sequence[Track]]]
"""By system and arm."""


def _seeds(tracks: Mapping[str, Sequence[Track]], arm: str, base: str) -> list[int]:
    """The seeds that both arms have."""
    mine, theirs = ({track.seed for track in tracks[one]} for one in (arm, base))
    return sorted(mine & theirs)


def compared(
    found: Tracks, arm: str, base: str, what: str, way: float, resamples: int = RESAMPLES
) -> Comparison:
    """An arm against another, on all systems given, over the seeds that both have."""
    pairs = []
    for tracks in found.values():
        sides = [{track.seed: track for track in tracks[one]} for one in (arm, base)]
        mine, theirs = (
            Curves.of(
                [
                    (side[seed].column(what), side[seed].column("forces"))
                    for seed in _seeds(tracks, arm, base)
                ]
            )
            for side in sides
        )
        pairs.append((mine, theirs))
    rng = generator(SEED, "labels", "bootstrap", arm, base, what)
    return compare(pairs, way, rng, resamples)


def row(
    found: Tracks,
    arm: str,
    base: str,
    what: str,
    way: float = HEADLINE,
    *,
    judged: bool = False,
    resamples: int = RESAMPLES,
) -> harness.Row | None:
    """One comparison; ``None`` if nothing was learned."""
    made = compared(found, arm, base, what, way, resamples)
    where = "all systems" if len(found) > 1 else next(iter(found))
    name = f"{where}: {arm} / {base}, {SPENT[what]}, {WAYS[way]}"
    if made.ratio is None:
        harness.say(f"    {name}: nothing learned, no ratio")
        return None
    needs = [one for one in made.systems if one is not None]
    errors = ", ".join(f"{1000 * one.error:.0f}" for one in needs)
    beyond = "" if made.beyond is None else f"beyond the start {made.beyond:.2f}"
    if made.beyond is not None and made.beyond_interval:
        beyond += " ({:.2f} to {:.2f})".format(*made.beyond_interval)
    return harness.Row(
        name=name,
        work=f"campaigns until the common test errs by {errors} meV/Å",
        unit=SPENT[what],
        ours=geometric_mean([one.ours for one in needs]),
        baseline=geometric_mean([one.theirs for one in needs]),
        ratio=made.ratio,
        ratio_is="ours / baseline",
        spread=made.interval or (made.ratio, made.ratio),
        repeats=min(len(_seeds(tracks, arm, base)) for tracks in found.values()),
        target=TARGET if judged else None,
        met=TARGET.met_by(made.ratio) if judged else None,
        note=beyond + ("" if made.interval else "; no interval"),
    )


def _rows_of(found: Tracks, arm: str, base: str, *, quick: bool) -> Iterator[harness.Row | None]:
    """All systems at every error, then each system at that of the headline."""
    judged = (arm, base) in JUDGED
    resamples = 50 if quick else RESAMPLES
    for what in SPENT:
        for way in sorted(WAYS, key=lambda way: way != HEADLINE):
            meant = judged and way == HEADLINE
            yield row(found, arm, base, what, way, judged=meant, resamples=resamples)
        for name, tracks in found.items() if len(found) > 1 else ():
            yield row({name: tracks}, arm, base, what, resamples=resamples)


_SMALL: Final = "defaults, 8 atoms"
_LARGE: Final = "paper, 32 atoms"


def _cells(runner: Runner, number: int) -> dict[str, list[Track]]:
    """Nickel from small cells with the defaults, and from large ones with the paper's protocol.

    Here the starts differ, for that is the question. Both are tested on large cells.
    """
    small, large = nickel((2, 1, 1)), nickel((2, 2, 2))
    theirs = arms.as_in_the_paper(campaign(large, quick=runner.quick))
    sides = {_SMALL: (small, campaign(small, quick=runner.quick)), _LARGE: (large, theirs)}
    return runner.tracks("cells", sides, large, dict.fromkeys(sides, number))


def rows(options: argparse.Namespace) -> Iterator[harness.Row]:
    """The campaign against its baselines, then what was asked for besides."""
    seeds = range(options.first, options.first + (2 if options.quick else options.seeds))
    runner = Runner(Path(options.work), seeds, options.quick)
    wanted = [*(options.arms or ARMS), *(VARIANTS if options.variants else ())]
    pairs = [*PAIRS, *((one, arms.OURS) for one in VARIANTS)]
    found: dict[str, dict[str, list[Track]]] = {}
    for name, system in list(systems().items())[: 1 if options.quick else None]:
        every = all_arms(campaign(system, quick=options.quick))
        sides = {arm: (system, every[arm]) for arm in wanted}
        few = dict.fromkeys(VARIANTS, options.variants) if options.variants else {}
        found[name] = runner.tracks(name, sides, system, few)
    for arm, base in ((arm, base) for arm, base in pairs if {arm, base} <= set(wanted)):
        yield from filter(None, _rows_of(found, arm, base, quick=options.quick))
    large: dict[str, dict[str, list[Track]]] = {}
    if options.cells:
        large = {"cells": _cells(runner, options.cells)}
        yield from filter(None, _rows_of(large, _SMALL, _LARGE, quick=options.quick))
    if options.tracks:
        _keep(found | large, Path(options.tracks))


def _keep(found: Tracks, file: Path) -> None:
    """All tracks, one a line, to five digits."""
    lines = [
        json.dumps({"system": name} | track.to_dict() | {"points": [
            {key: round(value, 5) if isinstance(value, float) else value
             for key, value in point.to_dict().items()} for point in track.points]})
        for name, sides in found.items() for tracks in sides.values() for track in tracks
    ]  # fmt: skip
    file.write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    parser.add_argument("--seeds", type=int, default=5, help="repetitions of every arm")
    parser.add_argument("--first", type=int, default=SEED, help="the first seed")
    every = list(all_arms(campaign(nickel((1, 1, 1)), quick=True)))
    parser.add_argument(
        "--arms", nargs="+", metavar="ARM", choices=every, help="these arms alone, by name"
    )
    for name, what in (
        ("--variants", "defaults changed one at a time"),
        ("--cells", "small cells against large ones"),
    ):
        parser.add_argument(
            name, type=int, default=0, metavar="SEEDS", help=f"{what}, on so many seeds"
        )
    parser.add_argument("--work", default="build/labels", help="finished campaigns are kept here")
    parser.add_argument("--tracks", metavar="FILE", help="write all curves here")


if __name__ == "__main__":
    sys.exit(harness.main("labels", __doc__ or "", rows, add_arguments))
