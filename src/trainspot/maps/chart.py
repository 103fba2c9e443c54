"""A map of frames: frames, points in the plane, and data of each frame."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import numpy as np

from trainspot import descriptors as structural
from trainspot.common.errors import InputError, UnknownNameError
from trainspot.data.dataset import Dataset
from trainspot.data.frames import SPLITS, Frame
from trainspot.maps import sorep
from trainspot.maps.choice import NO_LIMITS, Limits, Note, choose
from trainspot.maps.embed import TITLES, Method, embed, need

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

Descriptor = Literal["structural", "sorep"]
DESCRIPTORS: Final[tuple[Descriptor, ...]] = get_args(Descriptor)
DESCRIPTOR_TITLES: Final = {
    "structural": "surroundings of the atoms (SOAP)",
    "sorep": "spectrum of the kinetic energy (SOREP)",
}

MAX_FRAMES: Final[dict[Descriptor, int]] = {"structural": 3000, "sorep": 1000}
"""Default for the largest number of frames; of more frames, some are drawn at random."""
MAX_ATOMS: Final[dict[Descriptor, int | None]] = {"structural": None, "sorep": 256}
"""Default for the number of atoms of the largest frame on a map."""

LABELLED: Final = "labelled"
UNLABELLED: Final = "not labelled"
EXPLORED: Final = "explored, not chosen"

COLOURS: Final = ("iteration", "strategy", "split", "status", "energy", "atoms")
"""Colours for all frames, in addition to the metadata of the frames."""


@dataclass(frozen=True, slots=True)
class FrameMap:
    """Frames as points in a plane.

    Attributes:
        frames: The N frames on the map.
        points: (N, 2), centred; only those of ``pca`` have a unit, that of the descriptor.
        status: Of each frame, ``labelled``, ``not labelled``, or ``explored, not chosen``.
        descriptor: The descriptor, which defines similarity.
        method: The projection; ``pca`` for few frames, even if another one was requested.
        seed: Seed of all random numbers.
        notes: For the reader: which frames are not on the map, and why.
    """

    frames: Dataset
    points: Floats
    status: list[str]
    descriptor: Descriptor
    method: Method
    seed: int
    notes: list[Note] = field(default_factory=list)

    def __len__(self) -> int:
        """Number of points."""
        return len(self.frames)

    @property
    def title(self) -> str:
        """Descriptor and method in words."""
        return f"{TITLES[self.method]} of the {DESCRIPTOR_TITLES[self.descriptor]}"

    def values(self, key: str) -> list[Any]:
        """Values for the colours of the points: numbers or texts, ``None`` if unknown.

        Args:
            key: One of ``COLOURS`` or a key of the frames' metadata.

        Raises:
            UnknownNameError: No frame has the key.
            InputError: The values are neither numbers nor texts.
        """
        frames = self.frames
        if key == "status":
            return list(self.status)
        if key in _READERS:
            return _READERS[key](frames)
        return _metadata(frames, key)

    def automatic(self) -> str:
        """The first of iteration, strategy, split and status in which frames differ."""
        keys = ("iteration", "strategy", "split", "status")
        return next((key for key in keys if len(set(self.values(key))) > 1), "iteration")

    def to_json(self, colour: str) -> str:
        """Coordinates with frame ids and origin, for other programs."""
        content = {
            "descriptor": self.descriptor,
            "method": self.method,
            "seed": self.seed,
            "colour": colour,
            "notes": [str(note) for note in self.notes],
            "frames": self._records(colour),
        }
        return json.dumps(content, indent=1, allow_nan=False) + "\n"

    def to_csv(self, colour: str) -> str:
        """The same as a table with a header; unknown values are empty."""
        buffer = io.StringIO()
        names = ["id", "x", "y", *_record_keys(colour)]
        writer = csv.DictWriter(buffer, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self._records(colour))
        return buffer.getvalue()

    def _records(self, colour: str) -> list[dict[str, Any]]:
        columns = {key: self.values(key) for key in _record_keys(colour)}
        return [
            {"id": identity, "x": x, "y": y} | {key: columns[key][row] for key in columns}
            for row, (identity, (x, y)) in enumerate(
                zip(self.frames.ids, self.points.tolist(), strict=True)
            )
        ]


def _energies(frames: Dataset) -> list[float | None]:
    """Energy of each labelled frame, eV/atom."""
    values = (frames.column("energy") / frames.n_atoms).tolist()
    return [
        value if has_energy else None
        for value, has_energy in zip(values, frames.column("has_energy").tolist(), strict=True)
    ]


_READERS: Final[dict[str, Callable[[Dataset], list[Any]]]] = {
    "atoms": lambda frames: frames.n_atoms.tolist(),
    "iteration": lambda frames: frames.column("iteration").tolist(),
    "strategy": lambda frames: [text.decode() for text in frames.column("strategy").tolist()],
    "split": lambda frames: [(None, *SPLITS)[n] for n in frames.column("split").tolist()],
    "energy": _energies,
}


def _record_keys(colour: str) -> list[str]:
    return list(dict.fromkeys(["status", "iteration", "strategy", "split", colour]))


def _metadata(frames: Iterable[Frame], key: str) -> list[Any]:
    frames = list(frames)
    values = [frame.info.get(key) for frame in frames]
    values = [value.item() if isinstance(value, np.generic) else value for value in values]
    if all(value is None for value in values):
        names = {name for frame in frames for name in frame.info}
        raise UnknownNameError("colour", key, [*COLOURS, *sorted(names)])
    if not all(value is None or isinstance(value, str | int | float) for value in values):
        raise InputError(f"'{key}' of the frames is neither a number nor a text")
    # NaN counts as unknown: no colour scale can show it, and JSON cannot store it.
    return [None if isinstance(v, float) and not math.isfinite(v) else v for v in values]


def check_colour(key: str, *datasets: Dataset) -> None:
    """Refuse a colour that no frame has, before the computation.

    Raises:
        UnknownNameError: Neither one of ``COLOURS`` nor a key of the frames' metadata.
        InputError: The values are neither numbers nor texts.
    """
    if key not in COLOURS:
        _metadata([frame for dataset in datasets for frame in dataset], key)


def check(descriptor: Descriptor, method: Method) -> None:
    """Refuse a method or descriptor whose library is missing, before the computation.

    Raises:
        MissingExtraError: A library is missing; the message has the pip command.
    """
    if descriptor == "structural":
        structural.require()
    else:
        sorep.need()
    need(method)


def make(
    dataset: Dataset,
    *,
    explored: Dataset | None = None,
    descriptor: Descriptor = "structural",
    method: Method = "tsne",
    seed: int = 0,
    limits: Limits = NO_LIMITS,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> FrameMap:
    """Compute a map of frames.

    Isolated atoms are left out, and for ``sorep`` also frames with an element without a basis.

    Args:
        dataset: The frames of a campaign, or any.
        explored: Frames of an exploration; frames that are also in the dataset count there.
        descriptor: The descriptor, which defines similarity.
        method: The projection.
        seed: Determines all random numbers.
        limits: Larger frames are left out; of too many frames some are drawn at random, at most
            half of them explored ones unless the dataset is smaller. Defaults are ``MAX_ATOMS``
            and ``MAX_FRAMES``.
        workers: Processes for the descriptor ``sorep``.
        progress: Called with the numbers of finished frames and of all frames.

    Raises:
        InputError: No frame is left for the map.
        MissingExtraError: A library is not installed.
    """
    if limits.atoms is None:
        limits = limits._replace(atoms=MAX_ATOMS[descriptor])
    if limits.frames is None:
        limits = limits._replace(frames=MAX_FRAMES[descriptor])
    others = dataset[:0] if explored is None else explored
    if descriptor == "sorep":
        sorep.need()
    mine, theirs, notes = choose(dataset, others, limits, seed, orbitals=descriptor == "sorep")
    shown = Dataset.concatenate([mine, theirs])
    vectors = _vectors(shown, descriptor, workers, progress)
    points, used = embed(vectors, method, seed)
    if used != method:
        few = f"There are too few different frames for {TITLES[method]}"
        notes.append(Note(f"{few}: these are principal components"))
    status = [LABELLED if labelled else UNLABELLED for labelled in mine.is_labelled.tolist()]
    status += [EXPLORED] * len(theirs)
    return FrameMap(shown, points, status, descriptor, used, seed, notes)


def _vectors(
    frames: Dataset,
    descriptor: Descriptor,
    workers: int,
    progress: Callable[[int, int], None] | None,
) -> Floats:
    if descriptor == "structural":
        return structural.descriptors(frames)
    total = len(frames)
    report = None if progress is None else lambda count: progress(count, total)
    return sorep.describe(frames, workers=workers, progress=report)
