"""The stage sections of a campaign: keys of the stage, and the settings of its engine.

``engine:`` picks the settings model. Its keys may be written beside the stage's own keys or under
``settings:``; the resolved campaign always has them under ``settings``.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SerializeAsAny, field_validator, model_validator
from pydantic_core import PydanticCustomError
from pydantic_core.core_schema import ValidationInfo

from trainspot.common import plugins
from trainspot.common.errors import InputError, TrainspotError, UnknownNameError
from trainspot.evaluate.settings import EvaluateSettings
from trainspot.explore.base import Explorer, explorer
from trainspot.explore.schedule import Plan
from trainspot.judge.settings import Share
from trainspot.label.base import LabelEngine
from trainspot.label.base import engine as label_engine
from trainspot.train.base import Trainer
from trainspot.train.run import trainer

DEFAULT_CODE = "trainspot@localhost"
"""Code of an engine that runs through our own command line."""

MaxConcurrent = Annotated[int, Field(ge=1)] | Literal["auto"]
CodeLabel = Annotated[str, Field(pattern=r"^(|[^@\s]+@[^@\s]+)$")]
_CONCURRENT = "jobs at a time; auto: the cores on core.direct, else what the daemon can hold"
_CODE = "AiiDA code, label@computer; empty: the one `trainspot setup` made for the engine"


def refused(error: TrainspotError) -> PydanticCustomError:
    """Carry an error of ours through pydantic, which adds the location."""
    text = f"{error.what}; {error.hint}" if error.hint else error.what
    return PydanticCustomError("trainspot", "{text}", {"text": text})


class Section(BaseModel):
    """A section of the campaign file: unknown keys and infinite numbers are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class NoSettings(Section):
    """Stands for the settings of an engine until the engine is known."""


class EngineSection(Section):
    """A stage with exchangeable engines, found in the entry-point group ``seam``."""

    seam: ClassVar[str]

    engine: str = Field(description="program that does the work")
    code: CodeLabel = Field("", validate_default=True, description=_CODE)
    settings: SerializeAsAny[BaseModel] = Field(
        default_factory=NoSettings, validate_default=True, description="settings of the engine"
    )

    @classmethod
    def plugin(cls, engine: str) -> type[Trainer | LabelEngine | Explorer]:
        """The engine registered under a name; see ``settings_model`` for what is raised."""
        raise NotImplementedError

    @classmethod
    def settings_model(cls, engine: str) -> type[BaseModel]:
        """The settings of an engine.

        Raises:
            UnknownNameError: No such engine; the message offers the nearest.
            MissingExtraError: Known, but its dependency is not installed.
            ContractError: It does not derive from the base class of the seam.
        """
        return cls.plugin(engine).Settings

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, data: Any) -> Any:
        """Move keys that are not the stage's own under ``settings``."""
        if not isinstance(data, dict):
            return data
        own = {key: value for key, value in data.items() if key in cls.model_fields}
        flat = {key: value for key, value in data.items() if key not in cls.model_fields}
        settings = own.get("settings")
        if not flat or not (settings is None or isinstance(settings, dict)):
            return own
        settings = settings or {}
        if twice := flat.keys() & settings.keys():
            raise refused(InputError(f"'{min(twice)}' stands in the section and under 'settings'"))
        return own | {"settings": settings | flat}

    @field_validator("engine")
    @classmethod
    def _known(cls, engine: str) -> str:
        known = plugins.names(cls.seam)
        if engine not in known:
            raise refused(UnknownNameError("engine", engine, known))
        try:
            cls.settings_model(engine)
        except TrainspotError as error:  # its extra is not installed
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
    """How frames get energies, forces and stresses."""

    seam: ClassVar[str] = "trainspot.label"

    engine: str = Field("quantumespresso", description="reference program")
    max_concurrent: MaxConcurrent = Field("auto", description=_CONCURRENT)
    min_success: Share = Field(
        0.9, description="share of frames that must be labelled; isolated atoms always must"
    )

    @classmethod
    def plugin(cls, engine: str) -> type[LabelEngine]:
        """See the base class."""
        return label_engine(engine)


class TrainSection(EngineSection):
    """How a committee is trained."""

    seam: ClassVar[str] = "trainspot.train"

    engine: str = Field("mace", description="trainer")
    committee: int = Field(
        4, ge=2, description="members; fewer than two cannot disagree, so nothing can be judged"
    )
    start: Literal["scratch", "previous", "foundation"] = Field(
        "scratch", description="what each training starts from"
    )
    mix_theories: bool = Field(
        default=False,
        description="train on given labels and new ones together: say so only if they are of the "
        "same level of theory",
    )
    foundation: str | None = Field(
        None, description="model file for `start: foundation`, relative to this file"
    )
    max_concurrent: MaxConcurrent = Field("auto", description=_CONCURRENT)

    @classmethod
    def plugin(cls, engine: str) -> type[Trainer]:
        """See the base class."""
        return trainer(engine)

    @model_validator(mode="after")
    def _can_start(self) -> Self:
        if self.start != "scratch" and not self.plugin(self.engine).takes_start:
            text = f"engine '{self.engine}' cannot start from a model; use 'start: scratch'"
            raise PydanticCustomError("start", "{text}", {"text": text})
        return self

    @model_validator(mode="after")
    def _has_its_foundation(self) -> Self:
        if (self.start == "foundation") != (self.foundation is not None):
            text = "'start: foundation' and 'foundation: FILE' belong together"
            raise PydanticCustomError("foundation", "{text}", {"text": text})
        return self


class ExploreSection(EngineSection, Plan):
    """How the committee explores: molecular dynamics of one member, drawn by seed."""

    seam: ClassVar[str] = "trainspot.explore"

    engine: str = Field("lammps", description="molecular-dynamics program")
    max_concurrent: MaxConcurrent = Field("auto", description=_CONCURRENT)

    @classmethod
    def plugin(cls, engine: str) -> type[Explorer]:
        """See the base class."""
        return explorer(engine)

    @property
    def plan(self) -> Plan:
        """The keys of this section that say what to run, whatever the engine."""
        return Plan(**{name: getattr(self, name) for name in Plan.model_fields})


class EvaluateSection(EvaluateSettings):
    """How the committee predicts, and where."""

    code: CodeLabel = Field(DEFAULT_CODE, description="AiiDA code of trainspot, label@computer")

    @property
    def settings(self) -> EvaluateSettings:
        """The keys of this section that change what is computed."""
        return EvaluateSettings(**{k: getattr(self, k) for k in EvaluateSettings.model_fields})
