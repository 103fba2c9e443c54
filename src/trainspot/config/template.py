"""The campaign file that ``trainspot init`` writes, made from the models of the settings.

Lines with defaults are commented out; the other lines are the decisions of the user.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from trainspot.config.models import Campaign

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic import BaseModel

_WIDTH = 34
# The sections that matter for a first campaign.
_SECTIONS = (
    "split",
    "label",
    "train",
    "explore",
    "tolerance",
    "calibrate",
    "select",
    "stop",
    "budget",
)


def template(
    name: str,
    structures: Sequence[str],
    *,
    seed: int,
    protocol: str,
    periodic: tuple[bool, bool, bool] | None = None,
) -> str:
    """The text of a commented campaign file.

    Args:
        name: Name of the campaign.
        structures: Files or globs, relative to the campaign file.
        seed: Seed of all random numbers.
        protocol: Named set of defaults; values in comments are those of ``default``.
        periodic: Periodicity of the structures along the three cell vectors, for files that
            cannot store it.
    """
    fields = Campaign.model_fields
    defaults = Campaign().model_dump(mode="json")
    listed: list[Any] = list(structures)
    if periodic is not None:
        listed = [{"file": file, "periodic": periodic} for file in structures]
    kinds = ", ".join(item["kind"] for item in defaults["augment"])
    lines = [
        "# A trainspot campaign. Commented lines show the defaults; to change one, remove its '#'.",
        "# `trainspot config show FILE` prints every setting and where its value comes from.",
        "",
        _line("name", name, fields["name"].description),
        _line("seed", seed, fields["seed"].description),
        _line("protocol", protocol, "default, fast, frugal, paper or stringent"),
        _line("structures", listed, "files that ASE reads; patterns such as *.cif are allowed"),
        "",
        _line("# augment", [], f"default: {kinds}; [] for none"),
    ]
    for section in _SECTIONS:
        lines += ["", *_section(section, defaults[section])]
    lines += ["", "# resources:", "#   CLUSTER: {account: …, queue: …, walltime: 3600}"]
    return "\n".join(lines) + "\n"


def _section(name: str, values: Mapping[str, Any]) -> list[str]:
    model: type[BaseModel] = getattr(Campaign(), name).__class__
    heading = (model.__doc__ or "").strip().partition("\n")[0]
    lines = [f"{name}:  # {heading[0].lower()}{heading[1:].rstrip('.')}"]
    first = [key for key in ("engine", "code") if key in values]
    rest = [key for key in model.model_fields if key not in (*first, "settings")]
    lines += [
        "  " + _line(f"# {key}", values[key], model.model_fields[key].description)
        for key in [*first, *rest]
    ]
    if "settings" in values:
        lines.append("  # The engine has more settings; `trainspot config show FILE` lists them.")
    return lines


def _line(key: str, value: Any, comment: str | None) -> str:
    # JSON is valid YAML if characters that YAML forbids in quotes are escaped.
    plain = json.dumps(value, ensure_ascii=False)
    text = f"{key}: {''.join(c if c.isprintable() else _escaped(c) for c in plain)}"
    note = (comment or "").replace("\n", " ").rstrip(".")
    return f"{text:{_WIDTH}}  # {note}" if note else text


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
