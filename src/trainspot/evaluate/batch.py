"""Evaluating a committee on many frames, in batches with neighbour lists shared by the members."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainspot.common.elements import check_known
from trainspot.common.errors import InputError
from trainspot.data import lattice
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Labels
from trainspot.models.potential import Potential
from trainspot.predictions.predictions import Predictions


def evaluate(
    dataset: Dataset,
    members: Sequence[Potential],
    *,
    max_atoms: int = 512,
    names: Sequence[str] = (),
    source: str = "",
    progress: Callable[[int], None] | None = None,
) -> Predictions:
    """The prediction of each member for each frame.

    Numbers that are not finite are kept: exploding trajectories have such frames, and the screen
    refuses them. ``Predictions.check_finite`` refuses members without any finite prediction.

    Args:
        dataset: The frames, in the order of the result.
        members: The committee, one or more.
        max_atoms: Atoms in a batch at most; a larger frame is a batch of its own.
        names: Names of the members; by default ``member_0``, ``member_1``, …
        source: Source of the frames, stored in the result.
        progress: Called after each batch with the number of its frames.

    Raises:
        InputError: No member, or a frame with an element that a member lacks.
    """
    labels = tuple(names) or tuple(f"member_{j}" for j in range(len(members)))
    if not members or len(labels) != len(members):
        raise InputError(f"{len(members)} members with {len(labels)} names", hint="give one model")
    _check_elements(dataset, members, labels)
    n, m, atoms = len(dataset), len(members), int(dataset.n_atoms.sum())
    energy, forces = np.zeros((m, n)), np.zeros((m, atoms, 3))
    stress, has_stress = np.zeros((m, n, 3, 3)), np.ones((m, n), dtype=np.bool_)
    offsets = dataset.column("offsets")
    for first, last in spans(dataset.n_atoms, max_atoms):
        for j, predicted in enumerate(_predict(list(dataset[first:last]), members)):
            energy[j, first:last] = [labels.energy for labels in predicted]
            forces[j, offsets[first] : offsets[last]] = np.concatenate(
                [labels.forces for labels in predicted if labels.forces is not None]
            )
            for row, prediction in enumerate(predicted, start=first):
                has_stress[j, row] = prediction.stress is not None
                stress[j, row] = 0.0 if prediction.stress is None else prediction.stress
        if progress:
            progress(last - first)
    projector = lattice.periodic_projector(dataset.column("cell"), dataset.column("pbc"))
    projector[~has_stress.all(axis=0)] = 0.0
    return Predictions(
        dataset.column("id"), offsets, energy, forces, stress, projector, labels, source
    )


def member_names(models: Sequence[Path]) -> list[str]:
    """File names of the members without suffix, or whole paths if the names are not distinct.

    Raises:
        InputError: A model is given twice.
    """
    stems = [path.stem for path in models]
    names = stems if len(set(stems)) == len(stems) else [str(path) for path in models]
    if len(set(names)) < len(names):
        raise InputError("a model is given twice", where="--models")
    return names


def digest(model: Path) -> str:
    """A digest of the content of a model file, or of all files of a folder: 16 hexadecimal digits.

    Raises:
        InputError: A file cannot be read.
    """
    files = sorted(p for p in model.rglob("*") if p.is_file()) if model.is_dir() else [model]
    hasher = hashlib.sha256()
    try:
        for path in files:
            with path.open("rb") as file:
                hasher.update(hashlib.file_digest(file, "sha256").digest())
    except OSError as error:
        raise InputError("cannot be read", where=str(model)) from error
    return hasher.hexdigest()[:16]


def spans(n_atoms: NDArray[np.int64], max_atoms: int) -> Iterator[tuple[int, int]]:
    """Consecutive (first, last) rows with at most ``max_atoms`` atoms, at least one frame."""
    first, total = 0, 0
    for row, size in enumerate(n_atoms.tolist()):
        if row > first and total + size > max_atoms:
            yield first, row
            first, total = row, 0
        total += size
    if first < len(n_atoms):
        yield first, len(n_atoms)


def _predict(frames: list[Any], members: Sequence[Potential]) -> Iterator[list[Labels]]:
    """The predictions of each member; members with one ``graph_key`` share ``prepare``."""
    prepared: dict[Hashable, Any] = {}
    for member in members:
        key = (member.kind, member.graph_key)
        if key not in prepared:
            prepared[key] = member.prepare(frames)
        yield member.predict(prepared[key])


def _check_elements(dataset: Dataset, members: Sequence[Potential], names: Sequence[str]) -> None:
    present = np.unique(dataset.column("numbers")).tolist()
    for member, name in zip(members, names, strict=True):
        check_known(present, member.numbers, where=name)
