"""Active-learning campaigns for neural-network interatomic potentials: the science.

This package never imports AiiDA; ``aiida_trainspot`` is the shell that adds provenance,
restart and remote computers around it.
"""

from importlib.metadata import version

__version__ = version("trainspot")
__all__ = ["__version__"]
