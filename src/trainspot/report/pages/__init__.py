"""Tools of all pages: skeleton, tables, style of figures, drawings of frames."""
