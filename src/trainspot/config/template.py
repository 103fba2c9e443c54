"""A campaign file to start from, written from the models, so that it never disagrees with them.

Lines that state a default are commented out: what stays active is what the user decided.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from trainspot.config.models import Campaign

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic import BaseModel

_WIDTH = 34
# Sections a first campaign decides about; the rest stays at its defaults until it is looked up.
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
        name: What the campaign is called.
        structures: Files or globs, relative to the campaign file.
        seed: Everything random follows from it.
        protocol: Named set of defaults; values in comments are those of ``default``.
        periodic: Periodicity of the structures along the three cell vectors, if their files
            cannot say it.
    """
    fields = Campaign.model_fields
    defaults = Campaign().model_dump(mode="json")
    listed: list[Any] = list(structures)
    if periodic is not None:
        listed = [{"file": file, "periodic": periodic} for file in structures]
    kinds = ", ".join(item["kind"] for item in defaults["augment"])
    lines = [
        "# A trainspot campaign. Commented lines show defaults: remove the '#' to change one.",
        "# `trainspot config show` prints every value and where it comes from.",
        "",
        _line("name", name, fields["name"].description),
        _line("seed", seed, fields["seed"].description),
        _line("protocol", protocol, "default, fast, frugal, paper or stringent"),
        _line("structures", listed, "anything ASE reads; globs allowed"),
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
    others = [key for key in model.model_fields if key not in (*first, "settings")]
    lines += [
        "  " + _line(f"# {key}", values[key], model.model_fields[key].description)
        for key in [*first, *others]
    ]
    if "settings" in values:
        lines.append("  # …and the settings of the engine; `trainspot config show` lists them")
    return lines


def _line(key: str, value: Any, comment: str | None) -> str:
    # A JSON text is a YAML text, if what YAML does not allow even in quotes is escaped.
    plain = json.dumps(value, ensure_ascii=False)
    text = f"{key}: {''.join(c if c.isprintable() else _escaped(c) for c in plain)}"
    note = (comment or "").replace("\n", " ").rstrip(".")
    return f"{text:{_WIDTH}}  # {note}" if note else text


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
