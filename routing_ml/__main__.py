"""`python -m routing_ml`: the command line."""

import sys

from routing_ml.cli import main

sys.exit(main())
