"""Training: the stage, and one restarting workchain an engine."""
