"""The common test frames of a rehearsal, which are the same for all arms and seeds.

Some test frames come from the augmentation of the campaign with another seed. The others come from
molecular dynamics with the oracle, at temperatures from the lowest to the highest of the
exploration. Test frames of a pool are drawn from it at random. No committee has an influence on its
test frames.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from trainspot.campaign.decisions import prepare
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
_OF_POOL: Final = 4
"""At most one frame in so many of a pool is a test frame."""
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

    If augmentation makes no random frames, as with ``augment: []``, all come from dynamics.

    Args:
        inputs: The structures of the campaign.
        campaign: Source of augmentation, temperatures, pressures, length of a run and seed.
        oracle: Settings of the oracle, which drives the dynamics and labels.
        frames: Number of frames, without those that the screen or the oracle refuses.
        progress: Called with a message for each step.

    Raises:
        RunError: No frame is left.
    """
    seed = derive_seed(campaign.seed, "rehearse", "test")
    # Frames that augmentation makes with every seed (inputs, slabs, …) are never test frames.
    trained = prepare(inputs, campaign).ids
    generated = prepare(inputs, seeded(campaign, seed))
    generated = generated.take(generated.n_atoms > 1)
    if not len(generated):
        raise RunError("augmentation gives only single atoms", hint="give a structure")
    fresh = generated.without(trained)
    drawn = generator(seed, "augmented").permutation(len(fresh))
    augmented = fresh.take(np.sort(drawn[: max(1, frames // _AUGMENTED)]))
    generated = fresh if len(fresh) else generated  # dynamics leave their start frames
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


def of_pool(
    pool: Dataset,
    campaign: Campaign,
    oracle: AseSettings | None,
    frames: int,
) -> Dataset:
    """Labelled test frames drawn at random from a pool; the campaigns must not draw them.

    Args:
        pool: All frames, with the labels of the test frames unless there is an oracle.
        campaign: Source of the seed and of the limits of the screen.
        oracle: Settings of the oracle; ``None``: the labels of the pool.
        frames: Number of frames; at most a quarter of the pool.

    Raises:
        RunError: No frame is left.
    """
    seed = derive_seed(campaign.seed, "rehearse", "test")
    usable = pool.take(~pool.is_isolated)
    usable = usable if oracle else usable.labelled()
    usable = usable.select(sorted(usable.ids))
    most = min(frames, len(usable) // _OF_POOL)
    drawn = usable.take(np.sort(generator(seed, "pool").permutation(len(usable))[:most]))
    drawn = drawn.select(screen(drawn, drawn[:0], None, campaign.screen).kept)
    labelled = AseLabelEngine().label(drawn, oracle).labelled if oracle else drawn
    test = labelled.filter(lambda frame: _strongest(frame) <= campaign.screen.max_force)
    if not len(test):
        raise RunError("no common test frame could be drawn", hint="give a larger pool")
    return test


def _dynamics(
    augmented: Dataset, campaign: Campaign, oracle: AseSettings, frames: int, seed: int
) -> Dataset:
    """Frames of runs that start from augmented frames, ``_PER_RUN`` frames of each run."""
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
