"""A process takes so much memory and no more, whatever the mailbox."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from accounts.models import EmailAccount
from mailboxes.models import Attachment, FolderEntry, Message
from mailboxes.raw_store import RawStore
from mailboxes.sync.letters import digest_of
from tests.mailboxes.conftest import Connected, raw_message
from tests.mailboxes.runs import database_url
from tests.people import People
from tests.servers.dovecot import DovecotUser
from tests.servers.site import ROOT

pytestmark = pytest.mark.django_db(transaction=True)

MEGABYTE = 1024 * 1024
# The interpreter and Django alone take about 125 MB.
ALLOWED = 250 * MEGABYTE
# A process is told to have had at least as much as the one that it was forked from, and
# pytest is large: the command is started by one that is small.
_MEASURE = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
# What the web process does to a message: saved, its attachments saved, shown.
_READ = """
from mailboxes.models import Message
from mailboxes.reading import raw_message
from mailboxes.serving import attached_octets, framed_page, whole_octets
from mailhub.mail.octets import whole_of
for message in Message.objects.select_related("account"):
    raw = whole_octets(message)
    assert sum(map(len, raw)) == len(whole_of(raw_message(message)))
    for attachment in message.attachments.all():
        assert sum(map(len, attached_octets(message, attachment.index))) == attachment.size
    assert framed_page(message).content
"""


def peak_of(*arguments: str) -> int:
    """The most memory that `manage.py` with these arguments had, in octets."""
    finished = subprocess.run(
        [sys.executable, "-c", _MEASURE, sys.executable, str(ROOT / "manage.py"), *arguments],
        env={**os.environ, "DATABASE_URL": database_url()},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
    )
    # Linux counts in kilobytes, macOS in octets.
    return int(finished.stdout) * (1 if sys.platform == "darwin" else 1024)


def with_attachment(subject: str, megabytes: int) -> bytes:
    line = b"QUJD" * 19 + b"\r\n"
    return (
        (
            f"Subject: {subject}\r\nMessage-ID: <{subject}@example.org>\r\n"
            'Content-Type: multipart/mixed; boundary="b"\r\n\r\n'
            "--b\r\nContent-Type: text/plain\r\n\r\nSee below.\r\n"
            f"--b\r\nContent-Type: application/pdf; name={subject}.pdf\r\n"
            "Content-Transfer-Encoding: base64\r\n\r\n"
        ).encode()
        + line * (megabytes * MEGABYTE // len(line))
        + b"--b--\r\n"
    )


def of_text(subject: str, megabytes: int) -> bytes:
    """Of characters that take four octets each where Python holds them."""
    line = "Grüße \N{GRINNING FACE} und so weiter\r\n".encode()
    return raw_message(subject, content_type="text/plain; charset=utf-8").removesuffix(
        b"Hi there.\r\n"
    ) + line * (megabytes * MEGABYTE // len(line))


def large_messages() -> Iterator[bytes]:
    """170 MB, each below what is kept of a message."""
    yield with_attachment("huge", 49)
    yield of_text("novel", 46)
    for number in range(2):
        yield with_attachment(f"large{number}", 25)
    for number in range(5):
        yield with_attachment(f"middle{number}", 5)


def check_what_is_kept(account: EmailAccount) -> None:
    assert not FolderEntry.objects.filter(lacks_body=True).exists()
    assert Message.objects.count() == 9
    huge = Message.objects.get(subject="huge")
    assert huge.snippet == "See below."
    assert Attachment.objects.get(message=huge).size == 49 * MEGABYTE // 78 * 57
    novel = Message.objects.get(subject="novel")
    assert novel.text.startswith("Grüße \N{GRINNING FACE} und so weiter\nGrüße")
    kept = RawStore(account.pk).find(huge.raw_digest)
    assert kept is not None
    assert kept.digest() == digest_of(with_attachment("huge", 49))


def test_large_messages_are_taken_in_over_imap(connected: Connected) -> None:
    for content in large_messages():
        connected.user.deliver(content)
    assert peak_of("sync_mailboxes") < ALLOWED
    check_what_is_kept(connected.account)
    assert peak_of("shell", "--no-imports", "-c", _READ) < ALLOWED


def test_large_messages_are_taken_in_over_pop3(people: People, dovecot_user: DovecotUser) -> None:
    account = people.connect_mailbox(
        people.member, dovecot_user, protocol="pop3", port=dovecot_user.server.pop3_port
    )
    for content in large_messages():
        dovecot_user.deliver(content)
    assert peak_of("sync_mailboxes") < ALLOWED
    check_what_is_kept(account)
