"""One of everything that a tenant and a member of it can have, for others to reach for."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

from django.apps import apps
from django.db import connection
from django.utils import timezone

from accounts.event_webhooks import add_webhook
from accounts.events.publishing import publish_test
from accounts.models import ApiKey, Credential, CredentialKind, Role
from campaigns.creation import PlannedServer
from campaigns.drafting import Changes, create_draft
from campaigns.keeping_templates import make_template
from campaigns.models import CampaignStatus, SesTopic
from campaigns.signing import add_dkim_key
from contacts.models import (
    Contact,
    ContactList,
    ImportJob,
    ImportRowError,
    ImportStatus,
    ListMember,
    Segment,
    Suppression,
)
from mailboxes.drafts.files import new_file
from mailboxes.drafts.saving import new_draft
from mailboxes.models import DeadLetter, OutboxMessage, OutboxState, SyncRun, SyncState
from mailboxes.outbox.accepting import accept
from mailhub.mail.message import Address, Attachment, OutgoingMessage
from mailhub.mail.server import Encryption
from tests.mailboxes.conftest import PASSWORD, Mailbox
from tests.pages.mailings import make_campaign
from tests.people import People

# Stands in everything that is made here, and in nothing that a test sends.
MARK = "zebra"
_EVERYONE = (
    *("viewer", "member", "teammate", "reader", "sender", "admin", "owner", "service"),
    *("stranger", "namesake"),
)
_APPS = ("accounts", "contacts", "mailboxes", "campaigns")


class Things:
    """`names` fill the placeholders of addresses; `missing` do so with what does not exist."""

    def __init__(self, people: People) -> None:
        self.people = people
        for name in _EVERYONE:
            getattr(people, name)
        self.names: dict[str, str] = {"provider": "acme"}
        self._connect()
        self._fill_outbox()
        self._write_draft()
        self._fill_contacts()
        self._fill_campaigns()
        self._add_user_and_key()
        self._add_webhook()
        topic = SesTopic.objects.create(
            tenant=self.people.tenant, arn="arn:aws:sns:eu-west-1:123456789012:mail", trouble=MARK
        )
        self.names["topic"] = str(topic.pk)
        key = add_dkim_key(self.people.tenant, "example.org", "mailhub")
        key.public_key = MARK
        key.save()
        self.names["dkim"] = str(key.pk)
        people.delegate(self.account, people.reader)
        people.delegate(self.account, people.sender, may_send=True)
        self.names["reader"] = people.reader.name
        self.missing = {
            **dict.fromkeys(self.names, str(uuid.uuid4())),
            "provider": self.names["provider"],
            **dict.fromkeys(
                ("folder", "message", "thread", "import", "list", "segment", "key", "template"),
                "987654321",
            ),
            **dict.fromkeys(
                ("queued", "failed", "uncertain", "dead", "file", "topic", "dkim"), "987654321"
            ),
            **dict.fromkeys(("contact", "suppressed"), "nobody@example.org"),
            **dict.fromkeys(
                ("campaign", "paused", "drafted", "scheduled"), "campaign_0000000000000000000000000"
            ),
        }

    def _connect(self) -> None:
        member = self.people.member
        self.account = self.people.connect_account(
            member,
            password=PASSWORD,
            account_name=f"The {MARK} account",
            port=1,
            encryption="none",
            smtp_port=1,
            smtp_encryption="none",
        )
        message = OutgoingMessage(
            sender=Address(MARK, "ann@example.org"),
            to=(Address("", "mary@example.org"),),
            subject=f"About the {MARK}",
            text=f"A {MARK}.",
            html=f"<p>A {MARK}.</p>",
            attachments=(Attachment(f"{MARK}.txt", MARK.encode(), "text/plain"),),
        )
        mailbox = Mailbox(self.account)
        mailbox.remote.deliver(message.as_bytes())
        mailbox.sync()
        run = SyncRun.objects.create(account=self.account, state=SyncState.QUEUED)
        credential = Credential(
            tenant=member.tenant, user=member.user, name=MARK, kind=CredentialKind.PASSWORD
        )
        credential.keep_secret({"password": PASSWORD})
        credential.save()
        self.names |= {
            "account": str(self.account.pk),
            "credential": str(credential.pk),
            "sync": str(run.pk),
            "folder": str(mailbox.folder().pk),
            "message": str(mailbox.message(message.subject).pk),
            "thread": str(mailbox.message(message.subject).thread_id),
        }

    def _fill_outbox(self) -> None:
        def ask() -> OutboxMessage:
            message = OutgoingMessage(
                sender=Address(MARK, self.account.email_address),
                to=(Address("", "mary@example.org"),),
                subject=f"About the {MARK}",
            )
            caller = self.people.member.caller
            return accept(caller, message, message.as_bytes(), account=self.account)

        queued, failed, uncertain = ask(), ask(), ask()
        uncertain.state, uncertain.next_try_at = OutboxState.UNCERTAIN, None
        uncertain.save()
        failed.state, failed.next_try_at = OutboxState.FAILED, None
        failed.save()
        letter = DeadLetter.objects.create(message=failed, reason=MARK)
        self.names |= {
            "queued": str(queued.pk),
            "failed": str(failed.pk),
            "uncertain": str(uncertain.pk),
            "dead": str(letter.pk),
        }

    def _write_draft(self) -> None:
        draft = new_draft(
            self.people.member.caller,
            self.account,
            {"to": [{"name": MARK, "address": "bo@example.org"}], "subject": MARK},
            files=[new_file(f"{MARK}.txt", "text/plain", [MARK.encode()])],
        )
        self.names |= {"draft": str(draft.pk), "file": str(draft.attachments.get().pk)}

    def _fill_contacts(self) -> None:
        tenant = self.people.tenant
        contact = Contact.objects.create(
            tenant=tenant, email=f"{MARK}@example.com", first_name=MARK
        )
        contact_list = ContactList.objects.create(tenant=tenant, name=f"{MARK}s")
        ListMember.objects.create(list=contact_list, contact=contact)
        rule = {"field": "first_name", "op": "is", "value": MARK}
        segment = Segment.objects.create(tenant=tenant, name=f"All {MARK}s", rule=rule)
        Suppression.objects.create(tenant=tenant, email=f"no-{MARK}@example.com")
        job = ImportJob.objects.create(
            tenant=tenant,
            filename=f"{MARK}.csv",
            status=ImportStatus.PENDING,
            columns=["email"],
            targets=["email"],
            has_file=False,
        )
        ImportRowError.objects.create(job=job, line=2, text=MARK, reason="This is no address.")
        self.names |= {
            "contact": f"{MARK}@example.com",
            "suppressed": f"no-{MARK}@example.com",
            "import": str(job.pk),
            "list": str(contact_list.pk),
            "segment": str(segment.pk),
        }

    def _fill_campaigns(self) -> None:
        member = self.people.member
        running = make_campaign(member, name=MARK, queued=1, failed=1, uncertain=1)
        running.deliveries.filter(state="queued").update(email=f"{MARK}@example.com")
        paused = make_campaign(member, name=MARK, queued=1, status=CampaignStatus.PAUSED)
        template = make_template(member.caller, {"name": MARK, "html": f"<p>A {MARK}</p>"})
        changes = Changes(
            fields={"subject": MARK, "html_body": f"<p>{MARK}</p>", "from_email": "us@example.org"},
            server=PlannedServer("127.0.0.1", 1, Encryption.NONE),
            everyone=True,
        )
        drafted = create_draft(member.caller, changes)
        scheduled = make_campaign(member, name=MARK, status=CampaignStatus.SCHEDULED)
        self.names |= {
            "drafted": drafted.campaign_id,
            "scheduled": scheduled.campaign_id,
            "campaign": running.campaign_id,
            "paused": paused.campaign_id,
            "template": str(template.pk),
        }

    def _add_user_and_key(self) -> None:
        person = self.people.add(MARK, Role.MEMBER)
        row, _ = ApiKey.objects.issue(
            person.membership,
            name=MARK,
            scopes=["contacts:read"],
            expires_at=timezone.now() + timedelta(days=1),
        )
        self.names |= {"user": person.name, "key": str(row.pk)}

    def _add_webhook(self) -> None:
        webhook, _ = add_webhook(
            self.people.admin.caller,
            url="https://127.0.0.1:1/",
            events=["message.received"],
            description=MARK,
        )
        publish_test(webhook)
        webhook.deliveries.update(reply=MARK)
        self.names["webhook"] = str(webhook.pk)

    def shown_in(self, content: bytes) -> bool:
        """Whether an answer tells anything of what was made here."""
        marks = (MARK, self.names["account"], self.names["campaign"], self.people.reader.name)
        return any(mark.encode() in content for mark in marks)

    def rows(self) -> list[tuple[str, dict[str, Any]]]:
        """Table and row, all of the database; not when a key was last used."""
        return all_rows()

    def rows_of_tenant(self) -> list[tuple[str, dict[str, Any]]]:
        """Those of them that belong to the first tenant itself."""
        return [row for row in self.rows() if row[1].get("tenant_id") == self.people.tenant.pk]


def all_rows() -> list[tuple[str, dict[str, Any]]]:
    """Table and row, all of the database; not when a key was last used."""
    found = []
    for label in _APPS:
        for model in apps.get_app_config(label).get_models():
            meta = model._meta
            with connection.cursor() as cursor:
                # By hand: the ORM takes ten times as long to say the same.
                cursor.execute(f"SELECT * FROM {meta.db_table} ORDER BY {meta.pk.column}")
                names = [column[0] for column in cursor.description]
                found += [
                    (meta.db_table, dict(zip(names, row, strict=True))) for row in cursor.fetchall()
                ]
    for _, row in found:
        row.pop("last_used_at", None)
    return found
