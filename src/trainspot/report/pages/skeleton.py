"""The parts of every page: ``Section`` and ``Picture``, ``render`` and ``save``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from trainspot.common.atomic_write import replacing

if TYPE_CHECKING:
    from pathlib import Path

    from trainspot.report.pages.table import Table


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure on the page.

    Attributes:
        source: ``data:`` address of the image.
        caption: Content of the figure and how to read it.
        alt: Alternative text for readers who cannot see the figure.
    """

    source: str
    caption: str
    alt: str


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page.

    A section without other content shows the text ``missing``; ``remarks`` are at its end.
    """

    key: str
    title: str
    intro: str
    missing: str
    pictures: list[Picture] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    gallery: list[Picture] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def render(package: str, template: str, **content: Any) -> str:
    """A page from a template, with escaped content.

    Args:
        package: Package with the template in ``templates``; the template may extend or include
            templates of ``trainspot.report.pages``.
        template: Name of the file.
        content: Values of the template.
    """
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader("trainspot.report.pages")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**content)


def save(text: str, target: Path | str) -> None:
    """Write a page, atomically: the file appears whole or not at all."""
    with replacing(target) as path:
        path.write_text(text, encoding="utf-8")


def present(*pictures: Picture | None) -> list[Picture]:
    """The pictures, without ``None``."""
    return [picture for picture in pictures if picture is not None]


def filled(*tables: Table) -> list[Table]:
    """The tables that have rows."""
    return [table for table in tables if table.rows]
