"""The AiiDA installation and profile of a command, chosen before AiiDA is imported.

``AIIDA_PATH`` is used if it is set. Otherwise a profile that the user names is read from AiiDA's
usual folder. Without a name everything is in our own folder, ``$TRAINSPOT_HOME`` or
``~/.local/share/trainspot``, so that a first campaign needs and changes no other installation.
"""

from __future__ import annotations

import os
import shlex
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
    """Folder of trainspot's own Quantum ESPRESSO and, by default, of AiiDA's folder."""
    return Path(os.environ.get("TRAINSPOT_HOME") or "~/.local/share/trainspot").expanduser()


def choose(name: str | None, *, create: bool = False) -> str:
    """Set ``AIIDA_PATH`` and return the name of the profile; imports nothing of AiiDA.

    Args:
        name: The profile that the user named, if any.
        create: Whether the folder may be created.

    Raises:
        MissingExtraError: AiiDA is not installed.
        InputError: Nothing has been set up yet.
    """
    if find_spec("aiida") is None:
        raise MissingExtraError("AiiDA", "aiida")
    # AiiDA starts its daemon with the ``verdi`` on PATH: put the folder of this Python first.
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


def verdi(profile: Profile) -> str:
    """How a user types ``verdi`` for this profile, wherever AiiDA's folder is."""
    folder = os.environ.get("AIIDA_PATH")
    return (f"AIIDA_PATH={shlex.quote(folder)} " if folder else "") + f"verdi -p {profile.name}"


def load(name: str | None = None) -> Profile:
    """Load the profile of a command, unless a profile is loaded already.

    Raises:
        MissingExtraError: AiiDA is not installed.
        InputError: Nothing has been set up yet, or the profile or its database does not exist.
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
    """Connect to the database of the loaded profile, in a limited time.

    Raises:
        InputError: The database belongs to another version of AiiDA, or is damaged.
        RunError: The database does not answer.
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
    """Add ``--profile`` to a command, and report AiiDA services that do not answer in one line."""
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
