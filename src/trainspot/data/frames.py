"""One structure with its labels and its origin: ``Frame``, ``Labels``, ``Origin``.

Positions and cell of a frame lie on a grid of 1e-8 Å, so that the identity of the frame survives
every file format; see ``frame_id``. Charge, spin and starting moments are part of the identity, see
``state``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import numpy as np
from ase import Atoms
from ase.stress import voigt_6_to_full_3x3_stress

from trainspot.common.errors import InputError
from trainspot.data.state import INHERITED, electronic_state, state_bytes, state_keys

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

GRID: Final = 1e-8
"""Å; the grid on which positions and cells are stored."""

_POINTS: Final = 1e8  # of the grid in 1 Å: unlike GRID a whole number, exact as a double

# Beyond 2**51 grid points, 2e7 Å, doubles cannot tell neighbouring points apart reliably.
MAX_COORDINATE: Final = 2.0**51 * GRID
"""Å; all positions and cell vectors are smaller."""

Split = Literal["train", "validation", "test"]
SPLITS: Final[tuple[Split, ...]] = get_args(Split)


def quantise(lengths: ArrayLike) -> NDArray[np.float64]:
    """Lengths in Å, any shape, rounded to the 1e-8 Å grid (idempotent).

    Raises:
        InputError: A value is not finite, or too large for the grid (2e7 Å).
    """
    values = np.array(lengths, dtype=np.float64)
    if not np.all(np.abs(values) < MAX_COORDINATE):  # also catches nan
        raise InputError("a position or cell vector is not finite or beyond 2e7 Å")
    # A division gives the double nearest to the decimal number, a multiplication does not: a file
    # with eight decimals comes back unchanged. No negative zeros: equal frames have equal bytes.
    return np.rint(values / GRID) / _POINTS + 0.0


def frame_id(
    numbers: ArrayLike,
    positions: ArrayLike,
    cell: ArrayLike,
    pbc: ArrayLike,
    state: Mapping[str, Any] = MappingProxyType({}),
) -> str:
    """The identity of a frame: 64 hexadecimal digits.

    This is the sha256 of species, periodicity, the integers of cell and positions on the 1e-8 Å
    grid, and the electronic state if there is one; otherwise it is the identity of the geometry.

    Args:
        numbers: Atomic numbers, (n,).
        positions: Å, (n, 3).
        cell: Å, (3, 3), rows are vectors.
        pbc: Periodicity along each vector, (3,).
        state: See ``state.electronic_state``.
    """
    digest = hashlib.sha256()
    digest.update(np.asarray(numbers, dtype="<i8").tobytes())
    digest.update(np.asarray(pbc, dtype="u1").tobytes())
    for lengths in (cell, positions):
        grid = np.rint(np.asarray(lengths, dtype=np.float64) / GRID)
        digest.update(grid.astype("<i8").tobytes())
    digest.update(state_bytes(state))
    return digest.hexdigest()


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """Results of a reference calculation or a model for a frame; any part may be absent.

    Attributes:
        energy: Total energy, eV.
        forces: (n, 3), eV/Å.
        stress: (3, 3), eV/Å³, sign of ASE.
        theory: Fingerprint of the level of theory.
    """

    energy: float | None = None
    forces: NDArray[np.float64] | None = None
    stress: NDArray[np.float64] | None = None
    theory: str = ""

    def __bool__(self) -> bool:
        """Whether there is any label."""
        return not (self.energy is None and self.forces is None and self.stress is None)

    @property
    def complete(self) -> bool:
        """Whether there are an energy and forces, as in every labelled frame."""
        return self.energy is not None and self.forces is not None

    def checked(self, n_atoms: int) -> Labels:
        """The same labels with plain types and verified shapes.

        Raises:
            InputError: A shape is wrong or a number is not finite (absence is ``None``, never NaN).
        """
        energy = None if self.energy is None else float(self.energy)
        forces = None if self.forces is None else np.array(self.forces, dtype=np.float64)
        stress = None if self.stress is None else np.array(self.stress, dtype=np.float64)
        if stress is not None and stress.shape == (6,):
            stress = voigt_6_to_full_3x3_stress(stress)
        for name, value, shape in (
            ("energy", energy, ()),
            ("forces", forces, (n_atoms, 3)),
            ("stress", stress, (3, 3)),
        ):
            if value is None:
                continue
            if np.shape(value) != shape:
                raise InputError(f"{name} has shape {np.shape(value)}, not {shape}")
            if not np.all(np.isfinite(value)):
                raise InputError(f"{name} is not finite", hint="leave an absent label out")
        for array in (forces, stress):
            if array is not None:
                array.setflags(write=False)
        return Labels(energy, forces, stress, self.theory)


@dataclass(frozen=True, slots=True)
class Origin:
    """The origin of a frame.

    Attributes:
        strategy: Augmentation strategy that made the frame, ``input``, or ``md``.
        parent: Id of the frame from which the strategy made it, or ``""``.
        parameters: Parameters of the strategy, JSON values only.
        seed: Seed of the random numbers, if there were any.
        trajectory: Id of the MD trajectory that contains the frame, or ``""``.
        iteration: Active-learning iteration that made the frame (0: before the first).
    """

    strategy: str = "input"
    parent: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    trajectory: str = ""
    iteration: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """An immutable structure. Make one with ``Frame.make`` or ``Frame.from_atoms``.

    Attributes:
        numbers: Atomic numbers, (n,).
        positions: Å on the 1e-8 grid, (n, 3).
        cell: Å on the 1e-8 grid, (3, 3), rows are vectors.
        pbc: Periodicity along each cell vector, (3,).
        labels: Reference labels, or empty.
        origin: Origin of the frame.
        split: Its split, which never changes, or ``None`` before the assignment.
        arrays: Per-atom extras, each (n, …).
        info: User metadata, JSON values or numpy arrays.
        id: Identity of geometry and electronic state, see ``frame_id``.
    """

    numbers: NDArray[np.int64]
    positions: NDArray[np.float64]
    cell: NDArray[np.float64]
    pbc: NDArray[np.bool_]
    id: str
    labels: Labels = field(default_factory=Labels)
    origin: Origin = field(default_factory=Origin)
    split: Split | None = None
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    info: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def make(
        cls,
        numbers: ArrayLike,
        positions: ArrayLike,
        cell: ArrayLike | None = None,
        pbc: bool | Sequence[bool] | NDArray[np.bool_] = False,
        **rest: Any,
    ) -> Frame:
        """A frame from plain arrays, quantised and checked; ``rest`` are the other attributes.

        Raises:
            InputError: No atoms, wrong shapes, unknown species, or a label of the wrong shape.
        """
        species = np.array(numbers, dtype=np.int64)
        if not np.array_equal(species, numbers):
            raise InputError("atomic numbers must be whole numbers")
        if species.ndim != 1 or not len(species):
            raise InputError("a frame needs at least one atom")
        if species.min() < 1 or species.max() > 118:
            raise InputError("atomic numbers must lie between 1 and 118")
        sites = quantise(positions)
        if sites.shape != (len(species), 3):
            raise InputError(f"positions have shape {sites.shape}, not {(len(species), 3)}")
        box = quantise(np.zeros((3, 3)) if cell is None else cell)
        if box.shape != (3, 3):
            raise InputError(f"cell has shape {box.shape}, not (3, 3)")
        periodic = np.array(np.broadcast_to(pbc, 3), dtype=np.bool_)
        vectors = box[periodic]
        if np.linalg.det(vectors @ vectors.T) < 1e-12:  # (length, area, volume)², 1 for none
            raise InputError("the cell vectors along periodic directions are not independent")
        rest["labels"] = rest.get("labels", Labels()).checked(len(species))
        rest["arrays"] = _per_atom(rest.get("arrays", {}), len(species))
        for array in (species, sites, box, periodic):
            array.setflags(write=False)
        state = electronic_state(rest.get("info", {}), rest["arrays"])
        identity = frame_id(species, sites, box, periodic, state)
        return cls(species, sites, box, periodic, identity, **rest)

    @classmethod
    def from_atoms(cls, atoms: Atoms, **rest: Any) -> Frame:
        """A frame of an ASE structure's geometry only; labels and metadata: ``io.from_ase``."""
        return cls.make(atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc, **rest)

    def to_atoms(self) -> Atoms:
        """The geometry as ASE Atoms (a copy); for labels and metadata: ``io.to_ase``."""
        return Atoms(self.numbers, self.positions.copy(), cell=self.cell, pbc=self.pbc)

    def __len__(self) -> int:
        """Number of atoms."""
        return len(self.numbers)

    def with_(self, **changes: Any) -> Frame:
        """A copy with other labels, origin, split, arrays or info (never another geometry).

        The id changes if extras or metadata contain another charge, spin or moment than before.
        """
        if changes.keys() & {"numbers", "positions", "cell", "pbc", "id"}:
            raise ValueError("another geometry is another frame: use Frame.make")
        if "labels" in changes:
            changes["labels"] = changes["labels"].checked(len(self))
        if "arrays" in changes:
            changes["arrays"] = _per_atom(changes["arrays"], len(self))
        frame = replace(self, **changes)
        if changes.keys() & {"arrays", "info"} and frame.state != self.state:
            frame = replace(frame, id=frame.identity())
        return frame

    @property
    def state(self) -> dict[str, Any]:
        """Charge, spin and starting moments from info and arrays, see ``state``."""
        return electronic_state(self.info, self.arrays)

    def handed_on(self, sites: Any = None) -> dict[str, Any]:
        """Extras and metadata that a new frame takes over from this one, as arguments of ``make``.

        These are the per-atom extras that describe the structure (``state.INHERITED``); any other
        extra may be a result of a calculation. If all atoms stay, charge and spin in the metadata
        are taken over, too.

        Args:
            sites: The atom of this frame for each atom of the new frame; all atoms if omitted.
        """
        chosen = slice(None) if sites is None else sites
        keys = state_keys(self.info) if sites is None else []
        return {
            "arrays": {k: v[chosen] for k, v in self.arrays.items() if k in INHERITED},
            "info": {key: self.info[key] for key in keys},
        }

    def identity(self) -> str:
        """The id from geometry and electronic state; equal to ``id`` unless damaged."""
        return frame_id(self.numbers, self.positions, self.cell, self.pbc, self.state)


def _per_atom(arrays: Mapping[str, ArrayLike], n_atoms: int) -> dict[str, NDArray[Any]]:
    """Read-only copies of per-atom extras, each with one row per atom."""
    copies = {name: np.array(values) for name, values in arrays.items()}
    for name, array in copies.items():
        if array.ndim < 1 or len(array) != n_atoms:
            raise InputError(f"array '{name}' has shape {array.shape} for {n_atoms} atoms")
        array.setflags(write=False)
    return copies
