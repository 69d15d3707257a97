"""One model a file; everything that others may import is named here."""

from contacts.models.contact import Contact, ContactStatus
from contacts.models.folded_text import fold
from contacts.models.import_chunk import ImportChunk
from contacts.models.import_job import ImportJob, ImportStatus
from contacts.models.import_row_error import ImportRowError
from contacts.models.suppression import Suppression, SuppressionReason

__all__ = [
    "Contact",
    "ContactStatus",
    "ImportChunk",
    "ImportJob",
    "ImportRowError",
    "ImportStatus",
    "Suppression",
    "SuppressionReason",
    "fold",
]
