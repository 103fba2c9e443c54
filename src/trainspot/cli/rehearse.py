"""``trainspot rehearse``: try the campaign with a cheap reference in place of DFT."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trainspot.cli._values import SeveralValues, changes_of
from trainspot.cli.options import json_option, workers_option, writable

if TYPE_CHECKING:
    from trainspot.rehearse.outcome import Outcome


@click.command(cls=SeveralValues)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--oracle",
              help="The cheap reference in place of DFT: an ASE calculator such as tersoff or "
              "tblite:method=GFN1-xTB, module:Class, or a model file. Not needed if the campaign "
              "looks its labels up (label.engine: pool).")  # fmt: skip
@click.option("--trainer", default="toy", show_default=True,
              help="Trainer. The trainer of the campaign keeps its settings.")  # fmt: skip
@click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True,
              help="Repetitions of each of the three campaigns, with other seeds.")  # fmt: skip
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE",
              help="Change a setting of the campaign, such as explore.time=0.5.")  # fmt: skip
@click.option("--test-frames", type=click.IntRange(min=3), default=48, show_default=True,
              help="Number of test frames, the same for all campaigns.")  # fmt: skip
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), default=1.6,
              show_default=True,
              help="Cost model: core-seconds of one DFT label of 8 atoms.")  # fmt: skip
@click.option("--exponent", type=click.FloatRange(min=0), default=2.1, show_default=True,
              help="Cost model: cost grows with the number of atoms to this power.")  # fmt: skip
@workers_option("Campaigns that run at the same time, one process each.")
@click.option("--keep", type=click.Path(path_type=Path, file_okay=False), callback=writable,
              help="Save finished campaigns in this folder. Do not repeat them.")  # fmt: skip
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False),
              callback=writable, help="Also write an .html page.")  # fmt: skip
@json_option
def rehearse(output: Path | None, as_json: bool, **options: Any) -> None:
    """Try the campaign in FILE with a cheap reference in place of DFT. Needs no AiiDA.

    Compares three campaigns: yours, one that judges as in the TrainsPot paper, and one that
    selects frames at random. All three start from the same frames and are tested on the same
    frames, once per seed.
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
    """Prepare, then run with a progress bar."""
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
