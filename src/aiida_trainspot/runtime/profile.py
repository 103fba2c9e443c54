"""Which AiiDA installation and profile a command works with; settled before AiiDA is imported.

``AIIDA_PATH`` counts if it is set. Otherwise a profile that the user names is looked up in AiiDA's
usual place, and without a name everything lives in a place of our own, so that a first campaign
neither needs nor disturbs anything: ``$TRAINSPOT_HOME``, or ``~/.local/share/trainspot``.
"""

from __future__ import annotations

import os
import sys
from functools import wraps
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from aiida_trainspot.runtime.patience import AGAIN, Answering, within
from trainspot.common.errors import InputError, MissingExtraError, RunError, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiida.manage.configuration.profile import Profile

PROFILE: Final = "trainspot"
"""Name of the profile that ``trainspot setup`` makes."""

_CONFIG: Final = ".aiida"
_PATIENCE: Final = 20.0
"""Seconds the database may take to answer."""


def home() -> Path:
    """Where trainspot keeps its own Quantum ESPRESSO, and by default AiiDA's folder."""
    return Path(os.environ.get("TRAINSPOT_HOME") or "~/.local/share/trainspot").expanduser()


def choose(name: str | None, *, create: bool = False) -> str:
    """Settle ``AIIDA_PATH`` and the name of the profile; imports nothing of AiiDA.

    Args:
        name: What the user asked for, if anything.
        create: Whether the folder may be made.

    Raises:
        MissingExtraError: AiiDA is not installed.
        InputError: Nothing has been set up yet.
    """
    if find_spec("aiida") is None:
        raise MissingExtraError("AiiDA", "aiida")
    # AiiDA starts its daemon with the ``verdi`` on PATH: let it be the one beside this Python.
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    if "AIIDA_PATH" not in os.environ and name is None:
        os.environ["AIIDA_PATH"] = str(home())
    first = os.environ.get("AIIDA_PATH", "~").split(os.pathsep)[0]
    folder = Path(first).expanduser()
    folder = folder if folder.name == _CONFIG else folder / _CONFIG
    if create:
        folder.mkdir(parents=True, exist_ok=True)
    elif not folder.is_dir():
        raise InputError("no AiiDA profile", where=str(folder), hint="run: trainspot setup")
    return name or PROFILE


def load(name: str | None = None) -> Profile:
    """Load the profile a command works with; one that is loaded already stays.

    Raises:
        MissingExtraError: AiiDA is not installed.
        InputError: Nothing has been set up yet, or no such profile, or its database is not there.
        RunError: Its database does not answer.
    """
    if "aiida" in sys.modules:
        from aiida.manage import get_manager

        current = get_manager().get_profile()
        if current is not None and name in (None, current.name):
            return current
    wanted = choose(name)
    from aiida import load_profile
    from aiida.common.exceptions import AiidaException
    from aiida.manage import get_config

    names = get_config(create=True).profile_names
    if wanted not in names:
        if name is None:
            raise InputError(f"no AiiDA profile '{wanted}'", hint="run: trainspot setup")
        raise UnknownNameError("profile", wanted, names)
    try:
        profile = load_profile(wanted, allow_switch=True)
    except AiidaException as error:
        raise InputError(f"the profile cannot be loaded ({error})", where=wanted) from error
    open_storage(profile)
    return profile


def open_storage(profile: Profile) -> None:
    """Connect to the database of the loaded profile, in a bounded time.

    Raises:
        InputError: It belongs to another version of AiiDA, or is damaged.
        RunError: It does not answer.
    """
    from aiida.common.exceptions import AiidaException, UnreachableStorage
    from aiida.manage import get_manager
    from sqlalchemy.exc import SQLAlchemyError

    def ask() -> str:
        get_manager().get_profile_storage()
        return ""

    try:
        silence = within(_PATIENCE, ask)
    except (UnreachableStorage, SQLAlchemyError, OSError) as error:
        silence = str(error).strip().partition("\n")[0]
    except AiidaException as error:
        what = f"the database of the profile cannot be used ({error})"
        raise InputError(what, where=profile.name) from error
    if silence:
        what = f"the database does not answer ({silence})"
        raise RunError(what, where=profile.name, hint=AGAIN)


def profile_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """The option ``--profile`` of the commands that need AiiDA, whose services may not answer."""
    import click

    @wraps(function)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        with Answering():
            return function(*args, **kwargs)

    return click.option(
        "-p",
        "--profile",
        envvar="TRAINSPOT_PROFILE",
        help=f"AiiDA profile. Default: '{PROFILE}', which trainspot setup makes.",
    )(guarded)


def open_campaigns() -> list[Any]:
    """The campaigns that have not ended."""
    from aiida.orm import QueryBuilder, WorkChainNode

    filters = {
        "attributes.process_label": "TrainsPotWorkChain",
        "attributes.process_state": {"in": ["created", "waiting", "running"]},
    }
    return QueryBuilder().append(WorkChainNode, filters=filters).all(flat=True)
