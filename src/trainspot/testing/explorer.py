"""The contract test of explorers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from ase.data import atomic_masses
from pydantic import BaseModel

from trainspot.common.text import counted
from trainspot.data.dataset import Dataset
from trainspot.data.failure import Failure, failure_of, reason_of
from trainspot.data.frames import Frame
from trainspot.explore.base import Explored, Explorer, MdSettings
from trainspot.explore.base import explorer as registered
from trainspot.explore.schedule import Plan, Run, schedule
from trainspot.testing.claims import Claims, check_code, check_settings
from trainspot.testing.drawing import check_drawing
from trainspot.testing.hooks import check_hooks
from trainspot.testing.samples import few_frames, tiny_dataset, tiny_model

if TYPE_CHECKING:
    from trainspot.models.potential import Potential

_CELL = 1e-4
"""Å; smaller changes of a cell vector do not count."""
_BOLTZMANN = 8.617333e-5  # eV/K
_VELOCITY = 9.648533e-3  # (Å/fs)² of an energy of 1 eV and a mass of 1 u
_OVERLAP = 0.25  # Å
_Run = Callable[[Dataset, Sequence[Run], "Potential", Any], Explored]


def check_explorer(
    explorer: str | type[Explorer],
    settings: Mapping[str, Any] | None = None,
    *,
    explore: _Run | None = None,
    model: Potential | None = None,
    starts: Sequence[Frame] | None = None,
) -> None:
    """Assert the contract of an explorer.

    For any explorer: settings have defaults and descriptions, survive JSON and refuse unknown keys;
    they derive from ``MdSettings`` unless it draws from a pool; the default code is
    ``label@computer`` and the code of ``program()``; ``preflight`` gives remarks of one line.

    For an explorer that ``draws_from_pool``, frames are drawn from ``starts``:

    - rows exist, each once, and none is taken; if all frames are taken, no frame is drawn;
    - the first training gets at least two frames;
    - the same seed draws the same frames, whatever their order, and whether or not they have
      labels; the pool does not change.

    For an explorer that ``runs_in_process``, or with ``explore``, short runs of 100 fs are
    executed, NPT, NVT and NVE, of a crystal, a slab and a molecule:

    - each run leaves a frame every ``every`` steps, in the order of runs and time;
    - frames have the species, periodicity and state of their start, no labels, and an origin that
      names strategy, start, temperature, pressure, ensemble, step, time, seed, trajectory and
      iteration; the start frames do not change;
    - the speed of atoms agrees with the temperature;
    - a barostat changes the cell vectors on its axes and no other; without a barostat the cell
      stays;
    - the same runs give the same frames, another seed gives others;
    - a run that explodes is a record among the failures with its reason and trajectory, and the
      next runs continue.

    Args:
        explorer: Its registered name, or its class.
        settings: Settings that differ from their defaults.
        explore: Runs a schedule with an explorer that does not run in this process: called with
            the start frames, the runs, the model and the settings.
        model: Drives the dynamics. Default: a toy potential of aluminium and copper.
        starts: A crystal, a slab and a molecule with elements of the model. Default: Al and Cu.
            For an explorer that draws from a pool: the pool.
    """
    is_name = isinstance(explorer, str)
    explorer_class = (
        registered(explorer) if isinstance(explorer, str) else Explorer.implementation(explorer)
    )
    claims = Claims("explorer", explorer_class.name, explorer_class)
    claims(
        not is_name or explorer_class.name == explorer,
        f"is not registered as '{explorer_class.name}'",
    )
    check_code(claims, explorer_class.default_code)
    draws = explorer_class.draws_from_pool
    base = BaseModel if draws else MdSettings
    is_settings = isinstance(explorer_class.Settings, type) and issubclass(
        explorer_class.Settings, base
    )
    claims(is_settings, f"Settings does not derive from {base.__name__}")
    with claims.works("settings that are all left at their defaults"):
        explorer_class.Settings()
    parsed = check_settings(claims, explorer_class.Settings, settings or {})
    check_hooks(claims, explorer_class, parsed, tiny_dataset())
    if draws:
        check_drawing(claims, explorer_class, parsed, starts)
        return
    if not explorer_class.runs_in_process and explore is None:
        return
    frames = _starts() if starts is None else list(starts)
    _Exploration(
        claims,
        explore or explorer_class.run,
        model or tiny_model(),
        parsed,
        Dataset.from_frames(frames),
    ).check()


def _starts() -> list[Frame]:
    """A crystal of 32 atoms, a slab of it, and the molecule of four atoms."""
    crystal, _, molecule = few_frames(tiny_dataset())
    big = Frame.from_atoms(crystal.to_atoms() * (2, 2, 2))
    slab = Frame.make(big.numbers, big.positions, big.cell * [[1], [1], [3]], (True, True, False))
    return [big, slab, Frame.make(molecule.numbers, molecule.positions)]


@dataclass(frozen=True)
class _Exploration:
    """An explorer under test, with its model, settings and start frames."""

    claims: Claims
    explore: _Run
    model: Potential
    settings: Any
    starts: Dataset

    def check(self) -> None:
        """Assert the contract of frames and failures."""
        runs = self._schedule()
        before = _facts(self.starts)
        result = self._run(runs)
        self.claims(_facts(self.starts) == before, "the start frames are changed")
        failed = [reason_of(frame) for frame in result.failures]
        self.claims(not failed, f"runs of the check fail: {failed[:1]}")
        self._check_frames(runs, result.explored)
        self._check_repeated(runs, result.explored)
        self._check_failure(runs)

    def _schedule(self) -> list[Run]:
        """Runs of every start frame in all its possible ensembles."""
        shared = {"temperature": (300.0, 300.0), "pressure": (20.0, 20.0), "timestep": 1.0}
        runs: list[Run] = []
        for number, ensemble in enumerate(("auto", "nvt", "nve")):
            plan = Plan.model_validate(
                {**shared, "starts": list(self.starts.ids), "time": 0.1, "sample_every": 0.02}
                | {"ensemble": ensemble}
            )
            runs += schedule(self.starts, plan, number, iteration=2)
        return list({run.trajectory: run for run in runs}.values())

    def _run(self, runs: Sequence[Run]) -> Explored:
        with self.claims.works(f"{len(runs)} runs"):
            result = self.explore(self.starts, runs, self.model, self.settings)
        self.claims(isinstance(result, Explored), "run() does not return an Explored")
        return result

    def _check_frames(self, runs: Sequence[Run], explored: Dataset) -> None:
        left = {run.trajectory: self._of(run, explored) for run in runs}
        order = [frame.origin.trajectory for frame in explored]
        wanted = [run.trajectory for run in runs for _ in left[run.trajectory]]
        self.claims(order == wanted, "frames are not in the order of the runs, or belong to no run")
        for run in runs:
            start = self._start(run)
            steps = [int(f.origin.parameters.get("step", -1)) for f in left[run.trajectory]]
            expected = list(range(run.every, run.steps + 1, run.every))
            self.claims(steps == expected, f"a run keeps the steps {steps}, not {expected}")
            for frame in left[run.trajectory]:
                self._check_frame(frame, start, run)
            self._check_cell(left[run.trajectory], start, run)
        self._check_speed(runs)

    def _start(self, run: Run) -> Frame:
        return next(frame for frame in self.starts if frame.id == run.start)

    def _of(self, run: Run, explored: Dataset) -> list[Frame]:
        return [frame for frame in explored if frame.origin.trajectory == run.trajectory]

    def _check_frame(self, frame: Frame, start: Frame, run: Run) -> None:
        same = np.array_equal(frame.numbers, start.numbers) and np.array_equal(frame.pbc, start.pbc)
        self.claims(same, "a frame has other atoms or another periodicity than its start")
        self.claims(not frame.labels, "a frame has labels: predictions are no labels")
        self.claims(frame.state == start.state, "a frame has another charge or spin than its start")
        origin = frame.origin
        said = {
            "parent": (origin.parent, run.start),
            "seed": (origin.seed, run.seed),
            "iteration": (origin.iteration, run.iteration),
            "temperature": (origin.parameters.get("temperature"), run.temperature),
            "pressure": (origin.parameters.get("pressure"), run.pressure),
            "ensemble": (origin.parameters.get("ensemble"), run.ensemble),
        }
        for name, (value, wanted) in said.items():
            self.claims(value == wanted, f"the origin of a frame says {name} {value!r}")
        self.claims(origin.strategy, "the origin of a frame names no strategy")
        time = int(origin.parameters["step"]) * run.timestep / 1000.0
        close = math.isclose(float(origin.parameters.get("time", -1.0)), time, rel_tol=1e-9)
        self.claims(close, "the time in the origin of a frame is not that of its step, in ps")
        moved = not np.allclose(frame.positions, start.positions, atol=1e-3)
        self.claims(moved, "the atoms of a frame have not moved")

    def _check_cell(self, frames: Sequence[Frame], start: Frame, run: Run) -> None:
        for axis, (name, may_change) in enumerate(zip("abc", run.barostat, strict=True)):
            changes = [np.abs(frame.cell[axis] - start.cell[axis]).max() for frame in frames]
            if not may_change:
                stays = max(changes) < _CELL
                self.claims(stays, f"the cell vector {name} changes in a run {_words(run)}")
        if any(run.barostat):
            changed = not np.allclose(frames[-1].cell, start.cell, atol=_CELL)
            self.claims(changed, f"the cell does not change in a run {_words(run)}")

    def _check_speed(self, runs: Sequence[Run]) -> None:
        """Initial velocities of temperature T move an atom by √(3 k T / m) t."""
        largest = max(self.starts, key=len)
        first = next(run for run in runs if run.start == largest.id and run.ensemble == "nvt")
        time = 8
        brief = replace(first, steps=time, every=time, trajectory="speed")
        frames = list(self._run([brief]).explored)
        left = counted(len(frames), "frame")
        self.claims(
            len(frames) == 1,
            f"a run of {time} steps that keeps the last one leaves {left}, not 1",
        )
        frame = frames[0]
        shift = frame.positions - largest.positions
        masses = atomic_masses[largest.numbers]
        squared = (masses * (shift**2).sum(axis=1)).mean() / (time * first.timestep) ** 2
        thermal = 3.0 * _BOLTZMANN * first.temperature * _VELOCITY
        ratio = float(squared / thermal)
        self.claims(
            0.5 < ratio < 2.0,
            f"atoms move with {ratio:.2g} times the kinetic energy of {first.temperature:g} K: "
            "temperature, masses or time have another unit",
        )

    def _check_repeated(self, runs: Sequence[Run], explored: Dataset) -> None:
        again = self._run(runs[:2]).explored
        self.claims(
            list(again.ids) == list(explored.ids[: len(again)]),
            "the same runs do not give the same frames",
        )
        seeded = self._run([replace(runs[0], seed=runs[0].seed + 1)]).explored
        self.claims(list(seeded.ids) != list(again.ids[: len(seeded)]), "the seed is ignored")

    def _check_failure(self, runs: Sequence[Run]) -> None:
        """A run from overlapping atoms explodes; the next run continues."""
        molecule = min(self.starts, key=len)
        positions = molecule.positions.copy()
        positions[1] = positions[0] + [_OVERLAP, 0.0, 0.0]
        bad = Frame.make(molecule.numbers, positions, molecule.cell, molecule.pbc)
        good = next(run for run in runs if run.start == molecule.id)
        wrong = replace(good, start=bad.id, trajectory="explodes")
        starts = Dataset.from_frames([*self.starts, bad])
        result = replace(self, starts=starts)._run([wrong, good])  # noqa: SLF001  (of this class)
        failed = list(result.failures)
        self.claims(
            len(failed) == 1 and failed[0].id == bad.id,
            "a run that explodes is not the one failure, with its start frame",
        )
        failure = failure_of(failed[0]) or Failure("")
        is_line = failure.reason.strip() and "\n" not in failure.reason
        self.claims(is_line, f"the reason of a failure is {failure.reason!r}, not one line")
        named = failure.trajectory == wrong.trajectory
        self.claims(named, "a failure does not name its trajectory")
        kept = [frame for frame in result.explored if frame.origin.trajectory == good.trajectory]
        self.claims(len(kept) == good.steps // good.every, "a run after a failed one is incomplete")


def _words(run: Run) -> str:
    free = "".join(name for name, free in zip("abc", run.barostat, strict=True) if free)
    return f"{run.ensemble} with a barostat on {free}" if free else f"{run.ensemble}, no barostat"


def _facts(dataset: Dataset) -> list[tuple[Any, ...]]:
    return [
        (frame.id, frame.positions.tobytes(), frame.cell.tobytes(), frame.origin, frame.info)
        for frame in dataset
    ]
