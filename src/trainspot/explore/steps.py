"""The parts of a deck: commands, the line that names a model, and sections."""

from __future__ import annotations

import math
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from trainspot.common.errors import InputError
from trainspot.explore import sanity
from trainspot.explore.watch import Watch
from trainspot.models import potential

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trainspot.models.potential import Potential

N = TypeVar("N", int, float)

# These commands change the position in the deck, which LAMMPS lacks if it gets single lines.
_REFUSED: Final = {"jump", "label", "next", "if", "include", "partition", "quit", "python"}
_DIRECTIVE = re.compile(r"^\s*#\s*trainspot\s+(?=.*\bmodel=)(?P<words>.+)$")
_KEYS: Final = {
    *("model", "kind", "elements", "dtype", "device", "uncertainty", "every", "stop", "masses"),
    "novelty",
}


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
        novelty: Steps between two computations of the novelty, or ``None``: as ``every``.
        stop: Error bar of a force above which the runs end, eV/Å, or ``None``.
        masses: ``any`` if atoms may have other masses than their elements, or ``""``.
    """

    line: int
    model: str
    elements: tuple[str, ...]
    kind: str = ""
    dtype: str = "float64"
    device: str = "cpu"
    uncertainty: str = ""
    every: int = 100
    novelty: int | None = None
    stop: float | None = None
    masses: str = ""

    def watch(self, lmp: Any, model: Potential, where: str) -> Watch | None:
        """The watch of the error bars, if the directive requests them.

        Raises:
            InputError: The model has no error bars.
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
        return Watch(
            lmp,
            table,
            self.every,
            self.stop,
            calibrated=model.calibrated,
            novelty=self.novelty or self.every,
        )


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
    """The part of a deck between two ``clear`` commands: its commands and, if any, its model."""

    commands: list[Command] = field(default_factory=list)
    directive: Directive | None = None


def parse(text: str, where: str = "deck") -> list[Command | Directive]:
    """Commands and directives of a deck in order; comments and blank lines left out.

    Raises:
        InputError: An invalid directive, or an open quote at the end.
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
        InputError: A second directive in one section, a refused command, or units that differ
            from those of the model, with the line.
    """
    deck_sections = [Section()]
    for step in steps:
        if isinstance(step, Directive):
            if deck_sections[-1].directive is not None:
                raise InputError("a second model before 'clear'", where=f"{where}:{step.line}")
            deck_sections[-1].directive = step
            continue
        if step.word in _REFUSED:
            raise InputError(
                f"'{step.word}' cannot be used in a deck with a trainspot model",
                where=f"{where}:{step.line}",
                hint="write the commands out, or use a LAMMPS with a pair style for the model",
            )
        if step.word == "clear":
            deck_sections.append(Section())
        deck_sections[-1].commands.append(step)
    for section in deck_sections:
        for command in section.commands if section.directive else ():
            words = command.text.split()
            if words[0] == "units" and len(words) > 1 and "$" not in words[1]:
                sanity.check_units(words[1], f"{where}:{command.line}")
    return deck_sections


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
    values: dict[str, str] = {}
    try:
        split = shlex.split(words)
    except ValueError as error:  # an open quote
        raise InputError(f"cannot understand '{words}'", where=where) from error
    for word in split:
        key, sign, value = word.partition("=")
        if key not in _KEYS or not sign or not value or key in values:
            keys = ", ".join(sorted(_KEYS))
            raise InputError(f"cannot understand '{word}'", where=where, hint=f"known: {keys}")
        values[key] = value
    if "elements" not in values:
        raise InputError("elements= is missing: the element of each atom type", where=where)
    elements = tuple(values.pop("elements").split(","))
    every = _number(values.pop("every", "100"), int, "every", where)
    stop = _number(values.pop("stop"), float, "stop", where) if "stop" in values else None
    novelty = _number(values.pop("novelty"), int, "novelty", where) if "novelty" in values else None
    if novelty is not None and stop is None and "uncertainty" not in values:
        raise InputError("novelty= without uncertainty=FILE or stop=LIMIT", where=where)
    if values.get("masses", "any") != "any":
        raise InputError(f"masses={values['masses']}", where=where, hint="known: masses=any")
    return Directive(
        line=line, elements=elements, every=every, stop=stop, novelty=novelty, **values
    )


def _number(text: str, kind: type[N], key: str, where: str) -> N:
    """A positive number.

    Raises:
        InputError: The text is no positive number.
    """
    try:
        value = kind(text)
    except ValueError:
        value = kind(0)
    if not 0 < value < math.inf:
        raise InputError(f"{key}={text} is no positive number", where=where)
    return value
