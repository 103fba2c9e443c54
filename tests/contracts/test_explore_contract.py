"""Every registered explorer keeps the contract of its seam, in the science and in the shell."""

from __future__ import annotations

import pytest
from aiida.plugins import WorkflowFactory

from trainspot.common import plugins
from trainspot.explore.base import GROUP, MdSettings

NAMES = plugins.names(GROUP)


@pytest.mark.parametrize("name", NAMES)
def test_an_explorer_has_a_name_and_documented_settings(name):
    explorer = plugins.load(GROUP, name)
    assert explorer.name == name
    assert issubclass(explorer.Settings, MdSettings)
    assert all(field.description for field in explorer.Settings.model_fields.values())
    defaults = explorer.Settings()  # everything has a default, and survives JSON
    assert explorer.Settings.model_validate_json(defaults.model_dump_json()) == defaults


@pytest.mark.parametrize("name", NAMES)
def test_its_workchain_has_the_ports_of_the_seam(name):
    spec = WorkflowFactory(f"trainspot.explore.{name}").spec()
    wanted = {"starts", "schedule", "model", "kind", "code", "settings", "options"}
    assert wanted | {"max_concurrent"} <= set(spec.inputs)
    assert {"explored", "failures"} <= set(spec.outputs)
    assert 453 in {code.status for code in spec.exit_codes.values()}
