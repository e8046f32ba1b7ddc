"""Makes ``schemas/vectors``: one case per file, valid or with the code that it must be refused with."""
