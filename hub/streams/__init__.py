"""The running processes: router, registrar, watch."""
