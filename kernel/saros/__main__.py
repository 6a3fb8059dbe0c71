"""Run the command ``saros`` as ``python -m saros``."""

import sys

from saros_cli import main

if __name__ == "__main__":
    sys.exit(main())
