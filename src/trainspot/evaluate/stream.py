"""Evaluating more frames than memory holds, on all cores: from dataset file to predictions file.

Frames are evaluated in *slabs* of consecutive frames. Slabs and batches depend on the frames only,
so that the number of processes does not change the predictions.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from trainspot.common import processes
from trainspot.common.errors import InputError, NonFiniteError, RunError
from trainspot.data.dataset import Dataset
from trainspot.data.frames import SPLITS
from trainspot.evaluate import batch
from trainspot.models import potential
from trainspot.models.potential import Potential
from trainspot.predictions import files
from trainspot.predictions.absolute import Absolute, AbsoluteSum
from trainspot.predictions.domain import Domain
from trainspot.predictions.error_bars import Trust
from trainspot.predictions.predictions import Predictions, RmseSum
from trainspot.predictions.statistics import Array

BATCHES: Final = 2
"""Batches in a slab: few, because at the end the other processes wait for the last slab."""

NO_SET: Final = "no set"

_WORTH: Final = 32
"""Slabs for each process: fewer are not worth its start, because it loads the models again."""


@dataclass(frozen=True)
class Models:
    """Model files and options to load them; small, because it is sent to other processes.

    Attributes:
        paths: The files of the members.
        kind: Model kind; recognised from the files if empty.
        dtype: float32 or float64.
        device: A torch device.
    """

    paths: tuple[Path, ...]
    kind: str = ""
    dtype: str = "float32"
    device: str = "cpu"

    def load(self) -> list[Potential]:
        """The members."""
        return [
            potential.load(path, kind=self.kind, dtype=self.dtype, device=self.device)
            for path in self.paths
        ]


@dataclass(frozen=True)
class Errors:
    """Errors against the labels, in eV/atom, eV/Å and eV/Å³.

    Attributes:
        sums: Squared errors of each member, by split; of frames without a split: ``no set``.
        absolutes: Absolute errors of the committee mean, by split.
    """

    sums: dict[str, RmseSum]
    absolutes: dict[str, AbsoluteSum]

    @property
    def rmse(self) -> dict[str, Array]:
        """RMSE of each member for each property with labels, over all frames, (M,)."""
        parts = list(self.sums.values())
        return sum(parts[1:], start=parts[0]).rmse() if parts else {}

    @property
    def by_set(self) -> dict[str, dict[str, Array]]:
        """The same for the frames of each split."""
        return {name: total.rmse() for name, total in self.sums.items()}

    @property
    def absolute(self) -> dict[str, Absolute]:
        """Absolute errors of the committee mean for each property, over all frames."""
        parts = list(self.absolutes.values())
        return sum(parts[1:], start=parts[0]).errors() if parts else {}

    @property
    def absolute_by_set(self) -> dict[str, dict[str, Absolute]]:
        """The same for the frames of each split."""
        return {name: total.errors() for name, total in self.absolutes.items()}


def evaluate_to_file(
    frames: Dataset,
    models: Models,
    target: Path,
    *,
    max_atoms: int = 512,
    workers: int | None = None,
    source: str = "",
    trust: Mapping[str, Trust] | None = None,
    domain: Domain | None = None,
    progress: Callable[[int], None] | None = None,
) -> Errors:
    """Write the predictions of each member; memory does not grow with the number of frames.

    Args:
        frames: The frames, best opened lazily (``store.opened``).
        models: The committee, one or more.
        target: Predictions file, see ``predictions.files``; written completely or not at all.
        max_atoms: Atoms in a batch at most; a larger frame is a batch of its own.
        workers: Processes; by default one per core if there are enough frames.
        source: Source of the frames, stored in the file.
        trust: Calibration of this committee; with it the file also has error bars.
        domain: Training frames of this committee; with it the file also has the novelty.
        progress: Called with the number of frames evaluated since the last call.

    Returns:
        Errors of each member over the labelled frames.

    Raises:
        InputError: No model, a repeated model, a model that cannot be loaded, or an element that a
            model lacks.
        NonFiniteError: A member has no finite prediction; the file is written.
        RunError: A process died.
    """
    names = batch.member_names(models.paths)
    if not names:
        raise InputError("no model", hint="give one or more")
    sums: dict[str, RmseSum] = {}
    absolutes: dict[str, AbsoluteSum] = {}
    useful = np.zeros(len(names), dtype=np.bool_)
    digests = [batch.digest(path) for path in models.paths if path.exists()]
    with files.writing(
        target, frames.n_atoms, names, source, trust, digests, novelty=domain is not None
    ) as file:
        for labels, predicted in _results(frames, models, names, max_atoms, workers):
            file.add(predicted, domain.novelty(labels) if domain else None)
            for name, rows in _by_set(labels):
                mine = predicted.take(rows)
                part, absolute = RmseSum.of(mine, labels), AbsoluteSum.of(mine, labels)
                sums[name] = sums[name] + part if name in sums else part
                absolutes[name] = absolutes[name] + absolute if name in absolutes else absolute
            useful |= [predicted.member(j).is_finite.any() for j in range(len(names))]
            if progress:
                progress(len(predicted))
    if len(frames) and not useful.all():
        raise NonFiniteError(
            "no prediction is finite", where=names[int(useful.argmin())], hint="train it again"
        )
    return Errors(sums, absolutes)


def _by_set(frames: Dataset) -> Iterator[tuple[str, NDArray[np.intp]]]:
    """The rows of each split in the dataset."""
    splits = frames.column("split")
    for number, name in enumerate((NO_SET, *SPLITS)):
        if (rows := np.flatnonzero(splits == number)).size:
            yield name, rows


def _results(
    frames: Dataset, models: Models, names: Sequence[str], max_atoms: int, workers: int | None
) -> Iterator[tuple[Dataset, Predictions]]:
    """Each slab with its predictions, in the order of the frames."""
    n_atoms, most = frames.n_atoms, BATCHES * max_atoms
    number = sum(1 for _ in batch.spans(n_atoms, most))
    workers = _workers(number, models.device) if workers is None else min(workers, max(1, number))
    slabs = (frames[first:last] for first, last in batch.spans(n_atoms, most))
    if workers == 1:
        members = models.load()
        for slab in slabs:
            yield slab, batch.evaluate(slab, members, max_atoms=max_atoms, names=names)
        return
    with processes.pool(workers, _start, (models, max_atoms, tuple(names))) as pool:
        waiting: deque[tuple[Dataset, Future[Predictions]]] = deque()
        for slab in slabs:
            waiting.append((slab, pool.submit(_evaluate, slab)))
            if len(waiting) > 2 * workers:
                yield _first(waiting)
        while waiting:
            yield _first(waiting)


def _first(waiting: deque[tuple[Dataset, Future[Predictions]]]) -> tuple[Dataset, Predictions]:
    slab, future = waiting.popleft()
    try:
        return slab, future.result()
    except BrokenProcessPool as error:
        raise RunError(
            "a process that evaluated frames died",
            hint="if memory was short, use fewer workers or a smaller max_atoms",
        ) from error


def _workers(slabs: int, device: str) -> int:
    """Useful number of processes: one for an accelerator, and one for few frames."""
    if device != "cpu":
        return 1
    return max(1, min(processes.cores(), slabs // _WORTH))


# ── in a worker process ───────────────────────────────────────────────────────
_worker: dict[str, Any] = {}


def _start(models: Models, max_atoms: int, names: tuple[str, ...]) -> None:
    processes.keep_to_one_core()
    _worker.update(models=models, max_atoms=max_atoms, names=names)


def _evaluate(slab: Dataset) -> Predictions:
    """Evaluate a slab; the process loads the members with its first slab.

    ``_start`` does not load them: an error there would only show as a broken pool.
    """
    if "models" in _worker:
        _worker["members"] = _worker["models"].load()
        del _worker["models"]
    return batch.evaluate(slab, **_worker)
