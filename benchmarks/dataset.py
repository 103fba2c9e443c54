"""A dataset of N frames as one AiiDA node: writing, reading, one column, one frame, and memory.

Work: labelled frames of 80 to 120 atoms (energy, forces, stress, origin), written into a stored
``PESData`` and read back. Every repeat has other energies, so that nothing is deduplicated.

Baseline: the same frames in a stored ``SinglefileData`` that holds an HDF5 file with one group a
frame: numbers, positions and forces as datasets, everything small as attributes of the group, the
newest file format (``libver="latest"``). The file is read in the way that is faster for it, from a
temporary copy by HDF5's own driver; copying is part of a full read, and not of the reads with the
file held open.

Limit: one local disk and AiiDA's SQLite storage; times include waiting for the disk. The baseline
takes minutes at 50 000 frames, so 10 000 frames are repeated three times and 50 000 once.
"""

from __future__ import annotations

import argparse
import itertools
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from _harness import Row, Target, compared, interleaved, main, repeats, seconds

# isort: split
import h5py
import numpy as np

from _profile import temporary_profile
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame, Labels, Origin

_REPEATS: Final = {1_000: 5, 10_000: 3, 50_000: 1}
_PICKED: Final = 200
_MEMORY: Final = Path(__file__).with_name("_memory.py")


def make_dataset(count: int) -> Dataset:
    """Frames of 80 to 120 atoms with random geometry and made-up labels."""
    rng = np.random.default_rng(count)
    return Dataset.from_frames(_frame(rng, index) for index in range(count))


def _frame(rng: np.random.Generator, index: int) -> Frame:
    size = int(rng.integers(80, 121))
    labels = Labels(rng.normal(), rng.normal(size=(size, 3)), rng.normal(size=(3, 3)), "made-up")
    return Frame.make(
        rng.choice([6, 14, 42], size),
        rng.uniform(0, 12, (size, 3)),
        np.eye(3) * 12,
        True,
        labels=labels,
        origin=Origin("rattle", "", {"copy": index}, index),
        split="train",
    )


class Salted:
    """The dataset, with other energies every time."""

    def __init__(self, dataset: Dataset) -> None:
        """Remember the dataset."""
        self._dataset = dataset
        self._salt = itertools.count(1)

    def dataset(self) -> Dataset:
        """As a dataset in memory."""
        energy = self._dataset.column("energy") + next(self._salt)
        return self._dataset.with_columns(energy=energy)

    def frames(self) -> list[Frame]:
        """As a list of frames."""
        return list(self.dataset())


# ── baseline ──────────────────────────────────────────────────────────────────
def write_groups(frames: list[Frame]) -> Any:
    """A stored node with one HDF5 group a frame."""
    from aiida.orm import SinglefileData

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "frames.h5"
        with h5py.File(path, "w", libver="latest") as file:
            for index, frame in enumerate(frames):
                _write_group(file.create_group(f"{index:06d}"), frame)
        return SinglefileData(path).store()


def _write_group(group: h5py.Group, frame: Frame) -> None:
    group["numbers"] = frame.numbers.astype("u1")
    group["positions"] = frame.positions
    group["forces"] = frame.labels.forces
    attributes = group.attrs
    attributes["id"] = frame.id
    attributes["cell"], attributes["pbc"] = frame.cell, frame.pbc
    attributes["energy"], attributes["stress"] = frame.labels.energy, frame.labels.stress
    attributes["theory"], attributes["split"] = frame.labels.theory, frame.split
    attributes["strategy"], attributes["parent"] = frame.origin.strategy, frame.origin.parent
    attributes["seed"], attributes["copy"] = frame.origin.seed, frame.origin.parameters["copy"]


def read_group(group: h5py.Group) -> dict[str, Any]:
    """Everything of one frame."""
    return {name: data[()] for name, data in group.items()} | dict(group.attrs.items())


def read_groups(node: Any) -> list[dict[str, Any]]:
    """Everything of all frames."""
    with node.as_path() as path, h5py.File(path, "r") as file:
        return [read_group(group) for group in file.values()]


def read_energies(file: h5py.File) -> Any:
    """The energies of all frames."""
    return np.array([group.attrs["energy"] for group in file.values()])


# ── rows ──────────────────────────────────────────────────────────────────────
def rows(options: argparse.Namespace) -> Iterator[Row]:
    """All rows, for each size."""
    sizes = [40] if options.quick else sorted(options.frames)
    with temporary_profile():
        nodes = {}
        for count in sizes:
            often = repeats(options, _REPEATS.get(count, 3))
            node, groups, found = _writing(count, often)
            yield from found
            yield from _reading(count, often, node, groups)
            nodes[count] = node
        yield from _memory(nodes, repeats(options, 3))


def _writing(count: int, often: int) -> tuple[Any, Any, list[Row]]:
    """The last nodes of both kinds, and the rows of writing them."""
    from aiida_trainspot.data.pes import PESData

    salted, kept = Salted(make_dataset(count)), dict[str, Any]()

    def keep(name: str) -> Callable[[Any], None]:
        return lambda node: kept.update({name: node})

    def write(source: Any) -> Any:
        return PESData(source).store()

    samples = interleaved(
        {
            "ours": seconds(write, before=salted.dataset, after=keep("ours")),
            "baseline": seconds(write_groups, before=salted.frames, after=keep("baseline")),
            "from frames": seconds(write, before=salted.frames),
        },
        repeats=often,
    )
    work = f"write and store {count} frames of ~100 atoms; baseline: one HDF5 group a frame"
    written = compared(
        f"write + store, {count} frames",
        samples,
        work=f"{work}. Ours starts from a dataset in memory, the baseline from a list of frames",
        unit="s",
        target=Target(20),
    )
    from_frames = compared(
        f"write + store from a list, {count} frames",
        samples,
        ours="from frames",
        work=f"{work}. Both start from a list of frames",
        unit="s",
    )
    return kept["ours"], kept["baseline"], [written, from_frames]


def _reading(count: int, often: int, node: Any, groups: Any) -> Iterator[Row]:
    samples = interleaved(
        {
            "ours": seconds(lambda: node.dataset),
            "baseline": seconds(lambda: read_groups(groups)),
            "frames": seconds(lambda: list(node)),
        },
        repeats=often,
    )
    yield compared(
        f"full read, {count} frames",
        samples,
        work=f"read {count} frames into memory: ours as columns, the baseline a dictionary a frame",
        unit="s",
        target=Target(150),
    )
    yield compared(
        f"full read as frames, {count} frames",
        samples,
        ours="frames",
        work=f"the same, but ours as {count} Frame objects with decoded metadata",
        unit="s",
    )
    yield from _parts(count, often, node, groups)


def _parts(count: int, often: int, node: Any, groups: Any) -> Iterator[Row]:
    picked = np.random.default_rng(1).integers(0, count, _PICKED).tolist()
    with node.opened() as dataset, groups.as_path() as path, h5py.File(path, "r") as file:
        samples = interleaved(
            {
                "ours": seconds(lambda: dataset.columns["energy"][...]),
                "baseline": seconds(lambda: read_energies(file)),
                "from the node": seconds(lambda: node.column("energy")),
            },
            repeats=max(3, often),
            warm_up=True,
        )
        yield compared(
            f"energies only, {count} frames",
            samples,
            work=f"the energies of {count} frames, with the file held open on both sides",
            unit="s",
            target=Target(250),
        )
        yield compared(
            f"energies only, opening ours, {count} frames",
            samples,
            ours="from the node",
            work=f"the energies of {count} frames; ours opens the node's file each time",
            unit="s",
        )
        samples = interleaved(
            {
                "ours": seconds(lambda: [dataset[i] for i in picked], divide=_PICKED),
                "baseline": seconds(
                    lambda: [read_group(file[f"{i:06d}"]) for i in picked], divide=_PICKED
                ),
            },
            repeats=max(5, often),
            warm_up=True,
        )
    yield compared(
        f"random frame, of {count} frames",
        samples,
        work=f"one of {_PICKED} frames drawn at random with the file held open, all its columns",
        unit="s",
        target=Target(30),
    )


def _memory(nodes: dict[int, Any], often: int) -> Iterator[Row]:
    from aiida_trainspot.data.pes import PESData

    single = PESData(make_dataset(1)).store()
    smallest = min(nodes)
    sides = {"one": _peak(single)} | {str(n): _peak(node) for n, node in nodes.items()}
    samples = interleaved(sides, repeats=often)
    for count in nodes:
        work = f"growth of the resident memory of a fresh process that iterates {count} frames"
        yield compared(
            f"peak memory, {count} frames against one",
            samples,
            ours=str(count),
            baseline="one",
            ratio_is="ours / baseline",
            work=f"{work}, against one frame",
            unit="MiB",
            note="frames are read in chunks of 512, which one frame does not fill",
        )
        if count > smallest:
            yield compared(
                f"peak memory, {count} frames against {smallest}",
                samples,
                ours=str(count),
                baseline=str(smallest),
                ratio_is="ours / baseline",
                work=f"{work}, against {smallest} frames",
                unit="MiB",
                target=Target(1.2, sense="at most"),
            )


def _peak(node: Any) -> Callable[[], float]:
    def side() -> float:
        command = [sys.executable, str(_MEMORY), node.uuid]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        return float(done.stdout)

    return side


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The sizes."""
    parser.add_argument(
        "--frames",
        type=int,
        nargs="+",
        default=list(_REPEATS),
        metavar="N",
        help="sizes of the datasets (default: %(default)s)",
    )


if __name__ == "__main__":
    sys.exit(main("dataset", __doc__, rows, add_arguments))
