"""Moto's server: AWS's APIs as their descriptions have them, over real HTTP on a loopback port."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from mailhub.mail.aws import AwsKeys, AwsService, aws_client
from tests.servers.processes import answers, free_port, wait_until

REGION = "eu-west-1"
KEYS = AwsKeys("AKIAMOTOMOTOMOTO", "moto-secret-access-key-77ab")


class MotoServer:
    """Any keys are good; what it holds is forgotten by `reset`."""

    def __init__(self) -> None:
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, service: str) -> Any:
        """A client of AWS's own for it."""
        return aws_client(AwsService(service, REGION, keys=KEYS, endpoint=self.url))

    def start(self) -> None:
        """Start it, and wait until it accepts connections."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        wait_until(lambda: answers(self.port), "moto accepts connections", 60)

    def reset(self) -> None:
        asked = urllib.request.Request(f"{self.url}/moto-api/reset", method="POST")
        with urllib.request.urlopen(asked, timeout=10):
            pass

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@pytest.fixture(scope="session")
def moto_server() -> Iterator[MotoServer]:
    """One for this test process."""
    server = MotoServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def aws(moto_server: MotoServer) -> MotoServer:
    """An AWS in which there is nothing yet."""
    moto_server.reset()
    return moto_server
