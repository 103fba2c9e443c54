"""What AiiDA and our work chains cost around cheap labels, and how that grows with their number.

Work: the labelling stage with the engine ``ase`` (EMT, copper, 4 atoms) through a daemon with one
worker, as ``trainspot setup`` makes it; the time that the labels themselves take in this process is
taken off. Then: N stored results of pw.x become one dataset (linear means that the cost of one
result grows by no more than half); and what each further frame adds to the checkpoint of a stage.

Baseline: one CalcJob a frame: the same program, the same daemon, all jobs submitted at once, so
that AiiDA may do for one what it waits with for another. It is measured on a few jobs, and the
cost of one is taken to be the same for many. For growth: the smallest N.

Limit: one machine, jobs without a scheduler; a cluster adds its own waiting to both sides, and more
often to the baseline.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from _harness import Row, Target, compared, interleaved, main, repeats, say, seconds

# isort: split
import numpy as np
from ase.build import bulk

from _profile import temporary_profile
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame
from trainspot.label.ase import AseLabelEngine, AseSettings

_SETTINGS: Final = {"calculator": "emt"}
_PATIENCE: Final = 3600.0
_POLL: Final = 0.2


def make_frames(count: int, salt: int) -> list[Frame]:
    """Rattled copper, 4 atoms; another salt gives other frames, which no cache knows."""
    rng = np.random.default_rng([count, salt])
    frames = []
    for _ in range(count):
        atoms = bulk("Cu", cubic=True)
        atoms.positions += rng.normal(0, 0.05, atoms.positions.shape)
        frames.append(Frame.from_atoms(atoms))
    return frames


class Salt:
    """Numbers that never come twice."""

    def __init__(self) -> None:
        """Start at zero."""
        self._value = 0

    def __call__(self) -> int:
        """The next one."""
        self._value += 1
        return self._value


# ── through the daemon ────────────────────────────────────────────────────────
def wait(nodes: Sequence[Any]) -> None:
    """Until all processes have ended well.

    Raises:
        RuntimeError: One did not, or there was no end.
    """
    end = time.monotonic() + _PATIENCE
    while not all(node.is_terminated for node in nodes):
        if time.monotonic() > end:
            raise RuntimeError(f"not finished within {_PATIENCE:g} s")
        time.sleep(_POLL)
    for node in nodes:
        if not node.is_finished_ok:
            raise RuntimeError(f"{node.process_label}: {node.exit_message}")


def stage(code: Any, frames: list[Frame]) -> float:
    """Wall time (s) of the labelling stage, less that of the labels alone."""
    from aiida.engine import submit
    from aiida.orm import Dict, Str

    from aiida_trainspot.data.pes import PESData
    from aiida_trainspot.workflows.label.stage import AbInitioLabellingWorkChain

    start = time.perf_counter()
    node = submit(
        AbInitioLabellingWorkChain,
        engine=Str("ase"),
        dataset=PESData(frames),
        code=code,
        settings=Dict(_SETTINGS),
    )
    wait([node])
    elapsed = time.perf_counter() - start
    assert node.outputs.labelled.n_labelled == len(frames)
    return elapsed - _alone(frames)


def one_job_a_frame(code: Any, frames: list[Frame]) -> float:
    """Wall time (s) of one CalcJob a frame, less that of the labels alone."""
    from aiida.engine import submit
    from aiida.orm import Dict

    from aiida_trainspot.calculations.ase_label import AseLabelCalculation
    from aiida_trainspot.data.pes import PESData

    start = time.perf_counter()
    jobs = [
        submit(AseLabelCalculation, dataset=PESData([frame]), settings=Dict(_SETTINGS), code=code)
        for frame in frames
    ]
    wait(jobs)
    elapsed = time.perf_counter() - start
    assert all(job.outputs.labelled.n_labelled == 1 for job in jobs)
    return elapsed - _alone(frames)


def _alone(frames: list[Frame]) -> float:
    start = time.perf_counter()
    AseLabelEngine().label(Dataset.from_frames(frames), AseSettings.model_validate(_SETTINGS))
    return time.perf_counter() - start


def _overhead(code: Any, options: argparse.Namespace) -> Iterator[Row]:
    many, few = (6, 2) if options.quick else (options.frames, 20)
    salt = Salt()
    samples = interleaved(
        {
            "ours": lambda: stage(code, make_frames(many, salt())) / many,
            "baseline": lambda: one_job_a_frame(code, make_frames(few, salt())) / few,
        },
        repeats=repeats(options, 5),
    )
    yield compared(
        f"engine overhead a cheap label, N = {many}",
        samples,
        work=f"{many} EMT labels through the labelling stage, the labels' own time taken off; "
        f"baseline: {few} jobs with one frame each",
        unit="s/label",
        target=Target(0.05, of="ours", sense="at most"),
        note=f"the baseline is measured on {few} jobs and extrapolated",
    )


# ── growth ────────────────────────────────────────────────────────────────────
def _growth(
    name: str, work: str, unit: str, samples: Mapping[str, list[float]], sizes: Sequence[int]
) -> Iterator[Row]:
    """Cost of one of N against that of one of the fewest."""
    for size in sizes[1:]:
        yield compared(
            f"{name}, N = {size} against {sizes[0]}",
            samples,
            ours=str(size),
            baseline=str(sizes[0]),
            ratio_is="ours / baseline",
            work=work,
            unit=unit,
            target=Target(1.5, sense="at most"),
        )


def _collecting(options: argparse.Namespace) -> Iterator[Row]:
    sizes = (2, 6) if options.quick else (50, 200, 1000)
    frames = make_frames(sizes[-1], salt=0)
    results = []
    for number, frame in enumerate(frames):
        if number % 100 == 0:
            say(f"    results stored: {number}")
        results.append(_result(frame))
    samples = interleaved(
        {str(n): _collect(frames[:n], results[:n]) for n in sizes},
        repeats=repeats(options, 3),
        warm_up=True,
    )
    work = "N stored results of pw.x (TrajectoryData) become one stored PESData, as in a campaign"
    yield from _growth("collecting results", work, "s/result", samples, sizes)


def _result(frame: Frame) -> Any:
    """A stored trajectory as the parser of pw.x leaves it."""
    from aiida.orm import TrajectoryData

    node = TrajectoryData()
    symbols = list(frame.to_atoms().symbols)
    node.set_trajectory(symbols, frame.positions[None], cells=frame.cell[None], pbc=[True] * 3)
    node.set_array("energy", np.array([-1.0]))
    node.set_array("forces", np.zeros((1, len(frame), 3)))
    node.set_array("stress", np.zeros((1, 3, 3)))
    return node.store()


def _collect(frames: list[Frame], results: list[Any]) -> Callable[[], float]:
    from aiida.orm import Dict

    from aiida_trainspot.data.pes import PESData
    from aiida_trainspot.functions.label import FRAME_KEY
    from aiida_trainspot.workflows.label.gather import gather_calculations

    node = PESData(frames).store()
    keyed = {FRAME_KEY.format(row): result for row, result in enumerate(results)}

    def run(label: str, function: Any, **inputs: Any) -> Any:
        return function(**inputs, metadata={"call_link_label": label})

    def gather() -> Any:
        settings = Dict({"ecutwfc": 20.0, "ecutrho": 80.0})
        return gather_calculations(run, "gather", node, settings, Dict({}), keyed)

    def check(made: Any) -> None:
        assert len(made["labelled"]) == len(frames)

    return seconds(gather, after=check, divide=len(frames))


def _checkpoints(code: Any, options: argparse.Namespace) -> Iterator[Row]:
    sizes = (2, 6, 12) if options.quick else (50, 200, 1000)
    for name, settings in (("one job", {}), ("ten frames a job", {"frames_per_job": 10})):
        bytes_of = [_checkpoint(code, size, _SETTINGS | settings) for size in sizes]
        slopes = (np.diff(bytes_of) / np.diff(sizes)).tolist()
        said = ", ".join(f"{n} frames {b:.0f} B" for n, b in zip(sizes, bytes_of, strict=True))
        yield compared(
            f"checkpoint, {name}",
            {"ours": slopes},
            baseline=None,
            work="what each further frame adds to the checkpoint of the engine's work chain, which "
            "has cut the frames into jobs; a reference to a node is about 100 B",
            unit="B/frame",
            target=Target(100, of="ours", sense="at most"),
            note=said,
        )


def _checkpoint(code: Any, count: int, settings: Mapping[str, Any]) -> float:
    """Bytes of the checkpoint of an engine that has set up N frames."""
    from aiida.engine.persistence import AiiDAPersister
    from aiida.engine.utils import instantiate_process
    from aiida.manage import get_manager
    from aiida.orm import Dict

    from aiida_trainspot.data.pes import PESData
    from aiida_trainspot.workflows.label.ase import AseLabelWorkChain

    process = instantiate_process(
        get_manager().get_runner(),
        AseLabelWorkChain,
        dataset=PESData(make_frames(count, salt=0)).store(),
        code=code,
        settings=Dict(dict(settings)),
    )
    process.setup()
    AiiDAPersister().save_checkpoint(process)
    return float(len(process.node.checkpoint.encode()))


def rows(options: argparse.Namespace) -> Iterator[Row]:
    """Overhead, collecting, checkpoints."""
    with temporary_profile(workers=1) as computer:
        from aiida.orm import load_code

        from aiida_trainspot.runtime.profile import home
        from aiida_trainspot.setup import codes, programs

        codes.make_code(programs.OWN, computer, home(), install=False)
        code = load_code("trainspot@localhost")
        yield from _checkpoints(code, options)
        yield from _overhead(code, options)
        yield from _collecting(options)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The number of labels."""
    parser.add_argument(
        "--frames",
        type=int,
        default=1000,
        metavar="N",
        help="labels of one stage (default: %(default)s)",
    )


if __name__ == "__main__":
    sys.exit(main("engine", __doc__, rows, add_arguments))
