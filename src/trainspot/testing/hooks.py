"""Checks of the declarations of all engines: program, extra and preflight."""

from __future__ import annotations

from importlib.metadata import distribution
from typing import TYPE_CHECKING, Any

from trainspot.common import plugins
from trainspot.engine import COMMAND, Preflight, Program, Remark

if TYPE_CHECKING:
    from trainspot.data.dataset import Dataset
    from trainspot.engine import Engine
    from trainspot.testing.claims import Claims

_HERE = "localhost"  # the computer for which the set-up makes codes


def check_hooks(claims: Claims, engine: type[Engine], settings: Any, inputs: Dataset) -> None:
    """Assert the declarations that ``trainspot setup`` and the check of campaigns use.

    - ``program()`` is the program of the default code, unless this is the code of trainspot;
    - ``extra`` is one of the engine's package;
    - ``pool_setting`` is a setting that may be null;
    - ``preflight`` gives remarks of one line each and raises nothing.

    Args:
        claims: About the engine.
        engine: Its class.
        settings: An instance of its ``Settings``.
        inputs: Possible input frames of a campaign.
    """
    label, _, computer = engine.default_code.partition("@")
    program = engine.program()
    claims(program is None or isinstance(program, Program), f"program() gives {program!r}")
    if program is not None:
        claims(
            program.label == label,
            f"program() makes the code '{program.label}', but default_code is "
            f"'{engine.default_code}'",
        )
    else:
        claims(
            computer != _HERE or label == COMMAND,
            f"default_code is '{engine.default_code}', but program() does not say what it runs",
        )
    _check_extra(claims, engine)
    _check_pool(claims, engine)
    facts = Preflight(settings, inputs, here=True, unlabelled=lambda: list(inputs.unlabelled()))
    with claims.works("preflight()"):
        remarks = list(engine.preflight(facts))
    for remark in remarks:
        claims(isinstance(remark, Remark), f"preflight() gives {remark!r}, not a Remark")
        claims("\n" not in remark.text, f"a remark has several lines: {remark.text!r}")


def _check_pool(claims: Claims, engine: type[Engine]) -> None:
    name = engine.pool_setting
    if not name:
        return
    fields = engine.Settings.model_fields
    claims(name in fields, f"pool_setting names '{name}', which is no setting")
    claims(fields[name].default is None, f"the setting '{name}' has a default: it must be null")


def _check_extra(claims: Claims, engine: type[Engine]) -> None:
    if not engine.extra:
        return
    package = plugins.package_of(engine.group, engine.name)
    extras = distribution(package).metadata.get_all("Provides-Extra") or []
    claims(engine.extra in extras, f"the package {package} has no extra '{engine.extra}'")
