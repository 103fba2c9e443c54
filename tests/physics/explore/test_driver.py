"""``trainspot-lmp``: ordinary decks in, clear refusals, exit statuses, no mpirun."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from trainspot.common.errors import InputError
from trainspot.data.frames import Frame
from trainspot.explore.deck import BEGIN, names_of
from trainspot.explore.driver import execute
from trainspot.explore.lammps import LammpsExplorer, LammpsSettings, Output
from trainspot.explore.steps import Command, Directive, Section, parse, sections

PLAIN = """
units lj
lattice fcc 0.8
region box block 0 2 0 2 0 2
create_box 1 box
create_atoms 1 box
mass 1 1.0
pair_style lj/cut 2.5
pair_coeff 1 1 1.0 1.0
variable steps equal 10
run ${steps}
variable i loop 2
label again
run 5
next i
jump SELF again
"""


def test_commands_and_directives_are_read():
    deck = (
        "# a comment\n"
        "units metal\n"
        "# trainspot model=a.toy kind=toy elements=Si,C dtype=float32\n"
        "pair_coeff * * &\n"
        "   zero\n"
        'print """two\nlines"""\n'
        "  \n"
        "# about trainspot and its model\n"
        "run 5 # and so on\n"
    )
    assert parse(deck) == [
        Command(2, "units metal"),
        Directive(3, "a.toy", ("Si", "C"), kind="toy", dtype="float32"),
        Command(4, "pair_coeff * *     zero"),
        Command(6, 'print """two\nlines"""'),
        Command(10, "run 5 # and so on"),
    ]


@pytest.mark.parametrize(
    ("deck", "message"),
    [
        ("# trainspot model=a", "deck:1: elements= is missing"),
        ("\n# trainspot model=a elements=Si colour=red", "deck:2: cannot understand 'colour=red'"),
        ("# trainspot model= elements=Si", "cannot understand 'model='"),
        ("run 1 &", "deck:1: the last command is not finished"),
        ('print """x', "not finished"),
    ],
)
def test_what_cannot_be_understood_is_refused(deck, message):
    with pytest.raises(InputError, match=message):
        parse(deck)


@pytest.mark.parametrize(
    "command", ["jump SELF a", "label a", "next i", 'if "1 > 0" then "run 1"', "include x.in"]
)
def test_moving_in_the_deck_is_refused_with_its_line(command):
    deck = f"# trainspot model=a elements=Si\nunits metal\n{command}\n"
    with pytest.raises(InputError, match=rf"deck:3: '{command.split()[0]}' cannot be used"):
        sections(parse(deck))


def test_a_file_name_may_contain_spaces():
    (step,) = parse("# trainspot model='my model.toy' elements=Si")
    assert step.model == "my model.toy"
    with pytest.raises(InputError, match="deck:1: cannot understand"):
        parse("# trainspot model='my model.toy elements=Si")


def test_a_second_model_needs_a_clear():
    line = "# trainspot model=a elements=Si\n"
    assert len(sections(parse(f"{line}run 1\nclear\n{line}run 1\n"))) == 2
    with pytest.raises(InputError, match="deck:3: a second model"):
        sections(parse(f"{line}run 1\n{line}"))


@pytest.fixture
def trainspot_lmp(tmp_path):
    """Runs the installed program, without any help from the environment."""
    program = Path(sys.executable).with_name("trainspot-lmp")
    environment = {k: v for k, v in os.environ.items() if k != "LD_LIBRARY_PATH"}
    environment["OMP_NUM_THREADS"] = "1"

    def run(*arguments, stdin=None):
        return subprocess.run(
            [program, *arguments],
            cwd=tmp_path,
            env=environment,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.mark.engine
def test_help_and_arguments_that_lammps_refuses(trainspot_lmp):
    done = trainspot_lmp("--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "# trainspot model=FILE elements=" in done.stdout
    done = trainspot_lmp("-nonsense", stdin="")
    assert done.returncode == 2
    assert done.stderr.endswith(
        "trainspot-lmp: LAMMPS refuses '-nonsense'; see trainspot-lmp --help\n"
    )
    assert "Traceback" not in done.stderr


def test_the_reason_that_the_driver_prints_is_that_of_the_run(argon, one_run):
    run, printed = one_run(argon), []

    class Refusing:
        """A LAMMPS that knows no ``run``."""

        def command(self, text):
            if text.startswith("run "):
                raise Exception("ERROR: no such command")  # noqa: TRY002  (as its wrapper)
            if text.startswith('print "'):
                printed.append(text[7:-1])

    section = Section(commands=[Command(3, "run 5")])
    begin = f"{BEGIN} {names_of(run).label}"
    assert execute([section], Refusing()) == ["deck:3: 'run': no such command"]
    outcome = Output.read("\n".join([begin, *printed])).outcome(run)
    assert outcome.failure == "'run': no such command"


@pytest.mark.engine
def test_a_deck_of_ours_runs_with_a_model_from_a_file(trainspot_lmp, tmp_path, toy_model, one_run):
    path, frame = toy_model
    run = one_run(frame, ensemble="nve", time=0.02, sample=0.01)
    LammpsExplorer.write_inputs(tmp_path, frame, run, LammpsSettings(), str(path), "toy")
    done = trainspot_lmp(*LammpsExplorer.arguments(), "-log", "here.log")
    assert (done.returncode, done.stderr) == (0, "")
    (tmp_path / "lammps.out").write_text(done.stdout)
    kept, failure = LammpsExplorer.frames(tmp_path, frame, run)
    assert (len(kept), failure) == (2, None)
    assert (tmp_path / "here.log").is_file()
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith("log.")] == []


@pytest.mark.engine
def test_a_deck_without_a_model_is_plain_lammps(trainspot_lmp, tmp_path):
    (tmp_path / "plain.in").write_text(PLAIN.replace("equal 10", "index 10"))
    done = trainspot_lmp("-in", "plain.in", "-var", "steps", "7", "-log", "none")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("Loop time") == 3
    assert "for 7 steps" in done.stdout
    again = trainspot_lmp("-log", "none", "-screen", "none", stdin="units metal\n")
    assert (again.returncode, again.stdout) == (0, "")


@pytest.mark.engine
@pytest.mark.parametrize(
    ("deck", "status", "message"),
    [
        ("unots metal\n", 1, "Unknown command: unots metal"),
        (
            "# trainspot model=no.toy elements=Si\nrun 1",
            2,
            "deck.in:1: no.toy: no such model",
        ),
        ("# trainspot model=no.toy elements=Si\nunots metal\n", 1, "deck.in:2: 'unots': Unknown"),
        ("# trainspot model=no.toy elements=Si\nlabel x\n", 2, "deck.in:2: 'label' cannot"),
    ],
)
def test_errors_are_one_line_with_a_status(trainspot_lmp, tmp_path, deck, status, message):
    (tmp_path / "deck.in").write_text(deck)
    done = trainspot_lmp("-in", "deck.in", "-log", "none")
    assert done.returncode == status
    assert done.stderr.startswith("trainspot-lmp: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.engine
def test_an_element_the_model_does_not_know_is_refused(trainspot_lmp, tmp_path, toy_model, one_run):
    path, frame = toy_model
    other = Frame.make([79, *frame.numbers[1:]], frame.positions, frame.cell, True)
    run = one_run(other)
    LammpsExplorer.write_inputs(tmp_path, other, run, LammpsSettings(), str(path), "toy")
    done = trainspot_lmp("-in", "input.in", "-log", "none")
    assert done.returncode == 2
    assert "the model does not know Au" in done.stderr


@pytest.mark.engine
def test_no_such_deck(trainspot_lmp):
    done = trainspot_lmp("-in", "nothing.in")
    assert (done.returncode, done.stderr) == (2, "trainspot-lmp: nothing.in: cannot be read\n")
