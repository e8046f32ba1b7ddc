"""In the State's own house: keys never leave it."""
