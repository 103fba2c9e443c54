"""The settings that the decisions of a campaign depend on."""

from __future__ import annotations

from dataclasses import dataclass

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

    def for_dataset(self, dataset: Dataset) -> JudgeSettings | None:
        """The rules of judging with the rest of the label budget; ``None`` if nothing is left."""
        if self.max_labels is None:
            return self.judge
        left = self.max_labels - int(dataset.is_labelled.sum())
        if left < 1:
            return None
        select = self.judge.select
        smaller = select.model_copy(update={"max_frames": min(select.max_frames, left)})
        return self.judge.model_copy(update={"select": smaller})

    def can_pay(self, dataset: Dataset, judgement: Judgement) -> bool:
        """Whether the label budget allows the chosen frames (a final audit is never cut)."""
        if self.max_labels is None:
            return True
        return int(dataset.is_labelled.sum()) + max(1, len(judgement.chosen)) <= self.max_labels


def rules_of(campaign: Campaign) -> Rules:
    """The part of a campaign that decisions depend on."""
    judging = JudgeSettings(screen=campaign.screen, select=campaign.select, stop=campaign.stop)
    return Rules(
        campaign.tolerance, campaign.calibrate, judging, campaign.seed, campaign.budget.labels
    )
