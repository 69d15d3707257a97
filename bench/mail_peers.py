"""What else sends mail in bulk, into the same sink: postfix's generator, nodemailer, Django.

Postfix's two programs come out of Debian's package, which is unpacked and not installed; the
others from their registries in the versions named here. All of it lies in `.bench-peers`.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.processes import answers, free_port, wait_until

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".bench-peers"
NODEMAILER = "nodemailer@10.6.1"
POST_OFFICE = "django-post_office==3.12.0"
SESSIONS = 10
# A message with 1 MiB in base64, in lines of 76 characters.
ATTACHED_OCTETS = 1024 * 1024 * 4 // 3 * 78 // 76 + 5000
_LIBRARIES = "usr/lib/postfix"


def postfix(program: str) -> tuple[str, dict[str, str]]:
    """A program of Debian's postfix, and the variables that it needs. SystemExit without it."""
    installed = shutil.which(program, path="/usr/sbin:/usr/local/sbin")
    if installed:
        return installed, {}
    unpacked = FOLDER / "postfix"
    if not (unpacked / "usr/sbin" / program).exists():
        unpacked.mkdir(parents=True, exist_ok=True)
        if shutil.which("apt-get") is None:
            raise SystemExit("smtp-sink and smtp-source are not here (Debian: postfix)")
        _quietly("apt-get", "download", "postfix", folder=unpacked)
        for package in unpacked.glob("postfix_*.deb"):
            _quietly("dpkg-deb", "-x", str(package), ".", folder=unpacked)
            package.unlink()
    found = unpacked / "usr/sbin" / program
    return str(found), {"LD_LIBRARY_PATH": str(unpacked / _LIBRARIES)}


def _quietly(*command: str, folder: Path) -> None:
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


@contextmanager
def smtp_sink() -> Iterator[int]:
    """A server that takes every message and keeps none; its port."""
    program, variables = postfix("smtp-sink")
    port = free_port()
    as_nobody = ["-u", "nobody"] if os.geteuid() == 0 else []
    process = subprocess.Popen(
        [program, *as_nobody, f"127.0.0.1:{port}", "1000"],
        env={**os.environ, **variables},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: answers(port), "smtp-sink answers")
        yield port
    finally:
        process.terminate()
        process.wait()


@contextmanager
def large_sink() -> Iterator[int]:
    """A server that reads large messages as fast as they come (see bench.large_sink)."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "bench.large_sink", str(port)], cwd=ROOT)
    try:
        wait_until(lambda: answers(port), "the sink answers")
        yield port
    finally:
        process.terminate()
        process.wait()


def smtp_source(port: int, messages: int, size: int) -> float:
    """Messages a second of `smtp-source -d -s 10`, which makes nothing and writes nothing down."""
    program, variables = postfix("smtp-source")
    envelope = ["-f", "shop@example.org", "-t", "person@example.com"]
    command = [program, "-d", "-s", str(SESSIONS), "-m", str(messages), "-l", str(size), *envelope]
    command.append(f"127.0.0.1:{port}")
    return _rate(command, messages, variables)


def nodemailer(port: int, messages: int) -> float | None:
    """Messages a second of nodemailer's pool; None where there is no Node."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        return None
    folder = FOLDER / "node"
    if not (folder / "node_modules" / "nodemailer").exists():
        folder.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder)]
        subprocess.run([*command, NODEMAILER], check=True, stdout=subprocess.DEVNULL)
    script = Path(__file__).with_name("nodemailer_pool.js")
    variables = {"NODE_PATH": str(folder / "node_modules")}
    return _rate(["node", str(script), str(port), str(messages)], messages, variables)


def django(port: int, messages: int) -> float:
    """Messages a second of Django's own backend, over one connection."""
    return _django("backend", port, messages)


def post_office(port: int, messages: int) -> float:
    """Messages a second of django-post_office: queued, then sent by its command's function."""
    folder = FOLDER / "post_office"
    if not (folder / "post_office").exists():
        pip = ["uv", "pip"] if shutil.which("uv") else [sys.executable, "-m", "pip"]
        _quietly(*pip, "install", "--no-deps", "--target", str(folder), POST_OFFICE, folder=ROOT)
    return _django("post_office", port, messages, PYTHONPATH=str(folder))


def _django(which: str, port: int, messages: int, **variables: str) -> float:
    command = [sys.executable, str(Path(__file__).with_name("django_peer.py")), which]
    finished = subprocess.run(
        [*command, str(port), str(messages)],
        env={**os.environ, **variables}, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return messages / float(finished.stdout)


def _rate(command: list[str], messages: int, variables: dict[str, str]) -> float:
    before = time.perf_counter()
    subprocess.run(command, env={**os.environ, **variables}, check=True, stdout=subprocess.DEVNULL)
    return messages / (time.perf_counter() - before)


def raw_loopback(octets: int) -> float:
    """Octets a second from one socket to another, written and thrown away."""
    piece = bytes(256 * 1024)

    def take() -> None:
        accepted, _ = listener.accept()
        with accepted:
            buffer = bytearray(len(piece))
            while accepted.recv_into(buffer):
                pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        reader = threading.Thread(target=take)
        reader.start()
        before = time.perf_counter()
        with socket.create_connection(listener.getsockname()) as sender:
            for _ in range(octets // len(piece)):
                sender.sendall(piece)
        reader.join()
    return octets / (time.perf_counter() - before)
