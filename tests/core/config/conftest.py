"""Structures and campaign files to read."""

from __future__ import annotations

import pytest
from ase.build import bulk
from ase.io import write


@pytest.fixture
def folder(tmp_path):
    """A folder with a structure, and room for a campaign file."""
    write(tmp_path / "si.cif", bulk("Si", a=5.43, cubic=True))
    return tmp_path


@pytest.fixture
def campaign_file(folder):
    """Write a campaign file with a name and structures, and what else is given."""

    def make(text="", head="name: silicon\nstructures: [si.cif]\n"):
        path = folder / "campaign.yaml"
        path.write_text(head + text, encoding="utf-8")
        return path

    return make
