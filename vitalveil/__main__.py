"""`python -m vitalveil`."""

import sys

from vitalveil.cli import main

if __name__ == "__main__":
    sys.exit(main())
