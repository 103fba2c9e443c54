"""``trainspot convert``: import a dataset, or write it in another format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trainspot.cli import _messages
from trainspot.cli._doubts import tell
from trainspot.cli.options import json_option, periodic_option
from trainspot.common.errors import InputError
from trainspot.common.text import counted

if TYPE_CHECKING:
    from trainspot.data.dataset import Dataset
    from trainspot.data.frames import Split


@click.command()
@click.argument("source", metavar="IN", type=click.Path(path_type=Path))
@click.argument("target", metavar="OUT", type=click.Path(path_type=Path))
@click.option(
    "--theory",
    default="",
    help="Name of the level of theory, for labels without one, such as PBE-600eV.",
)
@click.option(
    "--split",
    type=click.Choice(["train", "validation", "test"]),
    help="Write only the frames of this split.",
)
@click.option("--labelled", is_flag=True, help="Write only frames with energy and forces.")
@click.option(
    "--map",
    "entries",
    multiple=True,
    metavar="NAME=LABEL",
    help="What the entry NAME of IN holds: the label energy, forces or stress (a virial is "
    "converted), or metadata to keep. May be repeated.",
)
@periodic_option
@json_option
def convert(
    source: Path,
    target: Path,
    theory: str,
    split: Split | None,
    labelled: bool,
    entries: tuple[str, ...],
    periodic: tuple[bool, bool, bool] | None,
    as_json: bool,
) -> None:
    """Write the frames of IN to OUT without loss.

    IN is an .h5, .extxyz, .db or .aselmdb file, or any other file that ASE reads. OUT is one of
    the first four; its suffix sets the format. For a dataset from another program, name the level
    of theory with --theory and the labels with --map.
    """
    from trainspot import io

    io.check_output(target)
    with io.opened(source, mapping=io.parse_map(entries)) as frames:
        io.check_theory(frames, theory, str(source))
        dataset = io.with_periodicity(io.with_theory(frames, theory), periodic, str(source))
        if split or labelled:
            wanted = dataset.rows(split=split, labelled=True if labelled else None)
            dataset = dataset.part(wanted)
        if not len(dataset):
            what = f"no {'labelled ' if labelled else ''}frame" + (
                f" in the split {split}" * bool(split)
            )
            hint = (
                "assign splits first: trainspot split"
                if split and not frames.column("split").any()
                else ""
            )
            raise InputError(f"has {what}", where=str(source), hint=hint)
        io.write(dataset, target)
        counts = io.counts(dataset)
        figures = _figures(dataset, counts) | {"doubts": tell(dataset)}
    if as_json:
        click.echo(json.dumps(figures, indent=1))
        return
    theories = ", ".join(name or "unnamed" for name in dataset.theories)
    at = f" at the level of theory {theories}" if theories else ""
    written = counted(figures["frames"], "frame")
    click.echo(f"{written} ({figures['labelled']} labelled{at}) written to {target}")
    io.tell_counts(counts, target)
    if "" in dataset.theories:
        _messages.note("name the level of theory of these labels: --theory NAME")
    if target.suffix == ".aselmdb":
        numbers, e0s = figures["atomic_numbers"], figures["e0s"]
        missing = (
            ""
            if [*e0s] == numbers
            else "; add the energy of each element that has no isolated atom here"
        )
        click.echo(f"MACE needs --atomic_numbers='{numbers}' --E0s='{e0s}'{missing}")


def _figures(dataset: Dataset, counts: dict[str, int]) -> dict[str, Any]:
    import numpy as np

    theories = dataset.theories
    return {
        "frames": len(dataset),
        "labelled": int(dataset.is_labelled.sum()),
        **{f"with_{name}": count for name, count in counts.items() if name != "frames"},
        "theories": theories,
        "atomic_numbers": np.unique(dataset.column("numbers")).tolist(),
        "e0s": dataset.e0s() if len(theories) < 2 else {},  # else ambiguous
    }
