"""What all explorers share: settings, results and failure records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt

from trainspot.common import plugins
from trainspot.common.errors import InputError
from trainspot.engine import Engine

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from numpy.typing import NDArray

    from trainspot.data.dataset import Dataset
    from trainspot.explore.schedule import Run
    from trainspot.models.potential import Potential

GROUP: Final = "trainspot.explore"


class MdSettings(BaseModel):
    """Settings of molecular dynamics, and limits beyond which a run has exploded."""

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
            its ``Failure``; its frames from before the failure are in ``explored``.
    """

    explored: Dataset
    failures: Dataset


class Explorer(Engine, abstract=True):
    """Base class of the engines in the entry-point group ``trainspot.explore``.

    An explorer makes frames by molecular dynamics, or it draws frames from a pool. An engine whose
    program runs elsewhere has its pure half in this class and its work chain in
    ``aiida.workflows``. One that draws from a pool needs no work chain: drawing is a decision.
    ``trainspot.testing.check_explorer`` tests an engine.

    Attributes:
        name: Name in the entry-point group.
        Settings: Pydantic model of the engine's settings; of one that runs molecular dynamics,
            derived from ``MdSettings``.
        default_code: AiiDA code that runs it unless the user names another.
        runs_in_process: Whether ``run`` explores in the calling process, without AiiDA.
        draws_from_pool: Whether ``draw`` chooses frames of the file that ``pool_setting`` names.
            Such an explorer takes no model, no start frames and no temperature: the keys of
            ``schedule.Plan`` are refused in its campaigns.

    See ``trainspot.engine.Engine`` for the declarations of all engines.
    """

    group: ClassVar[str] = GROUP
    name: ClassVar[str]
    Settings: ClassVar[type[BaseModel]]
    default_code: ClassVar[str]
    runs_in_process: ClassVar[bool] = False
    draws_from_pool: ClassVar[bool] = False

    required: ClassVar[Mapping[str, str]] = {
        "name": "the name in the entry-point group",
        "Settings": "settings model, derived from MdSettings",
        "default_code": "the AiiDA code that runs it, label@computer",
    }
    capabilities: ClassVar[Mapping[str, str]] = {
        "runs_in_process": "run",
        "draws_from_pool": "draw",
    }

    @classmethod
    def run(
        cls,
        starts: Dataset,
        runs: Sequence[Run],
        model: Potential,
        settings: Any = None,
        *,
        progress: Callable[[int, int], None] | None = None,
    ) -> Explored:
        """Run all runs in this process, if the class ``runs_in_process``.

        A failed run becomes a record among the failures, not an exception.

        Args:
            starts: Contains the start frame of every run.
            runs: The runs.
            model: Drives the dynamics.
            settings: An instance of ``Settings``; ``None``: its defaults.
            progress: Called after each run with the numbers of finished runs and of all runs.

        Raises:
            InputError: The engine needs AiiDA.
        """
        del starts, runs, model, settings, progress
        raise InputError(f"explore engine '{cls.name}' needs AiiDA", hint="use it in a campaign")

    @classmethod
    def draw(
        cls,
        pool: Dataset,
        taken: Collection[str],
        settings: Any,
        *,
        seed: int,
        iteration: int,
    ) -> NDArray[np.intp]:
        """Draw the frames of one exploration, if the class ``draws_from_pool``.

        Args:
            pool: All frames of the pool, each once, without labels.
            taken: Ids of frames that are not drawn: those in the dataset, and those that could
                not be labelled.
            settings: An instance of ``Settings``.
            seed: The campaign's seed.
            iteration: Active-learning iteration. 0: draw the frames of the first training, for a
                campaign that has no other start.

        Returns:
            Rows of the pool, each once.

        Raises:
            InputError: The engine runs molecular dynamics.
        """
        del pool, taken, settings, seed, iteration
        raise InputError(f"explore engine '{cls.name}' does not draw from a pool")

    @classmethod
    def adds_dispersion(cls, settings: Any) -> bool:
        """Whether the engine adds a dispersion correction to the model."""
        del settings
        return False


def explorer(name: str, *, where: str = "") -> type[Explorer]:
    """The explorer registered under a name.

    Raises:
        UnknownNameError: No such explorer; the message offers the nearest.
        MissingExtraError: A dependency of the explorer is not installed.
        ContractError: The class does not derive from ``Explorer``.
    """
    return Explorer.implementation(plugins.load(GROUP, name, where=where))
