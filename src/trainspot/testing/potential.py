"""The contract test of model kinds."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from trainspot.common.errors import InputError
from trainspot.data.frames import Frame
from trainspot.models.potential import Potential
from trainspot.testing.claims import Claims
from trainspot.testing.model_files import check_model_file

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from trainspot.data.frames import Labels

STEP = 1e-4
"""Å, or strain."""
_DIRECTION = np.array([0.6, 0.0, 0.8])


def check_potential(
    model: Potential,
    frames: Sequence[Frame],
    tolerance: float = 1e-4,
    *,
    path: Path | None = None,
    folder: Path | None = None,
) -> None:
    """Assert the contract of a float64 member.

    - cutoff, elements, kind and graph key are present, and a frame with an element that the model
      lacks is refused with ``InputError``;
    - forces are minus the gradient of the energy, stress its strain derivative per volume;
    - the prediction of a frame depends neither on its batch nor on earlier predictions;
    - stress is absent exactly where no direction is periodic;
    - with a path, also the claims of ``check_model_file``.

    Args:
        model: The member.
        frames: Frames with elements of the model, periodic ones and others.
        tolerance: eV/Å for forces, eV/Å³ for stress.
        path: The file that the model was loaded from.
        folder: An empty folder; needed with ``path``.
    """
    claims = Claims("model kind", model.kind, type(model))
    claims(isinstance(model, Potential), "does not derive from Potential")
    _check_attributes(claims, model)
    with claims.works("prepare() and predict()"):
        prepared = model.prepare(frames)
        together, again = model.predict(prepared), model.predict(prepared)
    claims(len(together) == len(frames), f"{len(together)} predictions for {len(frames)} frames")
    for frame, batched, repeated in zip(frames, together, again, strict=True):
        alone = model.predict(model.prepare([frame]))[0]
        for labels in (alone, repeated):
            _check_same(claims, batched, labels)
        periodic = bool(frame.pbc.any())
        claims(
            (batched.stress is not None) == periodic,
            "stress must be present exactly for periodic frames",
        )
        _check_forces(claims, model, frame, batched, tolerance)
        if batched.stress is not None:
            _check_stress(claims, model, frame, batched.stress, tolerance)
    if path is not None:
        claims(folder is not None, "check_potential needs a folder beside a path")
        assert folder is not None
        check_model_file(type(model), path, folder)


def _check_attributes(claims: Claims, model: Potential) -> None:
    with claims.works("hash(graph_key)"):
        hash(model.graph_key)
    claims(0.0 < model.cutoff < math.inf, f"cutoff is {model.cutoff}, not a distance in Å")
    numbers = model.numbers
    claims(isinstance(numbers, tuple) and numbers, "numbers is not a tuple of atomic numbers")
    claims(all(type(z) is int and 0 < z < 119 for z in numbers), f"numbers is {numbers}")
    foreign = next((z for z in range(1, 119) if z not in numbers), None)
    if foreign is not None:
        frame = Frame.make([foreign, foreign], np.diag([0.0, 0.0, 2.0])[1:])
        with claims.refuses(InputError, "a frame with an element that the model does not know"):
            model.predict(model.prepare([frame]))


def _check_same(claims: Claims, first: Labels, second: Labels) -> None:
    claims(first.energy is not None, "there is no energy")
    claims(first.forces is not None, "there are no forces")
    energies = np.array([first.energy, second.energy], dtype=np.float64)
    close = abs(energies[0] - energies[1]) < 1e-8
    claims(close, "the energy depends on the batch or on what was predicted before")
    close = np.allclose(_forces(first), _forces(second), rtol=0, atol=1e-8)
    claims(close, "the forces depend on the batch or on what was predicted before")


def _forces(labels: Labels) -> Any:
    return np.asarray(labels.forces, dtype=np.float64)


def _check_forces(
    claims: Claims, model: Potential, frame: Frame, labels: Labels, tolerance: float
) -> None:
    forces = _forces(labels)
    claims(forces.shape == (len(frame), 3), f"forces have the shape {forces.shape}")
    step = np.zeros((len(frame), 3))
    step[-1] = STEP * _DIRECTION
    slope = _slope(model, frame, frame.positions + step, frame.positions - step)
    wrong = abs(forces[-1] @ _DIRECTION + slope)
    claims(wrong < tolerance, f"forces are not minus the gradient of the energy ({wrong:.2g} eV/Å)")


def _check_stress(
    claims: Claims, model: Potential, frame: Frame, stress: np.ndarray, tolerance: float
) -> None:
    claims(np.shape(stress) == (3, 3), f"stress has the shape {np.shape(stress)}")
    volume = abs(np.linalg.det(frame.cell))
    for a, b in ((0, 0), (1, 2)):
        strain = np.zeros((3, 3))
        strain[a, b] += STEP / 2
        strain[b, a] += STEP / 2
        plus, minus = np.eye(3) + strain, np.eye(3) - strain
        slope = _slope(
            model,
            frame,
            frame.positions @ plus,
            frame.positions @ minus,
            (frame.cell @ plus, frame.cell @ minus),
        )
        wrong = abs(stress[a, b] - slope / volume)
        claims(
            wrong < tolerance,
            "stress is not the strain derivative of the energy per volume, positive under "
            f"tension ({wrong:.2g} eV/Å³)",
        )


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
