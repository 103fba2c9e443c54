"""The campaign file: read, merged with its protocol, validated, and explained when it is wrong."""
