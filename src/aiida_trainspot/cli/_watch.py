"""A live view of a running campaign."""

from __future__ import annotations

import time
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from aiida_trainspot.cli._attend import attend, in_words
from aiida_trainspot.results.endings import WELL
from aiida_trainspot.results.retries import sentences as of_retries
from aiida_trainspot.results.status import Progress, progress, status
from trainspot.common.text import sentences
from trainspot.report.findings.verdict import too_few

if TYPE_CHECKING:
    from aiida.orm import WorkChainNode

_INTERVAL: Final = 2.0
_KNOCK_EVERY: Final = 15
"""Looks at the campaign between two at its daemon."""


def watch(node: WorkChainNode) -> int:
    """Show a campaign until it ends or Ctrl-C, which leaves it running.

    Returns:
        The exit status for the shell: 0 if it ended well (also at its last iteration, or when the
        budget was spent) or was left running, else 1.
    """
    console = Console(stderr=True)
    shown: tuple[int, str] | None = None
    looks, stalled = count(), None
    try:
        with Live(console=console, auto_refresh=False, transient=console.is_terminal) as live:
            while not node.is_terminated:
                if next(looks) % _KNOCK_EVERY == 0:
                    before, stalled = stalled, attend([node])
                    if stalled and stalled != before and not console.is_terminal:
                        console.print(in_words(stalled), soft_wrap=True)
                now = progress(node)
                if console.is_terminal:
                    live.update(Group(table(status(node)), _line(now, stalled)), refresh=True)
                elif (now.iteration, now.stage) != shown:  # a log: one line a stage
                    shown = (now.iteration, now.stage)
                    console.print(f"iteration {now.iteration}: {now.stage}")
                time.sleep(_INTERVAL)
    except KeyboardInterrupt:
        console.print(f"It goes on. Look again: trainspot status {node.pk} --watch")
        return 0
    report = status(node)
    console.print(table(report), *closing(report, node.pk), sep="\n")
    return 0 if report["exit"]["status"] in WELL else 1


def table(report: dict[str, Any]) -> Table:
    """The iterations of a campaign, one a row.

    While it runs, errors are those on each iteration's own test frames, which change; once it has
    ended, all committees are compared on the final test frames.
    """
    rows = Table(title=f"{report['name']}  {report['id'][:8]}  {report['state']}")
    records = report["iterations"]
    final = [(record.get("common_test") or {}).get("forces") for record in records]
    comparable = bool(records) and None not in final
    errors = final if comparable else [_own_test_error(record) for record in records]
    title = f"force RMSE ({'final' if comparable else 'own'} test)"
    for column in ("n", "labels", title, "explored", "flagged", "selected", "seconds"):
        rows.add_column(column, justify="right")
    for record, error in zip(records, errors, strict=True):
        rows.add_row(
            str(record["n"]),
            f"{record['labelled']} ({record['labelled_total']})",
            "–" if error is None else f"{1000 * error:.0f} meV/Å",
            str(record["explored"]),
            str(record["flagged"]),
            f"{record['selected']} + {record['audit']}",
            f"{sum(record['seconds'].values()):.0f}",
        )
    return rows


def _own_test_error(record: dict[str, Any]) -> float | None:
    """Force RMSE of the members on the test frames of that iteration, eV/Å."""
    forces = record.get("rmse", {}).get("test", {}).get("forces", {})
    mean: float | None = forces.get("mean")
    return mean


def _line(now: Progress, stalled: dict[str, str] | None) -> Group | Text:
    text = Text(f"iteration {now.iteration}: {now.stage}", style="bold")
    if stalled:
        return Group(text, Text(in_words(stalled), style="yellow"))
    if not now.jobs:
        return text
    text.append(f"  {now.done} of {now.jobs} jobs", style="default")
    return Group(text, ProgressBar(total=now.jobs, completed=now.done, width=40))


def closing(report: dict[str, Any], pk: int) -> list[Text]:
    """What follows the table: where it stands, what was lacking, and what to do next."""
    ending = report["exit"]
    if ending is None:
        lines = [Text(f"stage: {report['stage']}")]
        if report.get("stalled"):
            lines.append(Text(in_words(report["stalled"]), style="yellow"))
    else:
        said = sentences(ending.get("message", ""), ending.get("remedy", ""))
        style = (
            "green" if ending["status"] == 0 else "yellow" if ending["status"] in WELL else "red"
        )
        lines = [Text(f"{ending['label']}: {said}" if said else ending["label"], style=style)]
    lines += [Text(sentence, style="yellow") for sentence in of_retries(report)]
    if report["iterations"] and (lacking := too_few(report["iterations"][-1])):
        lines.append(Text(lacking, style="yellow"))
    if ending is not None:
        lines.append(Text(f"next: trainspot report {pk}; trainspot export {pk} -o FOLDER"))
    return lines
