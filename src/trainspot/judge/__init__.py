"""From explored frames to the frames worth labelling: screen, calibrate, flag, select, stop.

``pairs`` and ``calibrate`` turn labelled held-out frames into thresholds; ``judge`` applies the
thresholds to an exploration; ``verdict`` says when to stop; ``scoring`` measures how well the
thresholds worked.
"""

from trainspot.judge.judgement import Judgement, judge
from trainspot.judge.verdict import State, conclude

__all__ = ["Judgement", "State", "conclude", "judge"]
