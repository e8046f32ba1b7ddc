"""``python -m hub`` is the command ``comity``."""

from hub.cli.app import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
