"""What the pages of all subjects share: skeleton, tables, style of figures, drawings of frames."""
