"""Frames drawn from a pool, for the contract of explorers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from trainspot.data.dataset import Dataset
from trainspot.testing.samples import tiny_dataset

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from trainspot.data.frames import Frame
    from trainspot.explore.base import Explorer
    from trainspot.testing.claims import Claims


def check_drawing(
    claims: Claims, explorer: type[Explorer], settings: Any, frames: Sequence[Frame] | None
) -> None:
    """Assert the contract of an explorer that draws from a pool; see ``check_explorer``."""
    claims(explorer.pool_setting, "draws_from_pool = True, but pool_setting names no setting")
    pool = tiny_dataset() if frames is None else Dataset.from_frames(frames)
    blind, ids = pool.without_labels(), pool.ids

    def draw(among: Dataset, taken: Collection[str], iteration: int = 1) -> list[str]:
        with claims.works(f"draw() in iteration {iteration}"):
            rows = np.asarray(explorer.draw(among, taken, settings, seed=5, iteration=iteration))
        claims(rows.ndim == 1 and rows.dtype.kind in "iu", "draw() does not give row numbers")
        inside = bool(np.all((rows >= 0) & (rows < len(among))))
        claims(inside, "draw() gives a row that does not exist")
        claims(len(set(rows.tolist())) == len(rows), "draw() gives a row twice")
        return [among.ids[row] for row in rows.tolist()]

    first = draw(blind, (), 0)
    claims(len(first) >= 2, "the first training gets fewer than two frames")
    explored = draw(blind, first)
    claims(not set(first) & set(explored), "a taken frame is drawn")
    claims(not draw(blind, ids), "frames are drawn although all are taken")
    claims(draw(blind, first) == explored, "the same seed does not draw the same frames")
    claims(draw(pool, first) == explored, "the draw depends on labels, which it must not see")
    turned = blind.take(np.arange(len(blind))[::-1])
    same = set(draw(turned, first)) == set(explored)
    claims(same, "the draw depends on the order of the frames in the pool")
    claims(blind.ids == ids, "the pool is changed")
