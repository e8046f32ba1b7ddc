"""Comity: the hub."""
