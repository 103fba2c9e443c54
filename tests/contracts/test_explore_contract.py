"""Every registered explorer keeps its contract, and mistakes are told by name."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest

from trainspot.common import plugins
from trainspot.common.errors import ContractError
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame, Labels
from trainspot.explore import lammps
from trainspot.explore.ase import AseExplorer, AseSettings
from trainspot.explore.base import GROUP, Explored, Explorer, MdSettings
from trainspot.explore.frames import failed, gathered
from trainspot.explore.lammps import LammpsExplorer
from trainspot.explore.pool import PoolExplorer
from trainspot.testing import check_explorer
from trainspot.train.run import find_executable


@pytest.fixture
def in_lammps(tmp_path):
    """Runs a schedule with the pure half of the engine ``lammps`` and ``trainspot-lmp``."""
    number = iter(range(100))

    def explore(starts, runs, model, settings):
        folder = tmp_path / f"job_{next(number)}"
        folder.mkdir()
        model.save(folder / "model.toy")
        files = LammpsExplorer.inputs(starts, runs, settings, "model.toy", "toy")
        for name, text in files.items():
            (folder / name).write_text(text)
        command = [find_executable("trainspot-lmp"), *LammpsExplorer.arguments()]
        with (folder / lammps.OUTPUT).open("w") as out:
            subprocess.run([*command, "-log", "none"], cwd=folder, stdout=out, check=False)
        frames, failures = [], []
        for run in runs:
            start = next(frame for frame in starts if frame.id == run.start)
            kept, reason = LammpsExplorer.frames(folder, start, run)
            frames += list(kept)
            if reason:
                failures.append(failed(start, run, reason))
        return gathered(starts, runs, frames, failures)

    return explore


def test_every_explorer_is_under_test():
    assert plugins.names(GROUP) == ["ase", "lammps", "pool"]


def test_the_explorer_of_ase():
    check_explorer("ase")


@pytest.mark.slow
def test_the_explorer_of_lammps(in_lammps):
    check_explorer("lammps", explore=in_lammps)


def test_the_explorer_of_a_pool():
    check_explorer("pool", {"initial": 5, "frames_per_iteration": 4})


class Draws(PoolExplorer):
    """Changes what a whole explorer draws."""

    @classmethod
    def draw(cls, pool, taken, settings, *, seed, iteration):
        rows = super().draw(pool, taken, settings, seed=seed, iteration=iteration)
        return cls.drawn(pool, rows, iteration)

    @staticmethod
    def drawn(pool, rows, iteration):
        return rows


def wrong_draws():
    class Again(Draws):
        @staticmethod
        def drawn(pool, rows, iteration):
            return np.arange(len(pool))

    class Twice(Draws):
        @staticmethod
        def drawn(pool, rows, iteration):
            return np.concatenate([rows, rows])

    class Beyond(Draws):
        @staticmethod
        def drawn(pool, rows, iteration):
            return rows + len(pool)

    class Mask(Draws):
        @staticmethod
        def drawn(pool, rows, iteration):
            return np.isin(np.arange(len(pool)), rows)

    class NoStart(Draws):
        @staticmethod
        def drawn(pool, rows, iteration):
            return rows if iteration else rows[:1]

    class ByRow(Draws):
        @classmethod
        def draw(cls, pool, taken, settings, *, seed, iteration):
            free = [k for k, identity in enumerate(pool.ids) if identity not in set(taken)]
            return np.array(free[: 5 if iteration == 0 else 4], dtype=int)

    class Sees(Draws):
        @staticmethod
        def drawn(pool, rows, iteration):
            return rows[pool.column("has_forces")[rows] == 0]

    class Nameless(Draws):
        pool_setting: ClassVar[str] = ""

    return [
        (Again, "a taken frame is drawn"),
        (Twice, "gives a row twice"),
        (Beyond, "a row that does not exist"),
        (Mask, "does not give row numbers"),
        (NoStart, "fewer than two frames"),
        (ByRow, "depends on the order of the frames"),
        (Sees, "depends on labels"),
        (Nameless, "pool_setting names no setting"),
    ]


@pytest.mark.parametrize(("wrong", "told"), wrong_draws())
def test_a_wrong_draw_is_told(wrong, told):
    with pytest.raises(AssertionError, match=told):
        check_explorer(wrong, {"initial": 5, "frames_per_iteration": 4})


# ── the contract itself ───────────────────────────────────────────────────────
class Wrong(AseExplorer):
    """Changes what a whole explorer gives."""

    @classmethod
    def run(cls, starts, runs, model, settings=None, *, progress=None, on_frame=None):
        found = super().run(starts, cls.changed(runs), model, settings)
        frames = [cls.frame(frame, row) for row, frame in enumerate(found.explored)]
        return Explored(Dataset.from_frames(f for f in frames if f), found.failures)

    @classmethod
    def changed(cls, runs):
        return runs

    @classmethod
    def frame(cls, frame, row):
        return frame


class Fewer(Wrong):
    @classmethod
    def frame(cls, frame, row):
        return None if row == 3 else frame


class Labelling(Wrong):
    @classmethod
    def frame(cls, frame, row):
        return frame.with_(labels=Labels(-1.0))


class Nameless(Wrong):
    @classmethod
    def frame(cls, frame, row):
        return frame.with_(origin=replace(frame.origin, parent=""))


class Hot(Wrong):
    """Takes the temperature for another unit."""

    @classmethod
    def run(cls, starts, runs, model, settings=None, **more):
        hot = [replace(run, temperature=3 * run.temperature) for run in runs]
        found = AseExplorer.run(starts, hot, model, settings)
        frames = []
        for frame in found.explored:
            run = next(run for run in runs if run.trajectory == frame.origin.trajectory)
            said = {**frame.origin.parameters, "temperature": run.temperature}
            frames.append(frame.with_(origin=replace(frame.origin, parameters=said)))
        return Explored(Dataset.from_frames(frames), found.failures)


class Slow(Wrong):
    """Takes the time step for another unit."""

    @classmethod
    def changed(cls, runs):
        return [replace(run, timestep=run.timestep / 10) for run in runs]

    @classmethod
    def frame(cls, frame, row):
        said = {**frame.origin.parameters, "time": frame.origin.parameters["step"] / 1000}
        return frame.with_(origin=replace(frame.origin, parameters=said))


class Rigid(Wrong):
    """Has no barostat."""

    @classmethod
    def run(cls, starts, runs, model, settings=None, **more):
        stiff = [replace(run, ensemble="nvt") for run in runs]
        found = AseExplorer.run(starts, stiff, model, settings)
        ensembles = {run.trajectory: run.ensemble for run in runs}
        frames = []
        for frame in found.explored:
            said = {**frame.origin.parameters, "ensemble": ensembles[frame.origin.trajectory]}
            frames.append(frame.with_(origin=replace(frame.origin, parameters=said)))
        return Explored(Dataset.from_frames(frames), found.failures)


class Loose(Wrong):
    """Lets the barostat act on all axes."""

    @classmethod
    def frame(cls, frame, row):
        return Frame.make(
            frame.numbers, frame.positions, frame.cell * 1.01, frame.pbc, origin=frame.origin
        )


class Seedless(Wrong):
    @classmethod
    def run(cls, starts, runs, model, settings=None, **more):
        same = [replace(run, seed=1) for run in runs]
        found = AseExplorer.run(starts, same, model, settings)
        seeds = {run.trajectory: run.seed for run in runs}
        frames = [
            frame.with_(origin=replace(frame.origin, seed=seeds[frame.origin.trajectory]))
            for frame in found.explored
        ]
        return Explored(Dataset.from_frames(frames), found.failures)


class Chancy(Wrong):
    @classmethod
    def changed(cls, runs):
        return [replace(run, seed=int(np.random.default_rng().integers(1, 2**31))) for run in runs]

    @classmethod
    def frame(cls, frame, row):
        return frame


class Untold(AseExplorer):
    """Failures are left out."""

    @classmethod
    def run(cls, *args, **more):
        return Explored(super().run(*args, **more).explored, Dataset.from_frames([]))


class Raising(AseExplorer):
    """Failures are exceptions."""

    @classmethod
    def run(cls, *args, **more):
        found = super().run(*args, **more)
        if len(found.failures):
            raise RuntimeError("exploded")
        return found


class Touching(AseExplorer):
    """The start frames are moved."""

    @classmethod
    def run(cls, starts, runs, model, settings=None, **more):
        found = super().run(starts, runs, model, settings)
        starts.column("positions").flags.writeable = True
        starts.column("positions")[0] += 1.0
        return found


class Undescribed(AseExplorer):
    class Settings(AseSettings):
        friction: float = 1.0


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (Fewer, r"a run keeps the steps \[20, 40, 60, 100\], not \[20, 40, 60, 80, 100\]"),
        (Labelling, "a frame has labels"),
        (Nameless, "the origin of a frame says parent ''"),
        (Hot, "temperature, masses or time have another unit"),
        (Slow, "temperature, masses or time have another unit"),
        (Rigid, "the cell does not change in a run npt with a barostat on abc"),
        (Loose, "the cell vector . changes in a run"),
        (Seedless, "the seed is ignored"),
        (Chancy, "the origin of a frame says seed"),
        (Untold, "a run that explodes is not the one failure"),
        (Raising, "2 runs raised RuntimeError: exploded"),
        (Touching, "the start frames are changed"),
        (Undescribed, "the setting 'friction' has no description"),
    ],
)
def test_a_wrong_explorer_is_caught_by_name(wrong, message):
    name = rf"explorer 'ase' \(.*{wrong.__name__}\): .*"
    with pytest.raises(AssertionError, match=name + message):
        check_explorer(wrong)


def test_an_explorer_without_a_default_code_is_refused_when_its_class_is_made():
    with pytest.raises(ContractError, match="Lacking: lacks default_code"):

        class Lacking(Explorer):
            name = "lacking"
            Settings = MdSettings


def test_an_explorer_that_runs_here_says_so():
    with pytest.raises(ContractError, match=r"has run\(\) but does not declare runs_in_process"):

        class Silent(Explorer):
            name, Settings, default_code = "silent", MdSettings, "lmp@localhost"

            @classmethod
            def run(cls, *args, **more):
                raise NotImplementedError
