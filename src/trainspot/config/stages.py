"""The stage sections of a campaign: keys of the stage, and the settings of its engine.

``engine:`` sets the settings model. The user may write the keys of the engine beside those of the
stage or under ``settings:``; the resolved campaign always has them under ``settings``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializeAsAny,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)
from pydantic_core import PydanticCustomError
from pydantic_core.core_schema import ValidationInfo

from trainspot.common import plugins
from trainspot.common.errors import InputError, TrainspotError, UnknownNameError
from trainspot.common.validation import renamed
from trainspot.evaluate.settings import EvaluateSettings
from trainspot.explore.base import Explorer, explorer
from trainspot.explore.schedule import Plan
from trainspot.judge.settings import Share
from trainspot.label.base import LabelEngine
from trainspot.label.base import engine as label_engine
from trainspot.train.bagging import check_share
from trainspot.train.base import Trainer
from trainspot.train.run import trainer

DEFAULT_CODE = "trainspot@localhost"
"""Code of an engine that runs through our own command line."""

MaxConcurrent = Annotated[int, Field(ge=1)] | Literal["auto"]
CodeLabel = Annotated[str, Field(pattern=r"^(|[^@\s]+@[^@\s]+)$")]
_CONCURRENT = (
    "largest number of jobs at the same time; auto: the number of cores on core.direct, else what "
    "the daemon can hold"
)
_CODE = "AiiDA code, label@computer; empty: the code that `trainspot setup` made for the engine"


def refused(error: TrainspotError) -> PydanticCustomError:
    """The error in a form for pydantic, which adds the location."""
    text = f"{error.what}; {error.hint}" if error.hint else error.what
    parts = {"text": text, "what": error.what, "hint": error.hint}
    return PydanticCustomError("trainspot", "{text}", parts)


class Section(BaseModel):
    """A section of the campaign file: unknown keys and infinite numbers are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    former: ClassVar[dict[str, str]] = {}
    """Former names of keys, which are still accepted, and today's."""

    @model_validator(mode="before")
    @classmethod
    def _by_todays_names(cls, data: Any) -> Any:
        return renamed(data, cls.former)


class NoSettings(Section):
    """Placeholder for the settings of an engine until the engine is known."""


class EngineSection(Section, ABC):
    """A stage with exchangeable engines, found in the entry-point group ``seam``."""

    seam: ClassVar[str]

    engine: str = Field(description="program of this stage")
    code: CodeLabel = Field("", validate_default=True, description=_CODE)
    settings: SerializeAsAny[BaseModel] = Field(
        default_factory=NoSettings, validate_default=True, description="settings of the engine"
    )

    @classmethod
    @abstractmethod
    def plugin(cls, engine: str) -> type[Trainer | LabelEngine | Explorer]:
        """The engine with a registered name; ``settings_model`` lists the errors."""

    @classmethod
    def settings_model(cls, engine: str) -> type[BaseModel]:
        """The settings of an engine.

        Raises:
            UnknownNameError: No such engine; the message offers the nearest.
            MissingExtraError: The dependency of the engine is not installed.
            ContractError: The engine does not derive from the base class of the seam.
        """
        return cls.plugin(engine).Settings

    @classmethod
    def foreign_keys(cls, engine: str) -> frozenset[str]:
        """Keys of the stage that mean nothing to an engine; they are refused with this engine."""
        del engine
        return frozenset()

    @model_validator(mode="before")
    @classmethod
    def _nest_settings(cls, data: Any) -> Any:
        """Move the keys of the engine under ``settings``."""
        data = renamed(data, cls.former)
        if not isinstance(data, dict):
            return data
        own = {key: value for key, value in data.items() if key in cls.model_fields}
        flat = {key: value for key, value in data.items() if key not in cls.model_fields}
        settings = own.get("settings")
        if not flat or not (settings is None or isinstance(settings, dict)):
            return own
        settings = settings or {}
        if twice := flat.keys() & settings.keys():
            raise refused(
                InputError(f"'{min(twice)}' is given twice: in the section and under 'settings'")
            )
        return own | {"settings": settings | flat}

    @field_validator("engine")
    @classmethod
    def _exists(cls, engine: str) -> str:
        names = plugins.names(cls.seam)
        if engine not in names:
            raise refused(UnknownNameError("engine", engine, names))
        try:
            cls.settings_model(engine)
        except TrainspotError as error:  # the extra of the engine is not installed
            raise refused(error) from error
        return engine

    @field_validator("code")
    @classmethod
    def _code_of_engine(cls, code: str, info: ValidationInfo) -> str:
        if code or "engine" not in info.data:
            return code
        return cls.plugin(info.data["engine"]).default_code

    @field_validator("settings", mode="before")
    @classmethod
    def _settings_of_engine(cls, settings: Any, info: ValidationInfo) -> BaseModel:
        if "engine" not in info.data:  # reported already
            return NoSettings()
        model = cls.settings_model(info.data["engine"])
        if isinstance(settings, model):
            return settings
        nothing = settings is None or isinstance(settings, NoSettings)
        return model.model_validate({} if nothing else settings)


class LabelSection(EngineSection):
    """How energies, forces and stresses are computed."""

    seam: ClassVar[str] = "trainspot.label"

    engine: str = Field("quantumespresso", description="program that computes the labels")
    max_concurrent: MaxConcurrent = Field("auto", description=_CONCURRENT)
    min_success: Share = Field(
        0.9,
        description="smallest share of the frames that must be labelled; each isolated "
        "atom must be labelled; frames of screen.audit do not count",
    )

    @classmethod
    def plugin(cls, engine: str) -> type[LabelEngine]:
        """See the base class."""
        return label_engine(engine)

    @property
    def labeller(self) -> type[LabelEngine]:
        """The engine."""
        return self.plugin(self.engine)


class TrainSection(EngineSection):
    """How the committee is trained."""

    seam: ClassVar[str] = "trainspot.train"

    former: ClassVar[dict[str, str]] = {"committee": "committee_size"}

    engine: str = Field("mace", description="trainer")
    committee_size: int = Field(
        4, ge=2, description="number of committee members; a disagreement needs at least two"
    )
    bagging: float = Field(
        0.0,
        description="share of the training frames that each member leaves out, another one for "
        "each; from 0 (all members are trained on all frames) to 1 - 1/committee_size",
    )
    start: Literal["scratch", "previous", "foundation"] = Field(
        "scratch",
        description="start of each training: scratch (random weights), previous (models of "
        "the last iteration) or foundation (the model file below)",
    )
    mix_theories: bool = Field(
        default=False,
        description="train on given and new labels together; only correct if both have the "
        "same level of theory",
    )
    foundation: str | None = Field(
        None, description="model file for `start: foundation`, relative to the campaign file"
    )
    max_concurrent: MaxConcurrent = Field("auto", description=_CONCURRENT)

    @classmethod
    def plugin(cls, engine: str) -> type[Trainer]:
        """See the base class."""
        return trainer(engine)

    @model_validator(mode="after")
    def _no_frame_is_wasted(self) -> Self:
        try:
            check_share(self.bagging, self.committee_size)
        except TrainspotError as error:
            raise refused(error) from error
        return self

    @model_validator(mode="after")
    def _can_start(self) -> Self:
        if self.start != "scratch" and not self.plugin(self.engine).takes_start:
            text = f"engine '{self.engine}' cannot start from a model; use 'start: scratch'"
            raise PydanticCustomError("start", "{text}", {"text": text})
        return self

    @model_validator(mode="after")
    def _has_its_foundation(self) -> Self:
        if (self.start == "foundation") != (self.foundation is not None):
            text = "'start: foundation' needs 'foundation: FILE', and the other way round"
            raise PydanticCustomError("foundation", "{text}", {"text": text})
        return self


class ExploreSection(EngineSection, Plan):
    """How new frames are found: molecular dynamics with one random member, or from a pool."""

    seam: ClassVar[str] = "trainspot.explore"

    engine: str = Field(
        "lammps", description="molecular-dynamics program; or pool, for the frames of a file"
    )
    max_concurrent: MaxConcurrent = Field("auto", description=_CONCURRENT)

    @classmethod
    def plugin(cls, engine: str) -> type[Explorer]:
        """See the base class."""
        return explorer(engine)

    @property
    def explorer(self) -> type[Explorer]:
        """The engine."""
        return self.plugin(self.engine)

    @classmethod
    def foreign_keys(cls, engine: str) -> frozenset[str]:
        """The keys of molecular dynamics, for an engine that runs none."""
        draws = engine in plugins.names(cls.seam) and explorer(engine).draws_from_pool
        return frozenset(Plan.model_fields) if draws else frozenset()

    @model_validator(mode="after")
    def _has_its_own_keys(self) -> Self:
        """Refuse keys of molecular dynamics if the engine runs none."""
        if foreign := sorted(self.foreign_keys(self.engine) & self.model_fields_set):
            what = f"'{foreign[0]}' is a setting of molecular dynamics"
            hint = f"remove it: engine '{self.engine}' runs no dynamics"
            raise refused(InputError(what, hint=hint))
        return self

    @model_serializer(mode="wrap")
    def _without_foreign_keys(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        foreign = self.foreign_keys(self.engine)
        values: dict[str, Any] = handler(self)
        return {name: value for name, value in values.items() if name not in foreign}

    @property
    def plan(self) -> Plan:
        """The keys of this section that define the runs, for all engines that run any."""
        return Plan(**{name: getattr(self, name) for name in Plan.model_fields})


class EvaluateSection(EvaluateSettings):
    """How the committee predicts."""

    code: CodeLabel = Field(DEFAULT_CODE, description="AiiDA code of trainspot, label@computer")

    @property
    def settings(self) -> EvaluateSettings:
        """The keys of this section that change what is computed."""
        return EvaluateSettings(**{k: getattr(self, k) for k in EvaluateSettings.model_fields})
