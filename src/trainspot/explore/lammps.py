"""The engine ``lammps``: writes decks for LAMMPS and turns its dumps into frames."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

import numpy as np
from pydantic import Field, PositiveInt, field_validator

from trainspot.common.errors import DataError, InputError
from trainspot.data.dataset import Dataset
from trainspot.engine import Program
from trainspot.explore import deck
from trainspot.explore.base import Explorer, MdSettings
from trainspot.explore.box import LammpsBox
from trainspot.explore.dispersion import Dispersion
from trainspot.explore.frames import cut

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from trainspot.data.frames import Frame
    from trainspot.explore.schedule import Run

INPUT: Final = "input.in"
OUTPUT: Final = "lammps.out"

_MARKER = re.compile(
    rf"^{deck.BEGIN} (?P<begin>\S+)$|^{deck.END} (?P<end>\S+) step (?P<step>\d+)$", re.MULTILINE
)
_COMPLAINT = re.compile(rf"^(?:ERROR(?: on proc \d+)?|{deck.FAILED}): *(.+)$", re.MULTILINE)
_MAGIC: Final = b"LammpS RestartT"


class LammpsSettings(MdSettings):
    """Settings of the engine ``lammps``."""

    dispersion: Dispersion | None = Field(
        None,
        description="dispersion correction added to the model in molecular dynamics: d2 "
        "(Grimme 2006) or d3; null: none",
    )
    pair_style: str | None = Field(
        None,
        description="pair style of a LAMMPS that can run the model itself, such as 'mace "
        "no_domain_decomposition'; {model} and {elements} are replaced; null: use "
        "trainspot-lmp",
    )
    pair_coeff: str = Field(
        "{model} {elements}", description="text after 'pair_coeff * *' for this pair style"
    )
    dtype: Literal["float64", "float32"] = Field(
        "float64", description="precision of the model in trainspot-lmp"
    )
    device: str = Field("cpu", description="device of the model in trainspot-lmp, cpu or cuda")
    restarts: PositiveInt = Field(10, description="largest number of restart files per run")

    @field_validator("pair_style", "pair_coeff")
    @classmethod
    def _fills_in(cls, text: str | None) -> str | None:
        try:
            (text or "").format(model="", elements="")
        except (KeyError, IndexError, ValueError) as error:
            raise ValueError("only {model} and {elements} can be filled in") from error
        return text


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one run of a deck ended.

    Attributes:
        step: The last step; -1 if the run never began.
        complete: Whether the run reached its last step.
        failure: The reason of a failure, or ``""``; a run neither complete nor failed was cut off.
    """

    step: int = -1
    complete: bool = False
    failure: str = ""


@dataclass(frozen=True, slots=True)
class _Section:
    text: str = ""
    end: int | None = None


@dataclass(frozen=True, slots=True)
class Output:
    """The output of a deck, cut at its markers."""

    sections: Mapping[str, _Section] = field(default_factory=dict)

    @classmethod
    def read(cls, text: str) -> Output:
        """Cut the standard output of LAMMPS at the begin and end markers of runs."""
        sections: dict[str, _Section] = {}
        marks = list(_MARKER.finditer(text))
        for mark, after in zip(marks, [*marks[1:], None], strict=True):
            if mark["begin"] is None:
                continue
            body = text[mark.end() : after.start() if after else len(text)]
            ended = after is not None and after["end"] == mark["begin"]
            step = int(after["step"]) if after is not None and ended else None
            sections[mark["begin"]] = _Section(body, step)
        return cls(sections)

    def outcome(self, run: Run) -> Outcome:
        """How a run ended; see ``Outcome``."""
        section = self.sections.get(deck.names_of(run).label)
        if section is None:
            return Outcome()
        if section.end is not None and section.end >= run.steps:
            return Outcome(section.end, complete=True)
        complaints = _COMPLAINT.findall(section.text)
        if complaints:
            return Outcome(section.end or 0, failure=complaints[-1].strip())
        if section.end is not None:
            time = section.end * run.timestep / 1000
            return Outcome(
                section.end, failure=f"exploded after {time:g} ps: {_last(section.text)}"
            )
        return Outcome(0)


class LammpsExplorer(Explorer):
    """Inputs and results of the engine ``lammps``; AiiDA runs the program."""

    name: ClassVar[str] = "lammps"
    default_code: ClassVar[str] = "lmp@localhost"
    Settings: ClassVar[type[LammpsSettings]] = LammpsSettings
    extra: ClassVar[str] = "lammps"

    @classmethod
    def program(cls) -> Program:
        """``trainspot-lmp``, LAMMPS with the driver of trainspot."""
        return Program(
            "lmp",
            "trainspot-lmp",
            calculation="trainspot.lammps",
            module="lammps",
            probe=("-h",),
            says="LAMMPS",
        )

    @classmethod
    def adds_dispersion(cls, settings: LammpsSettings) -> bool:
        """See the base class."""
        return settings.dispersion is not None

    @classmethod
    def inputs(
        cls,
        starts: Dataset,
        runs: Sequence[Run],
        settings: LammpsSettings,
        model: str,
        kind: str,
        restarts: Mapping[str, str] | None = None,
    ) -> dict[str, str]:
        """The deck (``input.in``) and data files of one job, as texts by file name.

        Args:
            starts: Contains the start frame of every run.
            runs: Runs of the job, in order.
            settings: Settings of the engine.
            model: Name of the model file in the working directory.
            kind: Kind of the model.
            restarts: Restart file by trajectory id, for continued runs.

        Raises:
            InputError: No coefficients for an element, or a missing start frame.
        """
        restarts = restarts or {}
        rows = {identity: row for row, identity in enumerate(starts.ids)}
        files: dict[str, str] = {}
        sections = []
        for run in runs:
            if run.start not in rows:
                raise InputError("no such start frame", where=f"frame {run.start[:12]}")
            frame = starts[rows[run.start]]
            restart = restarts.get(run.trajectory, "")
            sections.append(deck.section(frame, run, settings, model, kind, restart))
            if not restart:
                files[deck.names_of(run).data] = deck.data_file(frame, LammpsBox.of(frame))
        head = "# Molecular dynamics, written by trainspot; one section a run.\n"
        return {INPUT: head + "clear\n".join(sections)} | files

    @classmethod
    def write_inputs(
        cls,
        directory: Path,
        frame: Frame,
        run: Run,
        settings: LammpsSettings,
        model_filename: str,
        model_kind: str,
    ) -> None:
        """Write all input files of one run except the model."""
        starts = Dataset.from_frames([frame])
        for name, text in cls.inputs(starts, [run], settings, model_filename, model_kind).items():
            (directory / name).write_text(text, encoding="utf-8")

    @classmethod
    def arguments(cls) -> list[str]:
        """Arguments of ``trainspot-lmp`` or ``lmp``."""
        return ["-in", INPUT]

    @classmethod
    def frames(cls, directory: Path, frame: Frame, run: Run) -> tuple[Dataset, str | None]:
        """The kept frames of one run, and the reason of its failure (``None`` if complete).

        Raises:
            DataError: The dump belongs to other atoms.
        """
        output = directory / OUTPUT
        text = output.read_text(encoding="utf-8", errors="replace") if output.is_file() else ""
        outcome = Output.read(text).outcome(run)
        kept, problem = cls.cut(directory / deck.names_of(run).dump, frame, run)
        if outcome.complete:
            return kept, problem or None
        return kept, outcome.failure or problem or "cut off before its end"

    @classmethod
    def cut(cls, dump: Path, frame: Frame, run: Run) -> tuple[Dataset, str]:
        """All usable frames of a dump file, and the fault of the first unusable one.

        An incomplete last frame, from a program that was killed, is skipped silently.

        Raises:
            DataError: The dump belongs to other atoms.
        """
        box = LammpsBox.of(frame)
        kept: list[Frame] = []
        problem = ""
        for step, cell, table in _snapshots(dump):
            if not 0 < step <= run.steps:
                continue
            if len(table) != len(frame):
                problem = f"{len(frame) - len(table)} atoms were lost before step {step}"
                break
            species = np.unique(frame.numbers)
            if not np.array_equal(species[table[:, 1].astype(int) - 1], frame.numbers):
                raise DataError("the atoms are not those of the start frame", where=str(dump))
            positions, own_cell = box.outward(frame, table[:, 2:5], cell)
            try:
                kept.append(cut(frame, run, positions, own_cell, step))
            except InputError as error:
                problem = f"step {step}: {error.what}"
                break
        return Dataset.from_frames(kept), problem


def latest_restart(directory: Path, run: Run) -> tuple[Path, int] | None:
    """The newest complete restart file of a run, and its step.

    LAMMPS writes the same text at the beginning and at the end of a restart file; the end is
    missing if the program was killed during the write.
    """
    restarts = []
    for path in directory.glob(deck.names_of(run).restart):
        step = path.name.split(".")[-2]
        data = path.read_bytes()
        if step.isdigit() and data.startswith(_MAGIC) and _MAGIC in data[-2 * len(_MAGIC) :]:
            restarts.append((int(step), path))
    if not restarts:
        return None
    newest_step, newest = max(restarts)
    return newest, newest_step


def _last(text: str) -> str:
    """The last thermodynamic line, for a message."""
    lines = [line.split() for line in text.splitlines()]
    numbers = [words for words in lines if len(words) == 7 and words[0].isdigit()]
    if not numbers:
        return "no step was completed"
    _, temperature, *_, volume = numbers[-1]
    return f"temperature {temperature} K, volume {volume} Å³"


def _snapshots(dump: Path) -> Any:
    """Yield (step, cell Å (3, 3), table (n, 5)) for every complete snapshot of a text dump."""
    if not dump.is_file():
        return
    lines = dump.read_text(encoding="utf-8", errors="replace").splitlines()
    place = 0
    while place + 9 <= len(lines):
        count = lines[place + 3].strip()
        if not (lines[place] == "ITEM: TIMESTEP" and count.isdigit()):
            return
        end = place + 9 + int(count)
        block = lines[place:end]
        if len(block) < 9 + int(count):
            return
        try:
            bounds = np.array([line.split() for line in block[5:8]], dtype=np.float64)
            rows = [line.split() for line in block[9:]]
            table = np.array(rows, dtype=np.float64).reshape(int(count), len(deck.ORDER))
            step = int(block[1])
        except ValueError:
            return  # an incomplete line: the program was killed during the write
        yield step, _cell(bounds), table
        place = end


def _cell(bounds: NDArray[np.float64]) -> NDArray[np.float64]:
    """The cell of a dump's ``BOX BOUNDS xy xz yz``, which give the extent of the tilted box."""
    (xlo, xhi, xy), (ylo, yhi, xz), (zlo, zhi, yz) = bounds
    lx = xhi - xlo - (max(0.0, xy, xz, xy + xz) - min(0.0, xy, xz, xy + xz))
    ly = yhi - ylo - (max(0.0, yz) - min(0.0, yz))
    return np.array([[lx, 0.0, 0.0], [xy, ly, 0.0], [xz, yz, zhi - zlo]])
