"""The rules of the study of trust side by side, from its pairs alone.

    python docs/studies/trust_judging.py      # a minute; writes results, figures and tables

See ``trust-rules.md`` for the rules and what is counted.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import trust_figures
import trust_pairs
import trust_tables
from scipy.stats import spearmanr
from trust_rules import DOUBLED, RULES, TRIED, Rule

from trainspot.common.seeds import generator
from trainspot.judge.calibrate.quantile import Quantile
from trainspot.judge.calibrate.regression import Regression
from trainspot.judge.settings import CalibrateSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Mask = NDArray[np.bool_]

HERE: Final = Path(__file__).parent
RESULTS: Final = HERE / "trust-results.json"
PAGE: Final = HERE.parent / "explanation" / "trust-study.md"
SEED: Final = 2028
DRAWS: Final = 50
"""Random audits over which counts are averaged."""
AUDITS: Final = (12, 25)
MIN_PAIRS: Final = 12
MIN_SPEARMAN: Final = 0.3
NEGLIGIBLE: Final = 1e-4
SEVERE: Final = 1.5
LEVELS: Final = (0.68, 0.90)
SOURCES: Final = ("validation", "validation and audit", "audit")
COUNTED: Final = ("hits", "flagged", "wrong", "frames", "severe_hits", "severe", "false_alarms")
RATES: Final = ("f1", "tpr", "ppv", "severe_found", "wrong_unflagged", "false_alarms", "flagged",
                "wrong")  # fmt: skip
RESAMPLES: Final = 1000
FIRST: Final = ("molybdenum", "titania", "molecules")
"""Systems whose first seed of ``far`` was known when the candidate was chosen."""
SECOND: Final = ("today", "today + 12", "+ bagging", "bagged, quantile 0.8", "plain, quantile 0.8")


class Case:
    """What one committee said of the frames that it was not trained on."""

    def __init__(self, name: str, columns: dict[str, NDArray[Any]]) -> None:
        """Columns of ``trust_pairs``."""
        self.name = name
        self.system, self.hold_out, committee, seed = name.split("-")
        self.bagged, self.seed = committee == "bagged", int(seed)
        self.is_first = self.seed == 1 and self.hold_out == "far" and self.system in FIRST
        self.columns = columns
        self._draws: dict[int, list[Mask]] = {}
        self.pool, self.unseen = columns["pool"], columns["unseen"]
        self.delta, self.error = self.pairs("forces")
        self.tolerances = tuple(round(float(t), 4) for t in columns["tolerances"])

    def pairs(self, name: str) -> tuple[Floats, Floats]:
        """Δ and e of a property, or of ``atom``."""
        return tuple(self.columns[f"{key}_{name}"].astype(float) for key in ("delta", "error"))

    def novel(self, kinds: tuple[str, ...]) -> Mask:
        """Frames beyond a limit of novelty."""
        novel = np.zeros(len(self.pool), dtype=bool)
        if "frame" in kinds:
            novel |= self.columns["distance"] > self.columns["distance_limit"]
        if "atom" in kinds:
            novel |= self.columns["atom_distance"] > self.columns["atom_limit"]
        return novel

    def draws(self, size: int) -> list[Mask]:
        """Masks of the audit frames of each draw; one empty mask without an audit."""
        if size not in self._draws:
            self._draws[size] = list(self._drawn(size))
        return self._draws[size]

    def _drawn(self, size: int) -> Iterator[Mask]:
        pool = np.flatnonzero(self.pool)
        for draw in range(DRAWS if size else 1):
            audit = np.zeros(len(self.pool), dtype=bool)
            rng = generator(SEED, "trust", self.system, self.hold_out, self.seed, "audit", draw)
            audit[rng.choice(pool, size=size, replace=False)] = True
            yield audit


# ── thresholds and bars ───────────────────────────────────────────────────────
def rank_of(ratios: Floats, share: float) -> float:
    """The ⌈(n+1)·share⌉-th smallest ratio, or the largest if there is no such ratio."""
    place = math.ceil(round((len(ratios) + 1) * share, 9))
    return float(np.sort(ratios)[min(place, len(ratios)) - 1])


def correlation(delta: Floats, error: Floats) -> float:
    """Spearman's rank correlation; scipy's takes most of the time of a judgement."""
    ranks = [values.argsort().argsort().astype(float) for values in (delta, error)]
    return float(np.corrcoef(*ranks)[0, 1])


def threshold(delta: Floats, error: Floats, tolerance: float, rule: Rule) -> float:
    """τ of a rule from the pairs (Δ, e) of some frames."""
    least = NEGLIGIBLE * tolerance
    used = (delta > least) & (error > least)
    delta, error = delta[used], error[used]
    enough = len(delta) >= MIN_PAIRS
    if enough and correlation(delta, error) >= MIN_SPEARMAN:
        if rule.method == "rank":
            return tolerance / rank_of(error / delta, rule.share)
        settings = CalibrateSettings(quantile=rule.share)
        method = {"quantile": Quantile, "regression": Regression}[rule.method](settings)
        return float(method.threshold(delta, error, tolerance))
    if not rule.conservative:
        return tolerance
    return tolerance / rank_of(error / delta, 0.95) if len(delta) else least


def rows_of(case: Case, audit: Mask, source: str) -> Mask:
    """The frames behind a threshold or a bar."""
    return {
        "validation": ~case.pool,
        "audit": audit if audit.any() else ~case.pool,
        "validation and audit": ~case.pool | audit,
    }[source]


# ── counts ────────────────────────────────────────────────────────────────────
def counts(flagged: Mask, error: Floats, tolerance: float) -> Floats:
    """The counts of ``COUNTED``."""
    wrong, severe = error > tolerance, error > SEVERE * tolerance
    harmless = error < tolerance / SEVERE
    values = [flagged & wrong, flagged, wrong, np.ones_like(wrong), flagged & severe, severe,
              flagged & harmless]  # fmt: skip
    return np.array([float(v.sum()) for v in values])


def judged(case: Case, rule: Rule, tolerance: float) -> Floats:
    """Mean counts of a rule on the pool of a case without its audit frames."""
    novel = case.novel(rule.novelty)
    total = np.zeros(len(COUNTED))
    drawn = 0
    for audit in case.draws(rule.audit):
        rows = rows_of(case, audit, rule.source)
        if rule.pairs is not None:
            rows = rows & (np.cumsum(~case.pool) <= rule.pairs)
        limit = threshold(case.delta[rows], case.error[rows], tolerance, rule)
        rest = case.pool & ~audit
        flagged = (case.delta > limit) | novel
        total += counts(flagged[rest], case.error[rest], tolerance)
        drawn += 1
    return total / drawn


def rates(total: Floats) -> dict[str, float | None]:
    """The rates of summed counts."""
    hits, flagged, wrong, frames, severe_hits, severe, false_alarms = total

    def share(part: float, whole: float) -> float | None:
        return round(float(part / whole), 4) if whole > 0 else None

    values = (
        share(2 * hits, flagged + wrong),
        share(hits, wrong),
        share(hits, flagged),
        share(severe_hits, severe),
        share(wrong - hits, frames - flagged),
        share(false_alarms, flagged),
        share(flagged, frames),
        share(wrong, frames),
    )
    return dict(zip(RATES, values, strict=True))


def covered(case: Case, prop: str, source: str, audit: int, level: float) -> Floats:
    """Mean of: covered and all frames (or atoms) of the pool, and of its unseen motifs."""
    delta, error = case.pairs(prop)
    atoms_of = delta.reshape(len(case.pool), -1)
    least = NEGLIGIBLE * {"energy": 1e-3, "stress": 1e-3}.get(prop, 0.1)
    usable = (delta > least) & (error > least)
    ratio = np.where(usable, error / np.where(usable, delta, 1.0), np.nan)
    ratio = ratio.reshape(atoms_of.shape)
    total, drawn = np.zeros(4), 0
    for mask in case.draws(audit):
        behind = ratio[rows_of(case, mask, source)]
        behind = behind[np.isfinite(behind)]
        if not len(behind):
            return np.zeros(4)
        bar = rank_of(behind, level)
        for part, rows in enumerate((case.pool & ~mask, case.pool & ~mask & case.unseen)):
            mine = ratio[rows][np.isfinite(ratio[rows])]
            total[2 * part : 2 * part + 2] += (mine <= bar).sum(), len(mine)
        drawn += 1
    return total / drawn


# ── together ──────────────────────────────────────────────────────────────────
def clusters(cases: list[Case]) -> list[str]:
    """System and seed of each case: what the bootstrap draws."""
    return [f"{case.system}-{case.seed}" for case in cases]


def interval(values: Floats, groups: list[str], measure: Any) -> list[float] | None:
    """95 % bootstrap interval of a measure of summed counts (n, k), by groups."""
    names = sorted(set(groups))
    if len(names) < 3:
        return None
    sums = np.array([values[[g == name for g in groups]].sum(axis=0) for name in names])
    rng = generator(SEED, "trust", "bootstrap")
    picks = rng.integers(len(names), size=(RESAMPLES, len(names)))
    resampled = [measure(sums[pick].sum(axis=0)) for pick in picks]
    finite = [value for value in resampled if value is not None]
    return np.round(np.quantile(finite, [0.025, 0.975]), 4).tolist() if finite else None


def summary(cases: list[Case], rule: Rule, scale: float = 1.0) -> dict[str, Any]:
    """The rates of a rule over all its cases and tolerances, with intervals, and by case.

    Args:
        cases: All cases; those of the other kind of committee do not count.
        rule: The rule.
        scale: Factor of all tolerances.
    """
    mine = [case for case in cases if case.bagged == rule.bagged]
    values = np.array(
        [sum(judged(case, rule, scale * t) for t in case.tolerances) for case in mine]
    )
    whole = rates(values.sum(axis=0))
    groups = clusters(mine)
    return {
        "planned": rule.planned,
        **whole,
        "intervals": {
            key: interval(values, groups, lambda total, key=key: rates(total)[key]) for key in whole
        },
        "by_system": {
            name: rates(values[[case.system == name for case in mine]].sum(axis=0))
            for name in sorted({case.system for case in mine})
        },
    }


def coverage(cases: list[Case], bagged: bool) -> dict[str, Any]:
    """Coverage of bars by property, source and level."""
    mine = [case for case in cases if case.bagged == bagged]
    found: dict[str, Any] = {}
    for prop in ("forces", "atom", "energy", "stress"):
        for source, audit in (("validation", 0), *((s, a) for s in SOURCES[1:] for a in AUDITS)):
            for level in LEVELS:
                values = np.array([covered(case, prop, source, audit, level) for case in mine])
                has = values[:, 1] > 0
                if not has.any():
                    continue
                share = values[has, 0] / values[has, 1]
                groups = [g for g, h in zip(clusters(mine), has, strict=True) if h]
                key = f"{prop}, {source}{f' {audit}' if audit else ''}, {level:g}"
                total = values[has].sum(axis=0)
                found[key] = {
                    "pool": round(total[0] / total[1], 4),
                    "interval": interval(values[has], groups, lambda t: t[0] / t[1]),
                    "worst": round(float(share.min()), 4),
                    "unseen": round(total[2] / total[3], 4),
                    "unseen_interval": interval(values[has], groups, lambda t: t[2] / t[3]),
                }
    return found


def facts(cases: list[Case]) -> dict[str, Any]:
    """What each case holds: frames, tolerances, accuracy, ratios, correlation."""
    found = {}
    for case in cases:
        pool, unseen = case.pool, case.pool & case.unseen
        ratio = case.error / np.maximum(case.delta, 1e-9)
        found[case.name] = {
            "pool": int(pool.sum()),
            "unseen": int(unseen.sum()),
            "validation": int((~pool).sum()),
            "tolerances": case.tolerances,
            "member_rmse": round(float(np.mean(case.columns["member_rmse"])), 4),
            "error": round(float(np.median(case.error[pool])), 4),
            "ratio_known": round(float(np.median(ratio[pool & ~case.unseen])), 2),
            "ratio_unseen": round(float(np.median(ratio[unseen])), 2),
            "spearman": round(float(spearmanr(case.delta[pool], case.error[pool]).statistic), 3),
            "spearman_validation": round(correlation(case.delta[~pool], case.error[~pool]), 3),
            "novel_frame": round(float(case.novel(("frame",))[unseen].mean()), 3),
            "novel_atom": round(float(case.novel(("atom",))[unseen].mean()), 3),
        }
    return found


def complete(cases: dict[str, Any]) -> list[Case]:
    """The cases whose plain and bagged committee are both there, so that rules compare alike."""
    made = [Case(name, columns) for name, columns in sorted(cases.items())]
    kinds: dict[tuple[str, str, int], set[bool]] = {}
    for case in made:
        kinds.setdefault((case.system, case.hold_out, case.seed), set()).add(case.bagged)
    return [c for c in made if len(kinds[c.system, c.hold_out, c.seed]) == 2]


def results(cases: list[Case]) -> dict[str, Any]:
    """Everything the page states."""
    return {
        "cases": facts(cases),
        "rules": {name: summary(cases, rule) for name, rule in (RULES | TRIED).items()},
        "second": {
            f"{name}, {scale:g}": summary([c for c in cases if not c.is_first], rule, scale)
            for name, rule in (RULES | TRIED).items()
            if name in SECOND
            for scale in (1.0, 2.0)
        },
        "rules_double": {
            name: summary(cases, (RULES | TRIED)[name], 2.0) for name in (*RULES, *DOUBLED)
        },
        "coverage": {
            "plain": coverage(cases, bagged=False),
            "bagged": coverage(cases, bagged=True),
        },
    }


def main() -> None:
    """Judge the committees of both trainers; draw; fill the tables of the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--figures", type=Path, default=HERE.parent / "images")
    parser.add_argument("--toy", type=Path, default=trust_pairs.TOY, help="used if it is there")
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    found = json.loads(options.results.read_text("utf-8")) if options.results.is_file() else {}
    cases = complete(trust_pairs.read(trust_pairs.FILE))
    found["mace"] = results(cases)
    trust_figures.draw(cases, found["mace"], options.figures)
    if options.toy.is_file():
        found["toy"] = results(complete(trust_pairs.read(options.toy)))
    text = json.dumps(found, ensure_ascii=False, separators=(",", ":"))
    options.results.write_text(text.replace('},"', '},\n"') + "\n", encoding="utf-8")
    page = options.page.read_text(encoding="utf-8")
    filled = trust_tables.filled(page, trust_tables.tables(found))
    options.page.write_text(filled, encoding="utf-8")


if __name__ == "__main__":
    main()
