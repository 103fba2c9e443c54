"""One structure with its labels and its origin: ``Frame``, ``Labels``, ``Origin``.

Positions and cell live on a grid of 1e-8 Å from the moment a frame is made, so that the identity
of a frame survives every file format; see ``frame_id``. Charge, spin and starting moments belong to
it, see ``state``.
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
"""Å; positions and cells are below."""

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
    # Divided, not multiplied: of all doubles that is the one nearest to the decimals, so that a
    # file with eight of them comes back unchanged. No negative zeros: equal frames, equal bytes.
    return np.rint(values / GRID) / _POINTS + 0.0


def frame_id(
    numbers: ArrayLike,
    positions: ArrayLike,
    cell: ArrayLike,
    pbc: ArrayLike,
    state: Mapping[str, Any] = MappingProxyType({}),
) -> str:
    """The identity of a frame: 64 hexadecimal digits.

    sha256 of species, periodicity, the integers that cell and positions are on the 1e-8 Å grid,
    and the electronic state where one is given: without, it is the identity of the geometry.

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
    """What a reference calculation or a model says about a frame; any part may be absent.

    Attributes:
        energy: Total energy, eV.
        forces: (n, 3), eV/Å.
        stress: (3, 3), eV/Å³, sign of ASE.
        theory: Fingerprint of the level of theory the numbers belong to.
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
        """Whether there are energy and forces: what makes a frame a labelled one everywhere."""
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
    """Where a frame comes from.

    Attributes:
        strategy: Augmentation strategy that made it, ``input``, or ``md``.
        parent: Id of the frame it was made from, or ``""``.
        parameters: What the strategy did, JSON values only.
        seed: Seed of the generator that made it, if one was used.
        trajectory: Id of the MD trajectory it was cut from, or ``""``.
        iteration: Active-learning iteration in which it was made (0: before the first).
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
        origin: Where it comes from.
        split: The set it belongs to for good, or ``None`` before the split.
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

        The id follows where extras or metadata say another charge, spin or moment than before.
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
        """What info and arrays say of charge, spin and starting moments, see ``state``."""
        return electronic_state(self.info, self.arrays)

    def handed_on(self, sites: Any = None) -> dict[str, Any]:
        """Extras and metadata that a frame made from this one takes over, as ``make`` takes them.

        These are the per-atom extras that say how a structure is meant (``state.INHERITED``); any
        other may be a result of a calculation. So is what the metadata say of charge and spin,
        where all atoms stay.

        Args:
            sites: For each atom of the new frame the atom here it comes from; all if left out.
        """
        chosen = slice(None) if sites is None else sites
        keys = state_keys(self.info) if sites is None else []
        return {
            "arrays": {k: v[chosen] for k, v in self.arrays.items() if k in INHERITED},
            "info": {key: self.info[key] for key in keys},
        }

    def identity(self) -> str:
        """The id that geometry and electronic state make; ``id`` is it already, unless damaged."""
        return frame_id(self.numbers, self.positions, self.cell, self.pbc, self.state)


def _per_atom(arrays: Mapping[str, ArrayLike], n_atoms: int) -> dict[str, NDArray[Any]]:
    """Read-only copies of per-atom extras, each with one row an atom."""
    copies = {name: np.array(values) for name, values in arrays.items()}
    for name, array in copies.items():
        if array.ndim < 1 or len(array) != n_atoms:
            raise InputError(f"array '{name}' has shape {array.shape} for {n_atoms} atoms")
        array.setflags(write=False)
    return copies
