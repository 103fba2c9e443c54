"""``trainspot explore``: explore with molecular dynamics of one trained model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trainspot import io
from trainspot.cli._dynamics import Range, mobile, refuse_failures, runs_of, settings_of
from trainspot.cli.options import config_option, output_option, seed_option
from trainspot.common.text import counted
from trainspot.data import hdf5
from trainspot.data.dataset import Dataset
from trainspot.explore import trajectory
from trainspot.explore.ase import AseExplorer
from trainspot.explore.schedule import start_frames
from trainspot.models import potential

if TYPE_CHECKING:
    from ase import Atoms

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("structures", nargs=-1, required=True, type=_FILE)
@click.option("--model", required=True, type=click.Path(path_type=Path),
              help="A trained model, or the folder of `trainspot export`.")  # fmt: skip
@click.option("--kind", default="", help="Kind of the model. Default: recognised from the file.")
@click.option(
    "--ensemble",
    default="auto",
    show_default=True,
    type=click.Choice(["auto", "nvt", "npt", "nve"]),
    help="auto: npt if a direction is periodic, else nvt.",
)
@click.option(
    "--temperature",
    default="300",
    show_default=True,
    type=Range(),
    help="Temperature in K. LOW:HIGH draws one per run.",
)
@click.option(
    "--pressure",
    default="0",
    show_default=True,
    type=Range(),
    help="Pressure in kbar. LOW:HIGH draws one per run.",
)
@click.option("--time", default=1.0, show_default=True, help="Length of a run in ps.")
@click.option("--timestep", default=1.0, show_default=True, help="Time step in fs.")
@click.option("--sample-every", default=0.1, show_default=True, help="Time between frames in ps.")
@click.option("--schedule", "schedule_file", type=_FILE, help="Do the runs of this JSON file.")
@click.option(
    "--settings", "settings_file", type=_FILE, help="Settings of the engine ase, JSON or YAML."
)
@click.option("--failures", "failures_file", type=_FILE, help="Write the failed runs to this file.")
@click.option(
    "--dtype",
    default="float64",
    show_default=True,
    type=click.Choice(["float64", "float32"]),
    help="Precision of the model.",
)
@click.option("--device", default="cpu", show_default=True, help="cpu or cuda.")
@seed_option
@config_option
@output_option
def explore(structures: tuple[Path, ...], output: Path, **options: Any) -> None:
    """Run molecular dynamics from each frame of STRUCTURES, with one model, through ASE.

    Isolated atoms are left out. An .extxyz output has energy, forces and momenta; an .h5 output is
    a dataset without labels. A failed run keeps the frames that it reached.
    """
    for path in filter(None, (output, options["failures_file"])):
        io.check_output(path)
    starts = Dataset.from_frames([]).merge(*(io.read(path) for path in structures))
    runs = runs_of(mobile(starts), options)
    model = potential.load(
        options["model"], kind=options["kind"], dtype=options["dtype"], device=options["device"]
    )
    snapshots: list[Atoms] = []
    stderr = click.get_text_stream("stderr")
    with click.progressbar(length=len(runs), file=stderr, hidden=not stderr.isatty()) as bar:
        result = AseExplorer.run(
            start_frames(starts, runs),
            runs,
            model,
            settings_of(options),
            progress=lambda *_: bar.update(1),
            on_frame=lambda frame, atoms: snapshots.append(trajectory.snapshot(frame, atoms)),
        )
    if output.suffix == hdf5.SUFFIX:
        hdf5.write(result.explored, output)
    else:
        trajectory.write(snapshots, output)
    frames, asked = counted(len(result.explored), "frame"), counted(len(runs), "run")
    click.echo(f"{frames} from {asked}: {output}")
    if options["failures_file"] is not None:
        io.write(result.failures, options["failures_file"])
    else:
        refuse_failures(result.failures, len(runs))
