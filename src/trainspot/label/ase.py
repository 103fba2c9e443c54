"""Label engine ``ase``: any ASE calculator, many frames per call."""

from __future__ import annotations

from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar, Final

from pydantic import Field

from trainspot.common import processes
from trainspot.common.elements import symbols
from trainspot.common.errors import InputError, UnknownNameError
from trainspot.data.failure import without_failure
from trainspot.data.state import CHARGE, MOMENTS
from trainspot.engine import Preflight, Remark
from trainspot.label.base import (
    EngineSettings,
    FrameEngine,
    LabelResult,
    atomic_moment,
    failed,
    fingerprint,
    gathered,
    labels_of,
)
from trainspot.label.calculators import NAMES, calculator
from trainspot.label.practical import decisive_parameters
from trainspot.label.states import charge_of, not_computed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import ProcessPoolExecutor

    from ase import Atoms

    from trainspot.data.dataset import Dataset
    from trainspot.data.frames import Frame, Labels

_NO_MOMENTS: Final = (
    "the atom has a magnetic moment, and calculator '{}' has none; set spin: none for isolated"
)
_CHARGED: Final = frozenset({"tblite", "tblite.ase:TBLite"})
"""Calculators that take the sum of the initial charges as the total charge."""
_DIED: Final = "the process that computed this frame died"


class AseSettings(EngineSettings):
    """The ASE calculator that computes the labels, and its parameters."""

    practical: ClassVar[frozenset[str]] = frozenset({"frames_per_job", "practical_parameters"})

    calculator: str = Field(
        description=f"ASE calculator: one of {', '.join(NAMES)}, or module:Class"
    )
    parameters: dict[str, Any] = Field(
        default_factory=dict, description="keyword arguments of the calculator"
    )
    practical_parameters: tuple[str, ...] = Field(
        (),
        description="parameters that do not change the numbers of a label, such as a "
        "largest number of steps; those of well-known calculators are built in",
    )
    frames_per_job: int = Field(
        1000, ge=1, description="frames labelled per job; the jobs run one after the other"
    )

    def decisive(self) -> dict[str, Any]:
        """See the base class."""
        more = self.practical_parameters
        parameters = decisive_parameters(self.calculator, self.parameters, more)
        return self.formerly_decisive() | {"parameters": parameters}

    def formerly_decisive(self) -> dict[str, Any]:
        """See the base class."""
        return super().decisive()


class AseLabelEngine(FrameEngine):
    """Labels with an ASE calculator; a new one for each frame makes labels independent of order."""

    name: ClassVar[str] = "ase"
    Settings: ClassVar[type[AseSettings]] = AseSettings
    default_code: ClassVar[str] = "trainspot@localhost"

    @classmethod
    def preflight(cls, facts: Preflight) -> Iterator[Remark]:
        """Check that the calculator can be created, and has moments if isolated atoms need them."""
        name = facts.settings.calculator
        try:
            instance = calculator(name, facts.settings.parameters)
        except InputError as error:
            if facts.here or isinstance(error, UnknownNameError):
                yield Remark("error", f"label.calculator: {error}")
            return
        if {"magmom", "magmoms"} & set(instance.implemented_properties):
            return
        if any(atomic_moment(frame) for frame in facts.unlabelled()):
            text = f"calculator '{name}' cannot start from a magnetic moment"
            yield Remark(
                "error", f"{text}, but isolated atoms have one; set spin: none for isolated"
            )

    @classmethod
    def described(cls, settings: AseSettings) -> str:
        """The calculator."""
        return settings.calculator

    @classmethod
    def has_stress(cls, settings: AseSettings) -> bool:
        """Whether the calculator has stresses; true of one that is not installed here."""
        try:
            instance = calculator(settings.calculator, settings.parameters)
        except InputError:
            return True
        return "stress" in instance.implemented_properties

    @staticmethod
    def theory(settings: AseSettings) -> str:
        """``ase-CALCULATOR-DIGEST``; see ``base.fingerprint``."""
        short = settings.calculator.rpartition(":")[2].lower()
        return fingerprint(f"ase-{short}", settings.decisive())

    def label(
        self,
        dataset: Dataset,
        settings: AseSettings,
        *,
        workers: int = 1,
        done: Callable[[Frame], None] | None = None,
    ) -> LabelResult:
        """Label every frame; see ``base.FrameEngine``.

        Raises:
            InputError: The calculator does not exist or refuses its parameters.
        """
        calculator(settings.calculator, settings.parameters)  # before any process starts
        frames = (without_failure(frame) for frame in dataset)
        total = len(dataset)
        results: dict[int, Frame] = {}
        source = enumerate(frames)
        if min(workers, total) > 1:
            finished = _in_processes(source, settings, min(workers, total))
        else:
            finished = ((row, label_frame(frame, settings)) for row, frame in source)
        for row, frame in finished:
            results[row] = frame
            if done is not None:
                done(frame)
        return gathered(results[row] for row in range(total))


def label_frame(frame: Frame, settings: AseSettings) -> Frame:
    """The frame with its labels, or with its ``Failure``.

    The forces are the derivative of the energy (``free_energy`` if the calculator has both).
    Stress is kept if the calculator has it and the frame is periodic. A calculator with magnetic
    moments starts from those of the frame. Without them, an isolated atom with a moment fails.
    """
    theory = AseLabelEngine.theory(settings)
    try:
        atoms = frame.to_atoms()
        atoms.calc = calculator(settings.calculator, settings.parameters)
        properties = atoms.calc.implemented_properties
        passed = {MOMENTS}
        if settings.calculator in _CHARGED and CHARGE not in settings.parameters:
            passed.add(CHARGE)
            atoms.set_initial_charges([charge_of(frame), *[0.0] * (len(frame) - 1)])
        if "magmom" in properties or "magmoms" in properties:
            if MOMENTS in frame.arrays:
                atoms.set_initial_magnetic_moments(frame.arrays[MOMENTS])
        elif atomic_moment(frame):
            return failed(frame, _NO_MOMENTS.format(settings.calculator))
        if reason := not_computed(frame, passed, _state_of(settings)):
            return failed(frame, f"{reason}; set it in parameters, or remove it from the frame")
        labels = computed(frame, atoms, theory)
    except Exception as error:  # noqa: BLE001  (a calculator may raise anything)
        return failed(frame, _reason(error, frame, settings.calculator))
    return frame.with_(labels=labels)


def computed(frame: Frame, atoms: Atoms, theory: str) -> Labels:
    """The labels that the calculator of ``atoms`` computes for the frame; see ``label_frame``."""
    properties = atoms.calc.implemented_properties
    energy = atoms.get_potential_energy(force_consistent="free_energy" in properties)
    stress = atoms.get_stress(voigt=False) if "stress" in properties and frame.pbc.any() else None
    return labels_of(frame, energy, atoms.get_forces(), stress, theory)


def _state_of(settings: AseSettings) -> dict[str, Any]:
    """The electronic state that the settings give to all frames."""
    state = {CHARGE: settings.parameters[CHARGE]} if CHARGE in settings.parameters else {}
    spin = {"multiplicity", "spin", "uhf"} & settings.parameters.keys()
    return state | ({"spin": True} if spin else {})


def _reason(error: Exception, frame: Frame, name: str) -> str:
    """The error of a calculator; a failed look-up of an element often has no message."""
    raised = f"{type(error).__name__}: {error}".rstrip(": ")
    if str(error) and not isinstance(error, KeyError):
        return raised
    elements = symbols(frame.numbers)
    return f"calculator '{name}' raised {raised}; perhaps it has no parameters for {elements}"


def _in_processes(
    source: Iterator[tuple[int, Frame]], settings: AseSettings, workers: int
) -> Iterator[tuple[int, Frame]]:
    """Label with worker processes, in order of completion.

    A calculator may crash its process. The crash does not name its frame, so each frame of the
    broken pool is labelled again in a process of its own.
    """
    suspects: list[tuple[int, Frame]] = []
    lost = True
    while lost:
        lost = False
        with processes.pool(workers) as pool:
            for (row, frame), future in _in_flight(pool, source, settings, 2 * workers):
                if isinstance(future.exception(), BrokenProcessPool):
                    suspects.append((row, frame))
                    lost = True
                else:
                    yield row, future.result()
    for row, frame in suspects:
        with processes.pool(1) as pool:
            future = _submitted(pool, frame, settings)
            died = isinstance(future.exception(), BrokenProcessPool)
            yield row, failed(frame, _DIED) if died else future.result()


def _in_flight(
    pool: ProcessPoolExecutor,
    source: Iterator[tuple[int, Frame]],
    settings: AseSettings,
    limit: int,
) -> Iterator[tuple[tuple[int, Frame], Future[Frame]]]:
    """Keep ``limit`` frames in a pool until the source is empty or the pool is broken."""
    running: dict[Future[Frame], tuple[int, Frame]] = {}
    broken = False
    while True:
        if not broken:
            for row, frame in islice(source, limit - len(running)):
                running[_submitted(pool, frame, settings)] = (row, frame)
        if not running:
            return
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            broken |= isinstance(future.exception(), BrokenProcessPool)
            yield running.pop(future), future


def _submitted(pool: ProcessPoolExecutor, frame: Frame, settings: AseSettings) -> Future[Frame]:
    try:
        return pool.submit(label_frame, frame, settings)
    except BrokenProcessPool as error:  # broken since the last result: keep the frame
        future: Future[Frame] = Future()
        future.set_exception(error)
        return future
