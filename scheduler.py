"""`python scheduler.py`: APScheduler's ticks ring the workers. The same as `lifecycle schedule`.

As many as one likes may run: together they do the work of one.
"""

import sys

from lifecycle.cli import run

if __name__ == "__main__":
    sys.exit(run(["schedule", *sys.argv[1:]]))
