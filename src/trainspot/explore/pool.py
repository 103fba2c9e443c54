"""Explorer ``pool``: the frames of a file, such as a trajectory or a public dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from trainspot.common.errors import TrainspotError
from trainspot.common.seeds import generator
from trainspot.common.text import counted
from trainspot.engine import Preflight, Remark
from trainspot.explore.base import Explorer
from trainspot.io.pool import read_pool

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from numpy.typing import NDArray

    from trainspot.data.dataset import Dataset

STRATEGY: Final = "pool"
"""Strategy of drawn frames whose file names no strategy."""


class PoolSettings(BaseModel):
    """Settings of the explorer ``pool``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str | None = Field(
        None,
        min_length=1,
        description="file of frames, relative to the campaign file; labels in it are not shown to "
        "the committee",
    )
    initial: PositiveInt = Field(
        50,
        description="frames drawn at random for the first training, in a campaign without "
        "structures and dataset; isolated atoms of the file are added",
    )
    frames_per_iteration: PositiveInt = Field(
        5000,
        description="largest number of frames that an iteration judges, drawn at random from the "
        "rest of the pool",
    )


class PoolExplorer(Explorer):
    """Draws frames of a file; runs no program, and takes no model."""

    name: ClassVar[str] = "pool"
    Settings: ClassVar[type[PoolSettings]] = PoolSettings
    default_code: ClassVar[str] = "trainspot@localhost"
    draws_from_pool: ClassVar[bool] = True
    pool_setting: ClassVar[str] = "file"

    @classmethod
    def preflight(cls, facts: Preflight) -> Iterator[Remark]:
        """Say how many frames the pool has; an unreadable file is an error."""
        if facts.settings.file is None:
            return
        try:
            pool = read_pool(facts.settings.file)
        except TrainspotError as error:
            yield Remark("error", f"explore.file: {error}")
            return
        left = len(pool.without(facts.inputs.ids))
        if not left:
            yield Remark("error", "explore.file: all frames of the pool are in the start dataset")
            return
        frames = counted(len(pool), "frame")
        yield Remark("note", f"{frames} in the pool, {left} of them outside the first dataset")

    @classmethod
    def draw(
        cls,
        pool: Dataset,
        taken: Collection[str],
        settings: PoolSettings,
        *,
        seed: int,
        iteration: int,
    ) -> NDArray[np.intp]:
        """Draw at random, by id: the order of the frames in the file does not matter.

        Isolated atoms are drawn only for the first training: no committee disagrees on them.
        """
        ids, alone = np.array(pool.ids, dtype=object), pool.is_isolated
        out = set(taken)
        free = np.array([identity not in out for identity in ids], dtype=np.bool_)
        rows = np.flatnonzero(free & ~alone)
        rows = rows[np.argsort(ids[rows].astype(str))]
        most = settings.initial if iteration == 0 else settings.frames_per_iteration
        if len(rows) > most:
            rng = generator(seed, "pool", iteration)
            rows = rows[rng.choice(len(rows), size=most, replace=False)]
        if iteration == 0:
            rows = np.concatenate([np.flatnonzero(free & alone), rows])
        return np.sort(rows)


def drawn(pool: Dataset, rows: NDArray[np.intp], iteration: int) -> Dataset:
    """Frames of a pool as an exploration gives them: without labels, with their iteration.

    A frame keeps the origin that the file gives it. One whose file names no strategy gets the
    strategy ``pool``.

    Args:
        pool: The pool.
        rows: Rows of the pool.
        iteration: The iteration; 0 for the frames of the first training.
    """
    frames = pool.take(rows).without_labels()
    strategy = frames.column("strategy").copy()
    strategy[strategy == b"input"] = STRATEGY.encode()
    return frames.with_columns(strategy=strategy, iteration=np.full(len(frames), iteration))
