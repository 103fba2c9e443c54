"""The LAMMPS input deck of a run: complete, and valid for any LAMMPS.

A comment, ``# trainspot model=… kind=… elements=…``, gives the model to ``trainspot-lmp``; for a
LAMMPS with a pair style of the model, the deck has this pair style instead. Several runs in one
deck are sections separated by ``clear``, each between a ``begin`` and an ``end`` marker in the
output.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import StringIO
from shlex import quote
from typing import TYPE_CHECKING, Final

import numpy as np
from ase import Atoms
from ase.data import atomic_masses, atomic_numbers, chemical_symbols
from ase.io.lammpsdata import write_lammps_data

from trainspot.common.units import BAR_PER_KBAR, FS_PER_PS
from trainspot.explore import dispersion
from trainspot.explore.box import LammpsBox

if TYPE_CHECKING:
    from trainspot.data.frames import Frame
    from trainspot.explore.lammps import LammpsSettings
    from trainspot.explore.schedule import Run

BEGIN: Final = "trainspot begin"
END: Final = "trainspot end"
FAILED: Final = "trainspot failed"
"""Before the reason of a failure, which ``trainspot-lmp`` prints."""
DIRECTIVE: Final = "# trainspot"
ORDER: Final = ("id", "type", "xu", "yu", "zu")
"""Columns of the dump."""

_AXES: Final = "xyz"
_HALT_EVERY: Final = 5
# The long cutoff of a dispersion correction includes more atoms than LAMMPS expects (2000).
_NEIGHBOURS: Final = " one 20000 page 400000"


@dataclass(frozen=True, slots=True)
class Names:
    """File names of one run; ``label`` also stands in its markers."""

    label: str

    @property
    def data(self) -> str:
        """Start geometry."""
        return f"{self.label}.data"

    @property
    def dump(self) -> str:
        """Kept frames."""
        return f"{self.label}.dump"

    @property
    def restart(self) -> str:
        """Restart files; LAMMPS replaces the star by the step."""
        return f"{self.label}.*.restart"


def names_of(run: Run) -> Names:
    """File names of a run, from its trajectory."""
    return Names(f"md-{run.trajectory[:16]}")


def elements_of(frame: Frame) -> list[str]:
    """The element of each atom type, by atomic number: type 1 is the first."""
    return [chemical_symbols[z] for z in np.unique(frame.numbers)]


def data_file(frame: Frame, box: LammpsBox) -> str:
    """The start geometry in LAMMPS' data format; atom ids follow the frame's order from 1.

    The deck has the masses: ASE would convert them through kilograms, with a relative error of
    3e-10.
    """
    moved = Atoms(frame.numbers, frame.positions + box.shift @ box.rotation)
    text = StringIO()
    species = elements_of(frame)
    write_lammps_data(text, moved, specorder=species, prismobj=box.prism, force_skew=True)
    return text.getvalue()


def section(
    frame: Frame, run: Run, settings: LammpsSettings, model: str, kind: str, restart: str = ""
) -> str:
    """The section of a deck for one run, from its start frame or from a restart file."""
    names, elements = names_of(run), elements_of(frame)
    periodic = " ".join("p" if axis else "f" for axis in frame.pbc)
    begin = (
        [f"read_restart {restart}"]
        if restart
        else [f"boundary {periodic}", f"read_data {names.data}", *_masses(elements)]
    )
    velocities = f"velocity all create {run.temperature!r} {run.seed} mom yes rot no dist gaussian"
    lines = [
        f'print "{BEGIN} {names.label}"',
        "units metal",
        "atom_style atomic",
        "atom_modify map array sort 0 0",
        *begin,
        *_interactions(elements, settings, model, kind),
        "neighbor 1.0 bin",
        f"neigh_modify every 1 delay 0 check yes{_NEIGHBOURS if settings.dispersion else ''}",
        f"timestep {run.timestep / FS_PER_PS!r}",
        *([] if restart else [velocities]),
        f"thermo {run.every}",
        "thermo_style custom step temp pe ke etotal press vol",
        "thermo_modify norm no flush yes lost ignore",
        _integrator(run, settings),
        *_halt(frame, run, settings),
        f"dump frames all custom {run.every} {names.dump} {' '.join(ORDER)}",
        "dump_modify frames sort id flush yes format float %.15g",
        f"restart {_restart_every(run, settings)} {names.restart}",
        f"run {run.steps} upto",
        f'print "{END} {names.label} step $(step)"',
    ]
    return "\n".join(lines) + "\n"


def _masses(elements: list[str]) -> list[str]:
    """The mass of each atom type, u; a restart file has them."""
    return [
        f"mass {kind} {float(atomic_masses[atomic_numbers[symbol]])!r}  # {symbol}"
        for kind, symbol in enumerate(elements, 1)
    ]


def _interactions(
    elements: list[str], settings: LammpsSettings, model: str, kind: str
) -> list[str]:
    """Commands for the model, by directive or by a pair style of LAMMPS, and for dispersion."""
    correction = settings.dispersion
    if settings.pair_style is None:
        directive = f"{DIRECTIVE} model={quote(model)} kind={kind} elements={','.join(elements)}"
        head = [f"{directive} dtype={settings.dtype} device={settings.device}"]
        if correction is None:
            return [*head, "pair_style zero 1.0 nocoeff", "pair_coeff * *"]
        style = f"pair_style {dispersion.pair_style(correction)}"
        return [*head, style, *dispersion.pair_coefficients(correction, elements, hybrid=False)]
    words = {"model": model, "elements": " ".join(elements)}
    own = settings.pair_style.format(**words)
    coefficients = settings.pair_coeff.format(**words)
    if correction is None:
        return [f"pair_style {own}", f"pair_coeff * * {coefficients}"]
    return [
        f"pair_style hybrid/overlay {own} {dispersion.pair_style(correction)}",
        f"pair_coeff * * {own.split()[0]} {coefficients}",
        *dispersion.pair_coefficients(correction, elements, hybrid=True),
    ]


def _integrator(run: Run, settings: LammpsSettings) -> str:
    if run.ensemble == "nve":
        return "fix integrate all nve"
    temperature = f"temp {run.temperature!r} {run.temperature!r}"
    thermostat = f"{temperature} {settings.thermostat_time / FS_PER_PS!r}"
    if run.ensemble == "nvt":
        return f"fix integrate all nvt {thermostat}"
    bar = run.pressure * BAR_PER_KBAR
    time = settings.barostat_time / FS_PER_PS
    axes = [axis for axis, pressed in zip(_AXES, run.barostat, strict=True) if pressed]
    barostat = " ".join(f"{axis} {bar!r} {bar!r} {time!r}" for axis in axes)
    return f"fix integrate all npt {thermostat} {barostat}"


def _halt(frame: Frame, run: Run, settings: LammpsSettings) -> list[str]:
    """Commands that stop an exploded run, but not the deck."""
    hottest = settings.hottest(run.temperature)
    volume = float(np.prod(np.diag(LammpsBox.of(frame).cell)))
    low, high = volume / settings.max_volume_ratio, volume * settings.max_volume_ratio
    bad = f"temp>{hottest!r}||vol<{low!r}||vol>{high!r}"
    return [
        f'variable exploded equal "{bad}"',
        f"fix limits all halt {_HALT_EVERY} v_exploded != 0 error soft",
    ]


def _restart_every(run: Run, settings: LammpsSettings) -> int:
    samples = max(1, run.steps // run.every)
    return run.every * -(-samples // settings.restarts)
