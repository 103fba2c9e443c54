"""Diverse selection: frames far from the frames of the dataset and from one another."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from trainspot.common.errors import InputError, MissingExtraError
from trainspot.judge.select import Judged, Selection


class DiverseSelection(Selection):
    """Farthest-point sampling in descriptor space, which starts from the known frames.

    Each choice is the candidate farthest from all known and all chosen frames (Y. Eldar et al.,
    IEEE Trans. Image Process. 6, 1305, 1997). Without known frames the candidate with the highest
    score is the first choice.
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
        # fpsample repeats indices when only copies are left; other candidates then fill up.
        chosen = [ids[row - len(known_points)] for row in rows.tolist() if row >= len(known_points)]
        return list(dict.fromkeys([*chosen, *ids]))[:budget]
