"""What the user decides about judging: tolerances, calibration, selection, screen and stopping."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from trainspot.common.properties import PROPERTIES, Property
from trainspot.descriptors import DescriptorSettings

Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Tolerance(_Settings):
    """The error ε the user accepts in each property; null leaves a property unjudged."""

    energy: Positive | None = Field(0.001, description="eV/atom")
    forces: Positive | None = Field(0.1, description="eV/Å")
    stress: Positive | None = Field(0.001, description="eV/Å³")

    @model_validator(mode="after")
    def _judges_something(self) -> Self:
        if not self.given:
            raise ValueError("at least one of energy, forces and stress needs a tolerance")
        return self

    @property
    def given(self) -> dict[Property, float]:
        """ε of each judged property."""
        values = {name: getattr(self, name) for name in PROPERTIES}
        return {name: value for name, value in values.items() if value is not None}


class CalibrateSettings(_Settings):
    """How a tolerance on the error becomes a threshold on the disagreement."""

    method: str = Field(
        "quantile",
        description="quantile; regression (Δ = a·e through the origin); scale (ratio of trimmed "
        "root mean squares); conformal (bounds the share of missed frames)",
    )
    quantile: float = Field(
        0.67,
        gt=0.0,
        lt=1.0,
        description="quantile of e/Δ in τ = ε / q(e/Δ); 0.5 leans to precision, 0.9 misses little",
    )
    miss_rate: float = Field(
        0.1,
        gt=0.0,
        lt=1.0,
        description="conformal: share of frames that may err beyond the tolerance unnoticed",
    )


class SelectSettings(_Settings):
    """Which of the judged frames are labelled next."""

    method: str = Field(
        "diverse",
        description="how flagged frames are chosen when too many: diverse (far from what is known "
        "and from one another); random; ranked (not alone)",
    )
    max_frames: int = Field(1000, ge=1, description="frames labelled an iteration, audit included")
    share: float = Field(
        0.33,
        gt=0.0,
        le=1.0,
        description="share of the valid explored frames labelled an iteration at most, audit "
        "included, but never fewer than 10 frames for it; small batches need fewer labels and "
        "more trainings; 1: all that are flagged",
    )
    audit: Literal["auto"] | Annotated[int, Field(ge=0)] = Field(
        "auto",
        description="frames drawn uniformly from all valid ones, flagged or not; "
        "auto: a fifth of the batch, at most 25; never the whole of max_frames",
    )
    held_out: Literal["all", "audit"] = Field(
        "all",
        description="explored frames that may join the validation and the test set: all that are "
        "labelled; or those of the audit alone, so that whatever was selected is trained on",
    )
    novelty: Annotated[float, Field(gt=0.0, lt=1.0)] | None = Field(
        0.95,
        description="also flag frames farther from all training frames than this share of the "
        "validation frames of as many periodic directions; null: by disagreement alone",
    )
    near_duplicate: float = Field(
        5e-4,
        ge=0.0,
        le=1.0,
        description="descriptor distance of frames that count as one, 5e-4: about 0.005 Å on every "
        "atom; 0: exact duplicates only",
    )
    descriptor: DescriptorSettings = Field(
        default_factory=DescriptorSettings, description="what distances between frames rest on"
    )


class ScreenSettings(_Settings):
    """Which explored frames are physical enough to be judged."""

    overlap: float = Field(
        0.6, ge=0.0, le=1.0, description="shortest distance allowed, in sums of covalent radii"
    )
    max_force: Positive = Field(50.0, description="largest predicted force on an atom, eV/Å")
    min_volume: float = Field(
        0.3, gt=0.0, lt=1.0, description="volume per atom over that of the start frame, at least"
    )
    max_volume: float = Field(
        5.0, gt=1.0, description="volume per atom over that of the start frame, at most"
    )


class StopSettings(_Settings):
    """When a campaign ends."""

    max_iterations: int = Field(10, ge=1, description="iterations at most")
    converged_share: Share = Field(
        0.0, description="share of the valid frames that may be flagged at convergence"
    )
    final_audit: int = Field(
        20, ge=0, description="frames the committee agrees on, labelled before convergence; 0: none"
    )
    miss_rate: Share = Field(
        0.1, description="share of the final audit that may exceed the tolerance"
    )
    min_valid: Share = Field(
        0.5, description="share of the explored frames that must pass the screen to converge"
    )


class JudgeSettings(_Settings):
    """All that the judgement of an exploration depends on, besides the calibrations."""

    screen: ScreenSettings = Field(default_factory=ScreenSettings)
    select: SelectSettings = Field(default_factory=SelectSettings)
    stop: StopSettings = Field(default_factory=StopSettings)
