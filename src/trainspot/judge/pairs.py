"""Pairs of disagreement and error, the data of every calibration."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from trainspot.common.errors import DataError
from trainspot.common.properties import PROPERTIES
from trainspot.data.dataset import Dataset
from trainspot.data.refused import not_held_out
from trainspot.predictions.predictions import Predictions
from trainspot.predictions.statistics import Array

ROUNDING: Final = 1e-5
"""Force errors and disagreements of a single atom below this, eV/Å, are rounding: symmetry."""

_MOST_ATOMS: Final = 32


@dataclass(frozen=True, eq=False)
class Pairs:
    """Δ and e of labelled frames, from the predictions of one committee.

    Attributes:
        frame_ids: Ids of the n frames.
        delta: Δ of each property, (n,); eV/atom, eV/Å, eV/Å³. NaN without a label.
        error: e of each property, (n,), in the same units; NaN without a label.
        held_out: Which frames were in no training set of the committee, (n,).
        atom_ratios: Of each frame the ratios e/Δ of the force on single atoms, sorted; at most
            ``_MOST_ATOMS`` evenly spaced order statistics. Empty: unknown, or no force.
        n_atoms: Number of atoms that the ratios of each frame stand for, (n,).
    """

    frame_ids: tuple[str, ...]
    delta: Mapping[str, Array]
    error: Mapping[str, Array]
    held_out: NDArray[np.bool_]
    atom_ratios: tuple[Array, ...] = ()
    n_atoms: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    def __post_init__(self) -> None:
        """Pairs of earlier versions have no ratios of single atoms."""
        if len(self.atom_ratios) != len(self.frame_ids):
            object.__setattr__(self, "atom_ratios", (np.zeros(0),) * len(self.frame_ids))
            object.__setattr__(self, "n_atoms", np.zeros(len(self.frame_ids), dtype=np.int64))

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.frame_ids)

    def of(self, name: str) -> tuple[Array, Array]:
        """Δ and e of the held-out frames with a label and a finite prediction."""
        delta, error = self.delta[name], self.error[name]
        rows = self.held_out & np.isfinite(delta) & np.isfinite(error)
        return delta[rows], error[rows]

    def only(self, ids: Collection[str], *, inside: bool = True) -> Pairs:
        """The pairs of some frames, or of all others."""
        wanted = set(ids)
        return self._rows([k for k, i in enumerate(self.frame_ids) if (i in wanted) is inside])

    def by_id(self) -> Pairs:
        """The pairs, sorted by frame id."""
        return self._rows(sorted(range(len(self)), key=self.frame_ids.__getitem__))

    def _rows(self, rows: Sequence[int]) -> Pairs:
        chosen = np.array(rows, dtype=np.int64)
        return Pairs(
            tuple(self.frame_ids[row] for row in rows),
            {name: values[chosen] for name, values in self.delta.items()},
            {name: values[chosen] for name, values in self.error.items()},
            self.held_out[chosen],
            tuple(self.atom_ratios[row] for row in rows),
            self.n_atoms[chosen],
        )

    @classmethod
    def concatenate(cls, parts: Sequence[Pairs]) -> Pairs:
        """All pairs in order; a frame that occurs twice keeps the pair of the newest committee."""
        ids = [identity for part in parts for identity in part.frame_ids]
        rows = sorted({identity: row for row, identity in enumerate(ids)}.values())
        empty = np.zeros(0)

        def concatenated(columns: Sequence[Array]) -> Array:
            return np.concatenate([empty, *columns])

        every = cls(
            tuple(ids),
            {name: concatenated([part.delta[name] for part in parts]) for name in PROPERTIES},
            {name: concatenated([part.error[name] for part in parts]) for name in PROPERTIES},
            concatenated([part.held_out.astype(float) for part in parts]).astype(np.bool_),
            tuple(ratios for part in parts for ratios in part.atom_ratios),
            concatenated([part.n_atoms.astype(float) for part in parts]).astype(np.int64),
        )
        return every._rows(rows)

    def to_dict(self) -> dict[str, Any]:
        """JSON values only; null without a label."""

        def plain(values: Array) -> list[float | None]:
            return [value if np.isfinite(value) else None for value in values.tolist()]

        return {
            "frame_ids": list(self.frame_ids),
            "delta": {name: plain(self.delta[name]) for name in PROPERTIES},
            "error": {name: plain(self.error[name]) for name in PROPERTIES},
            "held_out": self.held_out.tolist(),
            "atom_ratios": [ratios.tolist() for ratios in self.atom_ratios],
            "n_atoms": self.n_atoms.tolist(),
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
            ratios = tuple(np.array(r, dtype=np.float64) for r in content.get("atom_ratios", ()))
            n_atoms = np.array(content.get("n_atoms", ()), dtype=np.int64)
        except (KeyError, TypeError, ValueError) as error:
            raise DataError("these are not pairs of disagreement and error") from error
        sizes = {len(v) for v in (held_out, *columns[0].values(), *columns[1].values())}
        if ratios or len(n_atoms):
            sizes |= {len(ratios), len(n_atoms)}
        if sizes != {len(ids)}:
            raise DataError("pairs of disagreement and error have columns of different lengths")
        return cls(ids, columns[0], columns[1], held_out, ratios, n_atoms)


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
    ratios, n_atoms = _atom_ratios(chosen, mine)
    return Pairs(
        tuple(chosen.ids),
        {name: np.where(has_label[name], delta[name], np.nan) for name in PROPERTIES},
        {name: np.where(has_label[name], error[name], np.nan) for name in PROPERTIES},
        np.array([identity not in seen for identity in chosen.ids], dtype=np.bool_),
        ratios,
        n_atoms,
    )


def _atom_ratios(
    labelled: Dataset, predictions: Predictions
) -> tuple[tuple[Array, ...], NDArray[np.int64]]:
    """``Pairs.atom_ratios`` and ``Pairs.n_atoms`` of frames and predictions in the same order.

    Δ and e of an atom are root mean squares over the three components of its force, as in
    ``judge.atoms``. Where only Δ is rounding, it counts as ``ROUNDING``.
    """
    off = predictions.forces.mean(axis=0, dtype=np.float64) - labelled.column("forces")
    error = np.sqrt(np.mean(off**2, axis=1))
    delta = predictions.atom_disagreement()
    edges = np.concatenate([[0], np.cumsum(labelled.n_atoms)])
    has_forces = predictions.referenced(labelled)["forces"] & predictions.is_finite
    every, counts = [], []
    for row, usable in enumerate(has_forces):
        mine = slice(edges[row], edges[row + 1])
        e, d = error[mine], delta[mine]
        e, d = (v[e > ROUNDING] for v in (e, d)) if usable else (e[:0], d[:0])
        ratios = np.sort(e / np.maximum(d, ROUNDING))
        every.append(_thinned(ratios))
        counts.append(len(ratios))
    return tuple(every), np.array(counts, dtype=np.int64)


def _thinned(ordered: Array) -> Array:
    """At most ``_MOST_ATOMS`` evenly spaced values of a sorted column, four digits each."""
    number = min(len(ordered), _MOST_ATOMS)
    places = ((np.arange(number) + 0.5) * len(ordered) / max(number, 1)).astype(np.int64)
    return np.array([float(f"{value:.4g}") for value in ordered[places]])
