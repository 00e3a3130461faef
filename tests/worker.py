"""A worker of pytest-xdist, started as all else of this project: `start/run tests.worker -u -c PROGRAM`.

A bare Python would neither find the project's packages nor hold what is installed to its pin.
"""

import sys

if __name__ == "__main__":
    exec(sys.argv[-1])  # noqa: S102 - what execnet would have given to Python itself
