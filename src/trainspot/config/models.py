"""The campaign file as one validated tree; the campaign stores the JSON of the tree.

Each number has one place: defaults are in these models and in the models of the stages; protocols
(``protocols/*.yaml``) have only the values that differ from the defaults.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Self

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from trainspot.common import plugins
from trainspot.common.errors import InputError, TrainspotError, UnknownNameError
from trainspot.config.stages import (
    EngineSection,
    EvaluateSection,
    ExploreSection,
    LabelSection,
    Section,
    TrainSection,
    refused,
)
from trainspot.judge.settings import (
    CalibrateSettings,
    ScreenSettings,
    SelectSettings,
    StopSettings,
    Tolerance,
)


class StructureFile(Section):
    """A file whose format cannot say which directions are periodic, such as CIF or POSCAR."""

    file: str = Field(
        min_length=1, description="file or pattern such as *.cif, relative to the campaign file"
    )
    periodic: tuple[bool, bool, bool] | None = Field(
        None,
        description="periodic directions, one value per cell vector: [true, true, false] "
        "for a sheet; null: as the file says",
    )


class SplitSection(Section):
    """How frames are split into train, validation and test; a frame keeps its split."""

    fractions: tuple[float, float, float] = Field(
        (0.8, 0.1, 0.1),
        description="shares of the train, validation and test splits; they sum to 1",
    )

    @field_validator("fractions")
    @classmethod
    def _are_shares(cls, shares: tuple[float, float, float]) -> tuple[float, float, float]:
        if min(shares) < 0.0 or not math.isclose(sum(shares), 1.0, abs_tol=1e-9):
            raise PydanticCustomError("shares", "the three shares must be ≥ 0 and sum to 1")
        if shares[0] == 0.0:
            raise PydanticCustomError("shares", "the share of the training set must not be 0")
        return shares


class BudgetSection(Section):
    """Limits on the cost; the campaign then ends and keeps its outputs."""

    labels: int | None = Field(
        None,
        ge=1,
        description="largest number of labelled frames, including those that were given; "
        "the first labelling is never cut",
    )
    core_hours: None = Field(None, description="core-hours; not available yet, must be null")


class Resources(Section):
    """Resources of the jobs on a computer, or of one code on it; they change no result."""

    account: str | None = Field(None, description="account of the scheduler")
    queue: str | None = Field(None, description="queue or partition of the scheduler")
    walltime: int | None = Field(None, ge=1, description="time limit of a job, s")
    machines: int = Field(1, ge=1, description="nodes per job")
    processes: int | None = Field(
        None,
        ge=1,
        description="MPI processes per node; null: the default of the AiiDA computer, else 1",
    )
    threads: int | None = Field(None, ge=1, description="cores per MPI process")
    mpi: bool | None = Field(
        None, description="start the program with mpirun; null: only with more than one process"
    )
    memory: float | None = Field(None, gt=0.0, description="memory of a node, GB")
    prepend: str = Field("", description="shell commands before the program")
    scheduler: str = Field("", description="more lines for the scheduler, such as '#SBATCH …'")


class Campaign(Section):
    """An active-learning campaign."""

    name: str = Field(
        "campaign", min_length=1, max_length=128, description="name of the campaign in lists"
    )
    seed: int = Field(42, ge=0, lt=2**63, description="seed of all random numbers")
    protocol: str = Field("default", description="named set of defaults")
    structures: tuple[str | StructureFile, ...] = Field(
        (),
        description="files that ASE reads, relative to the campaign file; patterns such as "
        "*.cif are allowed. For a sheet from CIF or POSCAR: {file: NAME, periodic: "
        "[true, true, false]}",
    )
    dataset: str | None = Field(
        None,
        description="instead of structures: a file of frames with or without labels (.h5, .extxyz)",
    )
    augment: tuple[dict[str, Any], ...] | None = Field(
        None,
        description="list of augmentation strategies; null: the default list (for a "
        "dataset: none); []: none",
    )
    split: SplitSection = Field(default_factory=SplitSection)
    label: LabelSection = Field(default_factory=LabelSection)
    train: TrainSection = Field(default_factory=TrainSection)
    explore: ExploreSection = Field(default_factory=ExploreSection)
    evaluate: EvaluateSection = Field(default_factory=EvaluateSection)
    tolerance: Tolerance = Field(default_factory=Tolerance)
    calibrate: CalibrateSettings = Field(default_factory=CalibrateSettings)
    screen: ScreenSettings = Field(default_factory=ScreenSettings)
    select: SelectSettings = Field(default_factory=SelectSettings)
    stop: StopSettings = Field(default_factory=StopSettings)
    budget: BudgetSection = Field(default_factory=BudgetSection)
    resources: dict[str, Resources] = Field(
        default_factory=dict,
        description="resources by computer, or by code@computer for one program",
    )

    @field_validator("structures", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return [value] if isinstance(value, str | dict) else value

    @field_validator("calibrate")
    @classmethod
    def _known_calibration(cls, settings: CalibrateSettings) -> CalibrateSettings:
        _must_exist("calibration", settings.method)
        return settings

    @field_validator("select")
    @classmethod
    def _known_selection(cls, settings: SelectSettings) -> SelectSettings:
        _must_exist("selection", settings.method)
        return settings

    @model_validator(mode="after")
    def _resolved(self) -> Self:
        """Check that there is one kind of input, and write each augmentation strategy in full."""
        if self.structures and self.dataset:
            raise PydanticCustomError("twice", "give 'structures' or 'dataset', not both")
        label, explore = self.label, self.explore
        is_in_labels = label.plugin(label.engine).includes_dispersion(label.settings)
        if is_in_labels and explore.plugin(explore.engine).adds_dispersion(explore.settings):
            text = "label.dispersion and explore.dispersion together would count dispersion twice"
            raise PydanticCustomError("dispersion", "{text}", {"text": text})
        from trainspot.augment.plan import DEFAULT_PLAN, parse_plan

        self._share_pool()
        listed = self.augment
        if listed is None:
            listed = () if self.dataset or self.starts_from_pool else tuple(DEFAULT_PLAN)
        try:
            strategies = parse_plan([dict(item) for item in listed], where="augment")
        except TrainspotError as error:
            raise refused(error) from error
        full = [
            {"kind": item["kind"], **strategy.model_dump(mode="json")}
            for item, strategy in zip(listed, strategies, strict=True)
        ]
        object.__setattr__(self, "augment", tuple(full))  # frozen for everybody else
        return self

    @property
    def starts_from_pool(self) -> bool:
        """Whether the first frames are drawn from the pool of the explorer."""
        is_given = bool(self.structures or self.dataset)
        return self.explore.explorer.draws_from_pool and not is_given

    @property
    def pools(self) -> dict[str, Any]:
        """File of each stage whose engine works on a file of frames."""
        files: dict[str, str] = {}
        for stage in engine_sections():
            section: EngineSection = getattr(self, stage)
            if name := section.plugin(section.engine).pool_setting:
                files[stage] = getattr(section.settings, name)
        return files

    def with_pools(self, files: Mapping[str, str]) -> Self:
        """The campaign with other files, by stage; see ``pools``."""
        changed = {}
        for stage, file in files.items():
            section: EngineSection = getattr(self, stage)
            name = section.plugin(section.engine).pool_setting
            settings = section.settings.model_copy(update={name: file})
            changed[stage] = section.model_copy(update={"settings": settings})
        return self.model_copy(update=changed)

    def _share_pool(self) -> None:
        """Give an engine without a file the file of the other stage."""
        files = self.pools
        named = next((file for file in files.values() if file), None)
        if files and named is None:
            stage = "explore" if "explore" in files else next(iter(files))
            section: EngineSection = getattr(self, stage)
            setting = section.plugin(section.engine).pool_setting
            what = f"engine '{section.engine}' of {stage} needs a file of frames"
            raise refused(InputError(what, hint=f"give {stage}.{setting}"))
        for stage in (stage for stage, file in files.items() if file is None):
            full = self.with_pools({stage: str(named)})
            object.__setattr__(self, stage, getattr(full, stage))


def engine_sections() -> dict[str, type[EngineSection]]:
    """The sections of a campaign that choose an engine, by the name of the stage."""
    kinds = {name: field.annotation for name, field in Campaign.model_fields.items()}
    return {
        name: kind
        for name, kind in kinds.items()
        if isinstance(kind, type) and issubclass(kind, EngineSection)
    }


def _must_exist(seam: str, name: str) -> None:
    names = plugins.names(f"trainspot.{seam}")
    if name not in names:
        raise refused(UnknownNameError(f"{seam} method", name, names))
