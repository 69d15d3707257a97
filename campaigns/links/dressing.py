"""A campaign's bodies with the links that lead back here, made once before it is compiled.

A template may say where its links stand, `{{ unsubscribe_url }}` and `{{ preferences_url }}`;
a body without the first gets a footer with it. What differs from one recipient to the next is
a few addresses: they come in as variables beside the person's own, and win over those.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

from django.conf import settings

from campaigns.links.finding import count_links
from campaigns.links.tokens import LENGTH, PATHS, Purpose, token_writer, write_token
from campaigns.models import Campaign, CampaignLink
from contacts.preferences import preferences_url_of
from mailhub.mail.merge import compile_text, derive_text

# The subject by which a message asks to leave, before its token.
WORD = "unsubscribe"
UNSUBSCRIBE = "unsubscribe_url"
PREFERENCES = "preferences_url"
_CLICK, _OPEN = "mailhub_click_url", "mailhub_open_url"
_NAMES = (PREFERENCES, _CLICK, _OPEN)

_HTML_FOOTER = (
    '<p style="margin:24px 0 0;font-size:12px;color:#595959">You no longer want these messages? '
    '<a href="{{ unsubscribe_url }}" style="color:#595959">Unsubscribe</a></p>\n'
)
_TEXT_FOOTER = "\n\n-- \nYou no longer want these messages? Unsubscribe: {{ unsubscribe_url }}\n"
_IMAGE = (
    f'<img src="{{{{ {_OPEN} }}}}" width="1" height="1" alt="" '
    'style="border:0;width:1px;height:1px">'
)
_BODY_END = re.compile(r"</body\s*>", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Dress:
    """The bodies of one campaign as they are compiled, and what each recipient's links are.

    `targets` are the links that are counted, in the order of their numbers.
    """

    html: str
    text: str
    targets: tuple[str, ...]
    _leaves_here: bool
    _wanted: frozenset[str]
    _bases: dict[Purpose, str]
    _writers: dict[Purpose, Callable[[int, int], str]]
    _mailto: str

    @classmethod
    def of(cls, campaign: Campaign) -> Dress:
        """For this campaign as it stands. Raises TemplateError."""
        html, text = campaign.html_body, campaign.text_body
        if html.strip() and not _has_way_out(html, "html"):
            html = _at_the_end(html, _HTML_FOOTER)
        if not text.strip():
            text = derive_text(html)
        elif not _has_way_out(text, "text"):
            text = text.rstrip() + _TEXT_FOOTER
        targets: tuple[str, ...] = ()
        if campaign.tracks_clicks:
            found = count_links(html, f"{{{{ {_CLICK} }}}}")
            targets, html = found.targets, found.html
        if campaign.tracks_opens and html.strip():
            html = _at_the_end(html, _IMAGE)
        given = {name.lower() for name in campaign.headers}
        fields = (html, text, campaign.subject, *campaign.headers.values())
        return cls(
            html=html,
            text=text,
            targets=targets,
            _leaves_here="list-unsubscribe" not in given,
            _wanted=frozenset(name for name in _NAMES if any(name in each for each in fields)),
            _bases={purpose: _base(purpose) for purpose in Purpose},
            _writers={purpose: token_writer(purpose) for purpose in Purpose},
            _mailto=_mailto(),
        )

    def fields(self, variables: dict[str, object]) -> str:
        """The header fields by which a mail program lets its user leave (RFC 2369, RFC 8058).

        Complete lines. None where the campaign brings a way of its own.
        """
        if not self._leaves_here:
            return ""
        url = str(variables[UNSUBSCRIBE])
        field = f"List-Unsubscribe: <{url}>"
        if self._mailto:
            field += f",\r\n <{self._mailto}{url[-LENGTH:]}>"
        if not url.startswith("https:"):
            return f"{field}\r\n"
        return f"{field}\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"

    def variables(self, delivery: int, contact: int) -> dict[str, object]:
        """What of these links the templates read; 0 where there is no such row."""
        leave = self._link(Purpose.LEAVE, delivery, contact)
        links: dict[str, object] = {UNSUBSCRIBE: leave}
        if PREFERENCES in self._wanted:
            links[PREFERENCES] = preferences_url_of(contact) if contact else leave
        if _CLICK in self._wanted:
            links[_CLICK] = self._link(Purpose.CLICK, delivery)
        if _OPEN in self._wanted:
            links[_OPEN] = f"{self._link(Purpose.OPEN, delivery)}.gif"
        return links

    def _link(self, purpose: Purpose, delivery: int, contact: int = 0) -> str:
        return self._bases[purpose] + self._writers[purpose](delivery, contact)


def keep_links(campaign: Campaign) -> None:
    """Store the links that are counted under their numbers: before its first message is made."""
    if campaign.tracks_clicks:
        CampaignLink.objects.bulk_create(
            (
                CampaignLink(campaign=campaign, number=number, target=target)
                for number, target in enumerate(Dress.of(campaign).targets, 1)
            ),
            ignore_conflicts=True,
        )


def sample_links() -> dict[str, object]:
    """The variables that a template may name, for a preview: links that change nothing."""
    leave = _base(Purpose.LEAVE) + write_token(Purpose.LEAVE, 0)
    return {UNSUBSCRIBE: leave, PREFERENCES: leave}


def _base(purpose: Purpose) -> str:
    """The address of such a link without its token."""
    return f"{settings.MAILHUB_PUBLIC_URL}/{PATHS[purpose]}"


def _mailto() -> str:
    """The other way of List-Unsubscribe, without its token; "" where none is set up."""
    address = settings.MAILHUB_UNSUBSCRIBE_ADDRESS
    return f"mailto:{quote(address, safe='@')}?subject={WORD}%20" if address else ""


def _has_way_out(source: str, name: str) -> bool:
    return UNSUBSCRIBE in source and UNSUBSCRIBE in compile_text(source, name).variables


def _at_the_end(html: str, piece: str) -> str:
    """Before the last `</body>`, else behind everything."""
    ends = list(_BODY_END.finditer(html))
    place = ends[-1].start() if ends else len(html)
    return html[:place] + piece + html[place:]
