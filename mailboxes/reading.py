"""Reading one message: from the raw store, or from its server where it is not there."""

from __future__ import annotations

from accounts.models import AccountProtocol
from mailboxes.connections import store_of
from mailboxes.models import FolderEntry, Message
from mailboxes.pop3 import fetch_again
from mailboxes.raw_store import RawStore
from mailboxes.sync.letters import digest_of, header_digest
from mailhub.errors import Busy, NotFound, TooLarge
from mailhub.mail.errors import MessageMissing
from mailhub.mail.html import sanitise_html
from mailhub.mail.parsing import ParsedMessage, embedded_images

LARGEST_READ = 100 * 1024 * 1024


def raw_message(message: Message) -> bytes:
    """All octets of a message, or the `Beginning` of a large one.

    Raises MailError, or what `store_of` does, where it must be fetched and cannot be;
    NotFound where it lies in no folder any more; TooLarge above 100 MB.
    """
    if message.raw_digest:
        found = RawStore(message.account_id).find(message.raw_digest)
        if found is not None:
            return found.held()
    content = _fetch(message)
    if digest_of(content) == message.raw_digest:
        RawStore(message.account_id).put_many([content])
    return content


def safe_html(parsed: ParsedMessage, raw: bytes, *, remote_content: bool = False) -> str:
    """The message's HTML, fit to be shown, its own images inside it; "" where it has none."""
    if not parsed.html:
        return ""
    images = embedded_images(raw)
    return sanitise_html(parsed.html, remote_content=remote_content, resolve_image=images.get)


def _fetch(message: Message) -> bytes:
    if message.size > LARGEST_READ:
        raise TooLarge(f"The message is larger than {LARGEST_READ // (1024 * 1024)} MB.")
    if message.account.protocol == AccountProtocol.POP3:
        return fetch_again(message, largest=LARGEST_READ)
    entries = FolderEntry.objects.filter(message=message, uid__gt=0)
    # The UIDs of a label are those of All Mail.
    entry = entries.filter(folder__label="").select_related("folder").order_by("pk").first()
    if entry is None:
        raise NotFound("The message lies in no folder any more.")
    account = message.account
    with store_of(account) as store:
        if store.select(entry.folder.path).uid_validity != entry.folder.uid_validity:
            raise Busy("The folder is about to be read anew; try again.", retry_after=30)
        for fetched in store.fetch([entry.uid]):
            if header_digest(fetched.content) == message.header_digest:
                return fetched.content
    raise MessageMissing("The server does not have this message any more.")
