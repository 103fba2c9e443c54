"""The JSON schema of a campaign file, for editors: every installed engine with its settings."""

from __future__ import annotations

from typing import Any

from trainspot.common import plugins
from trainspot.common.errors import ContractError, MissingExtraError
from trainspot.config.load import protocols
from trainspot.config.models import Campaign, engine_sections

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema() -> dict[str, Any]:
    """The JSON schema of a campaign file.

    The key ``engine`` selects the schema of a stage section. The keys of the engine are allowed
    beside the keys of the stage and under ``settings``.
    """
    tree = Campaign.model_json_schema()
    definitions: dict[str, Any] = tree.setdefault("$defs", {})
    for section in engine_sections().values():
        name = section.__name__
        own = definitions.pop(name)
        engines = []
        for engine in plugins.names(section.seam):
            try:
                settings = section.settings_model(engine).model_json_schema(
                    ref_template=f"#/$defs/{name}.{engine}.{{model}}"
                )
            except (MissingExtraError, ContractError):
                continue  # this engine cannot be used here; others can
            for part, definition in settings.pop("$defs", {}).items():
                definitions[f"{name}.{engine}.{part}"] = definition
            keys = section.foreign_keys(engine)
            mine = {key: part for key, part in own["properties"].items() if key not in keys}
            definitions[f"{name}.{engine}"] = _with_engine(
                {**own, "properties": mine}, engine, settings
            )
            engines.append({"$ref": f"#/$defs/{name}.{engine}"})
        definitions[name] = {"anyOf": engines, "description": own.get("description", "")}
    tree["properties"]["protocol"]["enum"] = list(protocols())
    # An empty section counts as absent, and one structure needs no list.
    properties = {key: {"anyOf": [part, {"type": "null"}]} for key, part in _items(tree)}
    properties["structures"]["anyOf"].append({"type": "string"})
    return {"$schema": _DIALECT, **tree, "properties": properties}


def _items(tree: dict[str, Any]) -> list[tuple[str, Any]]:
    return list(tree["properties"].items())


def _with_engine(own: dict[str, Any], engine: str, settings: dict[str, Any]) -> dict[str, Any]:
    flat = settings.get("properties", {})
    nested = {key: part for key, part in settings.items() if key != "required"}
    chosen = {**own["properties"]["engine"], "const": engine}
    is_default = chosen.get("default") == engine
    return {
        **{key: part for key, part in own.items() if key != "required"},
        "properties": {**flat, **own["properties"], "engine": chosen, "settings": nested},
        "required": [] if is_default else ["engine"],
        "additionalProperties": False,
    }
