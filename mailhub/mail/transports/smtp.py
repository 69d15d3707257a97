"""Sending over SMTP (RFC 5321) with PIPELINING, 8BITMIME, SIZE and SMTPUTF8."""

from __future__ import annotations

import re
from dataclasses import replace

from mailhub.mail.addresses import encode_address
from mailhub.mail.errors import (
    CommandRefused,
    InvalidMessage,
    ProtocolViolation,
    Reply,
)
from mailhub.mail.living_token import with_living_token
from mailhub.mail.server import Login, ServerSettings
from mailhub.mail.transports.base import Envelope
from mailhub.mail.transports.connected import ConnectedTransport
from mailhub.mail.transports.octets import Content, LargeLines, WireLines, crlf_lines, seven_bit
from mailhub.mail.transports.session import Answers, ConnectionLost, Session, Steps
from mailhub.mail.transports.smtp_login import log_in
from mailhub.mail.transports.smtp_wire import SmtpWire, own_name

__all__ = ["SmtpTransport", "prepare_content"]

# Commands in one write: their replies must fit the network's buffers (RFC 2920 section 3.1).
_GROUP = 200
_GOODBYE_SECONDS = 1.0
# RFC 1870 section 3: at most 20 digits; 0 and nothing mean no limit.
_SIZE = re.compile(r"[0-9]{1,20}")
_END = b".\r\n"
_DOTTED_LINE = re.compile(rb"\n\.")
_HEADER_END = re.compile(rb"\r?\n\r?\n")


class SmtpTransport(ConnectedTransport):
    """One kept-open connection to the server in `settings`.

    `local_hostname` is our name in EHLO (this machine's full name where empty).
    `verdict_timeout` is how long to wait for the reply to the final dot, in seconds. It
    defaults to three times the settings' time-out: servers read and check the message
    before they answer (RFC 5321 section 4.5.3.2.6 suggests 600), and what is cut off
    earlier is uncertain.
    """

    def __init__(
        self,
        settings: ServerSettings,
        *,
        local_hostname: str = "",
        verdict_timeout: float | None = None,
    ) -> None:
        super().__init__()
        self.settings = settings
        self._local_hostname = local_hostname
        self._verdict_timeout = verdict_timeout or 3 * settings.timeout

    def __repr__(self) -> str:
        return f"<SmtpTransport {self.settings.address}>"

    def _connect(self) -> Session:
        return with_living_token(self.settings.login, self._connect_as)

    def _connect_as(self, login: Login | None) -> Session:
        settings = replace(self.settings, login=login)
        wire = SmtpWire(settings, self._local_hostname or own_name())
        wire.dial()
        with wire.or_hang_up():
            log_in(wire.ask, wire.esmtp_features.get("auth", "").split(), settings)
        return _SmtpSession(wire, self._verdict_timeout)


class _SmtpSession(Session):
    def __init__(self, wire: SmtpWire, verdict_timeout: float) -> None:
        self._wire = wire
        self._verdict_timeout = verdict_timeout
        self._group = _GROUP if wire.has_extn("pipelining") else 1
        self._has_8bitmime = wire.has_extn("8bitmime")
        self._has_smtputf8 = wire.has_extn("smtputf8")
        self._has_size = wire.has_extn("size")
        size = _SIZE.fullmatch(wire.esmtp_features.get("size", ""))
        self._size_limit = int(size[0]) if size else 0
        self._envelope = Envelope("", ())
        self._known_paths: tuple[Envelope, list[str]] = (self._envelope, [])
        self._commands: list[str] = []
        self._written = 0
        # A transaction that was begun and not ended by a verdict must be reset.
        self._begun = False
        self._early_verdict: Reply | None = None

    def refusal(self, envelope: Envelope, content: Content) -> InvalidMessage | None:
        try:
            paths = self._paths(envelope)
        except InvalidMessage as error:
            return error
        if not envelope.recipients:
            return InvalidMessage("A message needs at least one recipient.")
        if not self._has_smtputf8 and _needs_smtputf8(paths, content):
            return InvalidMessage("The server takes no addresses or headers beyond ASCII.")
        if 0 < self._size_limit < len(content):
            return InvalidMessage("The message is larger than the server takes.")
        return None

    def announce(self, envelope: Envelope, content: Content) -> Steps[None]:
        yield from self._wire.send_all(self._first_group(envelope, content))

    def answers(self) -> Steps[Answers]:
        replies: list[Reply] = []
        commands, reset = self._commands, self._commands[0] == "RSET"
        for position in range(len(commands)):
            if position == self._written:
                if self._hopeless(replies[reset:]):
                    break
                yield from self._wire.send_all(self._next_group())
            reply = self._wire.reply_at_hand()
            if reply is None:
                reply = yield from self._wire.next_reply()
            self._check(reply)
            replies.append(reply)
        mail = replies[reset]
        recipients = tuple(zip(self._envelope.recipients, replies[reset + 1 :], strict=False))
        data = replies[-1] if len(replies) == len(commands) else None
        answers = Answers(mail, recipients, data)
        self._begun = mail.code < 300
        if data is not None and data.code == 354 and not answers.ready:
            # RFC 2920 section 3.1: an empty message, for nobody, ends the transaction.
            yield from self._wire.send_all(b".\r\n")
            self._check((yield from self._wire.next_reply()))
            self._begun = False
        return answers

    def _hopeless(self, replies: list[Reply]) -> bool:
        """Whether the commands not yet sent can lead nowhere."""
        if not replies or replies[0].code >= 300:
            return bool(replies)
        asked = replies[1:]
        everybody = len(asked) == len(self._envelope.recipients)
        return everybody and all(reply.code >= 300 for reply in asked)

    def transfer(self, content: Content, following: tuple[Envelope, Content] | None) -> Steps[bool]:
        pieces = self._on_the_wire(content)
        end = sum(map(len, pieces))
        self._begun = False
        announced = following is not None and self._group > 1
        if announced and following is not None:
            pieces.append(self._first_group(*following))
        sent, error = yield from self._wire.write(pieces)
        if sent < end:
            self._early_verdict = yield from self._last_words()
            if self._early_verdict is None:
                raise ConnectionLost(self._wire.lost(error).error) from error
        return announced

    def _on_the_wire(self, content: Content) -> list[bytes]:
        if isinstance(content, LargeLines):
            return [*content.pieces, _END]
        if isinstance(content, WireLines):
            return [content, _END]
        return [prepare_content(content if self._has_8bitmime else seven_bit(content))]

    def _last_words(self) -> Steps[Reply | None]:
        """What a server that stopped reading said about it, if it is a refusal."""
        try:
            reply = yield from self._wire.next_reply(_GOODBYE_SECONDS)
        except ConnectionLost:
            return None
        finally:
            self._wire.hang_up()
        return reply if reply.code >= 400 and reply.code != 421 else None

    def verdict(self) -> Steps[Reply]:
        early, self._early_verdict = self._early_verdict, None
        if early is not None:
            return early
        reply = yield from self._wire.next_reply(self._verdict_timeout)
        if 300 <= reply.code < 400:
            raise ConnectionLost(ProtocolViolation("The server asked for more after the end."))
        return reply

    def is_alive(self) -> bool:
        return self._wire.is_alive()

    def quit(self) -> None:
        try:
            self._wire.send("QUIT\r\n")
            self._wire.reply(_GOODBYE_SECONDS)
        except ConnectionLost:
            pass  # there is nobody left to say goodbye to
        finally:
            self._wire.hang_up()

    def abort(self) -> None:
        self._wire.hang_up()

    @staticmethod
    def _check(reply: Reply) -> None:
        if reply.code == 421:
            error = CommandRefused("The server closed the connection.", reply)
            raise ConnectionLost(error, reply)

    def _first_group(self, envelope: Envelope, content: Content) -> bytes:
        sender, *recipients = paths = self._paths(envelope)
        self._envelope = envelope
        self._commands = [f"MAIL FROM:<{sender}>{self._parameters(paths, content)}"]
        self._commands += [f"RCPT TO:<{recipient}>" for recipient in recipients]
        self._commands.append("DATA")
        if self._begun:
            self._commands.insert(0, "RSET")
        self._written = 0
        return self._next_group()

    def _paths(self, envelope: Envelope) -> list[str]:
        """Its paths, which are asked for before it is announced and then again."""
        if self._known_paths[0] is not envelope:
            self._known_paths = (envelope, _paths(envelope))
        return self._known_paths[1]

    def _next_group(self) -> bytes:
        group = self._commands[self._written : self._written + self._group]
        self._written += len(group)
        return ("\r\n".join(group) + "\r\n").encode()

    def _parameters(self, paths: list[str], content: Content) -> str:
        parameters = f" SIZE={len(content)}" if self._has_size else ""
        if isinstance(content, WireLines | LargeLines) and not self._has_smtputf8:
            return parameters
        if self._has_8bitmime and not content.isascii():
            parameters += " BODY=8BITMIME"
        if self._has_smtputf8 and _needs_smtputf8(paths, content):
            parameters += " SMTPUTF8"
        return parameters


def prepare_content(content: bytes) -> bytes:
    """Content as it goes after DATA: CRLF line ends, dots doubled, the final dot.

    RFC 5321 sections 2.3.8 and 4.5.2. No bare CR or LF is left, so nothing inside can be
    read as the end of the message.
    """
    content = crlf_lines(content)
    if content.startswith(b"."):
        content = b"." + content
    # To look for one in this way is four times as fast as to replace none.
    if _DOTTED_LINE.search(content):
        content = content.replace(b"\n.", b"\n..")
    if not content.endswith(b"\r\n"):
        content += b"\r\n"
    return content + _END


def _paths(envelope: Envelope) -> list[str]:
    """Sender (may be empty: the null path) and recipients in wire form."""
    sender = encode_address(envelope.sender) if envelope.sender else ""
    return [sender, *(encode_address(recipient) for recipient in envelope.recipients)]


def _needs_smtputf8(paths: list[str], content: Content) -> bool:
    """RFC 6531: an address or a header field beyond ASCII."""
    for path in paths:
        if not path.isascii():
            return True
    if isinstance(content, LargeLines) or content.isascii():
        return False
    end = _HEADER_END.search(content)
    return not content[: end.start() if end else len(content)].isascii()
