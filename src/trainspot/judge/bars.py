"""Error bars from pairs of disagreement and error: the widths that cover 68 and 90 % of errors.

A bar is a scale times the disagreement. The scale is a quantile of the ratios e/Δ with the rank of
conformal prediction: with n ratios, the ⌈(n+1)·q⌉-th smallest. The error of another frame is then
within the bar with a probability of at least q, if this frame is like those of the ratios (V. Vovk,
A. Gammerman, G. Shafer, *Algorithmic Learning in a Random World*, 2005). This holds whether or not
disagreement and error correlate.

The frames of an audit are drawn at random from what was explored. They are like the frames that a
potential meets, while validation frames are like the training frames. So the audit frames alone
give the bars as soon as they are enough.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np

from trainspot.judge.diagnostics import ONE_SIGMA, miscalibration_area
from trainspot.judge.pairs import Pairs
from trainspot.predictions.statistics import Array

Source = Literal["audit", "validation"]

NINETY: Final = 0.9
"""Share of the errors that the wide bar covers."""
LEAST_FRAMES: Final = 12
"""Fewest frames that give bars."""
NEGLIGIBLE: Final = 1e-4
"""Smallest Δ and e of a pair, as a share of the tolerance. Smaller values are rounding noise:
symmetric frames give 0/0. Such pairs are left out before any ratio is formed."""

_FOLDS: Final = 10


@dataclass(frozen=True)
class Bars:
    """The error bars of one property, per disagreement.

    Attributes:
        source: The frames behind them: of audits, or validation frames.
        frames: Number of these frames.
        one_sigma: Width that covers 68.27 % of the errors of frames, over Δ.
        ninety: Width that covers 90 % of them.
        atom_one_sigma: Of forces: the same for the force on a single atom, over its own Δ.
        atom_ninety: Of forces: the same for 90 %.
        atoms: Number of atoms behind the two.
        miscalibration: Area between expected and observed coverage of frames, cross-validated;
            see ``judge.diagnostics``.
    """

    source: Source
    frames: int
    one_sigma: float
    ninety: float
    atom_one_sigma: float | None = None
    atom_ninety: float | None = None
    atoms: int | None = None
    miscalibration: float | None = None


def bars(pairs: Pairs, audit: Collection[str], name: str, tolerance: float) -> Bars | None:
    """The error bars of a property, from enough audit frames alone, else from the other frames.

    Args:
        pairs: Held-out frames.
        audit: Ids of those drawn at random from what was explored, and judged before they were
            trained on.
        name: energy, forces or stress.
        tolerance: ε; Δ and e far below are rounding.

    Returns:
        ``None`` with fewer than ``LEAST_FRAMES`` usable frames of both sorts.
    """
    parts: dict[Source, Pairs] = {
        "audit": pairs.only(audit),
        "validation": pairs.only(audit, inside=False),
    }
    for source, part in parts.items():
        values = ratios(*part.of(name), tolerance)
        if len(values) >= LEAST_FRAMES:
            one_sigma, ninety = ranked(values, ONE_SIGMA), ranked(values, NINETY)
            widths = Bars(source, len(values), one_sigma, ninety, miscalibration=_off(values))
            return _with_atoms(widths, part) if name == "forces" else widths
    return None


def _off(values: Array) -> float | None:
    """Miscalibration of each tenth of the ratios e/Δ with the sigma of the others."""
    scaled = np.zeros(len(values))
    for fold in np.array_split(np.arange(len(values)), _FOLDS):
        scaled[fold] = values[fold] / ranked(np.delete(values, fold), ONE_SIGMA)
    return miscalibration_area(np.ones(len(values)), scaled, 1.0)


def ratios(delta: Array, error: Array, tolerance: float) -> Array:
    """e/Δ of the pairs whose error is no rounding; a Δ that is rounding counts as its limit."""
    least = NEGLIGIBLE * tolerance
    kept = error > least
    return np.asarray(error[kept] / np.maximum(delta[kept], least))


def ranked(values: Array, share: float) -> float:
    """The ⌈(n+1)·share⌉-th smallest of n > 0 values; the largest if the rank is beyond n."""
    rank = math.ceil(round((len(values) + 1) * share, 9))
    return float(np.sort(values)[min(rank, len(values)) - 1])


def _with_atoms(widths: Bars, pairs: Pairs) -> Bars:
    """The bars with those of single atoms, if enough frames have atoms; each atom counts once."""
    rows = [k for k, ratio in enumerate(pairs.atom_ratios) if len(ratio) and pairs.held_out[k]]
    if len(rows) < LEAST_FRAMES:
        return widths
    parts, counts = [pairs.atom_ratios[row] for row in rows], pairs.n_atoms[rows]
    weight = np.concatenate(
        [np.full(len(part), n / len(part)) for part, n in zip(parts, counts, strict=True)]
    )
    values = np.concatenate(parts)
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weight[order]) / weight.sum()
    places = np.searchsorted(reached, np.array([ONE_SIGMA, NINETY]) - 1e-12)
    one_sigma, ninety = values[order][np.minimum(places, len(values) - 1)].tolist()
    return replace(widths, atom_one_sigma=one_sigma, atom_ninety=ninety, atoms=int(counts.sum()))
