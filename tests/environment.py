"""The environment that Django's settings read in a test process.

Each process (each xdist worker too) has a data folder of its own, and a numbered
database of its own on the Redis server that REDIS_URL names. Nothing is taken from a
developer's .env: a variable set here wins over that file.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from urllib.parse import urlsplit

SECRET_KEY = "a key for tests alone, of more than fifty characters, no secret"
ENCRYPTION_KEY = "dGVzdHMtb25seS1rZXktb2YtMzItYnl0ZXMtbG9uZyE="
REDIS_DATABASES_PER_WORKER = 16


def worker_number() -> int:
    """Which xdist worker this process is; 0 where there is but one."""
    return int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))


def redis_url(number: int) -> str:
    """The URL of this worker's Redis database `number` (below 16); "" without Redis."""
    server = os.environ.get("REDIS_URL", "")
    if not server:
        return ""
    database = worker_number() * REDIS_DATABASES_PER_WORKER + number
    return urlsplit(server)._replace(path=f"/{database}").geturl()


def prepare() -> None:
    """Set every variable that decides what the tests see."""
    folder = tempfile.mkdtemp(prefix="mailhub-tests-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ.update(
        DEBUG="0",
        SECRET_KEY=SECRET_KEY,
        MAILHUB_ENCRYPTION_KEYS=ENCRYPTION_KEY,
        MAILHUB_DATA_DIR=folder,
        REDIS_URL=redis_url(0),
        MAILHUB_PUBLIC_URL="http://localhost:8000",
        ALLOWED_HOSTS="localhost,127.0.0.1,[::1],testserver",
        MAILHUB_ALLOWED_NETWORKS="127.0.0.0/8,::1/128",
        MAILHUB_ALLOW_PLAINTEXT="1",
        MAILHUB_PASSWORD_HASHER="django.contrib.auth.hashers.MD5PasswordHasher",
        # Nobody's name server: it is refused at once.
        MAILHUB_DNS_SERVER="255.255.255.255:53",
        EMAIL_SERVICE_LOG_LEVEL="INFO",
        MAILHUB_LOG_FORMAT="text",
        MAILHUB_REQUEST_BURST="100000",
        # Nobody's keys, and no look for a machine's role.
        AWS_ACCESS_KEY_ID="AKIATESTSONLY",
        AWS_SECRET_ACCESS_KEY="of-the-tests-alone",
        AWS_EC2_METADATA_DISABLED="true",
    )
    if not os.environ.get("DATABASE_URL", "").startswith("postgres"):
        os.environ["DATABASE_URL"] = f"sqlite:///{folder}/mailhub.sqlite3"
