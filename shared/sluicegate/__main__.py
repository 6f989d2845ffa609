"""`python -m sluicegate`: the same as `sluicegate`."""

import sys

from sluicegate.cli import main

sys.exit(main())
