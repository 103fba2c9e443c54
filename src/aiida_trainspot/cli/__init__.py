"""Commands that need AiiDA."""
