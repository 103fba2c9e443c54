"""The AiiDA installation of a command: profile, broker, daemon and its processes."""
