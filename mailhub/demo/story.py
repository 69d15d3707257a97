"""The main job, step by step, through the API alone: what a first customer would do.

Connect an account, sync it, import contacts, send them a personalised campaign with an
attachment, watch it, sync again, and read what arrived. Each step raises DemoFailed
where it does not come true.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import Any, TextIO

from mailhub.demo.client import Client, DemoFailed
from mailhub.demo.people import Guest, as_csv, invite
from mailhub.progress_bar import ProgressBar

AUDIENCE = 200
_GUIDE = b"%PDF-1.4\n" + b"% A guide, for every guest the same.\n" * 400 + b"%%EOF\n"
_HTML = (
    "<h1>Hello {{ first_name }}</h1>"
    "<p>We saved a seat for {{ company }} at our open day in "
    '{{ attributes.city | default: "your city" }}.</p><p>The guide is attached.</p>'
)


@dataclass(frozen=True, slots=True)
class Sandbox:
    """The sandbox mail server's addresses and its one mailbox."""

    host: str
    imap_port: int
    smtp_port: int
    username: str
    password: str


class Story:
    """Tells the story on `out`; `campaign_id` is known once the campaign was sent."""

    def __init__(self, client: Client, sandbox: Sandbox, out: TextIO) -> None:
        self._client = client
        self._sandbox = sandbox
        self._out = out
        self._guests = {guest.email: guest for guest in invite(AUDIENCE)}
        self.campaign_id = ""

    def tell(self) -> None:
        """All steps."""
        account = self._connect()
        self._sync(account)
        before = self._inbox_ids(account)
        self._import_contacts()
        sent = self._send_campaign(account)
        self._sync(account)
        self._read_what_arrived(account, before, sent)

    def _connect(self) -> str:
        bar = ProgressBar(self._out, "Connect an account ")
        known = self._client.get("accounts")["accounts"]
        mine = [row for row in known if row["emailAddress"] == self._sandbox.username]
        settings = {
            "hostname": self._sandbox.host,
            "port": self._sandbox.imap_port,
            "encryption": "none",
            "smtpHostname": self._sandbox.host,
            "smtpPort": self._sandbox.smtp_port,
            "smtpEncryption": "none",
            "password": self._sandbox.password,
        }
        if mine:
            account = self._client.patch(f"accounts/{mine[0]['id']}", settings)
        else:
            account = self._client.post(
                "accounts",
                settings
                | {
                    "accountName": "Sandbox",
                    "emailAddress": self._sandbox.username,
                    "protocol": "imap",
                    "username": self._sandbox.username,
                },
            )
        self._client.post(f"accounts/{account['id']}/verify")
        bar.finish(f"{account['emailAddress']}: reading and sending work")
        return str(account["id"])

    def _sync(self, account: str) -> None:
        bar = ProgressBar(self._out, "Sync the mailbox   ")
        sync = self._client.post(f"sync/{account}", {})

        def is_over(status: Any) -> bool:
            bar.show(status["messagesDone"], status["messagesTotal"], "messages")
            return status["status"] in ("completed", "failed", "cancelled")

        # Where one was under way, ours is the one that follows it, and so the newest.
        which = {} if sync["queuedAgain"] else {"syncId": sync["syncId"]}
        end = self._client.watch(f"sync/{account}/status", is_over, **which)
        if end["status"] != "completed":
            raise DemoFailed(f"The sync ended as {end['status']}: {end['error']}")
        bar.finish("every folder is up to date")

    def _import_contacts(self) -> None:
        bar = ProgressBar(self._out, "Import contacts    ")
        job = self._client.upload("contacts/import", "guests.csv", as_csv([*self._guests.values()]))

        def is_over(status: Any) -> bool:
            done = status["imported"] + status["updated"] + status["failed"]
            bar.show(done, status["total"] or AUDIENCE, "rows")
            return status["status"] in ("completed", "failed")

        end = self._client.watch(f"contacts/imports/{job['id']}", is_over)
        if end["status"] != "completed" or end["imported"] + end["updated"] != AUDIENCE:
            raise DemoFailed(f"The import ended as {end}")
        bar.finish(f"{end['imported']} imported, {end['updated']} updated, {end['failed']} failed")

    def _send_campaign(self, account: str) -> int:
        """How many were sent: all, but for guests who have unsubscribed since an earlier run."""
        bar = ProgressBar(self._out, "Send a campaign    ")
        campaign = self._client.post(
            "smtp-campaign",
            {
                "campaign_name": "Open day",
                "subject": "{{ first_name }}, come to our open day",
                "body": _HTML,
                "from_email": f"Northwind Events <{self._sandbox.username}>",
                "account_id": account,
                "emails": list(self._guests),
                "attachments": [
                    {
                        "filename": "guide.pdf",
                        "content": base64.b64encode(_GUIDE).decode(),
                        "content_type": "application/pdf",
                    }
                ],
            },
        )
        self.campaign_id = campaign["campaign_id"]

        def is_over(status: Any) -> bool:
            gone = status["total_contacts"] - status["remaining_count"]
            bar.show(gone, status["total_contacts"], f"{status['status']}")
            return status["status"] in ("completed", "failed", "cancelled")

        end = self._client.watch(f"campaign-status/{self.campaign_id}", is_over)
        sent = int(end["sent_count"])
        if end["status"] != "completed" or sent + end["skipped_count"] != AUDIENCE:
            raise DemoFailed(f"The campaign ended as {end}")
        bar.finish(f"{sent} sent, {end['failed_count']} failed: {end['status']}")
        return sent

    def _inbox_ids(self, account: str) -> set[str]:
        ids: set[str] = set()
        cursor = None
        while True:
            query: dict[str, str] = {"cursor": cursor} if cursor else {}
            page = self._client.get("messages", accountId=account, limit=500, **query)
            ids.update(message["id"] for message in page["messages"])
            cursor = page["nextCursor"]
            if cursor is None:
                return ids

    def _read_what_arrived(self, account: str, before: set[str], sent: int) -> None:
        bar = ProgressBar(self._out, "Read what arrived  ")
        arrived = sorted(self._inbox_ids(account) - before)
        reached: set[Guest] = set()
        for position, message_id in enumerate(arrived, 1):
            message = self._client.get(f"messages/{message_id}")
            guest = self._guests.get(message["to"][0]["address"])
            if guest in reached:
                raise DemoFailed(f"{guest.email} got the campaign twice.")
            if guest is not None:
                self._check(message, guest)
                reached.add(guest)
            bar.show(position, len(arrived), "read")
        if len(reached) != sent:
            raise DemoFailed(f"{sent} messages were sent and {len(reached)} people got theirs.")
        bar.finish(f"{sent} messages, each addressed by name, the attachment intact")

    def _check(self, message: Any, guest: Guest) -> None:
        """One message reads as it was meant."""
        attached = self._client.get_bytes(f"messages/{message['id']}/attachments/0")
        expected = {
            "name": message["to"][0]["name"] == f"{guest.first_name} {guest.last_name}",
            "subject": message["subject"] == f"{guest.first_name}, come to our open day",
            "greeting": f"Hello {guest.first_name}" in message["html"],
            "city": guest.city in message["html"],
            "text part": f"Hello {guest.first_name}" in message["text"],
            "attachment": hashlib.sha256(attached).digest() == hashlib.sha256(_GUIDE).digest(),
        }
        wrong = [part for part, is_right in expected.items() if not is_right]
        if wrong:
            raise DemoFailed(f"The mail to {guest.email} has a wrong {', '.join(wrong)}.")
