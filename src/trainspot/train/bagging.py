"""Bagging: each member of a committee leaves out another share of the training frames.

Members that differ in their data as well as in their seeds disagree more on frames unlike the
training frames (L. Breiman, Machine Learning 24, 123 (1996); here without replacement). A bag is a
rule, not a dataset: it is applied when the inputs of a member are written.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from ase.data import chemical_symbols

from trainspot.common.errors import InputError
from trainspot.common.seeds import derive_seed
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame, Labels, Origin
from trainspot.train.base import FITTED, reference_energies, training_sets

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

_POINTS: Final = 2**40  # on the circle, at least
_DIGITS: Final = 12  # of a share: a database keeps no more than 14


@dataclass(frozen=True, slots=True)
class Bag:
    """The training frames that one member of a committee leaves out.

    All training frames lie on a circle of length 1. Sorted by iteration, strategy and a draw from
    the seed, frame i lies where the van der Corput sequence in base M has its element i (the digits
    of i in base M, mirrored at the point), turned by an angle from the seed. Member m of M leaves
    out the arc that begins at m/M and is as long as the share. So

    - each frame is left out by share·M members, rounded down or up, whatever the number of frames;
    - frames 0 to M - 1, M to 2M - 1 and so on lie on M different parts of the circle: with a share
      of 1/M all members leave out the same number of frames, to within one, and each about the
      share of each iteration and each strategy;
    - the frames of a later iteration do not change which of the earlier frames a member leaves out,
      so that a model of the last iteration (``start: previous``) has not seen them either.

    Isolated atoms, validation and test frames are in every bag. Of each strategy and each element a
    member keeps at least one frame, until later frames join it.

    Attributes:
        share: Share of the training frames to leave out, see ``check_share``.
        member: Number of the member, from 0.
        committee_size: Number of members.
        seed: Seed of the draw: the same for all members and all iterations.
    """

    share: float
    member: int
    committee_size: int
    seed: int

    def of(self, dataset: Dataset) -> Dataset:
        """The dataset of the member: the same frames without those that it leaves out.

        All members have the same reference energies. Where an element has no labelled isolated
        atom, one is added whose energy is fitted to the training frames of all members; see
        ``reference_energies``.

        Args:
            dataset: Frames with splits.

        Raises:
            InputError: See ``training_sets``.
        """
        train, _ = training_sets(dataset)
        atoms = Dataset.from_frames(_fitted_atoms(train))
        return Dataset.concatenate([dataset.without(self.left_out(dataset)), atoms])

    def left_out(self, dataset: Dataset) -> list[str]:
        """Ids of the training frames that the member leaves out, sorted.

        They depend on the frames and not on their order; copies of a frame count as one frame.
        """
        frames = _training_frames(dataset, self.seed)
        part = _circle(self.committee_size) // self.committee_size
        turn = derive_seed(self.seed, "bagging", "turn") % part
        places = _places(len(frames), self.committee_size) + turn - self.member * part
        out = places % (part * self.committee_size) < self._arc
        _keep_one_of_each(out, frames)
        return sorted(frame.identity for frame, is_out in zip(frames, out, strict=True) if is_out)

    @property
    def _arc(self) -> int:
        """Length of the arc that is left out: never so long that all members share a place."""
        circle = _circle(self.committee_size)
        return min(int(round(self.share, _DIGITS) * circle), circle - circle // self.committee_size)

    def to_dict(self) -> dict[str, Any]:
        """JSON values only."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Bag:
        """The inverse of ``to_dict``."""
        return cls(**content)


def bags(share: float, committee_size: int, seed: int) -> list[Bag]:
    """The bag of each member; empty without bagging.

    Args:
        share: Share of the training frames that each member leaves out.
        committee_size: Number of members.
        seed: Seed of the campaign.

    Raises:
        InputError: See ``check_share``.
    """
    if not share:
        return []
    check_share(share, committee_size)
    return [Bag(float(share), member, committee_size, seed) for member in range(committee_size)]


def check_share(share: float, committee_size: int) -> None:
    """Refuse a share with which no member would be trained on some of the frames.

    Raises:
        InputError: The share is negative or above 1 - 1/M.
    """
    largest = 1.0 - 1.0 / max(1, committee_size)
    if not 0.0 <= round(share, _DIGITS) <= round(largest, _DIGITS):
        raise InputError(
            f"{committee_size} members cannot leave out a share of {share:g} each",
            where="train.bagging",
            hint=f"give a share from 0 to {largest:.3g}: each frame belongs to a member at least",
        )


def _circle(base: int) -> int:
    """The length of the circle in whole numbers, a power of the base."""
    circle = base
    while circle < _POINTS:
        circle *= base
    return circle


def _places(size: int, base: int) -> NDArray[np.int64]:
    """The first elements of the van der Corput sequence, (size,), times the length of the circle.

    J. G. van der Corput, Proc. Akad. Wet. Amsterdam 38, 813 (1935).
    """
    rest, places = np.arange(size, dtype=np.int64), np.zeros(size, dtype=np.int64)
    unit = _circle(base)
    while rest.any():
        unit //= base
        places += rest % base * unit
        rest //= base
    return places


@dataclass(frozen=True, slots=True)
class _TrainingFrame:
    """What the bags depend on.

    Attributes:
        identity: Id of the frame.
        groups: The strategy and the elements, of each of which a member keeps a frame.
    """

    identity: str
    groups: tuple[str, ...]


def _training_frames(dataset: Dataset, seed: int) -> list[_TrainingFrame]:
    """Labelled training frames without isolated atoms, each id once, in the order on the circle."""
    train = dataset.part(dataset.rows(split="train", labelled=True))
    ids, strategies = train.ids, [name.decode() for name in train.column("strategy").tolist()]
    iterations, atoms = train.column("iteration").tolist(), train.is_isolated
    numbers, edges = train.column("numbers"), train.column("offsets").tolist()
    keys = sorted(
        (iterations[row], strategies[row], derive_seed(seed, "bagging", ids[row]), ids[row], row)
        for row in np.flatnonzero(~atoms).tolist()
    )
    frames: dict[str, _TrainingFrame] = {}
    for _, strategy, _, identity, row in keys:  # of copies the oldest counts
        species = np.unique(numbers[edges[row] : edges[row + 1]]).tolist()
        groups = (f"strategy {strategy}", *(chemical_symbols[z] for z in species))
        frames.setdefault(identity, _TrainingFrame(identity, groups))
    return list(frames.values())


def _keep_one_of_each(out: NDArray[np.bool_], frames: list[_TrainingFrame]) -> None:
    """Keep the first frame of each strategy and each element of which no frame would be left."""
    members = Counter(group for frame in frames for group in frame.groups)
    gone = Counter(
        group for frame, is_out in zip(frames, out, strict=True) if is_out for group in frame.groups
    )
    empty = {group for group, count in gone.items() if count == members[group]}
    for row, frame in enumerate(frames):
        if out[row] and not empty.isdisjoint(frame.groups):
            out[row] = False
            empty.difference_update(frame.groups)


def _fitted_atoms(train: Dataset) -> list[Frame]:
    """An isolated atom with a fitted energy for each element without a labelled isolated atom."""
    energies, _ = reference_energies(train)
    missing = sorted(energies.keys() - train.e0s().keys())
    theory = train.theories[0]
    return [
        Frame.make(
            [number],
            [[0.0, 0.0, 0.0]],
            labels=Labels(energies[number], np.zeros((1, 3)), None, theory),
            origin=Origin(strategy="isolated"),
            split="train",
            info={FITTED: True},
        )
        for number in missing
    ]
