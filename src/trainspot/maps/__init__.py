"""Maps of what was explored: descriptors of whole frames, and their projection onto a plane."""
