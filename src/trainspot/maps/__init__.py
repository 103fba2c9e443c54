"""Maps of frames: descriptors of whole frames, and their projection onto a plane."""
