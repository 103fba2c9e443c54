"""Seams: names are found by entry point, unknown and missing ones answer with what to do."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points

import pytest

from trainspot.common import plugins
from trainspot.common.errors import MissingExtraError, UnknownNameError

GROUP = "trainspot.label"


@pytest.fixture
def registered(monkeypatch):
    """Replace the installed entry points of every group with the given ones."""

    def register(**targets: str) -> None:
        points = [EntryPoint(name, target, GROUP) for name, target in targets.items()]
        monkeypatch.setattr(
            plugins, "entry_points", lambda *, group: [p for p in points if p.group == group]
        )

    return register


def test_names_are_sorted_and_unique(registered):
    registered(beta="json:loads", alpha="json:dumps")
    assert plugins.names(GROUP) == ["alpha", "beta"]
    assert plugins.names("trainspot.nothing") == []


def test_load_returns_the_object(registered):
    registered(alpha="json:dumps")
    assert plugins.load(GROUP, "alpha")([1]) == "[1]"


def test_an_unknown_name_offers_the_nearest(registered):
    registered(quantumespresso="json:dumps")
    with pytest.raises(
        UnknownNameError, match=r"c\.yaml:3: unknown label engine 'quantumespreso'; did"
    ):
        plugins.load(GROUP, "quantumespreso", where="c.yaml:3")


@pytest.mark.parametrize(
    ("module", "extra"),
    [
        ("aiida", "aiida"),
        ("aiida_lammps", "aiida"),
        ("aiida_pseudo", "quantumespresso"),
        ("aiida_quantumespresso", "quantumespresso"),
        ("ase_db_backends", "lmdb"),
        ("featomic", "descriptors"),
        ("lammps", "lammps"),
        ("mace", "mace"),
        ("pyscf", "map"),
        ("tblite", "tblite"),
        ("torch", "mace"),
        ("umap", "umap"),
    ],
)
def test_a_missing_dependency_names_the_extra(registered, monkeypatch, module, extra):
    registered(engine="json:dumps")

    def fail(self):
        raise ModuleNotFoundError(f"No module named '{module}.x'", name=f"{module}.x")

    monkeypatch.setattr(EntryPoint, "load", fail)
    with pytest.raises(MissingExtraError, match=rf"pip install 'trainspot\[{extra}\]'"):
        plugins.load(GROUP, "engine")


def test_what_every_installation_has_is_in_no_extra():
    assert plugins.extra_for(ModuleNotFoundError(name="numpy.linalg")) is None
    assert plugins.extra_for(ModuleNotFoundError(name="json"), "no-such-package") is None


def test_a_third_party_plugin_with_a_broken_import_shows_its_own_error(registered):
    registered(engine="no_such_module_at_all:Engine")
    with pytest.raises(ModuleNotFoundError, match="no_such_module_at_all"):
        plugins.load(GROUP, "engine")


def seams() -> list[EntryPoint]:
    groups = {g for g in entry_points().groups if g.startswith("trainspot.")}
    return [point for group in sorted(groups) for point in entry_points(group=group)]


@pytest.mark.parametrize("point", seams(), ids=lambda p: f"{p.group}.{p.name}")
def test_every_registered_implementation_can_be_loaded(point):
    assert point.load() is not None
