"""Sealing and opening (DESIGN section 3, steps 2 and 5): the only code that touches a body. The hub cannot import it."""
