"""The campaigns of a rehearsal: that of the user, the protocol of the paper, and random choice.

All three have the same structures, augmentation, trainer, exploration, tolerances and limits. They
differ in the judgement and in the number of chosen frames: the paper labels all flagged frames.
Only the campaign of the user has bagging, if it is on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from trainspot.common.errors import InputError
from trainspot.config import document
from trainspot.config.explain import explain
from trainspot.config.load import Loaded, by_todays_names, check_start, former_names, resolve
from trainspot.config.models import Campaign
from trainspot.train import run

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from trainspot.label.ase import AseSettings

OURS: Final = "campaign"
PAPER: Final = "paper"
RANDOM: Final = "random"
ARMS: Final = {
    OURS: "the campaign file as it is",
    PAPER: "the same campaign with the protocol of the paper, which labels all flagged frames",
    RANDOM: "the same campaign with frames selected at random, without thresholds",
}
"""Name and meaning of each campaign."""

_NOTHING: Final = 1e-12
_JUDGING: Final = ("calibrate", "select", "stop")


def load(path: Path, changes: Mapping[str, Any]) -> Loaded:
    """A campaign file with some values changed before it is resolved.

    Args:
        path: The file.
        changes: Values by dotted key, such as ``{"explore.time": 0.5}``.

    Raises:
        InputError: An error in the file or in a change.
    """
    source = by_todays_names(document.read(path))
    for key, value in changes.items():
        inside: Any = source.data
        *parts, last = key.split(".")
        last = former_names().get((".".join(parts), last), last)
        for part in parts:
            inside = inside.setdefault(part, {}) if isinstance(inside, dict) else None
        if not isinstance(inside, dict):
            raise InputError(f"'{key}' is not a key of the campaign file", where="--set")
        inside[last] = value
    loaded = resolve(source)
    check_start(loaded.campaign, str(path))
    return loaded


def rehearsed(
    campaign: Campaign, oracle: AseSettings | None, trainer: str
) -> tuple[Campaign, list[str]]:
    """The campaign with engines that run in this process, and notes on changed settings.

    Args:
        campaign: The resolved campaign.
        oracle: See ``oracle.parse``; ``None``: the campaign looks its labels up.
        trainer: Name of the trainer; the trainer of the campaign keeps its settings.

    Raises:
        InputError: No such trainer.
    """
    run.trainer(trainer, where="--trainer")
    notes: list[str] = []
    changed = {} if oracle is None else _labelled_by(oracle, campaign, notes)
    if campaign.train.engine != trainer:
        notes.append(f"trainer: {trainer} instead of {campaign.train.engine}")
        kept = {name: getattr(campaign.train, name) for name in ("committee_size", "bagging")}
        changed["train"] = {"engine": trainer, **kept}
        if campaign.train.start != "foundation":
            changed["train"]["start"] = campaign.train.start
        else:
            notes.append("training starts from scratch, not from the foundation model")
    if campaign.explore.engine != "ase" and not campaign.explore.explorer.draws_from_pool:
        notes.append(f"dynamics: ase instead of {campaign.explore.engine}")
        explore = campaign.explore
        if explore.plugin(explore.engine).adds_dispersion(explore.settings):
            notes.append("molecular dynamics without the dispersion correction")
        plan = campaign.explore.plan.model_dump(mode="json")
        changed["explore"] = {"engine": "ase", **plan}
    return _with(campaign, changed), notes


def _labelled_by(oracle: AseSettings, campaign: Campaign, notes: list[str]) -> dict[str, Any]:
    """The section ``label`` with the oracle; notes that labels differ."""
    label = campaign.label
    if label.settings != oracle:
        theirs = label.labeller.described(label.settings)
        notes.append(f"labels: {oracle.calculator} instead of {theirs}")
    settings = oracle.model_dump(mode="json")
    section = {"engine": "ase", "min_success": label.min_success, "settings": settings}
    return {"label": section}


def arms(campaign: Campaign) -> dict[str, Campaign]:
    """The campaigns to compare, by name; see ``ARMS``."""
    return {OURS: campaign, PAPER: as_in_the_paper(campaign), RANDOM: at_random(campaign)}


def as_in_the_paper(campaign: Campaign) -> Campaign:
    """The campaign with the judging, selecting and stopping of the paper.

    ``max_frames``, the number of iterations and the tolerances are those of the user. The paper has
    no ``share`` of the explored frames.
    """
    loaded = resolve(document.Document(_nowhere(), {"protocol": PAPER}))
    paper = loaded.campaign.model_dump(mode="json")
    sections = {name: paper[name] for name in _JUDGING}
    sections["select"]["max_frames"] = campaign.select.max_frames
    sections["stop"]["max_iterations"] = campaign.stop.max_iterations
    sections["train"] = _without_bagging(campaign)
    return _with(campaign, {**sections, "protocol": PAPER})


def at_random(campaign: Campaign) -> Campaign:
    """The campaign with batches drawn at random from all valid explored frames.

    A tolerance of almost zero flags every frame, and ``random`` chooses among the flagged frames.
    """
    drawn = as_in_the_paper(campaign).model_dump(mode="json")
    drawn["select"]["share"] = campaign.select.share  # the same number of labels in each iteration
    values = campaign.tolerance.model_dump()
    tolerance = {name: None if value is None else _NOTHING for name, value in values.items()}
    return _with(
        campaign,
        {
            "tolerance": tolerance,
            "select": drawn["select"],
            "calibrate": drawn["calibrate"],
            "stop": drawn["stop"],
            "train": drawn["train"],
        },
    )


def _without_bagging(campaign: Campaign) -> dict[str, Any]:
    """The training of a campaign on all training frames: bagging serves the disagreement."""
    return campaign.train.model_dump(mode="json") | {"bagging": 0.0}


def seeded(campaign: Campaign, seed: int) -> Campaign:
    """The same campaign with another seed."""
    return campaign.model_copy(update={"seed": seed})


def _with(campaign: Campaign, sections: Mapping[str, Any]) -> Campaign:
    """The campaign with some sections replaced, validated again."""
    from pydantic import ValidationError

    content = campaign.model_dump(mode="json") | dict(sections)
    try:
        return Campaign.model_validate(content)
    except ValidationError as error:
        raise explain(error, Campaign, document.Document(_nowhere(), content)) from error


def _nowhere() -> Path:
    from pathlib import Path

    return Path("rehearsal")
