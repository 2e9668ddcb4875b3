"""`python -m bnn2c` is the same as the console script."""

from __future__ import annotations

from bnn2c.cli import main

if __name__ == "__main__":
    main()
