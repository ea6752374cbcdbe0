"""`python -m labneuro` is the command `labneuro`."""

import sys

from labneuro.cli import main

sys.exit(main())
