"""Every registered label engine keeps the contract, on both sides of the wall."""

from __future__ import annotations

import json

import pytest
from aiida.orm import AbstractCode, Dict, Int
from aiida.plugins import WorkflowFactory

from aiida_trainspot.data.pes import PESData
from aiida_trainspot.workflows.label.base import LabelEngineWorkChain, engine_workchain
from trainspot.common import plugins
from trainspot.common.errors import UnknownNameError
from trainspot.common.validation import parse_settings
from trainspot.label import base

ENGINES = plugins.names(base.GROUP)
MINIMAL = {"ase": {"calculator": "emt"}}


@pytest.mark.parametrize("name", ENGINES)
def test_the_science_side(name):
    engine = base.engine(name)
    assert isinstance(engine(), base.LabelEngine)
    assert engine.name == name
    settings = parse_settings(engine.Settings, MINIMAL.get(name, {}))
    theory = engine.theory(settings)
    assert theory == engine.theory(settings)
    assert theory.startswith(name)
    assert theory.isascii()
    assert len(theory) <= 64
    again = parse_settings(engine.Settings, json.loads(settings.model_dump_json()))
    assert engine.theory(again) == theory
    schema = engine.Settings.model_json_schema()
    assert schema["additionalProperties"] is False
    for field, described in schema["properties"].items():
        assert described.get("description"), f"{field} is not described"
    assert engine.Settings.practical <= engine.Settings.model_fields.keys()


@pytest.mark.parametrize("name", ENGINES)
def test_the_shell_side(name):
    process = engine_workchain(name)
    assert process is WorkflowFactory(f"trainspot.label.{name}")
    assert issubclass(process, LabelEngineWorkChain)
    assert process.engine == name
    ports = {k: v.valid_type for k, v in process.spec().inputs.items() if k != "metadata"}
    assert ports == {
        "dataset": PESData,
        "code": AbstractCode,
        "settings": Dict,
        "options": Dict,
        "max_concurrent": Int,
    }
    outputs = {k: v.valid_type for k, v in process.spec().outputs.items()}
    assert outputs == {"labelled": PESData, "failures": PESData}
    assert all(port.required for port in process.spec().outputs.values())


def test_the_stage_takes_what_the_engines_take():
    stage = WorkflowFactory("trainspot.label").spec()
    common = LabelEngineWorkChain.spec()
    assert stage.inputs.keys() == {*common.inputs, "engine", "min_success"}
    assert stage.outputs.keys() == common.outputs.keys()


def test_an_unknown_engine_is_answered_with_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean 'quantumespresso'"):
        engine_workchain("quantumespressso")
