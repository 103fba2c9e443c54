"""A whole campaign without AiiDA: its decisions, its loop, its engines, how it ends."""
