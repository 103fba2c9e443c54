"""How a committee is evaluated."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from trainspot.common.validation import renamed


class EvaluateSettings(BaseModel):
    """Precision, batches, device and processes of an evaluation."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    former: ClassVar[dict[str, str]] = {"jobs": "workers"}
    """Former names of fields, which are still accepted, and today's."""

    practical: ClassVar[frozenset[str]] = frozenset({"max_atoms", "device", "workers"})
    """Names of fields that change predictions by rounding at most."""

    dtype: Literal["float32", "float64"] = Field(
        "float32",
        description="precision of the models; float32 changes energies by about 2e-6 eV/atom",
    )
    max_atoms: int = Field(512, ge=1, description="largest number of atoms in one batch")
    device: str = Field("cpu", description="cpu or cuda")
    workers: int | None = Field(
        None,
        ge=1,
        description="processes that work at the same time; null: one per core if there are enough "
        "frames",
    )

    @model_validator(mode="before")
    @classmethod
    def _by_todays_names(cls, values: Any) -> Any:
        return renamed(values, cls.former)

    def parted(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The settings that determine the numbers, and the others, as JSON values."""
        names = set(self.practical)
        decisive = self.model_dump(mode="json", exclude=names)
        return decisive, self.model_dump(mode="json", include=names)
