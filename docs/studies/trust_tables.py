"""The tables of the page of the study of trust, written between marks in its text."""

from __future__ import annotations

import re
from typing import Any, Final

import trust

PLANNED: Final = {
    "paper": "the paper's method, validation only",
    "today": "today's defaults, validation only",
    "today + 12": "the same, and 12 audit frames",
    "conservative": "conservative fallback",
    "+ local novelty": "and novelty of atoms",
    "+ bagging": "and a bagged committee",
    "today + 25": "today's defaults, 25 audit frames",
    "+ bagging, 25": "all three, 25 audit frames",
}
COLUMNS: Final = {
    "f1": "F1", "tpr": "TPR", "ppv": "PPV", "severe_found": "severe found",
    "wrong_unflagged": "wrong among the unflagged", "false_alarms": "false alarms",
}  # fmt: skip
WITH_INTERVAL: Final = ("severe_found", "wrong_unflagged", "false_alarms")
SOURCES: Final = {
    "validation": "validation frames",
    "validation and audit 12": "validation and 12 audit frames",
    "validation and audit 25": "validation and 25 audit frames",
    "audit 12": "12 audit frames alone",
    "audit 25": "25 audit frames alone",
}
PROPERTIES: Final = {"forces": "forces of a frame", "atom": "force on an atom",
                     "energy": "energy per atom", "stress": "stress"}  # fmt: skip


def number(value: float | None) -> str:
    """Two decimals, a dash for a rate that is not defined."""
    return "–" if value is None else f"{value:.2f}"


def with_interval(value: float | None, ends: list[float] | None) -> str:
    """A rate with its interval."""
    if value is None or ends is None:
        return number(value)
    return f"{number(value)} ({number(ends[0])}–{number(ends[1])})"


def table(head: list[str], rows: list[list[str]]) -> str:
    """A table of Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def rules(found: dict[str, Any], names: dict[str, str], which: str = "rules") -> str:
    """Rates of some rules over all cases."""
    rows = []
    for name, words in names.items():
        made = found[which][name]
        cells = [
            with_interval(made[key], made["intervals"][key])
            if key in WITH_INTERVAL
            else number(made[key])
            for key in COLUMNS
        ]
        rows.append([words, *cells])
    return table(["rule", *COLUMNS.values()], rows)


def systems(found: dict[str, Any], names: dict[str, str]) -> str:
    """Severe found, wrong among the unflagged and false alarms of each system."""
    heads = list(found["rules"]["today"]["by_system"])
    rows = []
    for name, words in names.items():
        by = found["rules"][name]["by_system"]
        cells = [" / ".join(number(by[one][key]) for key in WITH_INTERVAL) for one in heads]
        rows.append([words, *cells])
    return table(["severe / wrong unflagged / false alarms", *heads], rows)


def bars(found: dict[str, Any], committee: str, level: str) -> str:
    """Coverage on the pool and on unseen motifs, and that of the worst case."""
    rows = []
    for source, words in SOURCES.items():
        cells = []
        for prop in PROPERTIES:
            made = found["coverage"][committee].get(f"{prop}, {source}, {level}")
            keys = ("pool", "unseen", "worst")
            cells.append(" / ".join(number(made[key]) for key in keys) if made else "–")
        rows.append([words, *cells])
    return table(["bar from", *PROPERTIES.values()], rows)


def cases(found: dict[str, Any]) -> str:
    """What each committee is like."""
    rows = []
    for name, case in found["cases"].items():
        system, hold_out, committee, seed = name.split("-")
        rows.append([
            system, hold_out.replace("_", " "), committee, seed,
            f"{case['pool']} ({case['unseen']})",
            ", ".join(f"{t:g}" for t in case["tolerances"]),
            number(case["error"]), f"{case['ratio_known']:.1f}", f"{case['ratio_unseen']:.1f}",
            number(case["spearman"]), number(case["novel_frame"]), number(case["novel_atom"]),
        ])  # fmt: skip
    head = ["system", "hold-out", "committee", "seed", "pool (unseen)", "ε, eV/Å",
            "median error, eV/Å", "e/Δ, known", "e/Δ, unseen", "rank correlation",
            "novel frames of the unseen", "with a novel atom"]  # fmt: skip
    return table(head, rows)


AIMS: Final = {
    "severe_found": ("severe frames found", "≥ 0.98"),
    "wrong_unflagged": ("wrong among the unflagged", "≤ 0.05"),
    "false_alarms": ("false alarms", "≤ 0.08"),
}
SECOND: Final = {
    "today": "today, validation",
    "today + 12": "today + 12 audit",
    "+ bagging": "planned rules",
    "bagged, quantile 0.8": "candidate",
    "plain, quantile 0.8": "candidate, plain",
}
CANDIDATES: Final = {
    "bagged, quantile 0.8": "the candidate",
    "plain, quantile 0.8": "the candidate with a plain committee",
}
RIVALS: Final = {
    "paper": ("paper", "plain", "validation"),
    "today": ("today, validation", "plain", "validation"),
    "today + 12": ("today + 12 audit", "plain", "validation and audit 12"),
    "+ bagging": ("planned rules", "bagged", "audit 12"),
    "bagged, quantile 0.8": ("candidate", "bagged", "audit 12"),
    "plain, quantile 0.8": ("candidate, plain", "plain", "audit 12"),
}


def aims(found: dict[str, Any]) -> str:
    """What each rule reaches of the aims, with the bars that go with it."""
    rows = []
    for key, (words, aim) in AIMS.items():
        cells = [number(found["rules"][name][key]) for name in RIVALS]
        double = [number(found["rules_double"][name][key]) for name in RIVALS]
        both = [f"{a} / {b}" for a, b in zip(cells, double, strict=True)]
        rows.append([words, aim, *both])
    for key, words, aim in (
        ("pool", "90 % bar of the forces covers: pool", "0.87–0.93"),
        ("unseen", "90 % bar of the forces covers: unseen motifs", "≥ 0.85"),
    ):
        cells = [
            number(found["coverage"][kind][f"forces, {source}, 0.9"][key])
            for _, kind, source in RIVALS.values()
        ]
        rows.append([words, aim, *cells])
    return table(["", "aim", *(words for words, *_ in RIVALS.values())], rows)


def second(found: dict[str, Any]) -> str:
    """The candidate and its rivals on the cases that were not known when it was chosen."""
    rows = []
    for key, (words, aim) in AIMS.items():
        cells = []
        for name in SECOND:
            both = [found["second"][f"{name}, {scale}"] for scale in ("1", "2")]
            cells.append(
                " / ".join(with_interval(made[key], made["intervals"][key]) for made in both)
            )
        rows.append([words, aim, *cells])
    return table(["", "aim", *SECOND.values()], rows)


def state(found: dict[str, Any]) -> str:
    """Which committees of the plan are in: one line for each system and hold-out."""
    rows = []
    plan = dict.fromkeys((one.system, one.hold_out) for one in trust.setups(trust.SYSTEMS, [1]))
    for system, hold_out in sorted(plan):
        prefix = f"{system}-{hold_out.replace(' ', '_')}-plain-"
        seeds = sorted(name.removeprefix(prefix) for name in found["cases"] if prefix in name)
        rows.append([system, hold_out, ", ".join(seeds) or "none", f"{3 - len(seeds)} of 3"])
    return table(["system", "hold-out", "seeds that are in", "missing"], rows)


def tables(found: dict[str, Any]) -> dict[str, str]:
    """All tables of the page by the name of their mark."""
    mace, toy = found["mace"], found["toy"]
    tried = {name: name for name, made in mace["rules"].items() if not made["planned"]}
    first = dict(list(PLANNED.items())[:6])
    more = {name: name for name in mace["rules_double"] if not mace["rules"][name]["planned"]}
    double = first | more
    return {
        "state": state(mace),
        "aims": aims(mace),
        "aims-toy": aims(toy),
        "rules": rules(mace, PLANNED),
        "second": second(mace),
        "systems": systems(mace, first | CANDIDATES),
        "tried": rules(mace, tried),
        "double": rules(mace, double, "rules_double"),
        "double-toy": rules(toy, double, "rules_double"),
        "bars-plain": bars(mace, "plain", "0.9"),
        "bars-bagged": bars(mace, "bagged", "0.9"),
        "bars-68": bars(mace, "bagged", "0.68"),
        "cases": cases(mace),
        "rules-toy": rules(toy, PLANNED),
        "systems-toy": systems(toy, first | CANDIDATES),
        "tried-toy": rules(toy, tried),
        "bars-toy": bars(toy, "plain", "0.9"),
    }


def filled(text: str, made: dict[str, str]) -> str:
    """The page with its tables in place of what stands between their marks.

    Raises:
        ValueError: The page lacks the marks of a table.
    """
    for name, content in made.items():
        mark = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        if not mark.search(text):
            raise ValueError(f"the page has no marks of the table {name}")
        text = mark.sub(lambda m, new=content: f"{m[1]}{new}\n{m[2]}", text)
    return text
