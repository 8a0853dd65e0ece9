"""`python -m pipelines.validation.torture [FOLDER]`: the whole torture; what it does is said in `command.py`."""

import sys

from pipelines.validation.torture.command import main

if __name__ == "__main__":
    sys.exit(main())
