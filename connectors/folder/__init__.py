"""The folder contract for national systems."""
