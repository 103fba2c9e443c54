"""``trainspot rehearse``: the whole campaign with a cheap reference in place of DFT."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trainspot.cli._values import SeveralValues, changes_of
from trainspot.cli.options import json_option, writable

if TYPE_CHECKING:
    from trainspot.rehearse.outcome import Outcome


@click.command(cls=SeveralValues)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--oracle", required=True,
              help="In place of DFT: a calculator of 'label --engine ase' such as tersoff or "
              "tblite:method=GFN1-xTB, module:Class, or a model file.")  # fmt: skip
@click.option("--trainer", default="toy", show_default=True,
              help="Trainer; the campaign's own keeps its settings.")  # fmt: skip
@click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True,
              help="Repetitions of every arm.")  # fmt: skip
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE",
              help="Change the campaign for all arms, such as explore.time=0.5.")  # fmt: skip
@click.option("--test-frames", type=click.IntRange(min=3), default=48, show_default=True,
              help="Common test frames.")  # fmt: skip
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), default=1.6,
              show_default=True, help="Core-seconds of the DFT label of 8 atoms.")  # fmt: skip
@click.option("--exponent", type=click.FloatRange(min=0), default=2.1, show_default=True,
              help="Of the number of atoms in the cost of a label.")  # fmt: skip
@click.option("--workers", type=click.IntRange(min=1), default=1, show_default=True,
              help="Campaigns that run at the same time.")  # fmt: skip
@click.option("--keep", type=click.Path(path_type=Path, file_okay=False), callback=writable,
              help="Folder of finished campaigns; those in it are not run again.")  # fmt: skip
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False),
              callback=writable, help="The page (HTML).")  # fmt: skip
@json_option
def rehearse(output: Path | None, as_json: bool, **options: Any) -> None:
    """Run the campaign in FILE with a cheap oracle instead of DFT, against two baselines.

    The campaign as it is, the same judged by the protocol of the paper, and the same with random
    choice start from the same frames, several times, and are tested on the same frames. No AiiDA.
    """
    outcome = _run(changes_of(options.pop("changes"), "--set"), options)
    if output is not None:
        from trainspot.rehearse.page import html
        from trainspot.report.pages.skeleton import save

        save(html(outcome), output)
    if as_json:
        click.echo(json.dumps(outcome.to_dict(), indent=2, ensure_ascii=False))
    else:
        from trainspot.rehearse.page import text

        click.echo(text(outcome))
        if output is not None:
            click.echo(f"page: {output}")


def _run(changes: dict[str, Any], options: dict[str, Any]) -> Outcome:
    """Prepare, then run with a progress bar where somebody looks."""
    from trainspot.rehearse.cost import CostModel
    from trainspot.rehearse.rehearsal import prepare

    stderr = click.get_text_stream("stderr")
    cost = CostModel(options["seconds"], options["exponent"])
    rehearsal = prepare(
        options["file"], changes, options["oracle"], options["trainer"], cost, options["seeds"]
    )
    total = rehearsal.size + 1
    with click.progressbar(
        length=total,
        file=stderr,
        hidden=not stderr.isatty(),
        item_show_func=lambda text: text,
    ) as bar:
        return rehearsal.run(
            test_frames=options["test_frames"],
            workers=options["workers"],
            keep=options["keep"],
            on_message=lambda text: bar.update(0, text),
            on_done=lambda text: bar.update(1, text),
        )
