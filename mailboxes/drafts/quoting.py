"""What a reply to a message, or its forward, begins with."""

from __future__ import annotations

import html as html_escapes
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mailboxes.composing import reply_subject
from mailboxes.models import Message
from mailboxes.models.draft import Person
from mailboxes.reading import raw_message
from mailhub.mail.html import sanitise_html
from mailhub.mail.parsing import ParsedAttachment, ParsedMessage, parse_message

_SIGNATURE = "-- "


@dataclass(frozen=True, slots=True)
class Proposal:
    """Fields of a draft, for a person to go on from. `html` is "" where the message has none.

    `attachments` are those of the message that go along, by their indices there.
    """

    message: Message
    subject: str
    text: str
    html: str
    to: Sequence[Person] = ()
    cc: Sequence[Person] = ()
    attachments: Sequence[ParsedAttachment] = ()


def propose_reply(message: Message, *, everyone: bool = False) -> Proposal:
    """An answer to whoever wrote it, or to all whom it went to.

    Raises what `raw_message` does.
    """
    parsed = parse_message(raw_message(message))
    to, cc = _answered_people(message, everyone=everyone)
    said = f"On {_moment(parsed, message)}, {_named(message.sender)} wrote:"
    text = "\n".join(_quoted(line) for line in _without_signature(parsed.text))
    quoted_html = sanitise_html(parsed.html) if parsed.html else ""
    return Proposal(
        message,
        subject=reply_subject(message.subject),
        text=f"\n\n{said}\n{text}\n",
        html=(
            f"<p><br></p><p>{html_escapes.escape(said)}</p>"
            f'<blockquote type="cite">{quoted_html}</blockquote>'
            if quoted_html
            else ""
        ),
        to=to,
        cc=cc,
    )


def propose_forward(message: Message) -> Proposal:
    """The message within another, with all that is attached to it. Raises as `propose_reply`."""
    parsed = parse_message(raw_message(message))
    heading = "---------- Forwarded message ----------"
    facts = [
        ("From", _listed([message.sender])),
        ("Date", _moment(parsed, message)),
        ("Subject", message.subject),
        ("To", _listed(message.to)),
        ("Cc", _listed(message.cc)),
    ]
    shown = [f"{name}: {value}" for name, value in facts if value]
    quoted_html = ""
    if parsed.html:
        quoted_html = sanitise_html(parsed.html, remote_content=True, keep_embedded=True)
    lines = "<br>".join(html_escapes.escape(line) for line in [heading, *shown])
    return Proposal(
        message,
        subject=forward_subject(message.subject),
        text="\n".join(["", "", heading, *shown, "", parsed.text, ""]),
        html=f"<p><br></p><p>{lines}</p>{quoted_html}" if quoted_html else "",
        attachments=parsed.attachments,
    )


def forward_subject(subject: str) -> str:
    """`Fwd: ` once."""
    return subject if subject.lower().startswith(("fwd:", "fw:")) else f"Fwd: {subject}"


def _answered_people(message: Message, *, everyone: bool) -> tuple[list[Person], list[Person]]:
    """To and Cc: none of them twice, and not the account itself."""
    own = message.account.email_address.casefold()
    sender = [message.sender] if message.sender else []
    is_own = bool(sender) and _key(sender[0]) == own
    first = message.to if is_own else (message.reply_to or sender)
    taken = {own}
    to = _fresh(first, taken) or list(first)
    if not everyone:
        return to, []
    to += _fresh([] if is_own else message.to, taken)
    return to, _fresh(message.cc, taken)


def _fresh(people: Iterable[Person], taken: set[str]) -> list[Person]:
    found = []
    for person in people:
        if person["address"] and _key(person) not in taken:
            taken.add(_key(person))
            found.append(person)
    return found


def _key(person: Person) -> str:
    return person["address"].casefold()


def _moment(parsed: ParsedMessage, message: Message) -> str:
    return f"{parsed.date or message.received_at:%-d %b %Y at %H:%M} UTC"


def _named(person: Person) -> str:
    return (person.get("name") or person.get("address") or "somebody") if person else "somebody"


def _listed(people: Iterable[Person]) -> str:
    return ", ".join(
        f"{person['name']} <{person['address']}>" if person["name"] else person["address"]
        for person in people
        if person
    )


def _quoted(line: str) -> str:
    return f">{line}" if line.startswith(">") else f"> {line}".rstrip()


def _without_signature(text: str) -> list[str]:
    """RFC 3676 section 4.3: what follows a line of two hyphens and a space."""
    lines = text.rstrip("\n").split("\n")
    return lines[: lines.index(_SIGNATURE)] if _SIGNATURE in lines else lines
