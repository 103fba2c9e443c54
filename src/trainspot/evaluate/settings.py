"""How a committee is evaluated."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class EvaluateSettings(BaseModel):
    """Precision, batches and device of an evaluation."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dtype: Literal["float32", "float64"] = Field(
        "float32", description="precision of the models; float32 errs by about 2e-6 eV/atom"
    )
    max_atoms: int = Field(512, ge=1, description="atoms in one batch")
    device: str = Field("cpu", description="cpu or cuda")
