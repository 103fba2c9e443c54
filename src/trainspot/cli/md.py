"""``trainspot md``: molecular dynamics with one trained model."""

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
              help="Trained model, or the folder of `trainspot export`.")  # fmt: skip
@click.option("--kind", default="", help="Kind of the model; recognised if not given.")
@click.option("--ensemble", default="auto", type=click.Choice(["auto", "nvt", "npt", "nve"]))
@click.option(
    "--temperature", default="300", show_default=True, type=Range(), help="K, or LOW:HIGH."
)
@click.option("--pressure", default="0", show_default=True, type=Range(), help="kbar, or LOW:HIGH.")
@click.option("--time", default=1.0, show_default=True, help="Length of a run, ps.")
@click.option("--timestep", default=1.0, show_default=True, help="fs.")
@click.option("--sample-every", default=0.1, show_default=True, help="ps.")
@click.option("--schedule", "schedule_file", type=_FILE, help="Do these runs instead (JSON).")
@click.option("--settings", "settings_file", type=_FILE, help="Of the engine ase; JSON or YAML.")
@click.option("--failures", "failures_file", type=_FILE, help="Where to record failed runs.")
@click.option("--dtype", default="float64", type=click.Choice(["float64", "float32"]))
@click.option("--device", default="cpu", show_default=True)
@seed_option
@config_option
@output_option
def md(structures: tuple[Path, ...], output: Path, **options: Any) -> None:
    """Run molecular dynamics from every frame of STRUCTURES but single atoms, through ASE.

    Extended XYZ output carries energy, forces and momenta; HDF5 output is a dataset of bare
    frames. The ensemble auto is npt on periodic axes, nvt where there are none. A run that
    fails leaves the frames it reached, and is recorded in --failures.
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
