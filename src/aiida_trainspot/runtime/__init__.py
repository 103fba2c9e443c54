"""The AiiDA installation a command works with: profile, broker, daemon and its processes."""
