"""Reference pages that come from the code: commands, settings, exit codes, seams, work chains.

Each function returns Markdown. The pages are written to ``docs/_generated`` before Sphinx reads
its sources and included from ``docs/reference``; anything missing in the code fails the build.
"""

from __future__ import annotations

import json
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import measured
import ports

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sphinx.application import Sphinx

_SEAMS = {
    "trainspot.augmentation": "Augmentation strategies: how new structures are made from old ones",
    "trainspot.label": "Label engines: what computes reference energies, forces and stresses",
    "trainspot.train": "Trainers: what fits a committee member",
    "trainspot.models": "Model kinds: how a trained member is loaded and evaluated",
    "trainspot.explore": "Explorers: what runs molecular dynamics, or draws from a pool",
    "trainspot.calibration": "Calibration methods: from a tolerance to a threshold",
    "trainspot.selection": "Selection methods: which flagged frames are labelled next",
}


_STRATEGIES = "trainspot.augmentation"


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table; cells are kept on one line."""
    lines = [list(header), *map(list, rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines) + "\n"


def _cell(text: str) -> str:
    return " ".join(str(text).split()).replace("|", r"\|")


def _summary(thing: Any) -> str:
    """The first sentence of a docstring."""
    text = (thing.__doc__ or "").strip().partition("\n\n")[0]
    if not text:
        raise ValueError(f"{thing} has no docstring to show in the reference")
    return " ".join(text.split()).replace("``", "`")


# ── commands ──────────────────────────────────────────────────────────────────
def commands() -> str:
    """Every command with its arguments and options, from click."""
    from trainspot.cli import main

    context = click.Context(main, info_name="trainspot")
    parts = []
    for name in main.list_commands(context):
        command = main.get_command(context, name)
        if command is None:
            raise ValueError(f"command '{name}' cannot be loaded")
        if not command.hidden:
            parts.append(_command(command, click.Context(command, info_name=name, parent=context)))
    return "\n".join(parts)


def _command(command: click.Command, context: click.Context, level: int = 2) -> str:
    usage = command.get_usage(context).removeprefix("Usage: ")
    # click marks unwrapped paragraphs with \b
    help_text = (command.help or "").replace("\b\n", "").strip()
    if not help_text:
        raise ValueError(f"command '{context.command_path}' has no help")
    text = f"{'#' * level} `{context.command_path}`\n\n{help_text}\n\n```text\n{usage}\n```\n\n"
    records = [p.get_help_record(context) for p in command.get_params(context)]
    rows = [(f"`{r[0]}`", r[1]) for r in records if r is not None and "--help" not in r[0]]
    if rows:
        text += table(("option", "what it does"), rows) + "\n"
    if isinstance(command, click.Group):
        for name, child in sorted(command.commands.items()):
            inner = click.Context(child, info_name=name, parent=context)
            text += _command(child, inner, level + 1)
    return text


# ── campaign file ─────────────────────────────────────────────────────────────
def campaign_file() -> str:
    """Every key of a campaign file with type, default and meaning, from its JSON schema."""
    from trainspot.config.schema import schema

    tree = schema()
    text, sections = "", []
    rows = []
    for name, field in tree["properties"].items():
        models = _models(field, tree)
        sections += [(name, model) for model in models]
        rows.append((f"`{name}`", _type(field, tree), _default(field), _meaning(field, models)))
    text += "## Top level\n\n" + table(("key", "type", "default", "meaning"), rows) + "\n"
    for name, model in sections:
        engine = model.get("properties", {}).get("engine", {}).get("const")
        title = f"`{name}`" + (f" with `engine: {engine}`" if engine else "")
        text += f"## {title}\n\n{_meaning(model)}\n\n{_fields(model, tree)}\n"
    return text + _augmentation()


def _augmentation() -> str:
    from trainspot.common import plugins

    text = "## Strategies of `augment`\n\n"
    for name in plugins.names(_STRATEGIES):
        tree = plugins.load(_STRATEGIES, name).model_json_schema()
        text += f"### `kind: {name}`\n\n{_meaning(tree)}\n\n{_fields(tree, tree)}\n"
    return text


def strategies() -> dict[str, str]:
    """The parameters of each augmentation strategy, for its how-to page, and the default list."""
    from trainspot.augment.plan import DEFAULT_PLAN
    from trainspot.common import plugins

    lines = (
        "  - {" + ", ".join(f"{k}: {v}" for k, v in item.items()) + "}" for item in DEFAULT_PLAN
    )
    pages = {"default-plan": "```yaml\naugment:\n" + "\n".join(lines) + "\n```\n"}
    for name in plugins.names(_STRATEGIES):
        tree = plugins.load(_STRATEGIES, name).model_json_schema()
        del tree["properties"]["kind"]  # the page is about this one
        pages[f"strategy-{name}"] = _fields(tree, tree)
    return pages


def _fields(model: dict[str, Any], tree: dict[str, Any], prefix: str = "") -> str:
    rows = list(_rows(model, tree, prefix))
    return table(("key", "type", "default", "meaning"), rows) if rows else "No settings.\n"


def _rows(model: dict[str, Any], tree: dict[str, Any], prefix: str) -> Iterable[tuple[str, ...]]:
    for name, field in model.get("properties", {}).items():
        if name == "settings" and "properties" in field:
            continue  # the same keys once more, for those who like to nest them
        models = _models(field, tree)
        meaning = _meaning(field, models)
        if not meaning and name not in {"engine", "kind"}:
            raise ValueError(f"the campaign file's '{prefix}{name}' has no description")
        yield f"`{prefix}{name}`", _type(field, tree), _default(field), meaning
        for nested in models:
            yield from _rows(nested, tree, f"{prefix}{name}.")


def _models(field: dict[str, Any], tree: dict[str, Any]) -> list[dict[str, Any]]:
    """The models a field may be, with references followed."""
    if "$ref" in field:
        target = tree
        for key in field["$ref"].removeprefix("#/").split("/"):
            target = target[key]
        return _models(target, tree)
    choices = [*field.get("anyOf", []), *field.get("allOf", []), *field.get("oneOf", [])]
    found = [model for choice in choices for model in _models(choice, tree)]
    if isinstance(field.get("additionalProperties"), dict):
        found += _models(field["additionalProperties"], tree)
    return found + ([field] if "properties" in field else [])


def _meaning(field: dict[str, Any], models: Iterable[dict[str, Any]] = ()) -> str:
    texts = [field.get("description", ""), *(m.get("description", "") for m in models)]
    choices = field.get("anyOf", [])
    texts += [choice.get("description", "") for choice in choices]
    return next((text.replace("``", "`") for text in texts if text), "")


def _type(field: dict[str, Any], tree: dict[str, Any]) -> str:
    for key in ("const", "enum"):
        if key in field:
            values = field[key] if key == "enum" else [field[key]]
            return ", ".join(f"`{json.dumps(v)}`" for v in values)
    if _models(field, tree):
        return "section"
    choices = [c for k in ("anyOf", "oneOf", "allOf") for c in field.get(k, [])]
    if choices:
        names = [name for choice in choices for name in _type(choice, tree).split(" or ")]
        return " or ".join(dict.fromkeys(filter(None, names)))
    name = {"null": "empty", "array": "list", "object": "mapping"}.get(
        field.get("type", ""), field.get("type", "")
    )
    return " ".join(filter(None, (name, _bounds(field))))


def _bounds(field: dict[str, Any]) -> str:
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    return ", ".join(f"{sign} {field[key]:g}" for key, sign in signs.items() if key in field)


def _default(field: dict[str, Any]) -> str:
    places = [field, *field.get("anyOf", [])]
    for place in places:
        if "default" in place:
            return f"`{json.dumps(place['default'], ensure_ascii=False)}`"
    return ""


# ── exit codes ────────────────────────────────────────────────────────────────
def exit_codes() -> str:
    """Every exit code of the shell, from its definition."""
    from aiida_trainspot import exit_codes as module

    codes = sorted(c for c in vars(module).values() if isinstance(c, module.Exit))
    if not codes:
        raise ValueError("no exit codes found")
    rows = [
        (str(c.status), f"`{c.label}`", c.message, "no" if c.invalidates_cache else "yes")
        for c in codes
    ]
    return table(("status", "label", "meaning", "may be cached"), rows)


# ── seams ─────────────────────────────────────────────────────────────────────
def seams() -> str:
    """Every registered implementation of every seam, from the entry points."""
    text = ""
    for group, title in _SEAMS.items():
        points = sorted(entry_points(group=group), key=lambda point: point.name)
        if not points:
            raise ValueError(f"nothing is registered in '{group}'")
        rows = [(f"`{p.name}`", _summary(p.load()), f"`{p.value}`") for p in points]
        text += f"## `{group}`\n\n{title}.\n\n" + table(("name", "what it is", "object"), rows)
        text += "\n"
    rows = [
        (f"`{point.name}`", _summary(point.load()), f"`{point.value}`")
        for point in sorted(entry_points(group="aiida.workflows"), key=lambda p: p.name)
        if point.name.startswith("trainspot.")
    ]
    text += "## `aiida.workflows`\n\nThe AiiDA side of the stages and their engines.\n\n"
    return text + table(("name", "what it is", "object"), rows)


# ── work chains ───────────────────────────────────────────────────────────────
def work_chains() -> str:
    """Inputs, outputs and exit codes of every work chain, from its specification."""
    text = ""
    for name, process in ports.work_chains():
        text += f"## `{name}`\n\n{_summary(process)}\n\n"
        text += table(ports.INPUTS, ports.inputs(process)) + "\n"
        text += table(ports.OUTPUTS, ports.outputs(process)) + "\n"
    if not text:
        raise ValueError("no work chain is registered")
    return text


# ── benchmarks ─────────────────────────────────────────────────────────────────
def benchmarks() -> str:
    """Tables of what was measured, from ``docs/benchmarks/*.json``."""
    text = ""
    for document in measured.documents():
        head, rows = measured.section(document)
        text += head + table(measured.HEADER, rows)
        text += f"\nWhat was done, row by row:\n\n{measured.notes(document)}\n"
    if not text:
        raise ValueError("no benchmark results in docs/benchmarks")
    return text


PAGES = {
    "benchmarks": benchmarks,
    "commands": commands,
    "campaign-file": campaign_file,
    "exit-codes": exit_codes,
    "seams": seams,
    "work-chains": work_chains,
}


def generate(app: Sphinx) -> None:
    """Write all pages, touching only those that changed so that rebuilding is quick."""
    folder = Path(app.srcdir) / "_generated"
    folder.mkdir(exist_ok=True)
    pages = {name: make() for name, make in PAGES.items()} | strategies()
    for name, text in pages.items():
        path = folder / f"{name}.md"
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("builder-inited", generate)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
