"""``python -m saros`` is the command ``saros``."""

import sys

from saros_cli import main

if __name__ == "__main__":
    sys.exit(main())
