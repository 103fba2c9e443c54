"""Values under other names become labels, as the user chooses; exact conversions are applied."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from trainspot.common.errors import InputError
from trainspot.io.labels import (
    KEEP,
    REF,
    REF_FORCES,
    energy_of,
    forces_of,
    numbers_of,
    stress_of,
)


def parse_map(entries: Iterable[str]) -> dict[str, str]:
    """New names from ``--map OLD=NEW``, by old name.

    Raises:
        InputError: Not of this form, or the new name is not a label.
    """
    targets = {**{name: name for name in REF}, **{v: v for v in REF.values()}, KEEP: KEEP}
    mapping: dict[str, str] = {}
    for entry in entries:
        old, _, new = entry.rpartition("=")
        if not old or new not in targets:
            hint = f"write NAME=LABEL, where LABEL is {', '.join(REF)} or {KEEP}"
            raise InputError(f"'{entry}' names no label", where="--map", hint=hint)
        if old in mapping:
            raise InputError(f"'{old}' is mapped twice", where="--map", hint="give it once")
        mapping[old] = new
    return mapping


def renamed(
    atoms: Atoms, mapping: Mapping[str, str], passed: Counter[str] | None = None
) -> set[str]:
    """Give values of a structure the names of labels, in place, with exact conversions.

    A virial becomes a stress (times -1, divided by the volume), a gradient becomes forces (times
    -1), an energy per atom becomes the energy of the structure.

    Args:
        atoms: The structure; its info, arrays and results are changed.
        mapping: New names by old ones, see ``parse_map``.
        passed: Counts old names that stay because the structure already has the label. Without it
            such names are refused.

    Returns:
        The old names that were used.

    Raises:
        InputError: A value that cannot be converted, or a label that already exists.
    """
    met = set()
    for old, new in mapping.items():
        places = [atoms.info, atoms.arrays, *([atoms.calc.results] if atoms.calc else [])]
        place = next((p for p in places if old in p), None)
        if place is None:
            continue
        if new != KEEP:
            quantity = next(key for key, name in REF.items() if new in (key, name))
            home, key = _home(atoms, quantity, new)
            if home.get(key) is not None and not (home is place and key == old):
                if passed is None:
                    raise already(key)
                passed[old] += 1
                continue
            _set(atoms, home, key, _converted(old, place.pop(old), quantity, atoms))
        met.add(old)
    return met


def already(label: str) -> InputError:
    """The error for a name whose label already exists."""
    return InputError(f"'{label}' already exists", where="--map", hint="map another name")


def _converted(old: str, value: Any, quantity: str, atoms: Atoms) -> Any:
    lower = old.lower()
    numbers = numbers_of(old, value, quantity)
    if quantity == "forces":
        flat = numbers.shape == (3 * len(atoms),)  # such as in the comment line
        forces = forces_of(old, numbers.reshape(-1, 3) if flat else numbers, len(atoms))
        assert forces is not None
        return -forces if "grad" in lower else forces
    if quantity == "energy":
        energy = energy_of(old, numbers)
        assert energy is not None
        return energy * len(atoms) if re.search(r"per_?atom", lower) else energy
    if "virial" not in lower:
        return stress_of(old, numbers)
    if numbers.size != 9:
        hint = "give the nine numbers of its matrix: the order of six numbers is unknown"
        raise InputError(f"{old} has {numbers.size} numbers", hint=hint)
    volume = abs(float(np.linalg.det(atoms.cell.array)))
    if not volume:
        raise InputError(f"{old} of a structure without a cell is not a stress", hint="remove it")
    stress = stress_of(old, numbers)
    assert stress is not None
    return -stress / volume


def _home(atoms: Atoms, quantity: str, new: str) -> tuple[dict[str, Any], str]:
    """The dictionary for a label of a structure, and the key in this dictionary."""
    name = REF[quantity]
    if new == name or REF_FORCES in atoms.arrays or set(REF.values()) & set(atoms.info):
        return atoms.arrays if quantity == "forces" else atoms.info, name
    return atoms.calc.results if atoms.calc else {}, quantity


def _set(atoms: Atoms, home: dict[str, Any], key: str, value: Any) -> None:
    if key in REF.values():
        home[key] = value
        return
    results = dict(atoms.calc.results) if atoms.calc else {}
    atoms.calc = SinglePointCalculator(atoms)
    atoms.calc.results.update({**results, key: value})
