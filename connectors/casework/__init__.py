"""The legal plane."""
