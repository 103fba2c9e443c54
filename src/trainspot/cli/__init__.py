"""The command ``trainspot``: every command is a module, and is imported only when it is called.

Commands without AiiDA are modules of this package, found by name. Commands that need AiiDA come
from the entry-point group ``trainspot.commands``. The overview takes its help texts from the
docstrings of the modules without importing them, so that ``trainspot --help`` is instant.
"""

from __future__ import annotations

import ast
import os
import traceback
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any, Final

import click

from trainspot.cli import _messages
from trainspot.common.errors import MissingExtraError, RunError, TrainspotError, UnknownNameError
from trainspot.common.plugins import extra_for

if TYPE_CHECKING:
    from collections.abc import Iterator

GROUP = "trainspot.commands"
"""Entry-point group of the commands that need AiiDA."""

_NOT_COMMANDS = {"options", "progress"}

# The order in which a campaign uses them; all others follow in alphabetical order.
_ORDER = (
    *("setup", "init", "config", "rehearse", "check", "run", "status", "stop", "report", "why"),
    *("map", "export"),
    *("augment", "split", "label", "train", "explore", "evaluate", "calibrate", "select"),
    *("inspect", "convert"),
)
_HIDDEN = {"train-member"}
_NOT_STAGES = {"init", "config", "map", "rehearse"}

FORMER: Final = {"md": "explore"}
"""Former names of commands, which are accepted for one release, and today's."""


class _OneLine(click.ClickException):
    """An error that is shown as one line, or with its traceback if asked for."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(" ".join(message.split()))
        self.exit_code = exit_code


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called; see the module's docstring."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All command names, in the order in which a campaign uses them."""
        del ctx
        names = {*_modules(), *(point.name for point in entry_points(group=GROUP))}
        rank = {name: place for place, name in enumerate(_ORDER)}
        return sorted(names, key=lambda name: (rank.get(name, len(rank)), name))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command; ``None`` if there is no such command."""
        del ctx
        if cmd_name in _modules():
            module = cmd_name.replace("-", "_")
            command = getattr(import_module(f"{__name__}.{module}"), module)
        else:
            points = [point for point in entry_points(group=GROUP) if point.name == cmd_name]
            if not points:
                return None
            command = points[0].load()
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that ``args`` name, which may be a former name; else an error.

        Raises:
            UnknownNameError: No such command; the message offers the nearest name.
        """
        if args and args[0] in FORMER:
            old, new = args[0], FORMER[args[0]]
            _messages.note(f"`trainspot {old}` is now called `trainspot {new}`")
            args = [new, *args[1:]]
        names = set(self.list_commands(ctx))
        if args and args[0] not in names:
            raise UnknownNameError("command", args[0], names - _HIDDEN)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The overview in two sections, from docstrings alone."""
        names = [name for name in self.list_commands(ctx) if name not in _HIDDEN]
        stages = {*_modules()} - _NOT_STAGES
        for title, chosen in (
            ("Campaigns", [n for n in names if n not in stages]),
            ("One stage, on files, without AiiDA", [n for n in names if n in stages]),
        ):
            if not chosen:
                continue
            with formatter.section(title):
                formatter.write_dl([(name, _summary(name)) for name in chosen])

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **kw: Any
    ) -> click.Context:
        """Parse the group's own options; errors are one line."""
        with _one_line(), _messages.read():
            return super().make_context(info_name, args, parent, **kw)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; errors are one line and carry their exit status."""
        with_traceback = bool(ctx.params.get("traceback"))
        with _one_line(with_traceback=with_traceback), _messages.read(), _messages.shown():
            return super().invoke(ctx)


@contextmanager
def _one_line(*, with_traceback: bool = False) -> Iterator[None]:
    try:
        yield
    except TrainspotError as error:
        failure = _OneLine(str(error), error.exit_code)
        cause: Exception = error
    except click.exceptions.NoArgsIsHelpError:
        raise
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else "trainspot"
        failure = _OneLine(f"{error.format_message()} See '{path} --help'.", error.exit_code)
        cause = error
    except ModuleNotFoundError as error:
        extra = extra_for(error)
        if extra is None:
            raise
        missing = MissingExtraError(f"{error.name}", extra)
        failure = _OneLine(str(missing), missing.exit_code)
        cause = error
    except OSError as error:  # a full disk, a folder without permission: not our bug, one line
        if error.errno is None:
            raise
        place = f"{error.filename}: " if error.filename is not None else ""
        failure = _OneLine(place + os.strerror(error.errno), RunError.exit_code)
        cause = error
    else:
        return
    if with_traceback:
        click.echo("".join(traceback.format_exception(cause)), err=True, nl=False)
    raise failure from cause


def _modules() -> list[str]:
    names = [info.name for info in iter_modules(__path__) if not info.name.startswith("_")]
    return [name.replace("_", "-") for name in names if name not in _NOT_COMMANDS]


def _summary(name: str) -> str:
    """The first line of the docstring of a command's module, which is not imported."""
    if name in _modules():
        source = Path(__path__[0], f"{name.replace('-', '_')}.py")
    else:
        point = next(point for point in entry_points(group=GROUP) if point.name == name)
        try:
            spec = find_spec(point.module)
        except ModuleNotFoundError:
            spec = None
        if spec is None or spec.origin is None:
            return ""
        source = Path(spec.origin)
    docstring = ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))) or ""
    line = docstring.partition("\n")[0].rstrip(".")
    return line.rpartition("``: ")[2]


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--traceback", is_flag=True, help="With an error, print the Python traceback.")
@click.version_option(package_name="trainspot", message="%(package)s %(version)s")
def main(traceback: bool) -> None:
    """Active learning of interatomic potentials.

    A campaign starts from a few structures. It labels frames by DFT, trains a committee of
    potentials, explores with molecular dynamics, and labels the frames where the committee is
    uncertain.
    """
