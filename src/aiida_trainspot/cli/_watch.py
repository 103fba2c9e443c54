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
from trainspot.campaign.exit import exit_of
from trainspot.campaign.record import records_of
from trainspot.report.findings.verdict import screen_audit, too_few

if TYPE_CHECKING:
    from aiida.orm import WorkChainNode

    from trainspot.campaign.record import IterationRecord

_INTERVAL: Final = 2.0
_KNOCK_EVERY: Final = 15
"""Updates of the display per check of the daemon."""


def watch(node: WorkChainNode) -> int:
    """Show a campaign until it ends or Ctrl-C, which leaves it running.

    Returns:
        The exit status for the shell: 0 if the campaign converged, reached its last iteration or
        spent its budget, or if it still runs after Ctrl-C; else 1.
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
        console.print(
            f"The campaign continues. To watch it again: trainspot status {node.pk} --watch"
        )
        return 0
    report = status(node)
    console.print(table(report), *closing(report, node.pk), sep="\n")
    ended = exit_of(report)
    return 0 if ended and ended.status in WELL else 1


def table(report: dict[str, Any]) -> Table:
    """The iterations of a campaign, one a row.

    While the campaign runs, the error of each committee is that on the test frames of its own
    iteration. After the end, all committees are compared on the final test frames.
    """
    rows = Table(title=f"{report['name']}  {report['id'][:8]}  {report['state']}")
    records = records_of(report)
    final = [(record.common_test or {}).get("forces") for record in records]
    comparable = bool(records) and None not in final
    errors = final if comparable else [_own_test_error(record) for record in records]
    title = f"force RMSE ({'final ' if comparable else ''}test)"
    for column in ("iteration", "labels", title, "explored", "flagged", "selected", "seconds"):
        rows.add_column(column, justify="right")
    for record, error in zip(records, errors, strict=True):
        rows.add_row(
            str(record.n),
            f"{record.labelled} ({record.labelled_total})",
            "–" if error is None else f"{1000 * error:.0f} meV/Å",
            str(record.explored),
            str(record.flagged),
            _chosen(record),
            f"{sum((record.seconds or {}).values()):.0f}",
        )
    return rows


def _chosen(record: IterationRecord) -> str:
    """Selected frames, audit frames and, if any were drawn, refused frames."""
    refused = f" + {record.screen_audit.drawn}" if record.screen_audit else ""
    return f"{record.selected} + {record.audit}{refused}"


def _own_test_error(record: IterationRecord) -> float | None:
    """Force RMSE of the members on the test frames of that iteration, eV/Å."""
    error = record.error("test", "forces")
    return error.mean if error else None


def _line(now: Progress, stalled: dict[str, str] | None) -> Group | Text:
    text = Text(f"iteration {now.iteration}: {now.stage}", style="bold")
    if stalled:
        return Group(text, Text(in_words(stalled), style="yellow"))
    if not now.jobs:
        return text
    text.append(f"  {now.done} of {now.jobs} jobs", style="default")
    return Group(text, ProgressBar(total=now.jobs, completed=now.done, width=40))


def closing(report: dict[str, Any], pk: int) -> list[Text]:
    """What follows the table: the ending or the stage, what was missing, and what to do next."""
    ended = exit_of(report)
    if ended is None:
        lines = [Text(f"stage: {report['stage']}")]
        if report.get("stalled"):
            lines.append(Text(in_words(report["stalled"]), style="yellow"))
    else:
        style = "green" if ended.status == 0 else "yellow" if ended.status in WELL else "red"
        lines = [Text(f"{ended.label}: {ended.why}" if ended.why else ended.label, style=style)]
    lines += [Text(sentence, style="yellow") for sentence in of_retries(report)]
    lines += [
        Text(lacking, style="yellow")
        for record in records_of(report)[-1:]
        if (lacking := too_few(record))
    ]
    if audited := screen_audit(records_of(report)):
        lines.append(Text(audited, style="yellow"))
    if ended is not None:
        lines.append(Text(f"next: trainspot report {pk}; trainspot export {pk} -o FOLDER"))
    return lines
