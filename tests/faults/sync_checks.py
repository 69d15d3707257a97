"""A copy compared with its mailbox, in every respect that a user can notice."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime

from mailboxes.models import Folder, FolderEntry, Message, SkippedMessage, Thread
from mailboxes.raw_store import RawStore
from mailboxes.sync.letters import digest_of
from mailboxes.sync.plan import Flags
from mailhub.mail.threading import base_subject, thread_keys
from tests.mailboxes.conftest import Mailbox


def check_copy(mailbox: Mailbox) -> None:
    """Placements, flags, contents, folders and their counts are the server's; all is fetched."""
    account, raw = mailbox.account, RawStore(mailbox.account.pk)
    stored: dict[str, dict[int, tuple[Flags, str]]] = defaultdict(dict)
    for entry in FolderEntry.objects.filter(account=account).select_related("message", "folder"):
        flags = Flags(
            entry.is_seen, entry.is_flagged, entry.is_answered, entry.is_draft,
            tuple(entry.keywords),
        )  # fmt: skip
        stored[entry.folder.path][entry.uid] = (flags, entry.message.raw_digest)
    remote = mailbox.remote.folders
    assert dict(stored) == {
        path: {
            uid: (Flags.read(frozenset(message.flags)), digest_of(message.content))
            for uid, message in folder.messages.items()
        }
        for path, folder in remote.items()
        if folder.messages
    }
    counts = Folder.objects.filter(account=account).values_list("path", "total", "unread")
    assert {path: (total, unread) for path, total, unread in counts} == {
        path: (folder.status().messages, folder.status().unseen) for path, folder in remote.items()
    }
    messages = Message.objects.filter(account=account)
    assert not FolderEntry.objects.filter(account=account, lacks_body=True).exists()
    assert not SkippedMessage.objects.filter(folder__account=account).exists()
    assert not messages.filter(orphaned_at__isnull=False).exists()
    assert not messages.filter(entries=None).exists()
    for digest in set(messages.values_list("raw_digest", flat=True)):
        assert raw.get(digest) is not None, "every raw message can be read"


def check_conversations(mailbox: Mailbox) -> None:
    """Messages that name one another are together, others by subject apart; none is empty."""
    threads = Thread.objects.filter(account=mailbox.account)
    newest: dict[int, datetime] = {}
    subjects: dict[int, set[str]] = defaultdict(set)
    by_key: dict[int, set[int]] = defaultdict(set)
    for message in Message.objects.filter(account=mailbox.account):
        assert message.thread_id is not None
        arrived = newest.setdefault(message.thread_id, message.received_at)
        newest[message.thread_id] = max(arrived, message.received_at)
        subjects[message.thread_id].add(base_subject(message.subject))
        names = [message.message_id, message.in_reply_to, *message.references]
        for key in thread_keys(message.subject, names):
            by_key[key].add(message.thread_id)
    assert dict(threads.values_list("pk", "newest_at")) == newest
    assert all(len(found) == 1 for found in subjects.values())
    assert all(len(found) == 1 for found in by_key.values())
