"""The real Dovecot (2.3, Debian's dovecot-imapd and dovecot-pop3d) on loopback ports of its own.

It runs from a generated configuration in a temporary folder, as root or as anybody else,
keeps mail in Maildir and knows the users it is told.
"""

from __future__ import annotations

import base64
import grp
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from imap_tools import imap_utf7

from mailhub.mail.host_guard import HostGuard
from mailhub.mail.server import Encryption, PasswordLogin, Protocol, ServerSettings
from tests.servers.certificates import make_certificate
from tests.servers.dovecot_configuration import CAPABILITIES, CONFIGURATION, OAUTH2, OAUTH2_PASSDB
from tests.servers.oauth2 import TokenServer
from tests.servers.processes import answers, free_port, wait_until


@dataclass(frozen=True)
class DovecotUser:
    """A user with an empty mailbox on a running server."""

    server: DovecotServer
    name: str
    password: str

    def settings(self, encryption: Encryption = Encryption.TLS, **changes: Any) -> ServerSettings:
        """How to reach this user's mailbox; `changes` replace fields of the settings."""
        return self.server.settings(self.name, self.password, encryption, **changes)

    def pop3_settings(
        self, encryption: Encryption = Encryption.TLS, **changes: Any
    ) -> ServerSettings:
        """How to reach this user's inbox over POP3."""
        server = self.server
        port = server.pop3_tls_port if encryption is Encryption.TLS else server.pop3_port
        values = {"protocol": Protocol.POP3, "port": port} | changes
        return self.settings(encryption, **values)

    def deliver(self, raw: bytes, folder: str = "INBOX") -> None:
        """Put a message into a folder, as a delivery agent does."""
        self.server.deliver(self.name, raw, folder)


def find_dovecot() -> str | None:
    """Its path, where it speaks IMAP and POP3 both."""
    executable = shutil.which(
        "dovecot", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
    )
    if executable is None:
        return None
    beside = Path(executable).resolve().parents[1]
    folders = (beside / "lib/dovecot", beside / "libexec/dovecot")
    speaks_both = any(
        (folder / "pop3").exists() and (folder / "imap").exists() for folder in folders
    )
    return executable if speaks_both else None


class DovecotServer:
    """One Dovecot. `port` speaks plain IMAP and STARTTLS, `tls_port` TLS from the start.

    `pop3_port` and `pop3_tls_port` are the same for POP3.

    `without` are capabilities that it does not announce. With `introspection_url`, to
    which a token is appended, it takes logins by `token_mechanisms` too.
    """

    def __init__(
        self,
        *,
        without: tuple[str, ...] = (),
        introspection_url: str = "",
        token_mechanisms: tuple[str, ...] = ("xoauth2", "oauthbearer"),
    ) -> None:
        executable = find_dovecot()
        if executable is None:
            raise FileNotFoundError(
                "dovecot is not installed (Debian: dovecot-imapd, dovecot-pop3d)"
            )
        self._executable = executable
        self._without = without
        self._introspection_url = introspection_url
        self._token_mechanisms = " ".join(token_mechanisms)
        self._process: subprocess.Popen[bytes] | None = None
        self._delivered = itertools.count(1)
        self.folder = Path(tempfile.mkdtemp(prefix="mailhub-dovecot-"))
        self.folder.chmod(0o755)
        self.port = free_port()
        self.tls_port = free_port()
        self.pop3_port = free_port()
        self.pop3_tls_port = free_port()
        owner = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
        self._uid, self._gid = owner.pw_uid, owner.pw_gid
        certificate, self._key = make_certificate(self.folder, "localhost")
        self.ca_file = str(certificate)

    def start(self) -> None:
        """Start it and wait until it greets."""
        for name in ("run", "state", "mail", "users"):
            (self.folder / name).mkdir(exist_ok=True, mode=0o755)
        self._own(self.folder / "mail")
        configuration = self.folder / "dovecot.conf"
        configuration.write_text(self._configuration())
        self._process = subprocess.Popen(
            [self._executable, "-F", "-c", str(configuration)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        wait_until(self._is_up, "dovecot accepts connections")

    def stop(self) -> None:
        """End it and every process of its, and forget all mail."""
        process, self._process = self._process, None
        if process is not None:
            # All its processes are of one group, and none has anything worth keeping.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if process.stderr is not None:
                process.stderr.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def add_user(self, name: str, password: str = "secret") -> DovecotUser:
        """A user who can log in from now on."""
        encoded = base64.b64encode(password.encode()).decode("ascii")
        # A file for each: Dovecot looks at a known file's changes once a second only.
        file = self.folder / "users" / name
        file.write_text(f"{name}:{{PLAIN.b64}}{encoded}\n", encoding="utf-8")
        return DovecotUser(self, name, password)

    def deliver(self, user: str, raw: bytes, folder: str = "INBOX") -> None:
        """Put a message into a folder of a user, making the folder where it is missing."""
        maildir = self.folder / "mail" / user / "Maildir"
        if folder != "INBOX":
            maildir /= "." + imap_utf7.utf7_encode(folder).decode("ascii")
        if not (maildir / "new").is_dir():
            for name in ("tmp", "new", "cur"):
                (maildir / name).mkdir(parents=True, exist_ok=True)
            if folder != "INBOX":
                (maildir / "maildirfolder").touch()
            self._own(self.folder / "mail" / user)
        name = f"{next(self._delivered):010d}.{os.getpid()}.test"
        waiting = maildir / "tmp" / name
        waiting.write_bytes(raw)
        self._own(waiting)
        waiting.rename(maildir / "new" / name)

    def renumber(self, user: str) -> None:
        """Give a user's inbox another UIDVALIDITY, as a restored server does."""
        maildir = self.folder / "mail" / user / "Maildir"
        numbers = maildir / "dovecot-uidlist"
        head, rest = numbers.read_text().split("\n", 1)
        words = [f"V{int(word[1:]) + 1}" if word.startswith("V") else word for word in head.split()]
        numbers.write_text("\n".join([" ".join(words), rest]))
        for index in maildir.glob("dovecot.index*"):
            index.unlink()

    def settings(
        self,
        user: str,
        password: str,
        encryption: Encryption = Encryption.TLS,
        **changes: Any,
    ) -> ServerSettings:
        """How to log in as a user; `changes` replace fields of the settings."""
        values: dict[str, Any] = {
            "protocol": Protocol.IMAP,
            "host": "localhost",
            "port": self.tls_port if encryption is Encryption.TLS else self.port,
            "encryption": encryption,
            "login": PasswordLogin(user, password),
            "timeout": 10.0,
            "guard": HostGuard.allowing(["127.0.0.0/8", "::1/128"]),
            "ca_file": self.ca_file,
        }
        return ServerSettings(**(values | changes))

    def _configuration(self) -> str:
        capability = ""
        if self._without:
            kept = [word for word in CAPABILITIES.split() if word not in self._without]
            capability = f"imap_capability = {' '.join(kept)}"
        identity = ""
        if os.geteuid() != 0:
            user, group = pwd.getpwuid(self._uid).pw_name, grp.getgrgid(self._gid).gr_name
            identity = (
                f"default_login_user = {user}\n"
                f"default_internal_user = {user}\n"
                f"default_internal_group = {group}"
            )
        mechanisms, oauth2 = "plain login", ""
        if self._introspection_url:
            mechanisms += f" {self._token_mechanisms}"
            oauth2 = OAUTH2_PASSDB.format(folder=self.folder, mechanisms=self._token_mechanisms)
            file = self.folder / "oauth2.conf"
            file.write_text(OAUTH2.format(url=self._introspection_url))
        return CONFIGURATION.format(
            mechanisms=mechanisms,
            oauth2=oauth2,
            folder=self.folder,
            name=self.folder.name,
            certificate=self.ca_file,
            key=self._key,
            identity=identity,
            capability=capability,
            uid=self._uid,
            gid=self._gid,
            port=self.port,
            tls_port=self.tls_port,
            pop3_port=self.pop3_port,
            pop3_tls_port=self.pop3_tls_port,
        )

    def _is_up(self) -> bool:
        if self._process is not None and self._process.poll() is not None:
            log = self.folder / "log"
            said = self._process.stderr.read().decode() if self._process.stderr else ""
            told = log.read_text() if log.exists() else ""
            raise RuntimeError(f"dovecot ended at once: {said}{told}")
        return answers(self.port) and answers(self.tls_port)

    def _own(self, path: Path) -> None:
        if os.geteuid() != 0:
            return
        os.chown(path, self._uid, self._gid)
        for inner in path.rglob("*") if path.is_dir() else ():
            os.chown(inner, self._uid, self._gid)


def _started(server: DovecotServer) -> Iterator[DovecotServer]:
    try:
        server.start()
        yield server
    finally:
        server.stop()


def _server_or_skip(**options: Any) -> DovecotServer:
    try:
        return DovecotServer(**options)
    except FileNotFoundError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def dovecot() -> Iterator[DovecotServer]:
    """A Dovecot of this test process's own."""
    yield from _started(_server_or_skip())


@pytest.fixture(scope="session")
def plain_dovecot() -> Iterator[DovecotServer]:
    """A Dovecot that offers no more than IMAP4rev1 and UIDPLUS."""
    kept = {"IMAP4rev1", "UIDPLUS", "CHILDREN", "NAMESPACE", "IDLE", "LITERAL+"}
    without = tuple(word for word in CAPABILITIES.split() if word not in kept)
    yield from _started(_server_or_skip(without=without))


@pytest.fixture(scope="session")
def oauth2_dovecot(token_server: TokenServer) -> Iterator[DovecotServer]:
    """A Dovecot that asks `token_server` about access tokens."""
    yield from _started(_server_or_skip(introspection_url=token_server.introspection_url))


@pytest.fixture(scope="session")
def oauthbearer_dovecot(token_server: TokenServer) -> Iterator[DovecotServer]:
    """The same with RFC 7628's mechanism alone."""
    options = {"token_mechanisms": ("oauthbearer",)}
    url = token_server.introspection_url
    yield from _started(_server_or_skip(introspection_url=url, **options))


@pytest.fixture(scope="session")
def condstore_dovecot() -> Iterator[DovecotServer]:
    """A Dovecot with CONDSTORE, but neither QRESYNC nor LIST-STATUS."""
    yield from _started(_server_or_skip(without=("QRESYNC", "LIST-STATUS")))


_numbers = itertools.count(1)


@pytest.fixture
def dovecot_user(dovecot: DovecotServer) -> DovecotUser:
    """A fresh user with an empty mailbox."""
    return dovecot.add_user(f"user{next(_numbers)}@example.org", "geheim-ü")


@pytest.fixture
def plain_dovecot_user(plain_dovecot: DovecotServer) -> DovecotUser:
    """A fresh user on the server without extensions."""
    return plain_dovecot.add_user(f"user{next(_numbers)}@example.org", "geheim-ü")


@pytest.fixture
def condstore_dovecot_user(condstore_dovecot: DovecotServer) -> DovecotUser:
    """A fresh user on the server without QRESYNC."""
    return condstore_dovecot.add_user(f"user{next(_numbers)}@example.org", "geheim-ü")
