"""The formulas of disagreement and error (paper, equations 1 and 2), on ragged arrays.

With M members, member j predicting the D components x_jd of a property of a frame and mean x̄:

- disagreement Δ = [ 1/(M-ddof) · 1/D · Σ_j Σ_d (x_jd - x̄_d)² ]^½,
- error of the committee e = [ 1/D · Σ_d (x̄_d - x_d^ref)² ]^½.

D is 1 for the energy *per atom*, 3n for the forces on n atoms, and d² for the stress of a frame
with d periodic directions: only the components inside the periodic space count, see
``trainspot.geometry``. With d = 0 there is no stress, and both numbers are 0.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def variance(values: Array, ddof: int) -> Array:
    """Variance over the members (first axis), Σ_j (x_j - x̄)² / (M - ddof)."""
    deviation = values - values.mean(axis=0)
    total: Array = np.einsum("j...,j...->...", deviation, deviation)
    return total / (len(values) - ddof)


def inside(stress: Array, projector: Array) -> Array:
    """P s P, the components of (…, N, 3, 3) stresses inside the periodic space of each frame."""
    projected: Array = projector @ stress @ projector
    return projected


def stress_dimension(projector: Array) -> Array:
    """D of the stress, (N,): the square of the rank of each projector, 9, 4, 1 or 0."""
    rank = np.rint(np.trace(projector, axis1=-2, axis2=-1))
    return np.asarray(rank**2, dtype=np.float64)


def ragged_mean(values: Array, offsets: NDArray[np.int64]) -> Array:
    """The mean over the atoms of each frame, (N,), of per-atom values (A,)."""
    if len(offsets) == 1:
        return np.zeros(0)
    return np.asarray(np.add.reduceat(values, offsets[:-1]) / np.diff(offsets), dtype=np.float64)


def ragged_quantile(values: Array, offsets: NDArray[np.int64], quantile: float) -> Array:
    """A quantile over the atoms of each frame, (N,); 1.0 is the maximum.

    The quantile is the smallest value that at least this share of the atoms does not exceed, so a
    repeated cell has the same quantile (interpolation between atoms would change it).
    """
    sizes = np.diff(offsets)
    order = np.lexsort((values, np.repeat(np.arange(len(sizes)), sizes)))
    rank = np.maximum(np.ceil(quantile * sizes - 1e-9).astype(np.int64), 1)
    chosen: Array = values[order][offsets[:-1] + rank - 1]
    return chosen


def root_ratio(total: Array, count: Array) -> Array:
    """(total/count)^½, 0 where count is 0."""
    return np.sqrt(np.divide(total, count, out=np.zeros_like(total), where=count > 0))


def fingerprint(digests: Iterable[str]) -> str:
    """A digest of a committee, independent of the order of its members; 16 hexadecimal digits.

    Args:
        digests: Of each member, see ``batch.digest``; the result is empty without digests.
    """
    together = ",".join(sorted(digests))
    return hashlib.sha256(together.encode()).hexdigest()[:16] if together else ""
