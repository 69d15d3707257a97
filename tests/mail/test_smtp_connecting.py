"""How an SMTP server is reached: the way there, the login, encryption, and what errors may show."""

from __future__ import annotations

import socket
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from mailhub.mail.errors import (
    CommandRefused,
    ConnectionFailed,
    EncryptionRefused,
    HostNotAllowed,
    HostNotFound,
    MailError,
    ProtocolViolation,
    ServerTimeout,
)
from mailhub.mail.host_guard import HostGuard
from mailhub.mail.server import Encryption
from mailhub.mail.transports.base import Envelope, Job, Result
from mailhub.mail.transports.in_memory import Disturbance, Step
from mailhub.mail.transports.smtp import SmtpTransport
from tests.mail.raw_smtp import raw_server
from tests.servers.certificates import make_certificate
from tests.servers.smtp import SmtpReceiver

ENVELOPE = Envelope("ann@example.org", ("bob@example.com",))
CONTENT = b"Subject: x\r\n\r\nhello\r\n"
Start = Callable[..., SmtpReceiver]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_certificate(tmp_path_factory.mktemp("tls"), "127.0.0.1")


class TestConnecting:
    def test_a_private_host_is_refused(self, smtp_receiver: SmtpReceiver) -> None:
        settings = smtp_receiver.settings(guard=HostGuard())
        with pytest.raises(HostNotAllowed):
            SmtpTransport(settings).open()
        assert smtp_receiver.connections == 0

    def test_a_host_that_is_none(self, smtp_receiver: SmtpReceiver) -> None:
        with pytest.raises(HostNotFound):
            SmtpTransport(smtp_receiver.settings(host="nowhere.invalid")).open()

    def test_a_port_where_nobody_listens(self, smtp_receiver: SmtpReceiver) -> None:
        settings = smtp_receiver.settings()
        smtp_receiver.stop()
        with pytest.raises(ConnectionFailed):
            SmtpTransport(settings).open()

    @pytest.mark.parametrize("port", [99_999, -1])
    def test_a_port_that_is_none(self, smtp_receiver: SmtpReceiver, port: int) -> None:
        with pytest.raises(MailError):
            SmtpTransport(smtp_receiver.settings(port=port)).open()

    def test_a_server_that_does_not_want_us(self, smtp_receiver: SmtpReceiver) -> None:
        smtp_receiver.script.answer(Step.CONNECT, "554 5.7.1 You are listed")
        with pytest.raises(CommandRefused) as caught:
            SmtpTransport(smtp_receiver.settings()).open()
        assert caught.value.permanent
        assert str(caught.value.reply) == "554 5.7.1 You are listed"

    def test_a_server_that_is_busy(self, smtp_receiver: SmtpReceiver) -> None:
        smtp_receiver.script.answer(Step.CONNECT, "421 4.3.2 Busy")
        with pytest.raises(CommandRefused) as caught:
            SmtpTransport(smtp_receiver.settings()).open()
        assert not caught.value.permanent

    @pytest.mark.parametrize("step", [Step.CONNECT, Step.HELLO])
    def test_a_server_that_is_silent_or_gone(self, smtp_receiver: SmtpReceiver, step: Step) -> None:
        smtp_receiver.script.answer(step, Disturbance.HANG, times=1)
        with pytest.raises(ServerTimeout):
            SmtpTransport(smtp_receiver.settings(timeout=1.0)).open()
        smtp_receiver.script.answer(step, Disturbance.DROP, times=1)
        with pytest.raises(ConnectionFailed):
            SmtpTransport(smtp_receiver.settings()).open()

    @pytest.mark.parametrize(
        "greeting",
        [
            b"SSH-2.0-OpenSSH\r\n",
            b"x" * 200_000,
            b"220-more\r\n" * 20_000,
            b"\xff\xfe\r\n",
            b"22\r\n",
            b"120 wait\r\n",
        ],
    )
    def test_a_server_that_speaks_something_else(self, greeting: bytes) -> None:
        with (
            raw_server(lambda connection: connection.sendall(greeting)) as settings,
            pytest.raises(MailError) as caught,
        ):
            SmtpTransport(settings).open()
        assert isinstance(caught.value, ProtocolViolation | ConnectionFailed)

    def test_a_reply_has_a_deadline_however_slowly_it_drips(self) -> None:
        def talk(connection: socket.socket) -> None:
            for _ in range(200):
                connection.sendall(b"2")
                connection.settimeout(0.05)
                try:
                    if not connection.recv(1):
                        return
                except TimeoutError:
                    continue

        with raw_server(talk) as settings, pytest.raises(ServerTimeout):
            SmtpTransport(settings).open()

    def test_control_characters_of_the_server_do_not_reach_a_person(
        self, smtp_receiver: SmtpReceiver
    ) -> None:
        smtp_receiver.script.answer(Step.MAIL, "550-5.7.1 Bad\x1b[31m\r\n550 5.7.1 sender\x07")
        with SmtpTransport(smtp_receiver.settings()) as transport:
            outcome = transport.send(ENVELOPE, CONTENT)
        assert outcome.reason == "550 5.7.1 Bad [31m sender"


class TestEncryption:
    @pytest.mark.parametrize("encryption", [Encryption.TLS, Encryption.STARTTLS])
    def test_a_verified_server_gets_the_message(
        self, start_smtp_receiver: Start, certificate: tuple[Path, Path], encryption: Encryption
    ) -> None:
        receiver = start_smtp_receiver(
            encryption=encryption, certificate=certificate[0], key=certificate[1]
        )
        with SmtpTransport(receiver.settings()) as transport:
            run = [Job(number, ENVELOPE, CONTENT) for number in range(20)]
            assert {outcome.result for _, outcome in transport.send_many(run)} == {Result.SENT}
            assert transport.send(ENVELOPE, CONTENT).result is Result.SENT
            receiver.close_connections()
            assert receiver.connections == 1
            assert transport.send(ENVELOPE, CONTENT).result is Result.SENT
        assert len(receiver.messages) == 22
        assert receiver.connections == 2

    @pytest.mark.parametrize("encryption", [Encryption.TLS, Encryption.STARTTLS])
    def test_a_certificate_that_nobody_vouches_for_is_refused(
        self, start_smtp_receiver: Start, certificate: tuple[Path, Path], encryption: Encryption
    ) -> None:
        receiver = start_smtp_receiver(
            encryption=encryption, certificate=certificate[0], key=certificate[1]
        )
        with pytest.raises(EncryptionRefused, match="certificate"):
            SmtpTransport(receiver.settings(ca_file=None)).open()
        assert "MAIL" not in "".join(receiver.commands)

    @pytest.mark.parametrize("encryption", [Encryption.TLS, Encryption.STARTTLS])
    def test_a_certificate_for_another_name_is_refused(
        self, start_smtp_receiver: Start, tmp_path: Path, encryption: Encryption
    ) -> None:
        made = make_certificate(tmp_path, "mail.example.org")
        receiver = start_smtp_receiver(encryption=encryption, certificate=made[0], key=made[1])
        with pytest.raises(EncryptionRefused, match="certificate"):
            SmtpTransport(receiver.settings()).open()

    def test_starttls_that_is_not_offered_is_refused(self, smtp_receiver: SmtpReceiver) -> None:
        with pytest.raises(EncryptionRefused, match="STARTTLS"):
            SmtpTransport(smtp_receiver.settings(encryption=Encryption.STARTTLS)).open()
        assert smtp_receiver.commands[1:] == []

    def test_starttls_that_cannot_be_had_now_is_tried_again(
        self, start_smtp_receiver: Start, certificate: tuple[Path, Path]
    ) -> None:
        receiver = start_smtp_receiver(
            encryption=Encryption.STARTTLS, certificate=certificate[0], key=certificate[1]
        )
        receiver.script.answer(Step.STARTTLS, "454 4.7.0 TLS not available")
        with pytest.raises(CommandRefused) as caught:
            SmtpTransport(receiver.settings()).open()
        assert not caught.value.permanent

    def test_words_slipped_in_before_the_handshake_are_refused(
        self, start_smtp_receiver: Start, certificate: tuple[Path, Path]
    ) -> None:
        receiver = start_smtp_receiver(
            encryption=Encryption.STARTTLS, certificate=certificate[0], key=certificate[1]
        )
        receiver.script.answer(Step.STARTTLS, "220 go\r\n250 injected")
        with pytest.raises(ProtocolViolation):
            SmtpTransport(receiver.settings()).open()

    def test_a_plain_server_on_a_tls_port_is_a_failed_connection(
        self, smtp_receiver: SmtpReceiver
    ) -> None:
        with pytest.raises(ConnectionFailed):
            SmtpTransport(smtp_receiver.settings(encryption=Encryption.TLS)).open()


def test_no_error_shows_a_secret(start_smtp_receiver: Start) -> None:
    from mailhub.mail.server import PasswordLogin

    receiver = start_smtp_receiver(users={"ann": "right"})
    settings = receiver.settings(PasswordLogin("ann", "hunter2-secret"))
    receiver.script.answer(Step.LOGIN, "535 5.7.8 AGFubgBodW50ZXIyLXNlY3JldA== hunter2-secret")
    transport = SmtpTransport(settings)
    with pytest.raises(MailError) as caught:
        transport.open()
    shown = "".join(traceback.format_exception(caught.value)) + repr(transport) + repr(settings)
    shown += str(caught.value.reply) + repr(caught.value)
    assert "hunter2" not in shown
    assert "AGFubgBodW50ZXIyLXNlY3JldA" not in shown
