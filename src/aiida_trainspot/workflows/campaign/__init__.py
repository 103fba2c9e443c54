"""The work chain of a whole campaign.

The class is also found here: checkpoints of campaigns that an earlier version started name it so.
"""

from aiida_trainspot.workflows.campaign.chain import TrainsPotWorkChain

__all__ = ["TrainsPotWorkChain"]
