"""How it touches the world."""
