"""Attachment names that are safe to show, to save and to put in a header.

A name arrives from a stranger: it may climb folders, hide its ending behind a
right-to-left mark, name a Windows device or fill a page.
"""

from __future__ import annotations

import re
import unicodedata

_ENDINGS = {
    "application/json": ".json",
    "application/ms-tnef": ".dat",
    "application/msword": ".doc",
    "application/octet-stream": ".bin",
    "application/pdf": ".pdf",
    "application/pgp-signature": ".asc",
    "application/pkcs7-signature": ".p7s",
    "application/rtf": ".rtf",
    "application/vnd.ms-excel": ".xls",
    "application/zip": ".zip",
    "audio/mpeg": ".mp3",
    "image/gif": ".gif",
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "image/svg+xml": ".svg",
    "image/webp": ".webp",
    "message/delivery-status": ".txt",
    "message/rfc822": ".eml",
    "text/calendar": ".ics",
    "text/csv": ".csv",
    "text/html": ".html",
    "text/plain": ".txt",
    "text/vcard": ".vcf",
    "text/x-vcard": ".vcf",
    "video/mp4": ".mp4",
}
# 255 octets is what file systems take; some room is left for a suffix of the saver's own.
MAXIMUM_OCTETS = 200

_LOOKED_AT = 1_000
_RESERVED = re.compile(r'[<>:"|?*]')
_DEVICE = re.compile(r"(?:CON|PRN|AUX|NUL|COM[0-9]|LPT[0-9])(?=\.|$)", re.IGNORECASE)


def safe_filename(name: str, position: int, content_type: str) -> str:
    """A plain file name for attachment number `position` (from 0); never empty."""
    # Normalising takes quadratic time for long runs of accents.
    name = unicodedata.normalize("NFC", name[-_LOOKED_AT:])
    name = re.split(r"[/\\]", name)[-1]
    name = "".join(" " if character.isspace() else character for character in name)
    # Cc, Cf, Cs, Co and Cn: controls, direction marks, surrogates, private and unassigned.
    name = "".join(c for c in name if not unicodedata.category(c).startswith("C"))
    name = _RESERVED.sub("_", " ".join(name.split())).strip(". ")
    if not name:
        return f"attachment-{position + 1}{_ENDINGS.get(content_type, '')}"
    if _DEVICE.match(name):
        name = f"_{name}"
    return _shorten(name)


def _shorten(name: str) -> str:
    if len(name.encode()) <= MAXIMUM_OCTETS:
        return name
    stem, dot, ending = name.rpartition(".")
    suffix = f".{ending}" if dot and stem and len(ending.encode()) <= 20 else ""
    stem = stem if suffix else name
    room = MAXIMUM_OCTETS - len(suffix.encode())
    return stem.encode()[:room].decode("utf-8", "ignore").rstrip(". ") + suffix
