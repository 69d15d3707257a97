"""SMTP as it goes over the network: extensions, octets, and connections that are lost."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailhub.mail.errors import (
    MailError,
)
from mailhub.mail.message import Address, OutgoingMessage
from mailhub.mail.transports.base import Envelope, Job, Result
from mailhub.mail.transports.in_memory import Disturbance, Step
from mailhub.mail.transports.smtp import SmtpTransport, prepare_content
from tests.mail.raw_smtp import greet, raw_server
from tests.servers.smtp import SmtpReceiver

ENVELOPE = Envelope("ann@example.org", ("bob@example.com",))
CONTENT = b"Subject: x\r\n\r\nhello\r\n"
Start = Callable[..., SmtpReceiver]


class TestExtensions:
    def test_the_envelope_of_the_next_goes_with_the_content_before(
        self, smtp_receiver: SmtpReceiver
    ) -> None:
        with SmtpTransport(smtp_receiver.settings(), local_hostname="me.test") as transport:
            list(transport.send_many([Job(number, ENVELOPE, CONTENT) for number in range(3)]))
        commands = ["MAIL FROM:<ann@example.org> SIZE=21", "RCPT TO:<bob@example.com>", "DATA"]
        assert smtp_receiver.commands == ["EHLO me.test", *commands * 3, "QUIT"]

    def test_a_refused_message_is_reset_before_the_next(self, smtp_receiver: SmtpReceiver) -> None:
        smtp_receiver.script.answer(Step.RCPT, "550 5.1.1 No", times=1)
        with SmtpTransport(smtp_receiver.settings()) as transport:
            assert transport.send(ENVELOPE, CONTENT).result is Result.FAILED
            assert transport.send(ENVELOPE, CONTENT).result is Result.SENT
        assert smtp_receiver.commands.count("RSET") == 1

    def test_a_data_command_taken_for_nobody_ends_with_an_empty_message(self) -> None:
        heard: list[bytes] = []

        def talk(connection: socket.socket) -> None:
            greet(connection, "PIPELINING")
            heard.append(connection.recv(1000))
            connection.sendall(b"250 ok\r\n550 5.1.1 no\r\n354 go\r\n")
            heard.append(connection.recv(1000))
            connection.sendall(b"554 5.5.1 no valid recipients\r\n")
            heard.append(connection.recv(1000))
            connection.sendall(b"250 ok\r\n250 ok\r\n354 go\r\n")
            heard.append(connection.recv(1000))
            connection.sendall(b"250 2.0.0 taken\r\n")

        with raw_server(talk) as settings, SmtpTransport(settings) as transport:
            first = transport.send(ENVELOPE, CONTENT)
            assert (first.result, first.reason) == (Result.FAILED, "550 5.1.1 no")
            assert transport.send(ENVELOPE, CONTENT).result is Result.SENT
        assert heard[1] == b".\r\n"
        assert heard[3] == CONTENT + b".\r\n"

    def test_many_recipients_go_in_groups(self, smtp_receiver: SmtpReceiver) -> None:
        recipients = tuple(f"r{number}@example.com" for number in range(1001))
        with SmtpTransport(smtp_receiver.settings()) as transport:
            outcome = transport.send(Envelope("a@example.org", recipients), CONTENT)
        assert outcome.accepted == recipients
        assert smtp_receiver.messages[0].envelope.recipients == recipients

    def test_an_old_server_without_ehlo_is_served(self, start_smtp_receiver: Start) -> None:
        receiver = start_smtp_receiver(extended=False)
        with SmtpTransport(receiver.settings()) as transport:
            assert transport.send(ENVELOPE, CONTENT).result is Result.SENT
        assert receiver.commands[1] == "MAIL FROM:<ann@example.org>"

    def test_what_is_larger_than_the_server_takes_is_not_offered(
        self, start_smtp_receiver: Start
    ) -> None:
        receiver = start_smtp_receiver(size_limit=100)
        with SmtpTransport(receiver.settings()) as transport:
            outcome = transport.send(ENVELOPE, CONTENT + b"x" * 100 + b"\r\n")
            assert outcome.result is Result.FAILED
            assert "larger" in outcome.reason
            assert transport.send(ENVELOPE, CONTENT).result is Result.SENT
        assert len([each for each in receiver.commands if each.startswith("MAIL")]) == 1

    def test_eight_bit_content_is_announced(self, smtp_receiver: SmtpReceiver) -> None:
        content = b"Subject: x\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n\xc3\xa9\r\n"
        with SmtpTransport(smtp_receiver.settings()) as transport:
            assert transport.send(ENVELOPE, content).result is Result.SENT
        assert smtp_receiver.messages[0].content == content
        assert any(each.endswith(" BODY=8BITMIME") for each in smtp_receiver.commands)

    def test_eight_bit_content_is_encoded_for_a_server_that_takes_none(
        self, start_smtp_receiver: Start
    ) -> None:
        receiver = start_smtp_receiver(eight_bit=False)
        content = (
            b"Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
            b"Content-Transfer-Encoding: 8bit\r\n\r\n\xc3\xa9t\xc3\xa9\r\n"
        )
        with SmtpTransport(receiver.settings()) as transport:
            assert transport.send(ENVELOPE, content).result is Result.SENT
        received = receiver.messages[0].content
        assert received.isascii()
        assert b"w6l0w6k" in received or b"=C3=A9t=C3=A9" in received

    def test_an_address_beyond_ascii_needs_smtputf8(self, start_smtp_receiver: Start) -> None:
        message = OutgoingMessage(
            Address("", "ann@example.org"), [Address("", "jürgen@exämple.com")], text="x"
        )
        able, unable = start_smtp_receiver(), start_smtp_receiver(smtputf8=False)
        with SmtpTransport(able.settings()) as transport:
            outcome = transport.send(message.envelope(), message.as_bytes())
            assert outcome.accepted == ("jürgen@xn--exmple-cua.com",)
        assert any(each.endswith(" SMTPUTF8") for each in able.commands)
        with SmtpTransport(unable.settings()) as transport:
            outcome = transport.send(message.envelope(), message.as_bytes())
        assert outcome.result is Result.FAILED
        assert unable.messages == []

    def test_a_domain_goes_in_its_ascii_form(self, smtp_receiver: SmtpReceiver) -> None:
        with SmtpTransport(smtp_receiver.settings()) as transport:
            transport.send(Envelope("a@exämple.org", ("b@例え.jp",)), CONTENT)
        assert smtp_receiver.messages[0].envelope == Envelope(
            "a@xn--exmple-cua.org", ("b@xn--r8jz45g.jp",)
        )


class TestContent:
    @pytest.mark.parametrize(
        ("content", "sent"),
        [
            (b"", b"\r\n.\r\n"),
            (b"a", b"a\r\n.\r\n"),
            (b".", b"..\r\n.\r\n"),
            (b".\r\n.\r\n..a\r\n", b"..\r\n..\r\n...a\r\n.\r\n"),
            (b"a\nb\rc\r\n\r\r\n\n", b"a\r\nb\r\nc\r\n\r\n\r\n\r\n.\r\n"),
            (b"a\n.\nMAIL FROM:<x@y.z>\n", b"a\r\n..\r\nMAIL FROM:<x@y.z>\r\n.\r\n"),
            (b"a\r.\rb", b"a\r\n..\r\nb\r\n.\r\n"),
            (b"a\r\n.\r", b"a\r\n..\r\n.\r\n"),
        ],
    )
    def test_is_stuffed_and_ended(self, content: bytes, sent: bytes) -> None:
        assert prepare_content(content) == sent

    @settings(deadline=None)
    @given(st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b".", b"a"])).map(b"".join))
    def test_holds_no_end_but_its_own(self, content: bytes) -> None:
        sent = prepare_content(content)
        assert sent.endswith(b"\r\n.\r\n") or sent == b".\r\n"
        inner = sent[: -len(b".\r\n")]
        lines = inner.split(b"\r\n")
        assert b"." not in lines
        assert not any(b"\r" in line or b"\n" in line for line in lines)

    def test_large_content_arrives_whole(self, smtp_receiver: SmtpReceiver) -> None:
        content = CONTENT + (b"." * 70 + b"\r\n") * 40_000
        with SmtpTransport(smtp_receiver.settings()) as transport:
            assert transport.send(ENVELOPE, content).result is Result.SENT
        assert smtp_receiver.messages[0].content == content


class TestLoss:
    BIG = CONTENT + b"x" * 60 + b"\r\n" + (b"y" * 70 + b"\r\n") * 400_000

    def test_a_connection_lost_within_the_content_is_deferred(self) -> None:
        """The final dot has not left, so nothing can have been accepted."""

        def talk(connection: socket.socket) -> None:
            greet(connection)
            connection.recv(1000)
            connection.sendall(b"250 ok\r\n")
            connection.recv(1000)
            connection.sendall(b"250 ok\r\n")
            connection.recv(1000)
            connection.sendall(b"354 go\r\n")
            connection.recv(10_000)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

        begun: list[int] = []
        with raw_server(talk) as settings:
            transport = SmtpTransport(settings)
            outcomes = list(
                transport.send_many([Job(1, ENVELOPE, self.BIG)], before_data=begun.append)
            )
            transport.close()
        assert [outcome.result for _, outcome in outcomes] == [Result.DEFERRED]
        assert begun == [1]

    def test_a_refusal_within_the_content_is_heard(self) -> None:
        def talk(connection: socket.socket) -> None:
            greet(connection)
            for reply in (b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n"):
                connection.recv(1000)
                connection.sendall(reply)
            connection.recv(10_000)
            connection.sendall(b"552 5.3.4 Message too big\r\n")
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(1_000_000):
                pass

        with raw_server(talk) as settings:
            transport = SmtpTransport(settings)
            outcome = transport.send(ENVELOPE, self.BIG)
            transport.close()
        assert (outcome.result, outcome.reason) == (Result.FAILED, "552 5.3.4 Message too big")

    def test_an_answer_after_the_final_dot_that_is_none_is_uncertain(self) -> None:
        for nonsense in (b"hello\r\n", b"\r\n", b"999 what\r\n", b"354 more\r\n", b"x" * 100_000):

            def talk(connection: socket.socket, said: bytes = nonsense) -> None:
                greet(connection)
                for reply in (b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n", said):
                    connection.recv(1000)
                    connection.sendall(reply)

            with raw_server(talk) as settings:
                transport = SmtpTransport(settings)
                assert transport.send(ENVELOPE, CONTENT).result is Result.UNCERTAIN, nonsense
                transport.close()

    def test_the_verdict_may_have_a_time_out_of_its_own(self, smtp_receiver: SmtpReceiver) -> None:
        smtp_receiver.script.answer(Step.CONTENT, Disturbance.HANG)
        transport = SmtpTransport(smtp_receiver.settings(timeout=60), verdict_timeout=0.1)
        outcome = transport.send(ENVELOPE, CONTENT)
        transport.close()
        assert outcome.result is Result.UNCERTAIN
        assert isinstance(outcome.error, MailError)

    def test_a_server_that_dies_in_mid_run_loses_nothing(self, smtp_receiver: SmtpReceiver) -> None:
        def begin(number: int) -> None:
            if number == 3:
                smtp_receiver.stop()

        with SmtpTransport(smtp_receiver.settings()) as transport:
            run = [Job(number, ENVELOPE, CONTENT) for number in range(50)]
            outcomes = dict(transport.send_many(run, before_data=begin))
        assert len(outcomes) == 50
        assert [outcomes[number].result for number in range(3)] == [Result.SENT] * 3
        assert outcomes[3].result in {Result.UNCERTAIN, Result.DEFERRED}
        assert {outcomes[number].result for number in range(4, 50)} == {Result.DEFERRED}
        assert len(smtp_receiver.messages) == 3

    @pytest.mark.parametrize("size", ["²", "9" * 5000, "-1", "x", "0", ""])
    def test_a_size_that_is_no_limit_is_none(self, size: str) -> None:
        def talk(connection: socket.socket) -> None:
            connection.sendall(b"220 raw\r\n")
            connection.recv(1000)
            connection.sendall(b"250-raw\r\n250 SIZE " + size.encode("latin-1") + b"\r\n")
            for reply in (b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n", b"250 taken\r\n"):
                connection.recv(1000)
                connection.sendall(reply)

        with raw_server(talk) as settings:
            transport = SmtpTransport(settings)
            assert transport.send(ENVELOPE, CONTENT).result is Result.SENT
            transport.close()
