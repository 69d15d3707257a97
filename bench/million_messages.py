"""Lists and searches of the API over 1,000,000 stored messages: milliseconds a request.

    python -m bench.million_messages [--messages 1000000] [--requests 40] [--keep DIR]
                                     [--only sqlite|postgresql]

On SQLite, then on a PostgreSQL of its own; see `bench.list_and_search` for what is
measured. With --keep the databases stay in that folder, to be used again.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.servers.postgresql import PostgreSQLServer

ROOT = Path(__file__).resolve().parent.parent
# As PostgreSQL comes; the tests' has less.
_POSTGRESQL = {"shared_buffers": "128MB", "max_connections": "20", "max_wal_size": "8GB"}


def main() -> None:
    """Measure each database in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--requests", type=int, default=40)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--only", choices=("sqlite", "postgresql"))
    chosen = parser.parse_args()
    numbers = (chosen.messages, chosen.requests)
    if chosen.only != "postgresql":
        with tempfile.TemporaryDirectory() as folder:
            kept = (chosen.keep or Path(folder)).resolve()
            kept.mkdir(parents=True, exist_ok=True)
            measure(f"sqlite:///{kept / 'mail.sqlite3'}", *numbers)
    if chosen.only != "sqlite":
        cluster = None if chosen.keep is None else (chosen.keep / "postgresql").resolve()
        if cluster is not None:
            cluster.mkdir(parents=True, exist_ok=True)
        server = PostgreSQLServer(cluster, _POSTGRESQL)
        server.start()
        try:
            measure(server.url, *numbers)
        finally:
            server.stop()


def measure(url: str, messages: int, requests: int) -> None:
    """What `bench.list_and_search` prints goes to where this one's output goes."""
    subprocess.run(
        [sys.executable, "-m", "bench.list_and_search", url, str(messages), str(requests)],
        cwd=ROOT,
        check=True,
    )


if __name__ == "__main__":
    main()
