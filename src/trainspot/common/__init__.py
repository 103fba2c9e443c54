"""Shared by all rooms: errors, units, seeds, plug-ins, settings, files, processes, words."""
