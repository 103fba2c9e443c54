"""What the documentation tells people to type is accepted by the programs."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest
import yaml

from trainspot.cli import main
from trainspot.config.load import load

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("changelog.d/*.md"), *ROOT.glob("docs/**/*.md")])
PAGES = [page for page in PAGES if not {"_build", "_generated"} & set(page.parts)]
FENCE = re.compile(r"^ *```(\w+)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)")


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(language: str) -> list:
    return [
        pytest.param(text, id=f"{name(page)}-{number}")
        for page in PAGES
        for number, (kind, text) in enumerate(FENCE.findall(page.read_text(encoding="utf-8")))
        if kind == language
    ]


def commands() -> list:
    lines = [
        line.strip().removeprefix("$ ").partition("  #")[0]
        for block in blocks("console")
        for line in block.values[0].splitlines()
    ]
    inline = re.findall(
        r"`(trainspot [a-z]+ [^`]*-[^`]*)`", "".join(p.read_text(encoding="utf-8") for p in PAGES)
    )
    return sorted({line for line in [*lines, *inline] if line.startswith("trainspot ")})


@pytest.mark.parametrize("line", commands())
def test_commands_have_the_options_that_are_shown(line):
    _, *arguments = shlex.split(line)
    context: click.Context = click.Context(main, info_name="trainspot")
    command: click.Command = main
    while isinstance(command, click.Group) and not arguments[0].startswith("-"):
        word = arguments.pop(0)
        found = command.get_command(context, word)
        assert found is not None, f"no command {word}"
        command, context = found, click.Context(found, info_name=word, parent=context)
    command.make_parser(context).parse_args(arguments)  # an unknown option raises


@pytest.mark.parametrize("text", blocks("yaml"))
def test_campaign_files_are_valid(text, tmp_path):
    (tmp_path / "campaign.yaml").write_text(text, encoding="utf-8")
    campaign = load(tmp_path / "campaign.yaml", need_inputs=False).campaign
    assert campaign.name
    named = yaml.safe_load(text)
    assert "structures" in named or "dataset" in named or campaign.starts_from_pool


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page):
    targets = LINK.findall(page.read_text(encoding="utf-8"))
    assert [t for t in targets if not (page.parent / t).exists()] == []


def test_the_pages_were_found():
    assert len(commands()) > 8
    assert len(blocks("yaml")) >= 2
    assert len(PAGES) > 20
