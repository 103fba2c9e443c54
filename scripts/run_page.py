"""Run what a page of the documentation shows, and write into the page what it prints.

``python scripts/run_page.py docs/tutorial/by-hand.md FOLDER`` goes through the blocks of the page
in order, inside FOLDER, which must be empty or new:

* ``yaml`` is written to ``campaign.yaml``;
* ``python`` is run, and what it prints replaces the ``text`` block that follows, if there is one;
* each line of ``console`` that begins with ``$`` is run, and what it prints replaces the lines
  below it.

It stops at the first command that fails. Run it when the words that commands print have changed.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

BLOCK = re.compile(r"^```(console|python|text|yaml)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROMPT = "$ "
COLUMNS = 88


def output(command: list[str] | str, folder: Path) -> str:
    """What a command prints on both channels, without spaces at the ends of lines."""
    done = subprocess.run(  # noqa: S603  (the commands of our own page)
        command,
        shell=isinstance(command, str),
        cwd=folder,
        env={**os.environ, "COLUMNS": str(COLUMNS), "TERM": "dumb"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        sys.exit(f"{command}: exit status {done.returncode}\n{done.stdout}")
    text = "\n".join(line.rstrip() for line in done.stdout.splitlines()).strip("\n")
    return f"{text}\n" if text else ""


def page(text: str, folder: Path) -> str:
    """The page with what its blocks print in ``folder``."""
    printed = ""

    def run(block: re.Match[str]) -> str:
        nonlocal printed
        kind, body = block.groups()
        if kind == "yaml":
            (folder / "campaign.yaml").write_text(body, encoding="utf-8")
        elif kind == "python":
            printed = output([sys.executable, "-c", body], folder)
        elif kind == "text":
            body, printed = printed or body, ""
        else:
            lines = [line for line in body.splitlines(keepends=True) if line.startswith(PROMPT)]
            body = "".join(line + output(line.removeprefix(PROMPT), folder) for line in lines)
        return f"```{kind}\n{body}```"

    return BLOCK.sub(run, text)


def main() -> None:
    """Rewrite the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("page", type=Path)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    if any(arguments.folder.iterdir()):
        sys.exit(f"{arguments.folder}: not empty")
    text = arguments.page.read_text(encoding="utf-8")
    arguments.page.write_text(page(text, arguments.folder), encoding="utf-8")


if __name__ == "__main__":
    main()
