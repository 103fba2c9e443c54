"""What every kind of model must do, ours or a third party's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trainspot.data.frames import Frame
from trainspot.models.potential import Potential

if TYPE_CHECKING:
    from collections.abc import Sequence

STEP = 1e-4
"""Å, or strain."""


def check_potential(model: Potential, frames: Sequence[Frame], tolerance: float = 1e-4) -> None:
    """Assert the contract of a float64 member.

    - forces are minus the gradient of the energy, stress its strain derivative per volume;
    - a frame's prediction does not depend on its batch, and predicting changes nothing;
    - stress is absent exactly where no direction is periodic.

    Args:
        model: The member.
        frames: Frames of elements it knows, periodic ones and others.
        tolerance: eV/Å for forces, eV/Å³ for stress.
    """
    assert isinstance(model, Potential)
    hash(model.graph_key)
    prepared = model.prepare(frames)
    together, again = model.predict(prepared), model.predict(prepared)
    for frame, found, repeated in zip(frames, together, again, strict=True):
        alone = model.predict(model.prepare([frame]))[0]
        assert found.energy is not None
        assert found.forces is not None
        for other in (alone, repeated):
            assert other.energy is not None
            assert other.forces is not None
            assert np.isclose(found.energy, other.energy, rtol=0, atol=1e-8), "batch energy"
            assert np.allclose(found.forces, other.forces, rtol=0, atol=1e-8), "batch forces"
        assert (found.stress is not None) == bool(frame.pbc.any()), "stress where periodic"
        step = np.zeros((len(frame), 3))
        step[-1] = STEP * np.array([0.6, 0.0, 0.8])
        slope = _slope(model, frame, frame.positions + step, frame.positions - step)
        assert abs(found.forces[-1] @ [0.6, 0.0, 0.8] + slope) < tolerance, "forces"
        if found.stress is not None:
            _check_stress(model, frame, found.stress, tolerance)


def _check_stress(model: Potential, frame: Frame, stress: np.ndarray, tolerance: float) -> None:
    volume = abs(np.linalg.det(frame.cell))
    for a, b in ((0, 0), (1, 2)):
        strain = np.zeros((3, 3))
        strain[a, b] += STEP / 2
        strain[b, a] += STEP / 2
        plus, minus = np.eye(3) + strain, np.eye(3) - strain
        energies = _slope(
            model,
            frame,
            frame.positions @ plus,
            frame.positions @ minus,
            (frame.cell @ plus, frame.cell @ minus),
        )
        assert abs(stress[a, b] - energies / volume) < tolerance, "stress"


def _slope(
    model: Potential,
    frame: Frame,
    up: np.ndarray,
    down: np.ndarray,
    cells: tuple[np.ndarray, np.ndarray] | None = None,
) -> float:
    """Central difference of the energy, eV per unit of the step."""
    first, second = cells or (frame.cell, frame.cell)
    moved = [
        Frame.make(frame.numbers, positions, cell, frame.pbc)
        for positions, cell in ((up, first), (down, second))
    ]
    high, low = model.predict(model.prepare(moved))
    assert high.energy is not None
    assert low.energy is not None
    return (high.energy - low.energy) / (2 * STEP)
