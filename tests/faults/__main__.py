"""`make faults`: what takes too long for `make test`. `--only` runs one part, with its options.

Campaigns are sent in 50 rounds on SQLite, and in as many on PostgreSQL and Redis; over SES as well.
"""

from __future__ import annotations

import argparse
import subprocess
import sys

PARTS = {
    "parsing": "tests.faults.parsing",
    "sync": "tests.faults.sync_kill",
    "api": "tests.faults.api_fuzz",
    "outbox": "tests.faults.outbox_kill",
    "drafts": "tests.faults.draft_kill",
    "campaigns": "tests.faults.campaign_kill",
}


def main() -> int:
    """Run the parts one after another, each in a process of its own, until one fails."""
    parser = argparse.ArgumentParser(prog="make faults", add_help=False)
    parser.add_argument("--only", choices=PARTS)
    chosen, rest = parser.parse_known_args()
    if chosen.only is None and rest:
        sys.exit(f"Options belong to a part: --only {'|'.join(PARTS)} {' '.join(rest)}")
    runs = [(chosen.only, rest)] if chosen.only else [(part, []) for part in PARTS]
    if chosen.only is None:
        runs += [
            ("campaigns", ["--postgresql"]),
            ("campaigns", ["--ses"]),
            ("campaigns", ["--ses", "--postgresql"]),
        ]
    for part, options in runs:
        command = [sys.executable, "-m", PARTS[part], *options]
        code = subprocess.run(command, check=False).returncode
        if code:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
