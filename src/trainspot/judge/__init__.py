"""From explored frames to the frames worth labelling: screen, calibrate, flag, select, stop."""
