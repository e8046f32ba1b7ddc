"""``comity demo``: three fictional authorities play a small history, on a real Kafka or in memory, and count what came of it."""
