"""``trainspot label``: energies, forces and stresses by an ASE calculator, or from a file."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trainspot import io
from trainspot.cli import _messages
from trainspot.cli.options import config_option, given, output_option, workers_option
from trainspot.common.errors import InputError, RunError
from trainspot.common.text import counted
from trainspot.common.validation import parse_settings
from trainspot.config import document
from trainspot.data.dataset import Dataset
from trainspot.data.failure import reason_of
from trainspot.label import base, calculators, journal

if TYPE_CHECKING:
    from trainspot.config.models import Campaign
    from trainspot.data.frames import Frame

FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("frames", type=click.Path(path_type=Path))
@click.option(
    "--engine", default="ase", show_default=True, help="Label engine that runs in Python."
)
@click.option(
    "--calculator",
    help="Calculator of the engine ase: a name such as tblite, or module:Class. Append "
    ":KEY=VALUE,… to set its parameters.",
)
@click.option(
    "--settings", "settings_file", type=FILE, help="Settings of the engine, JSON or YAML."
)
@click.option(
    "--pool",
    type=FILE,
    help="File of labelled frames for the engine pool, which looks labels up by frame id.",
)
@workers_option("Processes that label at the same time, one frame each.")
@click.option(
    "--failures", "failures_file", type=FILE, help="Write the failed frames to this file."
)
@click.option(
    "--journal",
    "journal_file",
    type=FILE,
    help="Save each label to this file at once. After a crash, run the same command again: it "
    "continues from this file.",
)
@click.option(
    "--mix-theories", is_flag=True, help="Allow labels of another level of theory in the output."
)
@output_option
@config_option
def label(
    frames: Path,
    engine: str,
    workers: int,
    mix_theories: bool,
    output: Path,
    config: Campaign | None,
    **more: Any,
) -> None:
    """Label the frames of FRAMES that have no energy or no forces.

    Equal frames are computed once. With --failures, failed frames go to that file with the reason;
    without it they stay in the output unlabelled.
    """
    failures_file, journal_file = more["failures_file"], more["journal_file"]
    _check_files(frames, output, failures_file, journal_file)
    runner, settings = _engine(
        engine, more["calculator"], more["settings_file"], more["pool"], config
    )
    theory, former = runner.theory(settings), base.former_theories(runner, settings)
    notes: list[str] = []
    dataset = base.renamed(io.read(frames), former, theory)
    dataset = io.merged(dataset, str(frames), tell=notes.append)
    todo = dataset.unlabelled()
    if len(todo) and not mix_theories:
        _refuse_mixture(dataset, theory, frames)
    if partial := sum(bool(frame.labels) for frame in todo):
        notes.append(
            f"{counted(partial, 'frame')} had only an energy or only forces: computed again"
        )
    earlier = Dataset.from_frames([])
    if journal_file is not None and journal_file.exists():
        earlier = journal.read(journal_file, todo, theory, former).labelled
        notes.append(f"{counted(len(earlier), 'label')} taken from the journal {journal_file}")
    labels = io.counts(dataset)
    result = _run(runner, todo.without(earlier.ids), settings, workers, journal_file)
    for note in notes:
        _messages.note(note)
    labelled = Dataset.concatenate([earlier, result.labelled])
    if failures_file is None:  # a failed frame stays in the output, unchanged
        io.write(base.merged(dataset, labelled, Dataset.from_frames([])), output)
    else:
        io.write(base.merged(dataset, labelled, result.failures), output)
        io.write(result.failures, failures_file)
    if journal_file is not None:
        journal_file.unlink()
    io.tell_counts(labels, frames)
    _report(len(labelled), len(dataset) - len(todo), result.failures, output, failures_file)


def _refuse_mixture(dataset: Dataset, theory: str, where: Path) -> None:
    """Refuse labels of two levels of theory before any calculation.

    Raises:
        InputError: The frames have labels of another level of theory.
    """
    if foreign := [
        f"'{name}'" if name else "not named" for name in dataset.theories if name != theory
    ]:
        raise InputError(
            f"has labels of another level of theory ({', '.join(foreign)}) than the new labels "
            f"('{theory}'); a potential must not be trained on both",
            where=str(where),
            hint="put the unlabelled frames into a file of their own, or give --mix-theories",
        )


def _check_files(
    frames: Path, output: Path, failures: Path | None, journal_file: Path | None
) -> None:
    """Refuse files that cannot be written, and one file name for two outputs."""
    for path in filter(None, (output, failures)):
        io.check_output(path)
    if journal_file is not None and not journal_file.absolute().parent.is_dir():
        raise InputError("no such folder", where=str(journal_file.parent), hint="make it first")
    pairs = ((output, failures, "--failures"), (output, journal_file, "--journal"),
             (frames, journal_file, "--journal"), (failures, journal_file, "--journal"),
             (frames, failures, "--failures"))  # fmt: skip
    for first, second, option in pairs:
        if first is not None and second is not None and first.resolve() == second.resolve():
            raise InputError(
                "is the name of another file of this command",
                where=f"{option} {second}",
                hint="give another name",
            )


def _engine(
    engine: str,
    calculator: str | None,
    settings_file: Path | None,
    pool: Path | None,
    config: Campaign | None,
) -> tuple[base.FrameEngine, Any]:
    """The engine and its settings: file over campaign, command line over both."""
    runner = base.engine(engine)
    if not issubclass(runner, base.FrameEngine):
        raise InputError(
            f"the engine '{engine}' runs only in a campaign",
            hint="use trainspot run",
        )
    same = config is not None and config.label.engine == engine
    raw: dict[str, Any] = config.label.settings.model_dump() if config and same else {}
    raw |= document.read(settings_file).data if settings_file else {}
    if calculator is not None and (given("calculator") or "calculator" not in raw):
        raw["calculator"], parameters = calculators.parse(calculator, "--calculator")
        raw |= {"parameters": parameters} if parameters else {}
    if pool is not None:
        if not runner.pool_setting:
            raise InputError(f"the engine '{engine}' looks no labels up", where="--pool")
        raw[runner.pool_setting] = str(pool)
    if "calculator" in runner.Settings.model_fields and "calculator" not in raw:
        names = ", ".join(calculators.NAMES)
        raise InputError("no calculator", hint=f"give --calculator: {names}, or module:Class")
    return runner(), parse_settings(runner.Settings, raw, where=str(settings_file or "settings"))


def _run(
    runner: base.FrameEngine, todo: Dataset, settings: Any, workers: int, kept: Path | None
) -> base.LabelResult:
    """Label, with progress on a terminal, and each frame in the journal as soon as it is done."""
    stderr = click.get_text_stream("stderr")
    with ExitStack() as stack:
        bar = stack.enter_context(
            click.progressbar(length=len(todo), file=stderr, hidden=not stderr.isatty())
        )
        stream = stack.enter_context(journal.opened(kept)) if kept is not None else None

        def keep(frame: Frame) -> None:
            if stream is not None:
                journal.add(stream, frame)
            bar.update(1)

        return runner.label(todo, settings, workers=workers, done=keep)


def _report(
    labelled: int, before: int, failures: Dataset, output: Path, failures_file: Path | None
) -> None:
    had = f" ({before} had labels already)" if before else ""
    click.echo(f"{counted(labelled, 'frame')} labelled{had}, {len(failures)} failed: {output}")
    for first in failures[:1]:
        formula = first.to_atoms().get_chemical_formula()
        where, reason = f"frame {first.id[:12]} ({formula})", reason_of(first)
        if not labelled:
            raise RunError("no frame could be labelled", where=where, hint=reason)
        _messages.say(f"first failure: {where}: {reason}")
        if failures_file is None and len(failures) > 1:
            _messages.say("to see the reason of each failure, give --failures FILE")
