"""Entry point of `python -m trust`."""

import sys

from trust.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
