"""python -m orch_standards"""

import sys

from .cli import main

sys.exit(main())
