"""Exploration: molecular dynamics with one member, from the initial frames to new ones.

``schedule`` draws the runs; the engines (group ``trainspot.explore``) execute them; ``frames``
turns their trajectories into frames with their origin.
"""
