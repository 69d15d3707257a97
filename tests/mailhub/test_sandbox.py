"""The sandbox mail server, through smtplib and imaplib as strangers would use it."""

from __future__ import annotations

import base64
import imaplib
import re
import signal
import smtplib
import socket
import subprocess
import sys
from collections.abc import Iterator
from email.message import EmailMessage

import pytest
from django.core.management import CommandError, call_command

from mailhub.sandbox import SandboxMailServer
from tests.servers.site import ROOT

DEMO = ("demo@sandbox.test", "a password")
OTHER = ("other@sandbox.test", "pässword")


@pytest.fixture(scope="module")
def server() -> Iterator[SandboxMailServer]:
    with SandboxMailServer(dict([DEMO, OTHER])) as running:
        yield running


def test_a_message_is_read_as_it_was_sent(server: SandboxMailServer) -> None:
    message = compose("exact@example.com", "Grüße")
    message.add_attachment(bytes(range(256)) * 50, "application", "octet-stream", filename="a.bin")
    sent = message.as_bytes(policy=message.policy.clone(linesep="\r\n"))

    with connect_smtp(server) as client:
        client.sendmail("bounces@example.com", ["exact@example.com"], sent)

    raw = fetch_delivered(server, "exact@example.com")
    trace, content = raw.split(b"From: ", 1)
    assert b"Return-Path: <bounces@example.com>\r\nDelivered-To: exact@example.com" in trace
    assert b"From: " + content == sent


def test_mail_for_an_account_is_its_own_and_all_else_the_first_ones(
    server: SandboxMailServer,
) -> None:
    with connect_smtp(server) as client:
        client.send_message(
            compose("several", "shared"), DEMO[0], [OTHER[0].upper(), "x@a.test", "y@b.test"]
        )
    assert subjects(server, OTHER).count("shared") == 1
    assert subjects(server, DEMO).count("shared") == 2


def test_an_unknown_user_is_refused_with_a_real_reply(server: SandboxMailServer) -> None:
    with connect_smtp(server) as client:
        refused = client.send_message(
            compose("both", "partly"), DEMO[0], ["nobody.here@example.com", "someone@example.com"]
        )
    assert refused == {
        "nobody.here@example.com": (
            550,
            b"5.1.1 <nobody.here@example.com>: Recipient address rejected: User unknown",
        )
    }


@pytest.mark.parametrize("login", [DEMO, OTHER])
def test_logins_work_on_both_sides(server: SandboxMailServer, login: tuple[str, str]) -> None:
    token = base64.b64encode(f"\0{login[0]}\0{login[1]}".encode()).decode()
    with connect_smtp(server) as client:
        client.ehlo()
        assert client.docmd("AUTH", f"PLAIN {token}")[0] == 235
    with connect_imap(server, login) as reader:
        assert reader.state == "AUTH"


def test_a_wrong_password_is_refused_on_both_sides(server: SandboxMailServer) -> None:
    with (
        connect_smtp(server) as client,
        pytest.raises(smtplib.SMTPAuthenticationError, match="535"),
    ):
        client.login(DEMO[0], "wrong")
    with pytest.raises(imaplib.IMAP4.error, match="Invalid authentication"):
        connect_imap(server, (DEMO[0], "wrong"))


def test_every_account_has_the_usual_folders(server: SandboxMailServer) -> None:
    with connect_imap(server, OTHER) as reader:
        _, lines = reader.list()
    names = {line.rsplit(b" ", 1)[1].strip(b'"') for line in lines if isinstance(line, bytes)}
    assert names == {b"INBOX", b"Drafts", b"Sent", b"Trash", b"Junk", b"Archive"}


def test_a_pipelined_transaction_is_answered_in_order(server: SandboxMailServer) -> None:
    with socket.create_connection((server.host, server.smtp_port), timeout=30) as connection:
        stream = connection.makefile("rb")
        assert stream.readline().startswith(b"220 ")
        connection.sendall(b"EHLO here\r\n")
        answers = iter(stream.readline, b"")
        extensions = [next(answers)]
        while extensions[-1][3:4] == b"-":
            extensions.append(next(answers))
        assert b"250-PIPELINING\r\n" in extensions
        connection.sendall(
            b"MAIL FROM:<a@example.com>\r\nRCPT TO:<nobody@example.com>\r\n"
            b"RCPT TO:<pipelined@example.com>\r\nDATA\r\n"
        )
        assert [next(answers)[:3] for _ in range(4)] == [b"250", b"550", b"250", b"354"]
        connection.sendall(b"Subject: pipelined\r\n\r\n..dots\r\n.\r\nQUIT\r\n")
        assert [next(answers)[:3] for _ in range(2)] == [b"250", b"221"]
    assert fetch_delivered(server, "pipelined@example.com").endswith(b"\r\n\r\n.dots\r\n")


def test_the_command_serves_until_it_is_told_to_stop() -> None:
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "manage.py"), "sandbox_mail_server", "--smtp-port", "0",
         "--imap-port", "0", "--account", "me@here.test:secret-word"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with process:
        assert process.stdout is not None
        line = process.stdout.readline()
        ports = re.search(r"SMTP on 127.0.0.1:(\d+), IMAP on 127.0.0.1:(\d+)", line)
        assert ports, line
        assert "secret-word" not in line
        with smtplib.SMTP("127.0.0.1", int(ports[1])) as client:
            assert client.noop()[0] == 250
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0


@pytest.mark.parametrize("account", ["nothing", "no-at-sign:x", "a@b.test:"])
def test_a_malformed_account_is_refused_without_its_password(account: str) -> None:
    with pytest.raises(CommandError, match="ADDRESS:PASSWORD"):
        call_command("sandbox_mail_server", "--account", account)


def test_a_taken_port_is_an_error(server: SandboxMailServer) -> None:
    with pytest.raises(OSError, match="in use"):
        SandboxMailServer(dict([DEMO]), smtp_port=server.smtp_port).start()


def compose(to: str, subject: str) -> EmailMessage:
    message = EmailMessage()
    message["From"] = "Sender <sender@example.com>"
    message["To"] = to
    message["Subject"] = subject
    message.set_content("A line.\n.A line that begins with a dot.\n")
    return message


def connect_smtp(server: SandboxMailServer) -> smtplib.SMTP:
    return smtplib.SMTP(server.host, server.smtp_port, timeout=30)


def connect_imap(server: SandboxMailServer, login: tuple[str, str]) -> imaplib.IMAP4:
    reader = imaplib.IMAP4(server.host, server.imap_port, timeout=30)
    token = f"\0{login[0]}\0{login[1]}".encode()
    try:
        reader.authenticate("PLAIN", lambda _challenge: token)
    except imaplib.IMAP4.error:
        reader.shutdown()
        raise
    return reader


def read_inbox(server: SandboxMailServer, login: tuple[str, str]) -> list[bytes]:
    with connect_imap(server, login) as reader:
        reader.select("INBOX", readonly=True)
        _, parts = reader.uid("FETCH", "1:*", "(BODY.PEEK[])")
    return [part[1] for part in parts if isinstance(part, tuple)]


def subjects(server: SandboxMailServer, login: tuple[str, str]) -> list[str]:
    found = (
        re.search(rb"^Subject: (.*)\r$", raw, re.MULTILINE) for raw in read_inbox(server, login)
    )
    return [match[1].decode() for match in found if match]


def fetch_delivered(server: SandboxMailServer, recipient: str) -> bytes:
    """The one message in the first account's INBOX that was sent to `recipient`."""
    mark = b"Delivered-To: " + recipient.encode() + b"\r\n"
    (found,) = [raw for raw in read_inbox(server, DEMO) if mark in raw]
    return found
