"""A campaign for its readers: figures, one self-contained page, and the folder to take away."""
