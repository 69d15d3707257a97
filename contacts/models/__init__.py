"""One model a file; everything that others may import is named here."""

from contacts.models.contact import Contact, ContactStatus
from contacts.models.contact_list import ContactList, OptIn
from contacts.models.erased_address import ErasedAddress
from contacts.models.folded_text import fold
from contacts.models.import_chunk import ImportChunk
from contacts.models.import_job import ImportJob, ImportStatus
from contacts.models.import_row_error import ImportRowError
from contacts.models.lifted_suppression import LiftedSuppression
from contacts.models.list_member import ListMember, MemberState
from contacts.models.segment import Segment
from contacts.models.suppression import Suppression, SuppressionReason

__all__ = [
    "Contact",
    "ContactList",
    "ContactStatus",
    "ErasedAddress",
    "ImportChunk",
    "ImportJob",
    "ImportRowError",
    "ImportStatus",
    "LiftedSuppression",
    "ListMember",
    "MemberState",
    "OptIn",
    "Segment",
    "Suppression",
    "SuppressionReason",
    "fold",
]
