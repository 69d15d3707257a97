"""The API's document, fuzzed with more calls than `make test` has time for, on either database.

Each run makes other calls; a call that is answered wrongly is shown with what it sent.

    make faults ARGS="--only api --calls 100 [--postgresql]"
"""

from __future__ import annotations

import argparse
import os
import sys

from tests.run import run_pytest, scaled_servers


def main() -> int:
    """pytest's exit code."""
    parser = argparse.ArgumentParser(
        prog='make faults ARGS="--only api …"',
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("--calls", type=int, default=50, help="of an operation, of either mode")
    parser.add_argument("--postgresql", action="store_true", help="on PostgreSQL and Redis")
    options = parser.parse_args()
    os.environ["MAILHUB_FUZZ_CALLS"] = str(options.calls)
    arguments = ["-n", "4", "--dist", "worksteal", "tests/access/test_fuzz.py"]
    if not options.postgresql:
        return run_pytest({}, arguments)[1]
    with scaled_servers() as environment:
        return run_pytest(environment, arguments)[1]


if __name__ == "__main__":
    sys.exit(main())
