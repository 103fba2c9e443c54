"""The command group: lazy, one-line errors, exit statuses, what starts fast."""

from __future__ import annotations

import json
from importlib.metadata import entry_points

import click
import pytest
from ase.build import bulk
from ase.io import write
from click.testing import CliRunner

from trainspot import cli
from trainspot.cli import main
from trainspot.cli.options import config_option, given, output_option, seed_option
from trainspot.common.errors import DataError, InputError, RunError


def failing(error):
    @click.command("fail")
    def command():
        raise error

    return command


@pytest.fixture
def invoke(monkeypatch):
    """Invoke ``trainspot`` with an extra command that does what a test wants."""

    def run(command, *args):
        monkeypatch.setattr(cli, "_modules", lambda: ["fail"])
        monkeypatch.setattr(cli, "import_module", lambda _: type("Module", (), {"fail": command}))
        return CliRunner().invoke(main, args)

    return run


# ── start-up ──────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("argv", [["--help"], ["--version"], ["config", "--help"]])
def test_help_imports_nothing_heavy(argv, blocked):
    done = blocked({"aiida", "ase", "h5py", "mace", "matplotlib", "pydantic", "torch"}, *argv)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_help_lists_every_command_with_its_summary():
    text = CliRunner().invoke(main, ["--help"]).output
    rows = {
        line.split()[0]: line.split()[1:] for line in text.splitlines() if line.startswith("  ")
    }
    names = [point.name for point in entry_points(group=cli.GROUP)]
    assert {"init", "config", *names} <= rows.keys()
    assert all(rows[name] for name in ("init", "config", "setup", "check", "run", "status", "stop"))
    assert text.index("Campaigns:") < text.index("  init") < text.index("One stage, on files")


def test_every_command_of_ours_can_be_loaded_and_explains_itself():
    ctx = click.Context(main)
    for name in cli._modules():
        command = main.get_command(ctx, name)
        assert command is not None, name
        assert command.get_short_help_str(), name


@pytest.mark.parametrize("name", ["run", "status"])
def test_without_aiida_the_pip_line_answers(name, tmp_path, blocked):
    write(tmp_path / "si.cif", bulk("Si", cubic=True))
    (tmp_path / "c.yaml").write_text("structures: [si.cif]\n")
    argv = [str(tmp_path / "c.yaml")] if name == "run" else []
    done = blocked({"aiida"}, name, *argv)
    assert done.returncode == 2
    assert done.stderr.startswith("Error: ")
    assert done.stderr.endswith(" is not installed; run: pip install 'trainspot[aiida]'\n")
    assert done.stderr.count("\n") == 1


def test_config_works_without_aiida(tmp_path, blocked):
    path = tmp_path / "campaign.yaml"
    path.write_text("name: x\nstructures: [a.cif]\n")
    done = blocked({"aiida", "torch", "mace"}, "config", "show", "--json", str(path))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["campaign"]["name"] == "x"


# ── errors ────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (
            InputError("is wrong", where="a.yaml:3", hint="do this"),
            2,
            "a.yaml:3: is wrong; do this",
        ),
        (DataError("is damaged"), 2, "is damaged"),
        (RunError("has failed"), 1, "has failed"),
        (RunError("two\nlines"), 1, "two lines"),
        (PermissionError(13, "Permission denied", "/x/y"), 1, "/x/y: Permission denied"),
        (
            ModuleNotFoundError("no", name="aiida_pseudo"),
            2,
            "pip install 'trainspot[quantumespresso]'",
        ),
    ],
)
def test_errors_are_one_line_with_their_exit_status(error, status, line, invoke):
    result = invoke(failing(error), "fail")
    assert result.exit_code == status
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    assert line in result.stderr
    assert result.stderr.count("\n") == 1


def test_traceback_shows_where_an_error_comes_from(invoke):
    result = invoke(failing(RunError("has failed")), "--traceback", "fail")
    assert result.exit_code == 1
    assert "in command" in result.stderr
    assert result.stderr.endswith("Error: has failed\n")


@pytest.mark.parametrize("error", [ValueError("a bug"), OSError("a bug"), ModuleNotFoundError("x")])
def test_bugs_are_not_hidden(error, invoke):
    assert invoke(failing(error), "fail").exception is error


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (["chekc"], "Error: unknown command 'chekc'; did you mean 'check'?\n"),
        (["--bogus"], "Error: No such option: --bogus See 'trainspot --help'.\n"),
        (["init"], "Error: Missing argument 'STRUCTURES...'. See 'trainspot init --help'.\n"),
    ],
)
def test_misuse_is_one_line(argv, line):
    result = CliRunner().invoke(main, argv, prog_name="trainspot")
    assert result.exit_code == 2
    assert result.stderr == line


def test_version():
    assert CliRunner().invoke(main, ["--version"]).output.startswith("trainspot 0.")


# ── shared options ────────────────────────────────────────────────────────────
@click.command("train")
@click.option("--engine", default="mace")
@click.option("--committee-size", default=0)
@config_option
@seed_option
def training(engine, committee_size, config, seed):
    name = config.name if config else None
    click.echo(json.dumps([engine, committee_size, name, seed, given("engine")]))


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ([], ["mace", 0, None, 0, False]),
        (["--config", "c.yaml"], ["toy", 5, "mine", 7, False]),
        (["--config", "c.yaml", "--engine", "mace"], ["mace", 5, "mine", 7, True]),
        (["--engine", "mace", "--seed", "1", "--config", "c.yaml"], ["mace", 5, "mine", 1, True]),
    ],
)
def test_a_campaign_file_gives_defaults_and_the_command_line_wins(
    argv, expected, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    text = "name: mine\nseed: 7\ntrain: {engine: toy, committee_size: 5}\n"
    (tmp_path / "c.yaml").write_text(text)
    result = CliRunner().invoke(training, argv)
    assert json.loads(result.output) == expected


def test_an_output_without_a_folder_is_refused_before_anything_is_computed(tmp_path):
    computed = []

    @click.command()
    @output_option
    def stage(output):
        computed.append(output)

    result = CliRunner().invoke(stage, ["-o", str(tmp_path / "none" / "a.h5")])
    assert isinstance(result.exception, InputError)
    assert "no such folder" in str(result.exception)
    assert computed == []
