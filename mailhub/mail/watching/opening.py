"""Opening a connection that will wait for news: work for a thread, for it blocks.

Connecting, encryption and login are those of every other IMAP connection. When the inbox
is open, the socket leaves imaplib's hands and blocks nobody any more.
"""

from __future__ import annotations

import contextlib
import imaplib
import socket
import threading
from dataclasses import dataclass, field, replace

from mailhub.mail.errors import CapabilityMissing, CommandRefused, ConnectionFailed
from mailhub.mail.host_guard import HostGuard
from mailhub.mail.server import ServerSettings
from mailhub.mail.stores.base import FolderStatus
from mailhub.mail.stores.imap import ImapStore
from mailhub.mail.stores.imap_client import GuardedClient, hang_up
from mailhub.mail.watching.session import INBOX

# imaplib sends the commands that it knows, and in which state of the connection.
imaplib.Commands.setdefault("NOTIFY", ("AUTH", "SELECTED"))

_EVENTS = "(MessageNew MessageExpunge FlagChange)"
# A connection that a router on the way has forgotten is noticed within two minutes.
_KEEPALIVE = {
    "TCP_KEEPIDLE": 60,
    "TCP_KEEPINTVL": 15,
    "TCP_KEEPCNT": 4,
    "TCP_USER_TIMEOUT": 120_000,
}


@dataclass(frozen=True, slots=True)
class Opened:
    """A connection with the inbox open, not yet in IDLE. `ahead` was read before its time.

    `hears_all`: it will tell of every folder, not of the inbox alone.
    """

    settings: ServerSettings
    client: GuardedClient = field(repr=False)
    socket: socket.socket = field(repr=False)
    ahead: bytes = field(repr=False)
    inbox: FolderStatus
    hears_all: bool

    def close(self) -> None:
        """Hang up, without a word."""
        hang_up(self.client)


class Leash:
    """Ends an opening from outside of its thread: a server may answer in time, for ever."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_cut = False
        self._held: list[socket.socket] = []

    def hold(self, connection: socket.socket) -> None:
        """Raises ConnectionFailed where it was cut already."""
        with self._lock:
            if self._is_cut:
                connection.close()
                raise ConnectionFailed("The attempt was given up.")
            # Encryption takes the descriptor away from the socket; a copy of it remains.
            self._held.append(connection.dup())

    def cut(self) -> None:
        """Have whoever waits for the server fail at once."""
        with self._lock:
            self._is_cut = True
            for held in self._held:
                with contextlib.suppress(OSError):
                    held.shutdown(socket.SHUT_RDWR)
            self._drop()

    def let_go(self) -> None:
        """The opening is over."""
        with self._lock:
            self._drop()

    def _drop(self) -> None:
        while self._held:
            self._held.pop().close()


@dataclass(frozen=True)
class _LeashedGuard(HostGuard):
    leash: Leash = field(default_factory=Leash)

    def connect(self, host: str, port: int, timeout: float) -> socket.socket:
        connection = super().connect(host, port, timeout)
        self.leash.hold(connection)
        return connection


def open_inbox(settings: ServerSettings, leash: Leash) -> Opened:
    """Connect, log in, open the inbox for reading, and ask for news of all folders.

    Raises CapabilityMissing where the server knows no IDLE, and other MailErrors.
    """
    guard = _LeashedGuard(settings.guard.allowed_networks, leash)
    store = _WaitingStore(replace(settings, guard=guard))
    try:
        store.open()
        return store.hand_over(settings)
    except BaseException:
        store.close()
        raise
    finally:
        leash.let_go()


class _WaitingStore(ImapStore):
    def hand_over(self, settings: ServerSettings) -> Opened:
        if "IDLE" not in self.capabilities:
            raise CapabilityMissing(f"{settings.address} does not tell of news by itself.")
        inbox = self.select(INBOX)
        hears_all = "NOTIFY" in self.capabilities and self._ask_for_all()
        client = self._client
        assert isinstance(client, GuardedClient), "connections are made by the guard"
        _keep_alive(client.sock)
        connection, ahead = client.release()
        return Opened(settings, client, connection, ahead, inbox, hears_all)

    def _ask_for_all(self) -> bool:
        try:
            self._command("NOTIFY", "SET", f"(selected {_EVENTS})", f"(personal {_EVENTS})")
        except CommandRefused:
            # A server may know fewer events, or have too many folders (RFC 5465 section 5).
            return False
        return True


def _keep_alive(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE.items():
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
