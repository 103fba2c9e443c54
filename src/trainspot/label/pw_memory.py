"""Estimate of the memory of pw.x for a frame, before any calculation.

The estimate counts the largest arrays: wave functions, projectors, the work space of the Davidson
solver, and the density on its grids. For cells of 1 to 216 atoms it is from 30 % below to 40 %
above the number that pw.x prints. It is highest for norm-conserving pseudopotentials, which need
less than these arrays; see ``tests/engines/test_pw_memory.py``.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np
from ase.units import Bohr
from scipy.fft import next_fast_len

from trainspot.label.quantumespresso import QuantumEspressoLabelEngine, QuantumEspressoSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainspot.data.frames import Frame

_REAL, _COMPLEX = 8, 16  # bytes
_EMPTY_BANDS: Final = 1.2
"""With smearing pw.x adds a fifth to the occupied bands, four at least."""
_DAVIDSON: Final = 6
"""Trial vectors, and H and S applied to them, each twice the number of bands."""
# Projectors of a pseudopotential: two each of s and p; with d electrons in the valence two of d.
_PROJECTORS, _PROJECTORS_WITH_D, _SEMICORE = 8, 18, 8
# Permanent arrays on the real grid and on the plane waves of the density (densities,
# potentials, mixing history), and those of the gradient correction at its peak.
_GRIDS, _WAVES, _GRADIENTS = 7, 8, 13


def memory(frame: Frame, settings: QuantumEspressoSettings, valences: Mapping[str, float]) -> float:
    """Memory of all processes of pw.x together, GB.

    The number of plane waves up to a cutoff E is V (2E)^(3/2) / 6π² in atomic units (E in Hartree,
    V the volume of the cell).

    Args:
        frame: The frame.
        settings: Settings with cutoffs.
        valences: Valence electrons of each element's pseudopotential.

    Raises:
        InputError: The frame cannot be labelled with these settings.
    """
    asked = QuantumEspressoLabelEngine.inputs(frame, settings, valences)
    wave_cutoff = float(asked.parameters["SYSTEM"]["ecutwfc"])  # Ry, so 2E in Hartree
    density_cutoff = float(asked.parameters["SYSTEM"]["ecutrho"])
    spins = int(asked.parameters["SYSTEM"].get("nspin", 1))
    half = 0.5 if asked.gamma_only else 1.0
    cell = frame.cell / Bohr
    per_volume = half * abs(float(np.linalg.det(cell))) / (6.0 * math.pi**2)
    n_waves = per_volume * wave_cutoff**1.5
    symbols = frame.to_atoms().get_chemical_symbols()
    electrons = sum(valences[symbol] for symbol in symbols)
    n_bands = electrons / 2.0
    if asked.parameters["SYSTEM"]["occupations"] == "smearing":
        n_bands = max(_EMPTY_BANDS * n_bands, n_bands + 4)
    bands = _COMPLEX * n_waves * n_bands
    n_kpoints = spins * _kpoints(asked.mesh, asked.offset)
    stored = n_kpoints if n_kpoints > 1 else 0  # pw.x keeps those of all k-points in memory
    projectors = _COMPLEX * n_waves * sum(_projectors(valences[symbol]) for symbol in symbols)
    grid = _REAL * spins * _grid_points(cell, density_cutoff)
    solver = _DAVIDSON * bands + half * 3 * _COMPLEX * (2 * n_bands) ** 2
    lasting = (stored + 1) * bands + projectors + _GRIDS * grid
    lasting += _WAVES * _REAL * spins * per_volume * density_cutoff**1.5
    return float(lasting + max(solver, _GRADIENTS * grid)) / 1e9


def _kpoints(mesh: tuple[int, int, int], offset: tuple[int, int, int]) -> int:
    """Points of a mesh up to time reversal; the symmetry of a distorted frame gives no others."""
    # k = -k holds for the centre and, on an even axis, for its edge; a shifted even axis has none.
    own = math.prod(
        (0 if n % 2 == 0 else 1) if shifted else (2 if n % 2 == 0 else 1)
        for n, shifted in zip(mesh, offset, strict=True)
    )
    return (math.prod(mesh) + own) // 2


def _projectors(valence: float) -> int:
    return _PROJECTORS_WITH_D if valence > _SEMICORE else _PROJECTORS


def _grid_points(cell: np.ndarray[tuple[int, int], np.dtype[np.float64]], cutoff: float) -> int:
    """Points of the real grid that holds all plane waves up to a cutoff (Ry); cell in Bohr."""
    lengths = np.linalg.norm(cell, axis=1)
    highest = np.floor(math.sqrt(cutoff) * lengths / (2.0 * math.pi)).astype(int)
    return math.prod(next_fast_len(2 * n + 1, real=True) for n in highest.tolist())
