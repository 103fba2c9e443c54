"""Pairs of disagreement and error, the data of every calibration."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainspot.common.errors import DataError
from trainspot.common.properties import PROPERTIES
from trainspot.data.dataset import Dataset
from trainspot.data.refused import not_held_out
from trainspot.predictions.predictions import Predictions
from trainspot.predictions.statistics import Array


@dataclass(frozen=True, eq=False)
class Pairs:
    """Δ and e of labelled frames, from the predictions of one committee.

    Attributes:
        frame_ids: Ids of the n frames.
        delta: Δ of each property, (n,); eV/atom, eV/Å, eV/Å³. NaN without a label.
        error: e of each property, (n,), in the same units; NaN without a label.
        held_out: Which frames were in no training set of the committee, (n,).
    """

    frame_ids: tuple[str, ...]
    delta: Mapping[str, Array]
    error: Mapping[str, Array]
    held_out: NDArray[np.bool_]

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.frame_ids)

    def of(self, name: str) -> tuple[Array, Array]:
        """Δ and e of the held-out frames with a label and a finite prediction."""
        delta, error = self.delta[name], self.error[name]
        rows = self.held_out & np.isfinite(delta) & np.isfinite(error)
        return delta[rows], error[rows]

    @classmethod
    def concatenate(cls, parts: Sequence[Pairs]) -> Pairs:
        """All pairs in order; a frame that occurs twice keeps the pair of the newest committee."""
        ids = [identity for part in parts for identity in part.frame_ids]
        rows = sorted({identity: row for row, identity in enumerate(ids)}.values())
        empty = np.zeros(0)

        def concatenated(columns: Sequence[Array]) -> Array:
            return np.concatenate([empty, *columns])[rows]

        return cls(
            tuple(ids[row] for row in rows),
            {name: concatenated([part.delta[name] for part in parts]) for name in PROPERTIES},
            {name: concatenated([part.error[name] for part in parts]) for name in PROPERTIES},
            concatenated([part.held_out.astype(float) for part in parts]).astype(np.bool_),
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON values only; null without a label."""

        def plain(values: Array) -> list[float | None]:
            return [value if np.isfinite(value) else None for value in values.tolist()]

        return {
            "frame_ids": list(self.frame_ids),
            "delta": {name: plain(self.delta[name]) for name in PROPERTIES},
            "error": {name: plain(self.error[name]) for name in PROPERTIES},
            "held_out": self.held_out.tolist(),
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Pairs:
        """The inverse of ``to_dict``.

        Raises:
            DataError: Something is missing or of the wrong length.
        """
        try:
            ids = tuple(content["frame_ids"])
            columns: list[dict[str, Array]] = [
                {name: np.array(content[key][name], dtype=np.float64) for name in PROPERTIES}
                for key in ("delta", "error")
            ]
            held_out = np.array(content["held_out"], dtype=np.bool_)
        except (KeyError, TypeError, ValueError) as error:
            raise DataError("these are not pairs of disagreement and error") from error
        if any(len(v) != len(ids) for v in (held_out, *columns[0].values(), *columns[1].values())):
            raise DataError("pairs of disagreement and error have columns of different lengths")
        return cls(ids, columns[0], columns[1], held_out)


def collect_pairs(
    dataset: Dataset, predictions: Predictions, trained: Collection[str] | None = None
) -> Pairs:
    """Δ and e of the labelled and evaluated frames, for each property.

    Args:
        dataset: Labelled frames; those that the predictions lack are left out.
        predictions: Of one committee, at least two members.
        trained: Ids of the training frames of the committee; by default the frames of the split
            ``train``, and all frames that a screen refused (``data.refused``), which never count as
            held-out frames. Audit frames get a split after the judgement: for audit frames give
            ``()``.
    """
    evaluated = set(predictions.ids)
    chosen = dataset.labelled()
    chosen = chosen.select(dict.fromkeys(i for i in chosen.ids if i in evaluated))
    seen = set(not_held_out(chosen) if trained is None else trained)
    mine = predictions.select(chosen.ids)
    delta, error, has_label = mine.disagreement(), mine.errors(chosen), mine.referenced(chosen)
    return Pairs(
        tuple(chosen.ids),
        {name: np.where(has_label[name], delta[name], np.nan) for name in PROPERTIES},
        {name: np.where(has_label[name], error[name], np.nan) for name in PROPERTIES},
        np.array([identity not in seen for identity in chosen.ids], dtype=np.bool_),
    )
