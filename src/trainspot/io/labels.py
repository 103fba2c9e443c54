"""Which values of an ASE structure are its labels.

Labels have two sets of names: ``REF_energy``, ``REF_forces``, ``REF_stress``, and ``energy``,
``forces``, ``stress`` of a calculator. A frame has its labels under one of them; labels
under other names are the matter of ``lookalikes``.
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
"""What a name is mapped to that stays metadata."""

FILE: Final = "FILE"
"""Stands in messages for the file, of which a structure does not know."""

NOTHING: Final = frozenset({"", "none", "null", "n/a", "na"})
"""Texts that stand for a label that is not there."""

CALCULATOR: Final = "calculator_"
"""Begins the names under which results of a calculator are kept beside ``REF_`` labels."""

_ROUNDING: Final = 1e-5
"""How far a stress may be from symmetric, eV/Å³: what five digits leave."""
_ROUNDING_SHARE: Final = 1e-3
"""The same as a share of its largest number."""


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
        info: Its entries.
        results: What its calculator left.
        theory: Level of theory of labels that come without one.
        as_is: Whether a stress stays as it is, symmetric or not: that of a frame of ours.

    Raises:
        InputError: Labels under two sets of names, or a value that is no number or has the wrong
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
    """Results that are no labels, by the names they are kept under.

    Of two energies of a calculator the one that is not the label is ``energy_sigma0``. Where there
    are labels of the other set of names, energy, forces and stress are those of something else.

    Args:
        info: Entries of the structure.
        arrays: Names of its per-atom arrays.
        results: What its calculator left.
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
    """Refuse a free energy that no smearing explains beside the energy, such as a zero for none."""
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
    """Refuse labels that are spread over both sets; a whole second set is that of a model, say."""
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
    """The command line that makes labels of values of other names."""
    options = " ".join(f"--map {shlex.quote(f'{old}={new}')}" for old, new in renamed.items())
    return f"trainspot convert {FILE} NEW.extxyz {options}"


def is_nothing(value: Any) -> bool:
    """Whether a value stands for a label that is not there."""
    if value is None:
        return True
    if isinstance(value, str | bytes):
        text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
        return text.strip().lower() in NOTHING
    return isinstance(value, np.ndarray | list | tuple) and not size_of(value)


def size_of(value: Any) -> int:
    """How many entries a value has; lists of unlike lengths have none that could be numbers."""
    try:
        return int(np.size(value))
    except ValueError:
        return -1


def numbers_of(name: str, value: Any, quantity: str) -> NDArray[np.float64]:
    """The numbers that a label consists of, whatever a file had for them.

    Raises:
        InputError: They are none; the message names the value.
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
        pass  # told below
    shown = repr(value if isinstance(value, str) else str(value))
    raise InputError(f"{name}={shown[:60]} is not a number", hint=hint)


def energy_of(name: str, value: Any) -> float | None:
    """An energy, eV, of whatever a file had for it; ``InputError`` if it is not one number."""
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
    """Forces, eV/Å, (n, 3), of whatever a file had; ``InputError`` if they are not that."""
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
    """A stress, eV/Å³, (3, 3), of nine or six numbers; ``InputError`` if it is not that.

    Args:
        name: What it is called.
        value: Whatever a file had for it.
        as_is: Whether nine numbers stay as they are; otherwise see ``symmetric``.
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
    """A stress, (3, 3), without what rounding left of asymmetry.

    Raises:
        InputError: It is not symmetric by more than that.
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
