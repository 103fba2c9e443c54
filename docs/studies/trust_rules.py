"""The rules of the study of trust: those that were fixed before, and those that were tried."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final


@dataclass(frozen=True)
class Rule:
    """How frames are flagged.

    Attributes:
        audit: Number of audit frames.
        method: ``quantile`` (0.67), ``regression``, or ``rank`` (of conformal prediction).
        share: The quantile, or the share of the rank.
        source: Frames behind the threshold, one of ``trust_judging.SOURCES``.
        conservative: Whether a poor or undetermined fit takes a large ratio instead of ε.
        novelty: Distances that flag: some of ``frame`` and ``atom``.
        bagged: Whether the committee is bagged.
        planned: Whether the rule was fixed before the results.
        pairs: Number of validation frames behind the threshold; ``None``: all.
    """

    audit: int = 0
    method: str = "quantile"
    share: float = 0.67
    source: str = "validation and audit"
    conservative: bool = False
    novelty: tuple[str, ...] = ("frame",)
    bagged: bool = False
    planned: bool = True
    pairs: int | None = None


TODAY: Final = Rule()
AUDITED: Final = Rule(audit=12)
CONSERVATIVE: Final = Rule(audit=12, conservative=True)
LOCAL: Final = replace(CONSERVATIVE, novelty=("frame", "atom"))
BAGGED: Final = replace(LOCAL, bagged=True)
RULES: Final = {
    "paper": Rule(method="regression", novelty=()),
    "today": TODAY,
    "today + 12": AUDITED,
    "conservative": CONSERVATIVE,
    "+ local novelty": LOCAL,
    "+ bagging": BAGGED,
    "today + 25": replace(AUDITED, audit=25),
    "conservative, 25": replace(CONSERVATIVE, audit=25),
    "+ local novelty, 25": replace(LOCAL, audit=25),
    "+ bagging, 25": replace(BAGGED, audit=25),
}
_TRIED: Final = replace(BAGGED, planned=False)
TRIED: Final = {
    "plain, atom novelty only": replace(_TRIED, bagged=False, novelty=("atom",)),
    "plain, no novelty": replace(_TRIED, bagged=False, novelty=()),
    "today, 8 validation frames": replace(TODAY, planned=False, pairs=8),
    "conservative, 8 validation frames": replace(TODAY, planned=False, pairs=8, conservative=True),
    "bagged, frame novelty only": replace(_TRIED, novelty=("frame",)),
    "bagged, atom novelty only": replace(_TRIED, novelty=("atom",)),
    "bagged, no novelty": replace(_TRIED, novelty=()),
    "bagged, quantile 0.8": replace(_TRIED, share=0.8),
    "bagged, quantile 0.9": replace(_TRIED, share=0.9),
    "bagged, audit frames only": replace(_TRIED, source="audit"),
    "bagged, audit only, quantile 0.8": replace(_TRIED, source="audit", share=0.8),
    "bagged, audit only, quantile 0.9": replace(_TRIED, source="audit", share=0.9),
    "bagged, audit only, rank 0.8, 25": replace(
        _TRIED, source="audit", method="rank", share=0.8, audit=25
    ),
    "plain, quantile 0.8": replace(_TRIED, bagged=False, share=0.8),
    "plain, audit only, quantile 0.8": replace(_TRIED, bagged=False, source="audit", share=0.8),
}
"""Rules that were tried after the results were seen."""
DOUBLED: Final = ("bagged, quantile 0.8", "plain, quantile 0.8", "bagged, atom novelty only")
"""Rules that are judged at twice the tolerances as well."""
