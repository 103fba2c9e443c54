"""The schedule of an exploration: start frames, temperatures and pressures, drawn once and stored.

Temperature and pressure form a Latin hypercube, so that any number n of runs covers n strata of
both ranges. Start frames come from the initial dataset and are never single atoms.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveFloat, model_validator

from trainspot.common.errors import InputError
from trainspot.common.seeds import derive_seed, generator
from trainspot.common.units import FS_PER_PS

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from trainspot.data.dataset import Dataset
    from trainspot.data.frames import Frame

Ensemble = Literal["nvt", "npt", "nve"]

_DECIMALS: Final = 6
LOWEST_TEMPERATURE: Final = 1.0
"""K; a thermostat at 0 K divides by zero."""


class Plan(BaseModel):
    """The runs of an exploration: number, conditions and length."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    starts: NonNegativeInt | list[str] = Field(
        20,
        description="number of runs, each from a frame of the initial dataset that is "
        "drawn at random; or a list of frame ids",
    )
    temperature: tuple[float, float] = Field(
        (0.0, 1000.0), description="lowest and highest temperature, K (at least 1 K is used)"
    )
    pressure: tuple[float, float] = Field(
        (-5.0, 5.0), description="lowest and highest pressure along the periodic directions, kbar"
    )
    time: PositiveFloat = Field(10.0, description="length of a run, ps")
    timestep: PositiveFloat = Field(1.0, description="time step, fs")
    sample_every: PositiveFloat = Field(1.0, description="time between two saved frames, ps")
    ensemble: Literal["auto", "nvt", "npt", "nve"] = Field(
        "auto",
        description="auto: npt with a barostat along the periodic directions; nvt if there "
        "are none",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for name in ("temperature", "pressure"):
            low, high = getattr(self, name)
            if not (np.isfinite(low) and np.isfinite(high) and low <= high):
                raise ValueError(f"{name}: the first number must not exceed the second")
        if self.temperature[0] < 0:
            raise ValueError("temperature: must not be negative")
        if self.starts in (0, []):
            raise ValueError("starts: at least one run")
        if self.sample_every > self.time * (1 + 1e-9):
            raise ValueError("sample_every: longer than the run, no frame would be kept")
        if self.sample_every * FS_PER_PS < self.timestep * (1 - 1e-9):
            raise ValueError("sample_every: shorter than the time step")
        return self

    @property
    def every(self) -> int:
        """Steps between two kept frames."""
        return max(1, round(self.sample_every * FS_PER_PS / self.timestep))

    @property
    def steps(self) -> int:
        """Steps of a run: a whole number of samples."""
        return int(self.time / self.sample_every + 1e-9) * self.every


@dataclass(frozen=True, slots=True)
class Run:
    """One molecular-dynamics run with all its parameters.

    Attributes:
        start: Id of the start frame.
        temperature: K; of the initial velocities and, unless ``nve``, of the thermostat.
        pressure: kbar, on the ``barostat`` axes.
        ensemble: ``nvt``, ``npt`` or ``nve``.
        barostat: Which cell vectors a barostat may change, (3,).
        timestep: fs.
        steps: Number of steps.
        every: Steps between two kept frames.
        seed: Of velocities and thermostat, in [1, 2**31).
        trajectory: Id shared by all frames of the run.
        iteration: Active-learning iteration.
    """

    start: str
    temperature: float
    pressure: float
    ensemble: Ensemble
    barostat: tuple[bool, bool, bool]
    timestep: float
    steps: int
    every: int
    seed: int
    trajectory: str
    iteration: int = 0

    def to_dict(self) -> dict[str, Any]:
        """JSON values only."""
        return asdict(self) | {"barostat": list(self.barostat)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Run:
        """The inverse of ``to_dict``.

        Raises:
            InputError: A value is missing or unknown.
        """
        try:
            a, b, c = (bool(axis) for axis in values["barostat"])
            return cls(**{**values, "barostat": (a, b, c)})
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"not a run: {error}", where="schedule") from error


def schedule(initial: Dataset, plan: Plan, seed: int, *, iteration: int = 0) -> list[Run]:
    """Draw the runs of one exploration.

    No start frame is used twice before all are used once.

    Args:
        initial: The frames to start from (the augmented dataset).
        plan: Number, conditions and length of the runs.
        seed: The campaign's seed.
        iteration: Active-learning iteration; another iteration draws other runs.

    Raises:
        InputError: No frame to start from, or an unknown one.
    """
    rng = generator(seed, "explore", iteration)
    starts = _starts(initial, plan, rng)
    temperatures, pressures = (
        _stratified(len(starts), *bounds, rng) for bounds in (plan.temperature, plan.pressure)
    )
    runs = []
    for index, row in enumerate(starts):
        frame: Frame = initial[row]
        ensemble, barostat = _ensemble(plan.ensemble, frame)
        conditions: dict[str, Any] = {
            "start": frame.id,
            "temperature": max(LOWEST_TEMPERATURE, float(temperatures[index])),
            "pressure": float(pressures[index]),
            "ensemble": ensemble,
            "barostat": barostat,
            "timestep": plan.timestep,
            "steps": plan.steps,
            "every": plan.every,
            "seed": derive_seed(seed, "explore", iteration, "run", index) % (2**31 - 1) + 1,
            "iteration": iteration,
        }
        text = json.dumps(conditions, sort_keys=True)
        trajectory = hashlib.sha256(text.encode()).hexdigest()[:32]
        runs.append(Run(**conditions, trajectory=trajectory))
    return runs


def dump(runs: Sequence[Run]) -> dict[str, Any]:
    """A schedule as JSON values: ``{"runs": [...]}``."""
    return {"runs": [run.to_dict() for run in runs]}


def parse(values: Any) -> list[Run]:
    """The inverse of ``dump``.

    Raises:
        InputError: Not a schedule.
    """
    if not isinstance(values, Mapping) or not isinstance(values.get("runs"), list):
        raise InputError("'runs' is missing", where="schedule")
    return [Run.from_dict(run) for run in values["runs"]]


def read(path: Path) -> list[Run]:
    """The runs of a JSON file.

    Raises:
        InputError: No such file, or not a schedule.
    """
    try:
        return parse(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise InputError("not a schedule in JSON", where=str(path)) from error


def start_frames(initial: Dataset, runs: Sequence[Run]) -> Dataset:
    """The start frames of the runs, each once, in order of first use.

    Raises:
        InputError: A start frame is not in ``initial``.
    """
    rows = {identity: row for row, identity in enumerate(initial.ids)}
    wanted = dict.fromkeys(run.start for run in runs)
    missing = next((identity for identity in wanted if identity not in rows), None)
    if missing is not None:
        raise InputError("no such start frame", where=f"frame {missing[:12]}")
    return initial.take([rows[identity] for identity in wanted])


def _starts(initial: Dataset, plan: Plan, rng: np.random.Generator) -> list[int]:
    usable = np.flatnonzero(initial.n_atoms > 1)
    if not isinstance(plan.starts, int):
        rows = {identity: row for row, identity in enumerate(initial.ids)}
        for identity in plan.starts:
            if identity not in rows:
                raise InputError("no such start frame", where=f"frame {identity[:12]}")
            if rows[identity] not in usable:
                raise InputError("a single atom cannot be explored", where=f"frame {identity[:12]}")
        return [rows[identity] for identity in plan.starts]
    if not len(usable):
        raise InputError("no frame to start from", hint="single atoms are never explored")
    rounds = -(-plan.starts // len(usable))
    drawn = np.concatenate([rng.permutation(usable) for _ in range(rounds)])
    return [int(row) for row in drawn[: plan.starts]]


def _stratified(n: int, low: float, high: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """One value in each of ``n`` equal strata, in random order; (n,)."""
    strata = rng.permutation(n) + rng.random(n)
    # AiiDA stores 14 digits of a number: fewer digits keep a schedule unchanged.
    return np.round(low + (high - low) * strata / n, _DECIMALS)


def _ensemble(asked: str, frame: Frame) -> tuple[Ensemble, tuple[bool, bool, bool]]:
    """The ensemble and barostat axes of one frame; pressure needs periodic axes."""
    axes = tuple(bool(axis) for axis in frame.pbc)
    if asked == "nve":
        return "nve", (False, False, False)
    if asked == "nvt" or not any(axes):
        return "nvt", (False, False, False)
    return "npt", (axes[0], axes[1], axes[2])
