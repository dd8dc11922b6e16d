"""``python -m difint``: the command line of ``difint.cli``."""

import sys

from difint.cli import main

if __name__ == "__main__":
    sys.exit(main())
