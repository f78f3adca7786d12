"""python -m gpubp: the command line, where the script `gpubp` is not on the path."""

import sys

from .cli import main

sys.exit(main())
