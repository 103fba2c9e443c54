"""What all explorers share: their settings, their result, and how a run is said to have failed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final, Protocol

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt

if TYPE_CHECKING:
    from trainspot.data.dataset import Dataset

GROUP: Final = "trainspot.explore"


class MdSettings(BaseModel):
    """Settings of molecular dynamics, and limits at which a run has exploded."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    thermostat_time: PositiveFloat = Field(
        100.0, description="relaxation time of the thermostat, fs"
    )
    barostat_time: PositiveFloat = Field(1000.0, description="relaxation time of the barostat, fs")
    max_temperature: PositiveFloat = Field(
        10000.0,
        description="a run stops above this temperature, or above ten times its own "
        "temperature if that is higher, K",
    )
    max_volume_ratio: float = Field(
        5.0, gt=1.0, description="a run stops when its volume has grown or shrunk by this factor"
    )
    runs_per_job: PositiveInt = Field(1, description="runs per job; a job loads the model once")

    def hottest(self, temperature: float) -> float:
        """The instantaneous temperature (K) above which a run at ``temperature`` has exploded."""
        return max(self.max_temperature, 10.0 * temperature)


@dataclass(frozen=True, slots=True)
class Explored:
    """The result of an exploration.

    Attributes:
        explored: Kept frames in order of runs and time, unlabelled, each with its full origin.
        failures: The start frame of every run that did not reach its end, with
            ``info["failure"]``; what such a run left before it failed is in ``explored``.
    """

    explored: Dataset
    failures: Dataset


class Explorer(Protocol):
    """An engine of the group ``trainspot.explore``.

    Attributes:
        name: Name in the entry-point group.
        Settings: Pydantic model of the engine's settings.
    """

    name: ClassVar[str]
    Settings: ClassVar[type[MdSettings]]
