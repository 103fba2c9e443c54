"""Diverse selection: as far as possible from all that is known, and from one another."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from trainspot.common.errors import InputError, MissingExtraError
from trainspot.judge.select import Judged, Selection


class DiverseSelection(Selection):
    """Farthest-point sampling in descriptor space, seeded by the known frames.

    The first choice is the candidate farthest from every known frame, each next one the farthest
    from the known and the chosen ones (Y. Eldar et al., IEEE Trans. Image Process. 6, 1305,
    1997). Where nothing is known the candidate with the highest score comes first.
    """

    needs_descriptors: ClassVar[bool] = True

    def select(self, judged: Judged, budget: int, rng: np.random.Generator) -> list[str]:
        """See ``Selection.select``; nothing is drawn at random.

        Raises:
            InputError: There are no descriptors.
            MissingExtraError: fpsample is not installed.
        """
        del rng
        if judged.descriptors is None:
            raise InputError("diverse selection needs descriptors of the candidates")
        ids = judged.frames.ids
        if budget >= len(ids) or not budget:
            return ids[:budget]
        try:
            import fpsample
        except ModuleNotFoundError as error:
            raise MissingExtraError("diverse selection", "descriptors") from error
        known_points = judged.descriptors[:0] if judged.known is None else judged.known
        start = list(range(len(known_points))) or [int(np.argmax(judged.score))]
        points = np.concatenate([known_points, judged.descriptors])
        rows = fpsample.fps_sampling(points, len(known_points) + budget, start_idx=start)
        # Once only copies are left it repeats itself; then any other candidate will do.
        chosen = [ids[row - len(known_points)] for row in rows.tolist() if row >= len(known_points)]
        return list(dict.fromkeys([*chosen, *ids]))[:budget]
