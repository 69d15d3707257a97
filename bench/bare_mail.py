"""The operations without us: a client of IMAP and SMTP without anything to spare."""

from __future__ import annotations

import socket
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from bench.letters import letters
from tests.servers.dovecot import DovecotUser

PAGE = 10
PASSWORD = "secret"
LETTER = next(iter(letters(1, seed=7)))
FIELDS = "UID FLAGS INTERNALDATE RFC822.SIZE BODYSTRUCTURE BODY.PEEK[HEADER]"


class Line:
    """A connection on which lines are sent and answers awaited, a round trip each."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._socket.close()

    def imap(self, *commands: str, literal: bytes = b"") -> bytes:
        """All of them at once; what is told up to the answer to the last."""
        lines = [f"{number} {command}\r\n".encode() for number, command in enumerate(commands)]
        self._socket.sendall(b"".join(lines) + literal)
        told = b""
        while not (line := self._file.readline()).startswith(b"%d " % (len(commands) - 1)):
            told += line
            if line.endswith(b"}\r\n"):
                told += self._file.read(int(line[line.rindex(b"{") + 1 : -3]))
        assert b" OK" in line, line
        return told

    def smtp(self, octets: bytes, replies: int = 1) -> None:
        """So many replies, each of which may have several lines."""
        self._socket.sendall(octets)
        while replies:
            replies -= self._file.readline()[3:4] != b"-"


@contextmanager
def logged_in(port: int, user: str) -> Iterator[Line]:
    with Line(port) as line:
        line._file.readline()
        line.imap(f"LOGIN {user} {PASSWORD}")
        yield line


def bare_send(port: int, user: str) -> None:
    login = b64encode(f"\0{user}\0{PASSWORD}".encode())
    with Line(port) as line:
        line.smtp(b"")
        line.smtp(b"EHLO bench\r\n")
        line.smtp(b"AUTH PLAIN %s\r\n" % login)
        line.smtp(b"MAIL FROM:<a@b.test>\r\nRCPT TO:<bo@example.org>\r\nDATA\r\n", 3)
        line.smtp(b"Subject: Hello\r\n\r\nHi there.\r\n.\r\n")


def bare_page(port: int, user: str) -> None:
    with logged_in(port, user) as line:
        told = line.imap("EXAMINE INBOX")
        total = int(told[: told.index(b" EXISTS")].split()[-1])
        page = f"{total - PAGE + 1}:{total}"
        line.imap(f"FETCH {page} ({FIELDS})")
        line.imap(f"FETCH {page} (BODY.PEEK[1])")


def bare_append(port: int, user: str) -> None:
    with logged_in(port, user) as line:
        line.imap('LIST "" "*" RETURN (SPECIAL-USE)')
        command = f"APPEND Drafts (\\Draft \\Seen) {{{len(LETTER)}+}}"
        line.imap(command, literal=LETTER + b"\r\n")


def bare_move(port: int, user: str, uid: int) -> None:
    with logged_in(port, user) as line:
        line.imap('LIST "" "*" RETURN (SPECIAL-USE)', "SELECT INBOX")
        line.imap(f"UID MOVE {uid} Trash")


def bare_delete(port: int, user: str, uid: int) -> None:
    with logged_in(port, user) as line:
        line.imap('LIST "" "*" RETURN (SPECIAL-USE)')
        line.imap("SELECT Trash")
        line.imap(f"UID STORE {uid} +FLAGS.SILENT (\\Deleted)", f"UID EXPUNGE {uid}")


def deliver(user: DovecotUser, path: str) -> int:
    """A message is put there; its UID."""
    user.deliver(LETTER, path)
    with logged_in(user.server.port, user.name) as line:
        line.imap(f"EXAMINE {path}")
        return int(line.imap("UID SEARCH ALL").split()[-1])
