"""A rehearsal with real MACE committees: every stage of a campaign, twice round."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import yaml
from ase.build import bulk

from trainspot.rehearse import arms, rehearsal
from trainspot.rehearse.cost import CostModel

pytestmark = pytest.mark.engine

CHANGED = {"r_max": 3.5, "batch_size": 8, "max_num_epochs": 2, "default_dtype": "float32"}


@pytest.fixture
def prepared(toy_campaign, tiny_mace, tmp_path):
    """The user's campaign alone: silicon cells, Tersoff, two members."""
    bulk("Si", a=5.43, cubic=True).write(tmp_path / "si.cif")
    content = toy_campaign | {
        "structures": ["si.cif"],
        "split": {"fractions": [0.4, 0.5, 0.1]},
        "label": {"engine": "ase", "calculator": "tersoff"},
        "train": {"engine": "mace", "committee_size": 2, "settings": tiny_mace | CHANGED},
        "explore": toy_campaign["explore"] | {"starts": 2, "time": 0.02},
        "evaluate": {"dtype": "float32"},
        "stop": {"max_iterations": 2},
    }
    (tmp_path / "campaign.yaml").write_text(yaml.safe_dump(content))
    made = rehearsal.prepare(tmp_path / "campaign.yaml", {}, "tersoff", "mace", CostModel(), 1)
    return dataclasses.replace(made, campaigns={arms.OURS: made.campaigns[arms.OURS]})


def test_a_campaign_with_mace_runs_through(prepared):
    assert prepared.campaigns[arms.OURS].train.settings.r_max == CHANGED["r_max"]
    (track,) = prepared.run(test_frames=3).tracks
    first, second = track.points
    assert track.state == "exhausted"
    assert second.labels == first.labels + first.chosen > first.labels
    assert first.explored == second.explored > 0
    errors = track.column("forces")
    assert np.all(np.isfinite(errors))
    assert len(set(errors)) == 2  # the second committee is another
