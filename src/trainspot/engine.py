"""What every engine says of itself: its program, what brings it, and what it foresees.

Label engines, trainers and explorers inherit from ``Engine``. No list names them: the set-up asks
each for its program, the check asks the chosen ones what they foresee.
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
    """One thing the user should know.

    Attributes:
        level: An ``error`` stops the campaign; a ``warning`` does not; a ``note`` asks for nothing.
        text: What, where, what to do.
    """

    level: Literal["error", "warning", "note"]
    text: str


@dataclass(frozen=True)
class Program:
    """A program, and the AiiDA code that stands for it.

    Attributes:
        label: Label of the code that ``trainspot setup`` makes.
        executable: Name of the file.
        calculation: AiiDA calculation that runs it by default.
        module: Python module it needs, if it is a Python program.
        probe: Arguments that make it say something and end.
        says: What it then says.
        is_quick: Whether that takes less than a second or two.
        remedy: What brings it; empty: the pip line of the engine.
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
    """What is known of a campaign before it spends anything.

    Attributes:
        settings: Those of the engine that is asked, an instance of its ``Settings``.
        inputs: The frames the campaign starts from, labelled or not.
        here: The engine runs in this installation of Python, so that what cannot be imported here
            is missing.
        unlabelled: Makes the frames that the file and the augmentation say must be labelled, as
            far as they are known at once: given ones and isolated atoms.
    """

    settings: Any
    inputs: Dataset
    here: bool
    unlabelled: Callable[[], Iterable[Frame]]


class Engine(Contract, abstract=True):
    """Base of the base classes of label engines, trainers and explorers.

    Attributes:
        group: The entry-point group.
        name: Name in it.
        default_code: AiiDA code that runs it unless the user names another.
        extra: Extra of the engine's own package that brings what it imports or runs; empty where
            the package brings it.
    """

    group: ClassVar[str]
    name: ClassVar[str]
    default_code: ClassVar[str]
    extra: ClassVar[str] = ""

    @classmethod
    def program(cls) -> Program | None:
        """The program of the engine; ``None`` for one that runs through our command line."""
        return None

    @classmethod
    def preflight(cls, facts: Preflight) -> Iterator[Remark]:
        """What can be said of a campaign with this engine before anything is spent.

        Fast, and without an exception: what is wrong is an error among the remarks.

        Args:
            facts: What is known.
        """
        del facts
        yield from ()

    @classmethod
    def missing(cls, part: str) -> InputError:
        """The error that says what brings a part of this engine that is not there.

        Args:
            part: In words, such as "the program 'lmp'".
        """
        if not cls.extra:
            return InputError(f"{part} is not installed", hint="install it and put it on PATH")
        package = plugins.package_of(cls.group, cls.name)
        return MissingExtraError(part, cls.extra, package=package)
