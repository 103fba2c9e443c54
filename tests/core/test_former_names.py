"""What was renamed still answers to its former name: a command, options and keys."""

from __future__ import annotations

import numpy as np
import pytest
from click.testing import CliRunner

from trainspot import io
from trainspot.cli import FORMER, main
from trainspot.common.errors import InputError
from trainspot.config.load import former_names, load
from trainspot.config.models import Campaign
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame
from trainspot.evaluate.settings import EvaluateSettings
from trainspot.rehearse import arms


def call(*words, status=0):
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == status, result.output
    return result


def test_md_is_explore_with_one_note(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    now, before = call("explore", "--help"), call("md", "--help")
    assert before.stdout == now.stdout
    assert now.stderr == ""
    assert before.stderr == "note: `trainspot md` is now called `trainspot explore`\n"
    failed = call("md", "none.cif", "--model", "none.toy", "-o", "t.h5", status=2)
    assert failed.stderr.count("note: ") == 1
    assert "--help" not in failed.stderr  # the options were understood


def test_no_help_shows_a_former_name():
    overview = call("--help").stdout
    assert not [name for name in FORMER if f"\n  {name} " in overview]
    assert "train-member" not in overview
    assert "--committee " not in call("train", "--help").stdout
    for command in ("evaluate", "map"):
        text = call(command, "--help").stdout
        assert "--workers" in text
        assert "--jobs" not in text


@pytest.mark.parametrize("option", ["--committee", "--committee-size"])
def test_the_committee_may_be_asked_for_by_both_names(tmp_path, option):
    atom = Frame.make([14], np.zeros((1, 3)))
    io.write(Dataset.from_frames([atom]), tmp_path / "frames.h5")
    words = ("train", tmp_path / "frames.h5", "--engine", "toy", "-o", tmp_path / "out")
    failed = call(*words, option, 1, status=2)
    assert "ask for at least 2 members" in failed.stderr
    failed = call(*words, option, "two", status=2)
    assert "Invalid value for '--committee-size'" in failed.stderr


@pytest.mark.parametrize("command", ["evaluate", "map"])
@pytest.mark.parametrize("option", ["--jobs", "--workers"])
def test_parallelism_may_be_asked_for_by_both_names(command, option):
    words = [command, "f.h5", option, "0", "-o", "x.h5"]
    words += ["--models", "m"] if command == "evaluate" else []
    assert "Invalid value for '--workers': 0 is not in the range" in call(*words, status=2).stderr


def test_every_command_with_processes_has_workers_and_no_other_word():
    for name in ("label", "train", "evaluate", "map", "rehearse"):
        command = main.get_command(None, name)
        assert [p.name for p in command.params if p.name in ("workers", "jobs")] == ["workers"]


# ── the campaign file ─────────────────────────────────────────────────────────
OLD = """\
structures: si.cif
protocol: fast
train: {engine: toy, committee: 5}
evaluate:
  jobs: 2
"""


def test_former_keys_are_read_and_have_their_lines(tmp_path):
    (tmp_path / "old.yaml").write_text(OLD)
    loaded = load(tmp_path / "old.yaml")
    assert loaded.campaign.train.committee_size == 5
    assert loaded.campaign.evaluate.workers == 2
    assert loaded.source(("train", "committee_size")).endswith("old.yaml:3")
    assert loaded.source(("evaluate", "workers")).endswith("old.yaml:5")
    (tmp_path / "bad.yaml").write_text(OLD.replace("committee: 5", "committee: 1"))
    line = r"/bad\.yaml:3: train\.committee_size must be at least 2, not 1;"
    with pytest.raises(InputError, match=line):
        load(tmp_path / "bad.yaml")


def test_both_names_of_a_key_are_refused(tmp_path):
    (tmp_path / "c.yaml").write_text(OLD.replace("committee: 5", "committee: 5, committee_size: 4"))
    with pytest.raises(InputError) as failed:
        load(tmp_path / "c.yaml")
    assert "'committee' is the former name of 'committee_size'" in str(failed.value)
    assert "c.yaml:3" in str(failed.value)


def test_a_stored_campaign_is_the_same_campaign():
    now = Campaign.model_validate(
        {"train": {"committee_size": 5}, "evaluate": {"workers": 2, "max_atoms": 64}}
    )
    stored = now.model_dump(mode="json")
    for (section, old), new in former_names().items():
        stored[section][old] = stored[section].pop(new)
    assert "committee" in stored["train"]
    assert Campaign.model_validate(stored) == now


def test_workers_change_no_number():
    decisive, practical = EvaluateSettings(jobs=3).parted()
    assert decisive == {"dtype": "float32"}
    assert practical["workers"] == 3


def test_a_rehearsal_changes_a_key_by_both_names(tmp_path):
    (tmp_path / "old.yaml").write_text(OLD)
    for key in ("train.committee", "train.committee_size"):
        assert arms.load(tmp_path / "old.yaml", {key: 3}).campaign.train.committee_size == 3
