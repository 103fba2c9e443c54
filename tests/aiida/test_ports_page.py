"""The reference of work chains has every port of every work chain."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

EXTENSIONS = Path(__file__).parents[2] / "docs" / "_ext"


@pytest.fixture(scope="module")
def ports():
    """The module that makes the page."""
    spec = importlib.util.spec_from_file_location("ports", EXTENSIONS / "ports.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["ports"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["ports"]


def test_every_port_that_a_user_sets_has_a_row(ports):
    chains = dict(ports.work_chains())
    assert {"trainspot.campaign", "trainspot.label.ase", "trainspot.train.mace"} <= set(chains)
    for name, process in chains.items():
        rows = {row[0].strip("`") for row in ports.inputs(process)}
        assert rows >= set(process.spec().inputs) - {"metadata"}, name
        rows = {row[0].strip("`") for row in ports.outputs(process)}
        assert rows >= set(process.spec().outputs), name


def test_rows_say_type_and_need(ports):
    chains = dict(ports.work_chains())
    rows = {row[0]: row for row in ports.inputs(chains["trainspot.label"])}
    assert rows["`dataset`"][1:3] == ("PESData", "yes")
    assert rows["`options`"][1:3] == ("Dict", "no")
    rows = {row[0]: row for row in ports.inputs(chains["trainspot.campaign"])}
    assert rows["`codes.label`"][1] == "AbstractCode"
    assert rows["`codes`"][1] == "namespace"
