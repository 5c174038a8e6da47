"""`python -m trust`."""

import sys

from trust.cli import main

if __name__ == "__main__":
    sys.exit(main())
