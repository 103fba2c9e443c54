"""Sphinx configuration; reference pages are generated from the code before each build."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))
# AiiDA makes a configuration folder when it is imported: not in the user's home.
aiida_path = HERE / "_build" / ".aiida"
aiida_path.mkdir(parents=True, exist_ok=True)
os.environ["AIIDA_PATH"] = str(aiida_path)
logging.getLogger("alembic").setLevel(logging.WARNING)

from aiida.manage import get_config

from trainspot import __version__

# Autodoc looks at every attribute of AiiDA's classes, the deprecated ones too.
get_config(create=True).set_option("warnings.showdeprecations", False)

project = "trainspot"
author = "The trainspot developers"
project_copyright = "The trainspot developers"
release = version = __version__

extensions = ["generated", "myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "_generated", "_ext"]
html_theme = "furo"
html_title = f"trainspot {release}"
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath", "fieldlist"]
myst_heading_anchors = 3
autodoc_member_order = "bysource"
napoleon_attr_annotations = False  # numpy's bool_ would read as a link
autodoc_preserve_defaults = True
