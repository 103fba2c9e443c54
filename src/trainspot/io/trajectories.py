"""Trajectories of LAMMPS, DL_POLY and CP2K: structures, whose energies and forces are no labels.

The forces of a LAMMPS dump come from the potential of the simulation, and the energy that ASE adds
has no meaning. The energy in a comment line of CP2K is in Hartree.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

import ase.io
from ase import Atoms

from trainspot.common.errors import InputError
from trainspot.io.atoms import LOG
from trainspot.io.labels import CALCULATOR

DUMP: Final = "lammps-dump-text"
"""ASE's name of the format of LAMMPS."""

DL_POLY: Final = ("dlp4", "dlp-history")
"""ASE's names of the formats of DL_POLY."""

FORCES: Final = f"{CALCULATOR}forces"
"""Name of the per-atom array for the forces of a dump."""

CP2K_ENERGY: Final = "cp2k_E"
"""Name in ``info`` for the energy of CP2K, Hartree."""

_UNITS: Final = ("metal", "real", "si", "cgs", "electron", "micro", "nano")
_CP2K: Final = re.compile(r"\s*i\s*=\s*(\d+),(?:\s*time\s*=\s*([-+.\deE]+),)?\s*E\s*=\s*\S+\s*")


# ── LAMMPS ────────────────────────────────────────────────────────────────────
def lammps_images(path: Path, where: str) -> list[Atoms]:
    """The structures of a text dump; its forces are kept as ``calculator_forces``.

    Args:
        path: The file.
        where: The name of the file in notes.

    Raises:
        InputError: Its columns do not name the elements, its units cannot be converted to Å, or
            atoms are missing.
    """
    structures: list[Atoms] = ase.io.read(
        str(path.absolute()), index=":", format=DUMP, do_not_split_by_at_sign=True,
        units=_checked_units(path),
    )  # fmt: skip
    return without_forces(structures, where, "a LAMMPS dump")


def without_forces(images: list[Atoms], where: str, source: str) -> list[Atoms]:
    """The structures of a program that only uses potentials; forces become metadata.

    Args:
        images: The structures, changed in place.
        where: The name of the file in notes.
        source: The kind of the file in notes.
    """
    forces = 0
    for atoms in images:
        results = atoms.calc.results if atoms.calc is not None else {}
        if "forces" in results:
            atoms.set_array(FORCES, results["forces"])
            forces += 1
        atoms.calc = None
    if forces:
        LOG.warning(
            "%s: the forces of %s are those of its potential, not labels; they are kept "
            "as '%s' (%s of %s structures)", where, source, FORCES, forces, len(images),
        )  # fmt: skip
    return images


def is_dump(path: Path) -> bool:
    """Whether a file begins like a text dump; ASE recognises only Unix line ends."""
    with path.open("rb") as handle:
        return handle.read(64).startswith((b"ITEM: TIMESTEP", b"ITEM: UNITS", b"ITEM: TIME"))


def _checked_units(path: Path) -> str:
    """The units of a dump, after a check that its columns are complete and name the elements."""
    units, size, steps = "metal", 0, 0
    with path.open(encoding="utf-8") as handle:
        lines = enumerate(handle, start=1)
        for number, line in lines:
            if line.startswith("ITEM: UNITS"):
                units = next(lines, (0, ""))[1].strip()
            elif line.startswith("ITEM: TIMESTEP"):
                steps += 1
            elif line.startswith("ITEM: NUMBER OF ATOMS"):
                size = int(next(lines, (0, ""))[1])
            elif line.startswith("ITEM: ATOMS") and not {"element", "mass"} & {*line.split()[2:]}:
                raise InputError(
                    f"line {number}: no column says which elements the types of atoms are",
                    hint="write the dump with the column element, and dump_modify ID element Cu …; "
                    "or read it with ASE (specorder) and write .extxyz",
                )
            elif line.startswith("ITEM: ATOMS"):
                rows = [row for _, row in islice(lines, size)]
                present = sum(bool(row.strip()) and not row.startswith("ITEM") for row in rows)
                if present < size:
                    what = f"line {number}: has {present} of its {size} atoms"
                    raise InputError(what, hint="the file is cut off: remove the last step")
                steps -= 1
    if steps:
        raise InputError("has a step without atoms", hint="the file is cut off: remove that step")
    if units not in _UNITS:
        hint = f"give a dump in one of: {', '.join(_UNITS)}"
        raise InputError(f"is in units '{units}', which cannot be converted to Å", hint=hint)
    return units


# ── CP2K ──────────────────────────────────────────────────────────────────────
def check_cp2k(path: Path) -> None:
    """Refuse forces and velocities of CP2K, whose files look like positions.

    Raises:
        InputError: The file has forces or velocities.
    """
    kind = next((kind for kind in ("frc", "vel") if f"-{kind}-" in path.name), "")
    if kind and is_cp2k(path):
        what = {"frc": "forces", "vel": "velocities"}[kind]
        hint = f"give the file with positions: {path.name.replace(f'-{kind}-', '-pos-')}"
        raise InputError(f"has {what} of CP2K instead of positions", hint=hint)


def is_cp2k(path: Path) -> bool:
    """Whether the first comment line of a file is like those of CP2K trajectories."""
    with path.open("rb") as handle:
        lines = [handle.readline(4096) for _ in range(2)]
    return _CP2K.fullmatch(lines[1].decode("utf-8", "replace")) is not None


def without_energies(images: list[Atoms], where: str) -> list[Atoms]:
    """The structures of a CP2K trajectory; energies become metadata under another name.

    Args:
        images: The structures, changed in place.
        where: The name of the file in notes.
    """
    for atoms in images:
        atoms.info = dict(_renamed(atoms.info))
    LOG.warning(
        "%s: E in the comment lines of CP2K is in Hartree and not a label; it is kept as '%s', and "
        "the cell is not in the file (%s of %s structures)",
        where, CP2K_ENERGY, sum(CP2K_ENERGY in atoms.info for atoms in images), len(images),
    )  # fmt: skip
    return images


def _renamed(info: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in info.items():
        plain = value.rstrip(",") if isinstance(value, str) else value  # as in `i = 0, time = …`
        if name == "i":
            yield name, int(plain)
        elif name == "time":
            yield name, float(plain)
        else:
            yield (CP2K_ENERGY if name == "E" else name), value
