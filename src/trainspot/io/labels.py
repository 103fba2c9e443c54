"""The labels among the values of an ASE structure.

Labels have two sets of names: ``REF_energy``, ``REF_forces``, ``REF_stress``, and ``energy``,
``forces``, ``stress`` of a calculator. A frame has its labels under one of these sets;
``lookalikes`` handles labels under other names.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from ase import Atoms
from ase.stress import voigt_6_to_full_3x3_stress

from trainspot.common.errors import InputError
from trainspot.common.properties import WORDS
from trainspot.data.frames import Labels

if TYPE_CHECKING:
    from numpy.typing import NDArray

REF_ENERGY, REF_FORCES, REF_STRESS = "REF_energy", "REF_forces", "REF_stress"
REF: Final = {"energy": REF_ENERGY, "forces": REF_FORCES, "stress": REF_STRESS}
"""Names of the labels in files, by quantity."""

KEEP: Final = "keep"
"""The target of a mapping for a name that stays metadata."""

FILE: Final = "FILE"
"""Placeholder for the file name in messages about a structure."""

NOTHING: Final = frozenset({"", "none", "null", "n/a", "na"})
"""Texts that stand for a missing label."""

CALCULATOR: Final = "calculator_"
"""Prefix of the names for results of a calculator if there are also ``REF_`` labels."""

_ROUNDING: Final = 1e-5
"""Largest asymmetry of a stress, eV/Å³: the rounding of five digits."""
_ROUNDING_SHARE: Final = 1e-3
"""Largest asymmetry as a share of the largest component."""


# ── the labels of a structure ─────────────────────────────────────────────────
def labels_of(
    atoms: Atoms,
    info: Mapping[str, Any],
    results: Mapping[str, Any],
    theory: str,
    *,
    as_is: bool = False,
) -> Labels:
    """The labels of a structure, under one set of names.

    Args:
        atoms: The structure.
        info: Entries of the structure.
        results: Results of its calculator.
        theory: Level of theory of labels that come without one.
        as_is: Whether an asymmetric stress stays unchanged, as in our own files.

    Raises:
        InputError: Labels under two sets of names, or a value that is not a number or has the wrong
            shape; the message names it.
    """
    values = {"energy": info.get(REF_ENERGY), "forces": atoms.arrays.get(REF_FORCES),
              "stress": info.get(REF_STRESS)}  # fmt: skip
    values = {key: None if is_nothing(value) else value for key, value in values.items()}
    if any(value is not None for value in values.values()):
        _check_one_set(values, results)
        names: Mapping[str, str] = REF
    else:
        # With smearing the forces are the derivative of the free energy.
        energy = "free_energy" if results.get("free_energy") is not None else "energy"
        names = {"energy": energy, "forces": "forces", "stress": "stress"}
        values = {key: results.get(name) for key, name in names.items()}
        values = {key: None if is_nothing(value) else value for key, value in values.items()}
        _check_free_energy(results, len(atoms))
    labels = Labels(
        energy_of(names["energy"], values["energy"]),
        forces_of(names["forces"], values["forces"], len(atoms)),
        stress_of(names["stress"], values["stress"], as_is=as_is),
    )
    return replace(labels, theory=str(info.get("theory", theory)) if labels else "")


_SMEARING: Final = 1.0
"""eV/atom, beyond any difference of free energy and energy."""


def other_results(info: Mapping[str, Any], arrays: Collection[str], results: Mapping[str, Any],
                  ) -> dict[str, Any]:  # fmt: skip
    """Results that are not labels, by their names in extras and metadata.

    If a calculator has two energies, the one that is not the label becomes ``energy_sigma0``. If
    the structure has ``REF_`` labels, energy, forces and stress of the calculator are other data.

    Args:
        info: Entries of the structure.
        arrays: Names of its per-atom arrays.
        results: Results of its calculator.
    """
    mine = {"energy", "free_energy", "forces", "stress"}
    metadata = {k: v for k, v in results.items() if k not in mine and v is not None}
    referenced = REF_FORCES in arrays or any(not is_nothing(info.get(n)) for n in REF.values())
    if referenced:
        return metadata | {
            CALCULATOR + k: _as_array(v)
            for k, v in results.items()
            if k in mine and v is not None and not is_nothing(v)
        }
    energy = results.get("energy")
    if energy is not None and results.get("free_energy", energy) != energy:
        metadata["energy_sigma0"] = float(energy)
    return metadata


def _as_array(value: Any) -> Any:
    return float(value) if np.ndim(value) == 0 else np.asarray(value)


def _check_free_energy(results: Mapping[str, Any], n_atoms: int) -> None:
    """Refuse a free energy too far from the energy for smearing, such as a zero for none."""
    energy, free = (results.get(name) for name in ("energy", "free_energy"))
    if is_nothing(energy) or is_nothing(free):
        return
    energy, free = energy_of("energy", energy), energy_of("free_energy", free)
    if energy is not None and free is not None and abs(energy - free) > _SMEARING * n_atoms:
        raise InputError(
            f"'free_energy' {free:g} and 'energy' {energy:g} differ by more than smearing explains",
            hint="remove the one that is wrong",
        )


def _check_one_set(values: Mapping[str, Any], results: Mapping[str, Any]) -> None:
    """Refuse labels that are spread over both sets; a complete second set may be from a model."""
    is_complete = results.get("energy") is not None and results.get("forces") is not None
    mine = next(REF[key] for key, value in values.items() if value is not None)
    if is_complete and values["energy"] is not None and values["forces"] is not None:
        return
    strays = {k: REF[k] for k, v in values.items() if v is None and results.get(k) is not None}
    for key, name in list(strays.items())[:1]:
        raise InputError(
            f"'{mine}' and '{key}' are labels under two sets of names",
            hint=f"call the latter '{name}', or remove it; {command(strays)} renames it",
        )


def command(renamed: Mapping[str, str]) -> str:
    """The command line that converts values under other names to labels."""
    options = " ".join(f"--map {shlex.quote(f'{old}={new}')}" for old, new in renamed.items())
    return f"trainspot convert {FILE} NEW.extxyz {options}"


def is_nothing(value: Any) -> bool:
    """Whether a value stands for a missing label."""
    if value is None:
        return True
    if isinstance(value, str | bytes):
        text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
        return text.strip().lower() in NOTHING
    return isinstance(value, np.ndarray | list | tuple) and not size_of(value)


def size_of(value: Any) -> int:
    """Number of entries of a value; -1 for lists of different lengths, which are not numbers."""
    try:
        return int(np.size(value))
    except ValueError:
        return -1


def numbers_of(name: str, value: Any, quantity: str) -> NDArray[np.float64]:
    """The numbers of a label, from any value in a file.

    Raises:
        InputError: The value is not a number; the message names the value.
    """
    hint = f"give numbers alone, in {WORDS[quantity].label_unit}, or leave it out"
    if isinstance(value, bool | np.bool_):
        raise InputError(f"{name} has no value", hint=hint)
    try:
        if isinstance(value, str):
            parts = [float(part) for part in re.sub(r"[\[\](),;]", " ", value).split()]
            value = parts[0] if len(parts) == 1 else parts
        numbers = np.asarray(value)
        if numbers.dtype.kind in "iuf":
            return numbers.astype(np.float64)
        if numbers.dtype.kind in "OUS":
            return np.array(value, dtype=np.float64)
    except (TypeError, ValueError):
        pass  # the error follows
    shown = repr(value if isinstance(value, str) else str(value))
    raise InputError(f"{name}={shown[:60]} is not a number", hint=hint)


def energy_of(name: str, value: Any) -> float | None:
    """An energy, eV, from any value in a file; ``InputError`` if it is not one number."""
    if value is None:
        return None
    numbers = numbers_of(name, value, "energy")
    if numbers.size != 1:
        raise InputError(
            f"{name} has {numbers.size} numbers", hint="an energy is one number, in eV"
        )
    _check_finite(name, numbers)
    return float(numbers.reshape(()) if numbers.ndim == 0 else numbers.ravel()[0])


def forces_of(name: str, value: Any, n_atoms: int) -> NDArray[np.float64] | None:
    """Forces, eV/Å, (n, 3), from any value in a file; ``InputError`` for another shape."""
    if value is None:
        return None
    forces = numbers_of(name, value, "forces")
    if forces.shape != (n_atoms, 3):
        shape = " × ".join(map(str, forces.shape)) or "1"
        hint = f"forces are three numbers for each of the {n_atoms} atoms, in eV/Å"
        raise InputError(f"{name} has {shape} numbers", hint=hint)
    _check_finite(name, forces)
    return forces


def stress_of(name: str, value: Any, *, as_is: bool = False) -> NDArray[np.float64] | None:
    """A stress, eV/Å³, (3, 3), from nine or six numbers; ``InputError`` for other values.

    Args:
        name: Its name in the file.
        value: Its value in the file.
        as_is: Whether nine numbers stay unchanged; otherwise see ``symmetric``.
    """
    if value is None:
        return None
    numbers = numbers_of(name, value, "stress")
    if numbers.size not in (6, 9):
        hint = "a stress is nine numbers, the rows of its matrix, or six: xx yy zz yz xz xy"
        raise InputError(f"{name} has {numbers.size} number{'s' * (numbers.size != 1)}", hint=hint)
    _check_finite(name, numbers)
    full = (
        voigt_6_to_full_3x3_stress(numbers.ravel()) if numbers.size == 6 else numbers.reshape(3, 3)
    )
    full = np.asarray(full, dtype=np.float64)
    return full if as_is else symmetric(name, full)


def symmetric(name: str, stress: NDArray[np.float64]) -> NDArray[np.float64]:
    """A stress, (3, 3), without asymmetry from rounding.

    Raises:
        InputError: The asymmetry is too large for rounding.
    """
    if np.array_equal(stress, stress.T):
        return stress
    apart = np.abs(stress - stress.T)
    if not apart.max() <= max(_ROUNDING, _ROUNDING_SHARE * float(np.abs(stress).max())):
        row, column = (int(i) for i in np.unravel_index(int(apart.argmax()), (3, 3)))
        row, column = sorted((row, column))
        upper, lower = "xyz"[row] + "xyz"[column], "xyz"[column] + "xyz"[row]
        raise InputError(
            f"{name} is not symmetric: {upper} is {stress[row, column]:.6g}, {lower} is "
            f"{stress[column, row]:.6g}",
            hint="correct it, or leave it out",
        )
    mean: NDArray[np.float64] = 0.5 * (stress + stress.T)
    return mean


def _check_finite(name: str, numbers: NDArray[np.float64]) -> None:
    if not np.all(np.isfinite(numbers)):
        raise InputError(f"{name} is not finite", hint="leave an absent label out")
