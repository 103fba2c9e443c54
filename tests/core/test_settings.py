"""What is wrong with settings, in our words."""

from __future__ import annotations

from typing import Literal

import pytest
from pydantic import BaseModel, Field, field_validator

from trainspot.common.errors import InputError
from trainspot.common.validation import parse_settings


class Model(BaseModel, extra="forbid"):
    """Settings with one of everything."""

    number: int = Field(1, ge=1)
    either: Literal["auto"] | int = "auto"
    element: str = "Mo"

    @field_validator("element")
    @classmethod
    def _known(cls, value: str) -> str:
        if value != "Mo":
            raise ValueError(f"{value} is unknown; write Mo")
        return value


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"number": 0}, "f.yaml: number must be at least 1, not 0"),
        ({"number": "x"}, "f.yaml: number must be a whole number, not 'x'"),
        ({"either": "x"}, "f.yaml: either must be 'auto' or must be a whole number, not 'x'"),
        ({"element": "Mo2"}, "f.yaml: element: Mo2 is unknown; write Mo"),
        ({"elements": 3}, "f.yaml: unknown setting 'elements'; did you mean 'element'?"),
    ],
)
def test_one_line_in_our_words(raw, message):
    with pytest.raises(InputError) as caught:
        parse_settings(Model, raw, where="f.yaml")
    assert str(caught.value) == message
