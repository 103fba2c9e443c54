"""Committee evaluation: four MACE members on frames of different sizes, on one core and on all.

Work: energies, forces and stresses of four members for frames of 8 to 64 atoms (silicon and silicon
carbide, rattled). The models are made by this benchmark with random weights; their size is in each
row. On one core: ``trainspot.evaluate.batch`` in this process, seconds of processor time a frame.
On all cores: ``trainspot evaluate`` from file to file as a program: what each further frame costs,
and the whole with its start.

Baseline: MACE's own ASE calculator for the whole committee, float64, frame after frame in a loop
(it shares the graph between the members). For the scaling: the same program with one process.

Memory: how much more the program holds at its peak for 50 000 frames of 2 to 8 atoms than for 1000,
against what the files of frames and predictions weigh more. Both sets have the same mixture of
sizes, and all batches hold as many atoms as they may.

An iteration: a toy campaign (aluminium by EMT) is run, and the frames that each committee
evaluated are counted, against the whole labelled dataset and the exploration.

Limit: no GPU. Scaling is meaningful only while nothing else uses the machine; the row on processor
time shows what sharing the memory costs, and is robust against others.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from _harness import Row, Target, compared, interleaved, main, repeats, seconds

# isort: split
import numpy as np
from ase.build import bulk

from _models import SIZE, make_committee, make_frames, make_small_frames
from _processes import can_measure, peak_memory
from trainspot.campaign import loop
from trainspot.campaign.engines import engines_of
from trainspot.common import processes
from trainspot.config.document import Document
from trainspot.config.load import resolve
from trainspot.config.models import Campaign
from trainspot.data import hdf5
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame
from trainspot.evaluate import batch
from trainspot.models.potential import load

_TIGHT = {"MALLOC_MMAP_THRESHOLD_": "1048576"}
"""Where glibc puts large tensors differs from run to run, by more than a dataset weighs."""


def calculator(models: list[Path]) -> Any:
    """MACE's own calculator of a committee."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mace.calculators import MACECalculator

        return MACECalculator(
            model_paths=[str(path) for path in models], device="cpu", default_dtype="float64"
        )


def ase_loop(calc: Any, frames: list[Frame]) -> float:
    """Everything that the calculator says about each frame; returns the last mean energy, eV."""
    for frame in frames:
        atoms = frame.to_atoms()
        atoms.calc = calc
        atoms.get_forces()
        atoms.get_stress()
    return float(atoms.get_potential_energy())


def rows(options: argparse.Namespace) -> Iterator[Row]:
    """One core, then all, their memory, then a campaign."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        models = make_committee(folder)
        yield from _one_core(models, options)
        yield from _all_cores(models, folder, options)
        if can_measure():
            yield from _memory(models[:2], folder, options)
        yield _per_iteration(folder, quick=options.quick)


def _one_core(models: list[Path], options: argparse.Namespace) -> Iterator[Row]:
    import torch

    torch.set_num_threads(1)
    frames = make_frames(6 if options.quick else 70)
    dataset = Dataset.from_frames(frames)
    double = [load(path, dtype="float64") for path in models]
    single = [load(path, dtype="float32") for path in models]
    calc = calculator(models)
    reference = ase_loop(calc, frames[-1:])
    mine = float(batch.evaluate(dataset[-1:], double).energy.mean())
    assert abs(mine - reference) < 1e-6 * abs(reference), (mine, reference)

    def side(work: Callable[[], Any]) -> Callable[[], float]:
        return seconds(work, clock=time.process_time, divide=len(frames))

    samples = interleaved(
        {
            "float32": side(lambda: batch.evaluate(dataset, single)),
            "float64": side(lambda: batch.evaluate(dataset, double)),
            "baseline": side(lambda: ase_loop(calc, frames)),
        },
        repeats=repeats(options, 5),
        warm_up=not options.quick,
    )
    average = float(np.mean(dataset.n_atoms))
    work = f"4 members ({SIZE}) on {len(frames)} frames of {average:.0f} atoms on average, one core"
    for dtype, target in (("float32", Target(2.3)), ("float64", None)):
        yield compared(
            f"committee evaluation, {dtype}, one core",
            samples,
            ours=dtype,
            work=f"{work}; baseline: MACE's ASE calculator, float64",
            unit="CPU-s/frame",
            target=target,
        )


def _all_cores(models: list[Path], folder: Path, options: argparse.Namespace) -> Iterator[Row]:
    cores = processes.cores()
    count = 8 if options.quick else options.frames
    few = count // 4
    for number in (few, count):
        hdf5.write(Dataset.from_frames(make_frames(number)), folder / f"{number}.h5")
    whole: dict[int, list[float]] = {1: [], cores: []}
    used: dict[int, list[float]] = {1: [], cores: []}

    def side(jobs: int) -> Callable[[], float]:
        def run() -> float:
            short, _ = _program(models, folder / f"{few}.h5", jobs)
            elapsed, processor = _program(models, folder / f"{count}.h5", jobs)
            whole[jobs].append(elapsed)
            used[jobs].append(processor)
            return (elapsed - short) / (count - few)

        return run

    samples = interleaved({"ours": side(cores), "baseline": side(1)}, repeats=repeats(options, 5))
    work = f"trainspot evaluate, 4 members, float32, {cores} processes against one"
    if not options.quick:  # the start of seconds drowns what a few frames take
        yield compared(
            f"committee evaluation, a further frame, {cores} cores against one",
            samples,
            work=f"{work}; wall time of {count} frames less that of {few}, for each frame more: "
            "what large datasets cost",
            unit="s/frame",
            target=Target(0.9 * cores),
        )
    yield compared(
        f"committee evaluation, {count} frames, {cores} cores against one",
        {"ours": whole[cores], "baseline": whole[1]},
        work=f"{work}, {count} frames; wall time, with the start of Python, torch and MACE",
        unit="s",
    )
    yield compared(
        f"processor time of {cores} processes against one",
        {"ours": used[cores], "baseline": used[1]},
        work=f"{work}, {count} frames; processor time in all, which grows by the further starts "
        "and by what the processes take from one another",
        unit="CPU-s",
        ratio_is="ours / baseline",
    )


def _program(models: list[Path], frames: Path, jobs: int) -> tuple[float, float]:
    """Wall time and processor time (s) of one run of ``trainspot evaluate``."""
    command = _command(models, frames, jobs)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    elapsed = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return elapsed, sum(a - b for a, b in zip(after[:2], before[:2], strict=True))


def _command(models: list[Path], frames: Path, jobs: int) -> list[str]:
    command = [str(Path(sys.executable).with_name("trainspot")), "evaluate", str(frames)]
    command += ["--models", *map(str, models), "--workers", str(jobs)]
    return [*command, "-o", str(frames.with_name("predictions.h5"))]


# ── memory ────────────────────────────────────────────────────────────────────
def _memory(models: list[Path], folder: Path, options: argparse.Namespace) -> Iterator[Row]:
    """One process, for each further one adds its own scatter; once, for it takes minutes."""
    few, many, batch_size = (8, 16, 8) if options.quick else (1_000, 50_000, 512)
    written: dict[int, float] = {}

    def side(count: int, *, tight: bool) -> Callable[[], float]:
        frames = folder / f"small-{count}.h5"
        hdf5.write(Dataset.from_frames(make_small_frames(count)), frames)
        command = [*_command(models, frames, 1), "--max-atoms", str(batch_size)]

        def measure() -> float:
            peak = peak_memory(command, _TIGHT if tight else {})
            predictions = frames.with_name("predictions.h5")
            written[count] = (frames.stat().st_size + predictions.stat().st_size) / 2**20
            return peak

        return measure

    sides = {"few": side(few, tight=True), "many": side(many, tight=True)}
    sides |= {"few, free": side(few, tight=False), "many, free": side(many, tight=False)}
    peaks = interleaved(sides, repeats=repeats(options, 1))
    growth = [
        max(after - before, 2**-10)  # a kB, the unit of the system: nothing grew
        for after, before in zip(peaks["many"], peaks["few"], strict=True)
    ]
    work = f"trainspot evaluate, one process, 2 members, {many} frames of 2 to 8 atoms"
    yield compared(
        f"memory for {many - few} more frames, of what they weigh",
        {"ours": growth, "baseline": [written[many] - written[few]] * len(growth)},
        ratio_is="ours / baseline",
        work=f"{work} against {few}: growth of the peak memory, against that of the files of "
        "frames and predictions, which a program that does not stream would hold",
        unit="MiB",
        target=Target(0.5, sense="at most"),
        note="large tensors are asked of the system one by one, so that what is seen is held",
    )
    yield compared(
        f"peak memory, {many} frames against {few}",
        peaks,
        ours="many, free",
        baseline="few, free",
        ratio_is="ours / baseline",
        work=f"{work} against {few}: peak memory of the program as it is usually run",
        unit="MiB",
    )


# ── an iteration ──────────────────────────────────────────────────────────────
def campaign(*, quick: bool) -> Campaign:
    """A toy campaign on aluminium: 60 rattled cells, three iterations."""
    content = {
        "structures": ["given"],
        "augment": [{"kind": "input"}, {"kind": "rattle", "copies": 8 if quick else 60}],
        "label": {"engine": "ase", "calculator": "emt"},
        "train": {"engine": "toy", "committee_size": 3},
        "explore": {
            "engine": "ase",
            "starts": 2 if quick else 5,
            "temperature": [300, 600],
            "time": 0.1,
            "sample_every": 0.02,
        },
        "evaluate": {"dtype": "float64"},
        "tolerance": {"energy": None, "forces": 0.05, "stress": None},
        "select": {"max_frames": 10, "novelty": None, "method": "random"},
        "stop": {"max_iterations": 1 if quick else 3},
    }
    return resolve(Document(Path("benchmark"), content)).campaign


def _per_iteration(folder: Path, *, quick: bool) -> Row:
    aluminium = Frame.from_atoms(bulk("Al", cubic=True).repeat((2, 1, 1)))
    chosen = campaign(quick=quick)
    engines = engines_of(chosen, folder)
    turns = loop.run(Dataset.from_frames([aluminium]), chosen, engines).turns
    judged = [len(turn.predictions) for turn in turns]
    everything = [len(turn.decision.dataset.labelled().merge(turn.explored).ids) for turn in turns]
    return compared(
        "frames evaluated in an iteration",
        {"ours": [float(n) for n in judged], "baseline": [float(n) for n in everything]},
        work=f"a campaign of {len(turns)} iterations, one sample each; baseline: all labelled and "
        "all explored frames by every new committee",
        unit="frames",
        note="held-out and explored frames; what a committee was trained on tells nothing",
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The number of frames of the scaling."""
    parser.add_argument(
        "--frames",
        type=int,
        default=1500,
        metavar="N",
        help="frames evaluated on one and on all cores (default: %(default)s)",
    )


if __name__ == "__main__":
    sys.exit(main("evaluate", __doc__, rows, add_arguments))
