"""What is kept of mailboxes: folders, messages, where they lie, and the passes that fetch them."""

from mailboxes.models.attachment import Attachment
from mailboxes.models.dead_letter import DeadLetter
from mailboxes.models.delivery_report import DeliveryReport
from mailboxes.models.draft import Draft
from mailboxes.models.draft_attachment import DraftAttachment
from mailboxes.models.draft_piece import DraftPiece
from mailboxes.models.draft_removal import DraftRemoval
from mailboxes.models.folder import Folder, FolderRole
from mailboxes.models.folder_entry import FolderEntry
from mailboxes.models.held_connection import HeldConnection
from mailboxes.models.journal import Journal
from mailboxes.models.mailbox import Mailbox
from mailboxes.models.maildrop_message import MaildropMessage
from mailboxes.models.message import BodyState, Message
from mailboxes.models.message_change import MessageChange
from mailboxes.models.outbox_content import OutboxContent
from mailboxes.models.outbox_lane import OutboxLane
from mailboxes.models.outbox_message import OutboxMessage, OutboxState
from mailboxes.models.raw_message import RawMessage
from mailboxes.models.raw_pack import RawPack
from mailboxes.models.send_attempt import SendAttempt
from mailboxes.models.skipped_message import SkippedMessage
from mailboxes.models.suspected_report import SuspectedReport
from mailboxes.models.sync_run import SyncRun, SyncState
from mailboxes.models.thread import Thread
from mailboxes.models.thread_key import ThreadKey
from mailboxes.models.watch import Watch, WatchState
from mailboxes.models.watcher import Watcher

__all__ = [
    "Attachment",
    "BodyState",
    "DeadLetter",
    "DeliveryReport",
    "Draft",
    "DraftAttachment",
    "DraftPiece",
    "DraftRemoval",
    "Folder",
    "FolderEntry",
    "FolderRole",
    "HeldConnection",
    "Journal",
    "Mailbox",
    "MaildropMessage",
    "Message",
    "MessageChange",
    "OutboxContent",
    "OutboxLane",
    "OutboxMessage",
    "OutboxState",
    "RawMessage",
    "RawPack",
    "SendAttempt",
    "SkippedMessage",
    "SuspectedReport",
    "SyncRun",
    "SyncState",
    "Thread",
    "ThreadKey",
    "Watch",
    "WatchState",
    "Watcher",
]
