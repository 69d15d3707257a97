"""A mailbox as a person has one: an inbox, a conversation, a newsletter, what was sent."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial
from typing import Any

from django.utils import timezone

from accounts.models import EmailAccount
from mailboxes.models import Message
from mailboxes.sync.control import Control, Progress
from mailboxes.sync.engine import Order, Pass
from mailhub.mail.stores.imap import ImapStore
from tests.people import People, Person
from tests.servers.dovecot import DovecotUser


def letter(
    subject: str,
    *,
    sender: str = "Ada Lovelace <ada@example.org>",
    to: str = "Mary <mary@acme.example>",
    text: str = "",
    html: str = "",
    files: Sequence[tuple[str, str, bytes]] = (),
    minutes_ago: int = 60,
    message_id: str = "",
    in_reply_to: str = "",
) -> bytes:
    """A message as it lies on a server; `files` are names, types and octets."""
    written = datetime.now(UTC) - timedelta(minutes=minutes_ago)
    head = [
        f"From: {sender}",
        f"To: {to}",
        f"Subject: {subject}",
        f"Date: {format_datetime(written)}",
        f"Message-ID: {message_id or f'<{uuid.uuid4().hex}@example.org>'}",
        "MIME-Version: 1.0",
    ]
    head += [f"In-Reply-To: {in_reply_to}", f"References: {in_reply_to}"] if in_reply_to else []
    parts = []
    if text:
        parts.append(f"Content-Type: text/plain; charset=utf-8\r\n\r\n{text}")
    if html:
        parts.append(f"Content-Type: text/html; charset=utf-8\r\n\r\n{html}")
    body = _joined("alternative", parts) if len(parts) > 1 else parts[0]
    attached = [
        f'Content-Type: {kind}; name="{name}"\r\n'
        f'Content-Disposition: attachment; filename="{name}"\r\n'
        f"Content-Transfer-Encoding: base64\r\n\r\n{base64.encodebytes(octets).decode()}"
        for name, kind, octets in files
    ]
    if attached:
        body = _joined("mixed", [body, *attached])
    return ("\r\n".join(head) + "\r\n" + body + "\r\n").encode()


def _joined(kind: str, parts: Sequence[str]) -> str:
    mark = uuid.uuid4().hex
    pieces = "".join(f"--{mark}\r\n{part}\r\n" for part in parts)
    return f'Content-Type: multipart/{kind}; boundary="{mark}"\r\n\r\n{pieces}--{mark}--'


_DAY = 24 * 60
_NOTES = [
    ("Bruno Costa <bruno@example.com>", "Keys", "I left the keys with the neighbours."),
    ("Олена Коваль <olena@example.com>", "Дякую за фото", "Вони чудові!"),
    ("billing@cloud.example", "Invoice 2026-1107", "Your invoice of 41.20 EUR is ready."),
    ("Grace Brandt <grace@example.com>", "Lunch on Thursday?", "The place by the canal?"),
    ("Noor Haddad <noor@example.com>", "", "Sorry, sent too early."),
]
NEWSLETTER = (
    '<table width="600" align="center" cellpadding="0" cellspacing="0"><tr>'
    '<td bgcolor="#183f9e" style="padding:24px;color:#ffffff;font-size:24px">Harbour news</td></tr>'
    '<tr><td style="padding:24px"><p>The ferry sails again from Monday on, five times a day.</p>'
    '<p><img src="https://images.example.net/ferry.png" width="320" height="160" alt="A ferry"></p>'
    '<p><a href="https://harbour.example.net/timetable">The timetable</a></p></td></tr></table>'
)


def fill(user: DovecotUser) -> None:
    """What a mailbox of a few weeks holds; most of it was read."""
    offer = "<offer@example.org>"
    with ImapStore(user.settings()) as store:
        for path in ("Projects", "Projects.Plans"):
            store.create_folder(path)
        deliver = partial(_append, store)
        deliver(26 * 60, "Offer for the summer fair", message_id=offer, is_read=True,
            text="Dear Mary,\r\n\r\nhere is our offer for the fair. The stalls are 40 m² each;\r\n"
            "see https://fair.example.org/plan for the plan.\r\n\r\nAda",
            files=[("offer.pdf", "application/pdf", b"%PDF-1.4 offer\n" * 900)])  # fmt: skip
        deliver(25 * 60, "Re: Offer for the summer fair", "Sent", in_reply_to=offer, is_read=True,
            sender="Mary <mary@acme.example>", to="Ada Lovelace <ada@example.org>",
            text="Dear Ada,\r\n\r\na fine offer. Could we have two more stalls?\r\n\r\nMary",
        )  # fmt: skip
        deliver(42, "Re: Offer for the summer fair", in_reply_to=offer,
            text="Of course: two more stalls, at the same price each.\r\n\r\nAda")  # fmt: skip
        deliver(9 * _DAY, "The ferry sails again", html=NEWSLETTER, is_read=True,
            sender="Harbour News <news@harbour.example.net>",
            text="The ferry sails again from Monday on, five times a day.")  # fmt: skip
        deliver(2 * _DAY, "Invitation to the opening of the new reading room and its garden",
            sender="The friends of the municipal library of Larkspur <friends@library.example>",
            text="We would be glad to see you there, with whomever you like to bring.")  # fmt: skip
        for number, (who, subject, text) in enumerate(_NOTES):
            deliver((number + 3) * _DAY, subject, sender=who, text=text, is_read=number % 3 > 0)
        deliver(30 * _DAY, "Minutes of October", "Archive", text="As promised.", is_read=True)
        deliver(20 * _DAY, "Plans for 2027", "Projects.Plans", text="A first sketch.")
        deliver(_DAY, "You have won", "Junk", sender="x@spam.example", text="Click here!")
        deliver(8 * _DAY, "Old news", "Trash", text="Yesterday's paper.", is_read=True)


def _append(
    store: ImapStore,
    minutes_ago: int,
    subject: str,
    folder: str = "INBOX",
    *,
    is_read: bool = False,
    **parts: Any,
) -> None:
    store.append(
        folder,
        letter(subject, minutes_ago=minutes_ago, **parts),
        flags=["\\Seen"] if is_read else [],
        received_at=timezone.now() - timedelta(minutes=minutes_ago),
    )


def connect(people: People, person: Person, user: DovecotUser) -> EmailAccount:
    """The account of that mailbox, of this person's."""
    return people.connect_mailbox(person, user, account_name="Mary at Acme")


def sync(account: EmailAccount, user: DovecotUser) -> None:
    """One pass, as a worker does it."""
    with ImapStore(user.settings()) as store:
        order = Order(uuid.uuid4(), timezone.now())
        Pass(store, account.pk, order, Control(Progress())).run()
    EmailAccount.objects.filter(pk=account.pk).update(last_sync_at=timezone.now())


def ids() -> dict[str, int]:
    """Subject → id of all that is stored, the newest of a subject."""
    return dict(Message.objects.order_by("pk").values_list("subject", "pk"))
