"""HTTP requests to addresses that users name: token endpoints, receivers of events.

The host guard stands before every connection, and the address checked is the address
connected to. No redirect is followed, as it would lead past the guard. An answer is read
to a bound, and within one deadline for all of the request, so that a server that sends an
octet now and then holds nobody up.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import IO, Any
from urllib.parse import SplitResult, urlsplit

from mailhub.mail.errors import ConnectionFailed, MailError, ServerTimeout
from mailhub.mail.host_guard import HostGuard

_PORTS = {"https": 443, "http": 80}
# What a server does to a kept-open connection that it has closed meanwhile.
_CLOSED_MEANWHILE = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError)


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """`body` is its beginning, as long as was asked for. `headers` have lower-case names."""

    status: int
    body: bytes
    headers: Mapping[str, str]


def port_of(parts: SplitResult) -> int | None:
    """The port of an http or https address; None where it has one that cannot be."""
    try:
        port = _PORTS.get(parts.scheme) if parts.port is None else parts.port
    except ValueError:
        return None
    return port or None


class GuardedConnection:
    """One connection to the host of `url`, opened when first needed and kept open after.

    `whose` begins the sentences of its errors ("The token endpoint"). `timeout` is in
    seconds, for a whole request. Not to be shared by threads.
    """

    def __init__(
        self,
        url: str,
        guard: HostGuard,
        *,
        whose: str,
        timeout: float,
        ca_file: str | None = None,
        allow_plaintext: bool = False,
    ) -> None:
        parts = urlsplit(url)
        port = port_of(parts)
        schemes = ("https", "http") if allow_plaintext else ("https",)
        if parts.scheme not in schemes or not parts.hostname or port is None:
            raise ConnectionFailed(f"{whose} must be an https address.")
        path = parts.path or "/"
        self._target = f"{path}?{parts.query}" if parts.query else path
        self._whose, self._timeout = whose, timeout
        context = _context(ca_file) if parts.scheme == "https" else None
        self._connection = _Connection(parts.hostname, port, guard, context)

    def post(
        self, body: bytes, headers: Mapping[str, str], *, largest_answer: int = 64 * 1024
    ) -> HttpAnswer:
        """The server's answer. A request that meets a closed connection is sent once more.

        Raises HostNotAllowed, HostNotFound, ConnectionFailed, ServerTimeout.
        """
        return self._request("POST", body, headers, largest_answer)

    def get(self, headers: Mapping[str, str], *, largest_answer: int = 64 * 1024) -> HttpAnswer:
        """The same for a request without a body."""
        return self._request("GET", None, headers, largest_answer)

    def _request(
        self, method: str, body: bytes | None, headers: Mapping[str, str], largest: int
    ) -> HttpAnswer:
        self._connection.deadline = time.monotonic() + self._timeout
        try:
            if self._connection.sock is not None:
                try:
                    return self._exchange(method, body, headers, largest)
                except _CLOSED_MEANWHILE:
                    self.close()
            return self._exchange(method, body, headers, largest)
        except BaseException as error:
            self.close()
            if isinstance(error, OSError | http.client.HTTPException | ValueError):
                raise self._explained(error) from error
            raise

    def close(self) -> None:
        """Close the connection; a later request opens another."""
        self._connection.close()

    def _exchange(
        self, method: str, body: bytes | None, headers: Mapping[str, str], largest: int
    ) -> HttpAnswer:
        self._connection.request(method, self._target, body, dict(headers))
        response = self._connection.getresponse()
        content = response.read(largest)
        if not response.isclosed() and response.read(1):
            # The rest of so long an answer would have to be read before the next request.
            self.close()
        named = {name.lower(): text for name, text in response.getheaders()}
        return HttpAnswer(response.status, content, named)

    def _explained(self, error: Exception) -> MailError:
        if isinstance(error, TimeoutError):
            return ServerTimeout(f"{self._whose} did not answer in time.")
        if isinstance(error, ssl.SSLCertVerificationError):
            return ConnectionFailed(f"{self._whose} has a certificate that does not verify.")
        return ConnectionFailed(f"{self._whose} could not be reached.")


@lru_cache(maxsize=8)
def _context(ca_file: str | None) -> ssl.SSLContext:
    """Made once: to read the system's authorities takes longer than a request."""
    return ssl.create_default_context(cafile=ca_file)


class _Connection(http.client.HTTPConnection):
    """A connection by way of the guard, whose every step ends by `deadline`."""

    def __init__(
        self, host: str, port: int, guard: HostGuard, context: ssl.SSLContext | None
    ) -> None:
        super().__init__(host, port)
        self.default_port = http.client.HTTPS_PORT if context else http.client.HTTP_PORT
        self.deadline = 0.0
        self._guard, self._context = guard, context
        self.sock: Any = None

    def connect(self) -> None:
        plain = self._guard.connect(self.host, self.port, _left(self.deadline))
        try:
            # Small requests must not wait for the acknowledgement of the one before.
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._context is not None:
                plain.settimeout(_left(self.deadline))
                self.sock = _TimedSocket(
                    self._context.wrap_socket(plain, server_hostname=self.host), self
                )
            else:
                self.sock = _TimedSocket(plain, self)
        except BaseException:
            plain.close()
            raise


class _TimedSocket:
    """As much of a socket as `http.client` uses."""

    def __init__(self, inner: socket.socket, connection: _Connection) -> None:
        self._inner, self._connection = inner, connection

    def sendall(self, content: bytes) -> None:
        self._inner.settimeout(_left(self._connection.deadline))
        self._inner.sendall(content)

    def makefile(self, _mode: str) -> IO[bytes]:
        raw = self._inner.makefile("rb", buffering=0)
        return io.BufferedReader(_TimedReader(raw, self._inner, self._connection))

    def close(self) -> None:
        self._inner.close()


class _TimedReader(io.RawIOBase):
    def __init__(self, raw: Any, inner: socket.socket, connection: _Connection) -> None:
        self._raw, self._inner, self._connection = raw, inner, connection

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._inner.settimeout(_left(self._connection.deadline))
        count: int | None = self._raw.readinto(buffer)
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("out of time")
    return left
