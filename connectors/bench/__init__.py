"""``comity bench``: how fast the hub is, and what the same work costs without it, measured in the same call."""
