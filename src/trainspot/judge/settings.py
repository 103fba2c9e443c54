"""Settings of the judgement: tolerances, calibration, selection, screen and stopping."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from trainspot.common.properties import PROPERTIES, Property
from trainspot.descriptors import DescriptorSettings
from trainspot.geometry import OVERLAP_FACTOR, OVERLAP_FLOOR

Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
NoveltyOf = Literal["frames", "atoms", "both"]
Share = Annotated[float, Field(ge=0.0, le=1.0)]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Tolerance(_Settings):
    """The tolerated error ε of each property."""

    energy: Positive | None = Field(
        0.001, description="tolerated error of the energy, eV/atom; null: energies are not judged"
    )
    forces: Positive | None = Field(
        0.1, description="tolerated error of the forces, eV/Å; null: forces are not judged"
    )
    stress: Positive | None = Field(
        0.001, description="tolerated error of the stress, eV/Å³; null: stresses are not judged"
    )

    @model_validator(mode="after")
    def _judges_something(self) -> Self:
        if not self.given:
            raise ValueError("give a tolerance for at least one of energy, forces and stress")
        return self

    @property
    def given(self) -> dict[Property, float]:
        """ε of each judged property."""
        values = {name: getattr(self, name) for name in PROPERTIES}
        return {name: value for name, value in values.items() if value is not None}


class CalibrateSettings(_Settings):
    """How the thresholds on the disagreement are fitted to the tolerated errors."""

    method: str = Field(
        "quantile",
        description="calibration method: quantile; regression (Δ = a·e through the "
        "origin); scale (ratio of trimmed root mean squares); conformal (bounds the "
        "share of missed frames)",
    )
    quantile: float = Field(
        0.67,
        gt=0.0,
        lt=1.0,
        description="quantile of e/Δ in τ = ε / q(e/Δ); a larger quantile misses fewer "
        "frames and labels more",
    )
    miss_rate: float = Field(
        0.1,
        gt=0.0,
        lt=1.0,
        description="method conformal: share of frames whose error may exceed the "
        "tolerance unnoticed",
    )


class SelectSettings(_Settings):
    """How the frames to label next are selected."""

    method: str = Field(
        "diverse",
        description="choice among the flagged frames if there are too many: diverse (far "
        "from the dataset and from one another); random; ranked (highest disagreement "
        "first; not used alone)",
    )
    max_frames: int = Field(
        1000, ge=1, description="largest number of frames labelled per iteration, with the audit"
    )
    share: float = Field(
        0.33,
        gt=0.0,
        le=1.0,
        description="largest share of the valid explored frames labelled per iteration, "
        "with the audit; at least 10 frames; a smaller share needs fewer labels and more "
        "trainings; 1: no limit",
    )
    audit: Literal["auto"] | Annotated[int, Field(ge=0)] = Field(
        "auto",
        description="frames drawn at random from all valid frames, to check the "
        "calibration; auto: a fifth of the selected frames, at most 25; always less than "
        "max_frames",
    )
    held_out: Literal["all", "audit"] = Field(
        "all",
        description="explored frames that may become validation or test frames: all, or "
        "those of the audit only, so that all selected frames are used for training",
    )
    novelty: Annotated[float, Field(gt=0.0, lt=1.0)] | None = Field(
        0.95,
        description="also flag novel frames: frames that are farther from the training frames "
        "than this share of the validation frames with the same number of periodic directions; "
        "null: flag by disagreement only",
    )
    novelty_of: NoveltyOf = Field(
        "both",
        description="what novelty compares with the training frames: frames (the frame as a "
        "whole); atoms (its farthest atom, with training atoms of the same element); both: either "
        "makes a frame novel",
    )
    near_duplicate: float = Field(
        5e-4,
        ge=0.0,
        le=1.0,
        description="frames closer than this descriptor distance count as one frame; 5e-4 "
        "is about 0.005 Å per atom; 0: only exact duplicates",
    )
    descriptor: DescriptorSettings = Field(
        default_factory=DescriptorSettings,
        description="descriptor for the distances between frames",
    )


class ScreenSettings(_Settings):
    """Limits on explored frames; unphysical frames are refused."""

    overlap: float = Field(
        OVERLAP_FACTOR,
        ge=0.0,
        le=1.0,
        description="a distance between two atoms below this, in sums of covalent radii, is an "
        "overlap if overlap_force confirms it",
    )
    overlap_force: Positive = Field(
        10.0,
        description="a frame with an overlap is refused if a member of the committee predicts a "
        "larger force than this on one of its two atoms, eV/Å",
    )
    overlap_floor: float = Field(
        OVERLAP_FLOOR,
        ge=0.0,
        le=1.0,
        description="below this distance, in sums of covalent radii, an overlap needs no force to "
        "be refused; a value above overlap counts as overlap, so with 1 distances alone decide",
    )
    max_force: Positive = Field(50.0, description="largest predicted force on an atom, eV/Å")
    min_volume: float = Field(
        0.3, gt=0.0, lt=1.0, description="smallest volume per atom, relative to the start frame"
    )
    max_volume: float = Field(
        5.0, gt=1.0, description="largest volume per atom, relative to the start frame"
    )
    audit: int = Field(
        0,
        ge=0,
        description="refused frames drawn at random and labelled in each iteration, to see the "
        "mistakes of the screen; besides max_frames of select, but within the label budget; never "
        "frames with non-finite predictions or below overlap_floor",
    )

    @property
    def floor(self) -> float:
        """The distance below which no force is asked for, in sums of covalent radii."""
        return min(self.overlap_floor, self.overlap)


class StopSettings(_Settings):
    """When a campaign ends."""

    max_iterations: int = Field(10, ge=1, description="largest number of iterations")
    converged_share: Share = Field(
        0.0,
        description="the campaign has converged if at most this share of the valid frames "
        "is flagged",
    )
    final_audit: int = Field(
        20,
        ge=0,
        description="frames below all thresholds that are labelled as a last check before "
        "convergence; 0: none",
    )
    miss_rate: Share = Field(
        0.1, description="share of the final audit that may exceed the tolerance"
    )
    min_valid: Share = Field(
        0.5, description="share of the explored frames that must pass the screen for convergence"
    )


class JudgeSettings(_Settings):
    """All settings of the judgement of an exploration, besides the calibrations."""

    screen: ScreenSettings = Field(default_factory=ScreenSettings)
    select: SelectSettings = Field(default_factory=SelectSettings)
    stop: StopSettings = Field(default_factory=StopSettings)
