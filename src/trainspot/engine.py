"""What every engine declares: its program, its extra, and its remarks before a campaign.

Label engines, trainers and explorers inherit from ``Engine``. No list names them: the set-up asks
every engine for its program, the check asks the chosen engines for their remarks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal

from trainspot.common import plugins
from trainspot.common.contracts import Contract
from trainspot.common.errors import InputError, MissingExtraError
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame

COMMAND: Final = "trainspot"
"""Our command line, through which engines without a program of their own run."""


@dataclass(frozen=True)
class Remark:
    """One remark for the user.

    Attributes:
        level: An ``error`` stops the campaign, a ``warning`` does not, a ``note`` only informs.
        text: What, where, what to do.
    """

    level: Literal["error", "warning", "note"]
    text: str


@dataclass(frozen=True)
class Program:
    """A program, and the AiiDA code that stands for it.

    Attributes:
        label: Label of the code that ``trainspot setup`` creates.
        executable: Name of the file.
        calculation: AiiDA calculation that runs the program by default.
        module: Python module that a Python program needs.
        probe: Arguments with which the program prints a text and ends.
        says: Part of that text.
        is_quick: Whether this run takes less than a second or two.
        remedy: How to install the program; empty: the pip line of the engine.
    """

    label: str
    executable: str
    calculation: str = ""
    module: str = ""
    probe: tuple[str, ...] = ("--help",)
    says: str = "sage"
    is_quick: bool = True
    remedy: str = ""


@dataclass(frozen=True)
class Preflight:
    """Facts about a campaign before it uses any resources.

    Attributes:
        settings: Settings of the engine, an instance of its ``Settings``.
        inputs: The initial frames of the campaign, with or without labels.
        here: Whether the engine runs in this installation of Python; then a module that cannot be
            imported here is missing.
        unlabelled: Yields the frames that must be labelled according to the campaign file and the
            augmentation, as far as they are known at once: input frames and isolated atoms.
    """

    settings: Any
    inputs: Dataset
    here: bool
    unlabelled: Callable[[], Iterable[Frame]]


class Engine(Contract, abstract=True):
    """Base of the base classes for label engines, trainers and explorers.

    Attributes:
        group: The entry-point group.
        name: Name in this group.
        default_code: AiiDA code that runs the engine unless the user names another code.
        extra: Extra of the engine's own package that installs its modules and programs; empty if
            the package installs them.
        pool_setting: Name of the setting with the file of frames that the engine works on; empty
            for an engine without such a file. A campaign reads the path relative to its own file,
            stores the frames once, and gives them to the engine; see ``trainspot.io.pool``.
    """

    group: ClassVar[str]
    name: ClassVar[str]
    default_code: ClassVar[str]
    extra: ClassVar[str] = ""
    pool_setting: ClassVar[str] = ""
    Settings: ClassVar[type[Any]]

    @classmethod
    def program(cls) -> Program | None:
        """The program of the engine; ``None`` for one that runs through our command line."""
        return None

    @classmethod
    def preflight(cls, facts: Preflight) -> Iterator[Remark]:
        """Remarks on a campaign with this engine before it uses any resources.

        Fast, and without exceptions: a fault is a remark with the level ``error``.

        Args:
            facts: Settings and frames of the campaign.
        """
        del facts
        yield from ()

    @classmethod
    def missing(cls, part: str) -> InputError:
        """The error that says how to install a missing part of this engine.

        Args:
            part: In words, such as "the program 'lmp'".
        """
        if not cls.extra:
            return InputError(f"{part} is not installed", hint="install it and put it on PATH")
        package = plugins.package_of(cls.group, cls.name)
        return MissingExtraError(part, cls.extra, package=package)
