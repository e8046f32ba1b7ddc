"""Durable outbox and inbox, and the loops between them."""
