"""The common test frames of a rehearsal: fixed, the same for every arm and seed, and independent.

Part is made by the campaign's own augmentation from a seed of its own; part is molecular dynamics
driven by the oracle itself, at temperatures from the lowest to the highest of the exploration, so
that no committee had a say in what it is tested on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from trainspot.campaign.loop import prepare
from trainspot.common.errors import RunError
from trainspot.common.seeds import derive_seed, generator
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame
from trainspot.explore import schedule
from trainspot.explore.ase import AseExplorer
from trainspot.judge.screen import screen
from trainspot.label.ase import AseLabelEngine
from trainspot.rehearse.arms import seeded
from trainspot.rehearse.oracle import OraclePotential

if TYPE_CHECKING:
    from collections.abc import Callable

    from trainspot.config.models import Campaign
    from trainspot.label.ase import AseSettings

_PER_RUN: Final = 4
_AUGMENTED: Final = 3
MD: Final = "md"


def common_test(
    inputs: Dataset,
    campaign: Campaign,
    oracle: AseSettings,
    frames: int,
    *,
    progress: Callable[[str], None] = lambda _: None,
) -> Dataset:
    """Labelled test frames: two thirds from dynamics, one third from augmentation.

    All from dynamics where augmentation makes nothing at random, as with ``augment: []``.

    Args:
        inputs: The structures of the campaign.
        campaign: Gives augmentation, temperatures, pressures, length of a run and seed.
        oracle: Drives the dynamics and labels.
        frames: How many are asked for; frames the screen or the oracle refuses are left out.
        progress: Told what happens.

    Raises:
        RunError: No frame is left.
    """
    seed = derive_seed(campaign.seed, "rehearse", "test")
    # What augmentation makes of every seed (inputs, slabs, …) is training data, never test data.
    trained = prepare(inputs, campaign).ids
    generated = prepare(inputs, seeded(campaign, seed))
    generated = generated.take(generated.n_atoms > 1)
    if not len(generated):
        raise RunError("augmentation leaves no frame but single atoms", hint="give a structure")
    fresh = generated.without(trained)
    drawn = generator(seed, "augmented").permutation(len(fresh))
    augmented = fresh.take(np.sort(drawn[: max(1, frames // _AUGMENTED)]))
    generated = fresh if len(fresh) else generated  # dynamics leave where they start from
    progress("molecular dynamics with the oracle, for the common test frames")
    dynamics = _dynamics(generated, campaign, oracle, max(1, frames - len(augmented)), seed)
    dynamics = dynamics.without(trained)
    progress("labelling the common test frames")
    chosen = Dataset.concatenate([augmented, dynamics]).merge()
    kept = screen(chosen, generated, None, campaign.screen).kept
    labelled = AseLabelEngine().label(chosen.select(kept), oracle).labelled
    limit = campaign.screen.max_force
    usable = labelled.filter(lambda frame: _strongest(frame) <= limit)
    if not len(usable):
        raise RunError("no common test frame could be made", hint="try gentler temperatures")
    return usable


def _dynamics(
    augmented: Dataset, campaign: Campaign, oracle: AseSettings, frames: int, seed: int
) -> Dataset:
    """Frames of runs that start from augmented frames, ``_PER_RUN`` of each."""
    plan = campaign.explore.plan
    sample = max(plan.time / _PER_RUN, plan.timestep / 1000.0)
    runs = schedule.schedule(
        augmented,
        plan.model_copy(update={"starts": -(-frames // _PER_RUN), "sample_every": sample}),
        seed,
    )
    numbers = [int(z) for z in np.unique(augmented.column("numbers"))]
    exploration = AseExplorer.run(
        schedule.start_frames(augmented, runs), runs, OraclePotential(oracle, numbers)
    )
    return exploration.explored.take(range(min(frames, len(exploration.explored))))


def of_dynamics(test: Dataset) -> Dataset:
    """The test frames that come from molecular dynamics."""
    return test.take(test.column("trajectory") != b"") if len(test) else test


def _strongest(frame: Frame) -> float:
    """The largest force on an atom, eV/Å."""
    assert frame.labels.forces is not None
    return float(np.linalg.norm(frame.labels.forces, axis=1).max())
