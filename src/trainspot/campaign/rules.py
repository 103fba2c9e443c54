"""The settings that the decisions of a campaign depend on."""

from __future__ import annotations

from dataclasses import dataclass

from trainspot.campaign.record import Reference
from trainspot.config.models import Campaign
from trainspot.data.dataset import Dataset
from trainspot.judge.judgement import Judgement
from trainspot.judge.settings import CalibrateSettings, JudgeSettings, Tolerance


@dataclass(frozen=True)
class Rules:
    """All settings that decisions depend on.

    Attributes:
        tolerance: ε of each property.
        calibrate: How thresholds are fitted.
        judge: Screen, selection and stopping rules.
        seed: The campaign's seed.
        max_labels: Largest number of labels of the campaign, or ``None``.
    """

    tolerance: Tolerance
    calibrate: CalibrateSettings
    judge: JudgeSettings
    seed: int
    max_labels: int | None = None

    def labels_left(self, dataset: Dataset) -> int | None:
        """The rest of the label budget; ``None`` without a budget."""
        if self.max_labels is None:
            return None
        return self.max_labels - int(dataset.is_labelled.sum())

    def for_dataset(self, dataset: Dataset) -> JudgeSettings | None:
        """The rules of judging with the rest of the label budget; ``None`` if nothing is left."""
        left = self.labels_left(dataset)
        if left is None:
            return self.judge
        if left < 1:
            return None
        select = self.judge.select
        smaller = select.model_copy(update={"max_frames": min(select.max_frames, left)})
        return self.judge.model_copy(update={"select": smaller})

    def can_pay(self, dataset: Dataset, judgement: Judgement) -> bool:
        """Whether the label budget allows the chosen frames (a final audit is never cut)."""
        left = self.labels_left(dataset)
        return left is None or max(1, len(judgement.chosen)) <= left


def rules_of(campaign: Campaign) -> Rules:
    """The part of a campaign that decisions depend on."""
    judging = JudgeSettings(screen=campaign.screen, select=campaign.select, stop=campaign.stop)
    return Rules(
        campaign.tolerance, campaign.calibrate, judging, campaign.seed, campaign.budget.labels
    )


def reference_of(campaign: Campaign, code: str) -> Reference:
    """The program of the labels; labels that are looked up have none."""
    return Reference(campaign.label.engine, "" if campaign.label.labeller.looks_up else code)
