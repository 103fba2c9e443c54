"""What tests of the command line and of pages share."""

from __future__ import annotations

import subprocess
import sys
from html.parser import HTMLParser

import pytest

BLOCK = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Blocked())
sys.argv = {argv!r}
from trainspot.cli import main
main()
"""


@pytest.fixture(scope="session")
def blocked():
    """Run the program with some modules missing."""

    def run(names, *argv):
        code = BLOCK.format(names=set(names), argv=["trainspot", *argv])
        command = [sys.executable, "-c", code]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    return run


class _Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.words = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)

    def all(self, name):
        return [attributes for tag, attributes in self.tags if tag == name]


@pytest.fixture(scope="session")
def read_page():
    """The tags of a page with their attributes, and the text between them."""
    return _Page
