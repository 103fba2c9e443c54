"""Checks of a deck against its model, before the first step.

LAMMPS runs with any units and any masses, and gives wrong numbers without a warning. These checks
refuse a deck that contradicts the model, and note settings that are unusual but possible.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from ase.data import atomic_masses, atomic_numbers

from trainspot.common.elements import numbers_of
from trainspot.common.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

UNITS: Final = "metal"
"""The units of LAMMPS in which energies are eV and lengths are Å."""

WRITE_METAL: Final = (
    f"write `units {UNITS}`, with times in ps, pressures in bar and masses in g/mol"
)

_POINTS: Final = frozenset(
    {"atomic", "charge", "bond", "angle", "molecular", "full", "dipole", "spin", "sphere", "hybrid"}
)
_SAME: Final = 0.01  # relative; smaller differences of masses are rounding
_ISOTOPES: Final = (0.85, 1.2)  # of the mean mass, from lithium 6 to calcium 48
_TRITIUM: Final = 3.1  # g/mol
_LONGEST_STEP: Final = 0.05  # ps; far too long to integrate the motion of atoms
_ROOM: Final = 5.0  # Å without atoms; a direction with more has vacuum


def check_units(units: str, where: str) -> None:
    """Refuse units that are not those of the model.

    Args:
        units: Argument of the command ``units``.
        where: Place in the deck.

    Raises:
        InputError: The units differ.
    """
    if units != UNITS:
        raise InputError(
            f"trainspot models are in eV and Å, not in `units {units}`",
            where=where,
            hint=WRITE_METAL,
        )


def check_setup(lmp: Any, elements: Sequence[str], where: str) -> None:
    """Refuse units, styles and types that contradict the model, once the box is there.

    Args:
        lmp: A running LAMMPS.
        elements: Chemical symbol of each atom type.
        where: Place of the model in the deck.

    Raises:
        InputError: See above.
    """
    check_units(lmp.extract_global("units"), where)
    if lmp.extract_setting("dimension") != 3:
        hint = "leave out `dimension 2`, and hold atoms with `fix setforce` if need be"
        raise InputError("trainspot models are three-dimensional", where=where, hint=hint)
    style = str(lmp.extract_global("atom_style")).split("/", maxsplit=1)[0]
    if style not in _POINTS:
        hint = "write `atom_style atomic`"
        raise InputError(f"`atom_style {style}` has no plain atoms", where=where, hint=hint)
    types = lmp.extract_setting("ntypes")
    if len(elements) != types:
        named = f"{len(elements)} element{'s' * (len(elements) > 1)} ({','.join(elements)})"
        hint = "name one for each type, in their order"
        text = f"elements= names {named} for {types} atom type{'s' * (types > 1)}"
        raise InputError(text, where=where, hint=hint)
    numbers_of(elements, where=where, hint="elements= takes chemical symbols such as Si,C")
    if lmp.get_natoms() > 0 and not np.all(_tags(lmp) > 0):
        hint = "leave out `atom_modify id no`"
        raise InputError("atoms without ids cannot be followed", where=where, hint=hint)


def check_masses(lmp: Any, elements: Sequence[str], where: str, *, free: bool) -> Iterator[str]:
    """Refuse masses that are missing or another element's; note isotopes.

    Args:
        lmp: A LAMMPS that is about to run.
        elements: Chemical symbol of each atom type.
        where: Place in the deck.
        free: Accept any positive mass.

    Yields:
        Notes on unusual masses.

    Raises:
        InputError: See above.
    """
    for kind, mass in _masses(lmp, len(elements)):
        symbol = elements[kind - 1]
        mean = float(atomic_masses[atomic_numbers[symbol]])
        if not mass > 0:
            text = f"atom type {kind} ({symbol}) has no mass"
            raise InputError(text, where=where, hint=f"write `mass {kind} {mean:.6g}`")
        if abs(mass / mean - 1) <= _SAME:
            continue
        message = f"the mass of atom type {kind} is {mass:.6g}, not that of {symbol} ({mean:.6g})"
        matches = (
            candidate for candidate in elements if candidate != symbol and _is_of(mass, candidate)
        )
        match = next(matches, None)
        if free or (match is None and _is_isotope(mass, symbol)):
            yield f"{message}; an isotope?" if not free else message
            continue
        why = f", but that of {match}" if match else ""
        raise InputError(
            f"{message}{why}",
            where=where,
            hint="write elements= in the order of the atom types, or correct `mass`; "
            "to keep the masses, add masses=any to the line of the model",
        )


def check_step(lmp: Any, where: str) -> None:
    """Refuse a time step in fs.

    Raises:
        InputError: The time step is too long for a value in ps.
    """
    step = float(lmp.extract_global("dt"))
    if step > _LONGEST_STEP:
        raise InputError(
            f"a time step of {step:g} ps", where=where, hint="1 fs is `timestep 0.001` in metal"
        )


def surfaces(lmp: Any) -> str:
    """A note on non-periodic directions without vacuum, if there are any."""
    low, high, _, _, _, periodic, _ = lmp.extract_box()
    if lmp.get_natoms() == 0 or all(periodic):
        return ""
    places = np.array(lmp.numpy.extract_atom("x"))[: lmp.extract_setting("nlocal")]
    room = np.subtract(high, low) - np.ptp(places, axis=0)
    full = [
        name for name, is_periodic, r in zip("xyz", periodic, room, strict=True)
        if not is_periodic and r < _ROOM
    ]  # fmt: skip
    if not full or len(places) < 2:
        return ""
    return (
        f"the box ends at the atoms along {', '.join(full)}, which is not periodic by `boundary`: "
        "the model sees surfaces there; a crystal needs `boundary p p p`"
    )


def _tags(lmp: Any) -> NDArray[np.int64]:
    tags = lmp.numpy.extract_atom("id")
    return np.zeros(1, np.int64) if tags is None else np.asarray(tags, dtype=np.int64)


def _masses(lmp: Any, types: int) -> Iterator[tuple[int, float]]:
    """Each atom type with its mass; a type appears more than once if its atoms differ in mass."""
    own = lmp.numpy.extract_atom("rmass") if lmp.extract_setting("rmass_flag") else None
    if own is None:
        table = lmp.extract_atom("mass")
        yield from ((kind, float(table[kind])) for kind in range(1, types + 1))
        return
    count = lmp.extract_setting("nlocal")
    kinds, masses = np.array(lmp.numpy.extract_atom("type"))[:count], np.array(own)[:count]
    for kind in np.unique(kinds).tolist():
        values = masses[kinds == kind]
        yield from ((kind, float(value)) for value in np.unique([values.min(), values.max()]))


def _is_of(mass: float, symbol: str) -> bool:
    return abs(mass / float(atomic_masses[atomic_numbers[symbol]]) - 1) <= _SAME


def _is_isotope(mass: float, symbol: str) -> bool:
    ratio = mass / float(atomic_masses[atomic_numbers[symbol]])
    return (symbol == "H" and ratio >= 1 and mass < _TRITIUM) or (
        _ISOTOPES[0] <= ratio <= _ISOTOPES[1]
    )
