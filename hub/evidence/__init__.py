"""How it is proved: Merkle trees. Pure."""
