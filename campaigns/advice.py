"""What speaks against sending a message as it stands: found before it goes, forbids nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import unescape
from urllib.parse import unquote, urlsplit

from campaigns.models import Campaign
from campaigns.senders import sent_as
from campaigns.standing import Standing
from mailhub.mail.merge import TemplateError, compile_text
from mailhub.mail.message import Attachment

# Gmail cuts a message's HTML off behind this many octets.
CLIPPED_AT = 102 * 1024
_LONG_SUBJECT = 78
_LARGE_MESSAGE = 1024 * 1024
_MANY_MARKS, _SHOUTED_LETTERS = 3, 8
_LINK = re.compile(r"<a\b[^>]*?\bhref\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s>]+))", re.IGNORECASE)
_IMAGE = re.compile(r"<img\b[^>]*>", re.IGNORECASE)
# Where an attribute or a style sheet names a file of the message (RFC 2392).
_SHOWN_FILE = re.compile(r"(?:[=,]\s*[\"']?|\burl\(\s*[\"']?)\s*cid:([^\"'\s)>,]+)", re.IGNORECASE)
_ALTERNATIVE = re.compile(r"\balt\s*=", re.IGNORECASE)
_REPLY = re.compile(r"\s*(re|fwd?|aw|wg)\s*:", re.IGNORECASE)
_TAG = re.compile(r"<[^>]*>")
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Advice:
    """One finding in a sentence."""

    standing: Standing
    words: str


def advise(
    campaign: Campaign, files: Sequence[Attachment], size: int, recipients: int | None
) -> list[Advice]:
    """All findings on what is sent, by whom and to whom, the worst first.

    `size` is of one message in octets, 0 where that is not known; `recipients` are how many it
    reaches, None where that is not known.
    """
    html, text = campaign.html_body, campaign.text_body
    found = [
        *_about_ends(campaign, recipients),
        *_about_subject(campaign.subject),
        *_about_links(html),
        *_about_images(html),
        *_about_shown_files(html, files),
        *_about_leaving(html, text),
        *_about_own_way_out(campaign.headers),
        *_about_size(html, size),
    ]
    worst_first = list(reversed(Standing))
    return sorted(found, key=lambda advice: worst_first.index(advice.standing))


def _about_ends(campaign: Campaign, recipients: int | None) -> Iterator[Advice]:
    """What it cannot start without besides a subject."""
    if not all(own.from_email for own in sent_as(campaign)):
        yield Advice(Standing.BAD, "There is no From address.")
    if recipients == 0:
        yield Advice(Standing.BAD, "There is nobody to send it to.")
    if not campaign.html_body.strip() and not campaign.text_body.strip():
        yield Advice(Standing.BAD, "There is no text.")


def _about_subject(subject: str) -> Iterator[Advice]:
    if not subject.strip():
        yield Advice(Standing.BAD, "There is no subject.")
        return
    if len(subject) > _LONG_SUBJECT:
        yield Advice(
            Standing.WARNING, f"The subject has {len(subject)} characters: most lists cut it off."
        )
    letters = [letter for letter in subject if letter.isalpha()]
    if len(letters) >= _SHOUTED_LETTERS and all(letter.isupper() for letter in letters):
        yield Advice(
            Standing.WARNING, "The subject is all capitals, which spam filters count against."
        )
    if subject.count("!") + subject.count("?") >= _MANY_MARKS:
        yield Advice(
            Standing.WARNING, "The subject has many ! or ?, which spam filters count against."
        )
    if _REPLY.match(subject):
        yield Advice(Standing.WARNING, "The subject pretends to be a reply or was forwarded.")


def _about_links(html: str) -> Iterator[Advice]:
    count = 0
    for found in _LINK.finditer(html):
        target = unescape(next(group for group in found.groups() if group is not None)).strip()
        count += 1
        words = target[:_SHOWN]
        if "{{" in target or "{%" in target:
            continue
        if target in ("", "#"):
            yield Advice(Standing.BAD, "A link leads nowhere.")
        elif (scheme := _scheme(target)) == "http":
            yield Advice(Standing.WARNING, f"A link is not encrypted: {words}")
        elif scheme not in ("https", "mailto", "tel"):
            yield Advice(Standing.BAD, f"A link does not work in mail: {words}")
    if count:
        yield Advice(Standing.GOOD, f"{count} link{'' if count == 1 else 's'} looked at.")


def _scheme(target: str) -> str:
    """In lower case; "" where there is none, or no address at all."""
    try:
        return urlsplit(target).scheme
    except ValueError:
        return ""


def _about_images(html: str) -> Iterator[Advice]:
    images = _IMAGE.findall(html)
    silent = sum(not _ALTERNATIVE.search(image) for image in images)
    if silent:
        yield Advice(
            Standing.WARNING,
            f"{silent} of {len(images)} images say nothing where images are off (alt).",
        )
    if images and not _TAG.sub("", html).strip():
        yield Advice(
            Standing.WARNING, "It is made of images alone, which spam filters count against."
        )


def _about_shown_files(html: str, files: Sequence[Attachment]) -> Iterator[Advice]:
    """Files that the HTML shows and that are not there, and those that it was to show."""
    named = {unquote(name) for name in _SHOWN_FILE.findall(unescape(html))}
    is_told_by_contact = any("{{" in name or "{%" in name for name in named)
    here = {file.content_id for file in files if file.related}
    for name in sorted(named - here):
        if "{{" not in name and "{%" not in name:
            words = f"The HTML shows cid:{name[:_SHOWN]}, and no file goes with it by that name."
            yield Advice(Standing.BAD, words)
    for file in files:
        if file.related and file.content_id not in named and not is_told_by_contact:
            words = f"{file.filename[:_SHOWN]} goes along, and the HTML shows it nowhere: say"
            yield Advice(
                Standing.WARNING, f"{words} cid:{file.content_id[:_SHOWN]} where it is to be."
            )


def _about_own_way_out(headers: Mapping[str, str]) -> Iterator[Advice]:
    """Whether a header field takes the place of the one by which mailhub lets people leave."""
    if any(name.lower() == "list-unsubscribe" for name in headers):
        yield Advice(
            Standing.WARNING,
            "The campaign's own List-Unsubscribe is sent in place of mailhub's: who leaves by it "
            "is not known here, and gets the next campaign too.",
        )


def _about_leaving(html: str, text: str) -> Iterator[Advice]:
    """Whether each of the bodies says where the link stands by which people leave."""
    try:
        bodies = [compile_text(body, "html") for body in (html, text) if body.strip()]
    except TemplateError:
        return
    if bodies and all("unsubscribe_url" in body.variables for body in bodies):
        yield Advice(Standing.GOOD, "There is a link to unsubscribe.")
    elif bodies:
        yield Advice(
            Standing.WARNING,
            "You have no link to unsubscribe, so one is added at the end. Say where it stands "
            "with {{ unsubscribe_url }}.",
        )


def _about_size(html: str, size: int) -> Iterator[Advice]:
    if len(html.encode()) > CLIPPED_AT:
        yield Advice(
            Standing.WARNING, "The HTML is larger than 102 kB: Gmail shows its beginning only."
        )
    if size > _LARGE_MESSAGE:
        yield Advice(Standing.WARNING, f"One message has {size / _LARGE_MESSAGE:.1f} MB.")
    elif size:
        yield Advice(Standing.GOOD, f"One message has {max(1, size // 1024)} kB.")
