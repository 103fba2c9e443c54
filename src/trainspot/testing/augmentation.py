"""The contract test of augmentation strategies."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from trainspot.augment import steps
from trainspot.augment.base import Strategy
from trainspot.augment.plan import parse_plan
from trainspot.augment.steps import VACUUM, Part
from trainspot.common.errors import InputError
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame
from trainspot.geometry import overlapping, vacuum_gaps


def check_strategy(
    name: str, frames: Sequence[Frame], parameters: Mapping[str, Any] | None = None, seed: int = 0
) -> Part:
    """Assert the contract of the strategy registered as ``name``.

    - parameters have descriptions, survive JSON, and unknown ones are refused;
    - the same seed gives the same frames, refusals and notes;
    - a frame names its strategy, its parameters as JSON and a parent among the inputs;
    - new frames have no labels, and an input is passed on unchanged or not at all;
    - no frame twice, no overlapping atoms, vacuum along directions that are not periodic;
    - a refusal or a note gives the reason if a structure yields no frame.

    Args:
        name: Name of the strategy.
        frames: Structures of any kind, no two the same.
        parameters: Parameters of the strategy without a default.
        seed: Seed of all random numbers.

    Returns:
        The result for all frames together.
    """
    item = {"kind": name, **(parameters or {})}
    _check_parameters(item)
    inputs = steps.pad_inputs(Dataset.from_frames(frames)).frames
    part = _run(item, inputs, seed)
    again = _run(item, inputs, seed)
    assert _facts(part) == _facts(again), "the same seed gives the same frames"
    _check_frames(name, part.frames, inputs)
    for frame in inputs:
        alone = _run(item, [frame], seed)
        outcome = alone.frames or alone.refused or alone.notes
        formula = frame.to_atoms().get_chemical_formula()
        assert outcome, f"a structure without frames has a refusal or a note: {formula}"
        duplicates = alone.refused.get("duplicate", 0)
        assert not duplicates, "a structure gives no frame twice"
    return part


def _check_parameters(item: Mapping[str, Any]) -> None:
    (strategy,) = parse_plan([item])
    assert strategy.kind == item["kind"], "the kind is the registered name"
    for key, field in type(strategy).model_fields.items():
        assert key == "kind" or field.description, f"the parameter '{key}' explains itself"
    plain = json.loads(strategy.model_dump_json())
    assert parse_plan([plain]) == [strategy], "parameters survive JSON"
    try:
        parse_plan([{**item, "no_such_parameter": 1}])
    except InputError:
        return
    raise AssertionError("unknown parameters are refused")


def _run(item: Mapping[str, Any], parents: Sequence[Frame], seed: int) -> Part:
    (strategy,) = parse_plan([item])
    assert isinstance(strategy, Strategy)
    return steps.run_step(steps.Step(strategy, 0, 0), parents, seed)


def _facts(part: Part) -> tuple[Any, ...]:
    return [frame.id for frame in part.frames], part.refused, list(part.notes)


def _check_frames(name: str, frames: Sequence[Frame], inputs: Sequence[Frame]) -> None:
    by_id = {frame.id: frame for frame in inputs}
    assert len({frame.id for frame in frames}) == len(frames), "no frame twice"
    for frame in frames:
        json.dumps(dict(frame.origin.parameters), allow_nan=False)
        gaps = vacuum_gaps(frame)[~frame.pbc]
        assert np.all(gaps >= VACUUM - 1e-5), "vacuum along what is not periodic"
        if frame is by_id.get(frame.id):
            continue  # passed on as it is
        assert frame.origin.strategy, f"{name} names its strategy"
        assert frame.origin.parent in {"", *by_id}, "the parent is one of the inputs"
        assert not frame.labels, "labels are never invented"
        assert not overlapping(frame), "no atoms overlap"
