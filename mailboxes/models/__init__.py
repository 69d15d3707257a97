"""What is kept of mailboxes: folders, messages, where they lie, and the passes that fetch them."""

from mailboxes.models.attachment import Attachment
from mailboxes.models.folder import Folder, FolderRole
from mailboxes.models.folder_entry import FolderEntry
from mailboxes.models.journal import Journal
from mailboxes.models.mailbox import Mailbox
from mailboxes.models.message import BodyState, Message
from mailboxes.models.message_change import MessageChange
from mailboxes.models.skipped_message import SkippedMessage
from mailboxes.models.sync_run import SyncRun, SyncState
from mailboxes.models.thread import Thread
from mailboxes.models.thread_key import ThreadKey

__all__ = [
    "Attachment",
    "BodyState",
    "Folder",
    "FolderEntry",
    "FolderRole",
    "Journal",
    "Mailbox",
    "Message",
    "MessageChange",
    "SkippedMessage",
    "SyncRun",
    "SyncState",
    "Thread",
    "ThreadKey",
]
