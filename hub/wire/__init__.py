"""How it is written: pydantic models per version."""
