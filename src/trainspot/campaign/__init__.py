"""A whole campaign without AiiDA: decisions, loop, engines and endings."""
