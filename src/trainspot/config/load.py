"""From a campaign file to a ``Campaign`` and its input frames; every error is one line."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from trainspot.common.errors import InputError, UnknownNameError
from trainspot.common.validation import renamed
from trainspot.config import document
from trainspot.config.document import Document
from trainspot.config.explain import explain
from trainspot.config.models import Campaign, engine_sections
from trainspot.io.pool import read_pool

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from trainspot.config.document import Location
    from trainspot.data.dataset import Dataset

_PROTOCOLS: Final = files("trainspot.config") / "protocols"
_GIVEN_THEORY: Final = "given"
_LOG: Final = logging.getLogger("trainspot.config")
_Periodic = tuple[bool, bool, bool] | None


@dataclass(frozen=True)
class Loaded:
    """A resolved campaign and the sources of its values.

    Attributes:
        campaign: All settings, with defaults.
        document: The file of the user.
        protocol: Values of the protocol, by location.
    """

    campaign: Campaign
    document: Document
    protocol: dict[Location, Any] = field(default_factory=dict)

    def source(self, location: Location) -> str:
        """Source of a value: ``file:line``, ``protocol NAME`` or ``default``."""
        flat = location[:1] + location[2:] if location[1:2] == ("settings",) else location
        for place in (location, flat):
            for size in range(len(place), 0, -1):
                inside = self._written(place[:size])
                if place[:size] in self.document.lines and (
                    size == len(place) or not isinstance(inside, dict | list)
                ):
                    return self.document.where(place[:size])
        if location in self.protocol:
            return f"protocol {self.campaign.protocol}"
        return "default"

    def values(self) -> Iterator[tuple[Location, Any, str]]:
        """Location, value and source of each setting, in the order of the models."""
        for location, value in leaves(self.campaign.model_dump(mode="json")):
            yield location, value, self.source(location)

    def _written(self, location: Location) -> Any:
        inside: Any = self.document.data
        for part in location:
            try:
                inside = inside[part]
            except (KeyError, IndexError, TypeError):
                return None
        return inside


def protocols() -> dict[str, str]:
    """Name and description of every protocol."""
    names = sorted(Path(str(item)).stem for item in _PROTOCOLS.iterdir())
    return {name: str(_protocol(name).pop("description")) for name in names}


def load(path: Path | str, *, need_inputs: bool = True) -> Loaded:
    """Read a campaign file, merge it with its protocol and validate it; read no structures.

    Args:
        path: The file.
        need_inputs: Whether the file must have ``structures`` or ``dataset``.

    Raises:
        InputError: Any error in the file, with ``file:line`` and, for names, the nearest name.
    """
    loaded = resolve(document.read(Path(path)))
    if need_inputs:
        check_start(loaded.campaign, str(path))
    return loaded


def check_start(campaign: Campaign, where: str) -> None:
    """Refuse a campaign that names no frames to start from.

    Raises:
        InputError: Neither structures, nor a dataset, nor an explorer that draws from a pool.
    """
    if not (campaign.structures or campaign.dataset or campaign.starts_from_pool):
        hint = "give 'structures: [FILE, …]' or 'dataset: FILE'"
        raise InputError("no structures", where=where, hint=hint)


def resolve(source: Document) -> Loaded:
    """Merge the values of the user with the protocol and validate the result.

    Raises:
        InputError: See ``load``.
    """
    source = by_todays_names(source)
    name = str(source.data.get("protocol") or "default")
    if name not in protocols():
        raise UnknownNameError("protocol", name, protocols(), where=source.where(("protocol",)))
    differences = _for_engines(_protocol(name), source.data)
    _check_strategies(source)
    try:
        # An empty section (``train:`` with every line commented out) counts as absent.
        written = {key: value for key, value in source.data.items() if value is not None}
        campaign = Campaign.model_validate(merged(differences, written))
    except ValidationError as error:
        raise explain(error, Campaign, source) from error
    files = {stage: str((source.path.parent / f).absolute()) for stage, f in campaign.pools.items()}
    return Loaded(campaign.with_pools(files), source, dict(leaves(differences)))


def read_inputs(loaded: Loaded) -> Dataset:
    """The frames that a campaign starts from: structures without labels, or a dataset.

    Raises:
        InputError: A pattern that matches nothing, an unreadable file, overlapping atoms, or
            labels of several levels of theory.
    """
    from trainspot import io
    from trainspot.data.dataset import Dataset

    campaign, folder = loaded.campaign, loaded.document.path.parent
    if campaign.starts_from_pool:
        return first_of_pool(campaign, read_pool(campaign.pools["explore"]))
    if campaign.dataset:
        where = folder / campaign.dataset
        frames = io.read(where, theory=_GIVEN_THEORY)
        io.tell_counts(frames, where)
        if len(frames.theories) > 1:
            theories = ", ".join(frames.theories)
            raise InputError(
                f"has labels of several levels of theory ({theories})", where=str(where)
            )
        more = campaign.stop.max_iterations > 1 or not frames.is_labelled.all()
        more = more and frames.theories != _theories_looked_up(campaign)
        if frames.theories and more and not campaign.train.mix_theories:
            raise InputError(
                f"has labels, and the campaign will add labels of {campaign.label.engine}",
                where=str(where),
                hint="if both have the same level of theory, write 'train: {mix_theories: true}'",
            )
        _check_frames(frames, str(where))
        return io.merged(frames, str(where), tell=lambda text: _LOG.warning("%s: %s", where, text))
    parts = []
    for file, periodic in _structure_files(loaded).items():
        read = io.with_periodicity(io.read(file), periodic, str(file))
        _check_frames(read, str(file))
        if any(frame.labels for frame in read):
            _LOG.warning(
                "%s: labels of structures are not used; to use them, write 'dataset: FILE'", file
            )
        parts.append(read.without_labels())
    return Dataset.concatenate(parts).merge()


def first_of_pool(campaign: Campaign, pool: Dataset) -> Dataset:
    """The frames of the first training, drawn from a pool: without labels, each with its split.

    The splits are assigned here, since the frames are complete: no strategy changes them.

    Args:
        campaign: A campaign whose explorer draws from a pool.
        pool: The pool.
    """
    from trainspot.explore.pool import drawn
    from trainspot.split import assign

    explore, seed = campaign.explore, campaign.seed
    rows = explore.explorer.draw(
        pool.without_labels(), (), explore.settings, seed=seed, iteration=0
    )
    return assign(drawn(pool, rows, 0), campaign.split.fractions, seed=seed)


def _theories_looked_up(campaign: Campaign) -> list[str]:
    """The level of theory of labels that are looked up; empty if labels are computed."""
    label = campaign.label
    return read_pool(campaign.pools["label"]).theories if label.labeller.looks_up else []


def foundation_file(loaded: Loaded) -> Path | None:
    """The model file that trainings start from, if the campaign names a model file.

    Raises:
        InputError: The file does not exist.
    """
    name = loaded.campaign.train.foundation
    if name is None:
        return None
    path = loaded.document.path.parent / name
    if not path.is_file():
        raise InputError(
            f"no such model file: '{name}'", where=loaded.document.where(("train", "foundation"))
        )
    return path


def structure_files(loaded: Loaded) -> list[Path]:
    """The files of structures that a campaign names.

    Raises:
        InputError: An entry names no file.
    """
    return list(_structure_files(loaded))


def _structure_files(loaded: Loaded) -> dict[Path, _Periodic]:
    """Each file once, with the periodicity that the campaign gives for the file."""
    folder = loaded.document.path.parent
    periodicities: dict[Path, _Periodic] = {}
    for index, entry in enumerate(loaded.campaign.structures):
        where = loaded.document.where(("structures", index))
        name = entry if isinstance(entry, str) else entry.file
        periodic = None if isinstance(entry, str) else entry.periodic
        for path in _matches(folder, name, where):
            earlier = periodicities.get(path)
            if earlier and periodic and earlier != periodic:
                what = f"'{path.name}' is given with two periodicities"
                raise InputError(what, where=where, hint="give the file once")
            periodicities[path] = periodic or earlier
    return periodicities


def _matches(folder: Path, name: str, where: str) -> list[Path]:
    """The file of this name; without such a file, the files that match the name as a pattern."""
    literal = folder / name
    if literal.is_file():
        return [literal]
    absolute = Path(name).is_absolute()
    root = Path(Path(name).anchor) if absolute else folder
    relative = str(Path(name).relative_to(root)) if absolute else name
    try:
        matches = sorted(path for path in root.glob(relative) if path.is_file())
    except (ValueError, NotImplementedError, IndexError):  # no pattern, such as an empty text
        matches = []
    if not matches:
        raise InputError(f"no structures: no file matches '{name}'", where=where)
    return matches


def _check_frames(frames: Dataset, where: str) -> None:
    from trainspot.augment.plan import check_inputs

    if not len(frames):
        raise InputError("no structures", where=where)
    check_inputs(frames, where)


def _check_strategies(source: Document) -> None:
    """Check augmentation strategies one by one, so that an error has the line of its strategy."""
    from trainspot.augment.plan import parse_plan

    items = source.data.get("augment")
    for index, item in enumerate(items if isinstance(items, list) else []):
        if isinstance(item, dict):
            parse_plan([item], where=source.where(("augment", index)))


def by_todays_names(source: Document) -> Document:
    """The document with today's names of keys; each key keeps the line of its former name."""
    data, lines = dict(source.data), dict(source.lines)
    for (section, old), new in former_names().items():
        written = data.get(section)
        if isinstance(written, dict) and old in written and new not in written:
            data[section] = renamed(written, {old: new})
            if line := lines.get((section, old)):
                lines[section, new] = line
    return Document(source.path, data, lines)


def former_names() -> dict[tuple[str, str], str]:
    """Today's name of each renamed key, by section and former name."""
    return {
        (name, old): new
        for name, section in Campaign.model_fields.items()
        for old, new in getattr(section.annotation, "former", {}).items()
    }


def _protocol(name: str) -> dict[str, Any]:
    return document.read(Path(str(_PROTOCOLS / f"{name}.yaml"))).data


def _for_engines(protocol: dict[str, Any], written: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a protocol for the engines of the user, with ``settings`` in full form."""
    differences = {key: value for key, value in protocol.items() if key != "description"}
    for stage, model in engine_sections().items():
        section = dict(differences.pop(stage, {}))
        per_engine = section.pop("engines", {})
        user = written.get(stage)
        chosen = user.get("engine") if isinstance(user, dict) else None
        engine = chosen or section.get("engine") or model.model_fields["engine"].default
        if isinstance(engine, str) and engine in per_engine:
            section["settings"] = per_engine[engine]
        foreign = model.foreign_keys(engine) if isinstance(engine, str) else frozenset()
        section = {key: value for key, value in section.items() if key not in foreign}
        if section:
            differences[stage] = section
    return differences


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Merge nested mappings; where both have a value, the value of ``above`` wins.

    Keys of an engine that ``above`` has beside the keys of the stage win over ``settings`` of
    ``below``.
    """
    result: dict[str, Any] = dict(below)
    for key, value in above.items():
        under = result.get(key)
        if isinstance(under, dict) and isinstance(value, dict):
            kept = under
            if key in engine_sections() and "settings" in under:
                settings = {k: v for k, v in under["settings"].items() if k not in value}
                kept = under | {"settings": settings}
            result[key] = merged(kept, value)
        else:
            result[key] = value
    return result


def leaves(tree: Any, location: Location = ()) -> Iterator[tuple[Location, Any]]:
    """Each value of nested mappings and lists of mappings; a list of plain values is one value."""
    if isinstance(tree, dict) and tree:
        for key, value in tree.items():
            yield from leaves(value, (*location, key))
    elif isinstance(tree, list) and any(isinstance(item, dict) for item in tree):
        for index, item in enumerate(tree):
            yield from leaves(item, (*location, index))
    else:
        yield location, tree
