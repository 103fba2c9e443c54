"""How a committee is evaluated."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field


class EvaluateSettings(BaseModel):
    """Precision, batches, device and processes of an evaluation."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    practical: ClassVar[frozenset[str]] = frozenset({"max_atoms", "device", "jobs"})
    """Names of fields that change how predictions are obtained, not more than their rounding."""

    dtype: Literal["float32", "float64"] = Field(
        "float32", description="precision of the models; float32 errs by about 2e-6 eV/atom"
    )
    max_atoms: int = Field(512, ge=1, description="atoms in one batch")
    device: str = Field("cpu", description="cpu or cuda")
    jobs: int | None = Field(
        None,
        ge=1,
        description="processes; by default one for each core where there is enough to do",
    )

    def parted(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What decides the numbers, and the rest, as JSON values."""
        names = set(self.practical)
        decisive = self.model_dump(mode="json", exclude=names)
        return decisive, self.model_dump(mode="json", include=names)
