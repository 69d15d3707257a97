"""HTML written by a stranger → HTML that is safe to show.

An allow-list of elements, attributes, link schemes and style properties stands between
(nh3). Nothing is loaded from anywhere unless the reader asks: remote images tell the
sender when, where and by whom a message was read. Images that the message brings along
(`cid:`, RFC 2392) are put into the page as data.

This is one of two walls: whoever serves the result also sends a Content-Security-Policy
and shows it in a sandboxed frame.
"""

from __future__ import annotations

import base64
import html as html_escapes
import re
from collections.abc import Callable
from urllib.parse import unquote

import nh3

from mailhub.mail.parsing.charsets import clean_text
from mailhub.mail.parsing.html_text import is_too_deep, text_of_html

# Content-ID without angle brackets → (content type, octets), or None.
ImageResolver = Callable[[str], tuple[str, bytes] | None]

# Larger pages are cut: no reader scrolls through more, and a browser suffers.
MAXIMUM_CHARACTERS = 2_500_000
# Inlined images of one page, in octets before base64.
MAXIMUM_INLINE_OCTETS = 15_000_000


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_TAGS = _words(
    "a abbr acronym address area b bdi bdo big blockquote br caption center cite code col "
    "colgroup dd del details dfn dir div dl dt em figcaption figure font h1 h2 h3 h4 h5 h6 hr "
    "i img ins kbd li mark ol p pre q rp rt ruby s samp section article header footer main "
    "nav aside small span strike strong sub summary sup table tbody td tfoot th thead time tr "
    "tt u ul var wbr"
)
# What stands inside these is no text for a reader.
_DROPPED_WITH_CONTENT = _words(
    "script style title head noscript template iframe object embed svg math textarea select "
    "xmp noembed noframes"
)
_ATTRIBUTES = {
    "*": {"style", "dir", "lang", "title", "align", "valign", "bgcolor", "width", "height"},
    "a": {"href"},
    "img": {"src", "alt", "border", "hspace", "vspace"},
    "font": {"color", "face", "size"},
    "table": {"border", "cellpadding", "cellspacing", "summary"},
    "td": {"colspan", "rowspan", "nowrap", "headers", "scope"},
    "th": {"colspan", "rowspan", "nowrap", "headers", "scope"},
    "col": {"span"},
    "colgroup": {"span"},
    "ol": {"start", "type", "reversed"},
    "ul": {"type"},
    "li": {"value", "type"},
    "hr": {"size", "noshade", "color"},
    "br": {"clear"},
    "blockquote": {"cite", "type"},
    "time": {"datetime"},
    "details": {"open"},
}
_STYLE_PROPERTIES = _words(
    "background background-color border border-bottom border-bottom-color border-bottom-style "
    "border-bottom-width border-collapse border-color border-left border-left-color "
    "border-left-style border-left-width border-radius border-right border-right-color "
    "border-right-style border-right-width border-spacing border-style border-top "
    "border-top-color border-top-style border-top-width border-width box-sizing caption-side "
    "clear color direction display empty-cells float font font-family font-size font-style "
    "font-variant font-weight height letter-spacing line-height list-style list-style-type "
    "margin margin-bottom margin-left margin-right margin-top max-height max-width min-height "
    "min-width opacity overflow overflow-wrap padding padding-bottom padding-left "
    "padding-right padding-top table-layout text-align text-decoration text-indent "
    "text-transform vertical-align white-space width word-break word-spacing word-wrap"
)
_IMAGE_TYPES = frozenset(
    {"image/png", "image/gif", "image/jpeg", "image/jpg", "image/webp", "image/bmp", "image/avif"}
)

_LINK = re.compile(r"(?:https?://|mailto:|tel:)", re.IGNORECASE)
_REMOTE = re.compile(r"https?://", re.IGNORECASE)
_INLINE_DATA = re.compile(r"data:(image/[a-z]+);base64,[A-Za-z0-9+/=\s]*", re.IGNORECASE)
# The look behind keeps a long word from being tried from each of its letters.
_FUNCTION = re.compile(r"(?<![\w-])([\w-]*+)\(")
_COLOUR_FUNCTIONS = frozenset({"rgb", "rgba", "hsl", "hsla"})


def sanitise_html(
    html: str,
    *,
    remote_content: bool = False,
    resolve_image: ImageResolver | None = None,
    keep_embedded: bool = False,
) -> str:
    """HTML that holds no script, form, frame, style sheet, or (unless asked) remote content.

    `resolve_image` gives the images that `cid:` links name; without it they stay empty,
    unless they are to be kept for a message that brings the same images along.
    Links open in a new page that cannot reach back. HTML nested too deep to be parsed in
    reasonable time is shown as its text.
    """
    html = clean_text(html[:MAXIMUM_CHARACTERS])
    if is_too_deep(html):
        return f"<pre>{html_escapes.escape(text_of_html(html))}</pre>"
    images = _Images(remote_content, resolve_image, keep_embedded)
    return nh3.clean(
        html,
        tags=_TAGS,
        clean_content_tags=_DROPPED_WITH_CONTENT,
        attributes=_ATTRIBUTES,
        attribute_filter=images.filter,
        url_schemes={"http", "https", "mailto", "tel", "cid", "data"},
        filter_style_properties=_STYLE_PROPERTIES,
        set_tag_attribute_values={"a": {"target": "_blank"}},
        link_rel="noopener noreferrer nofollow",
    )


class _Images:
    """Decides attribute by attribute what a page may load, within one budget."""

    def __init__(
        self, remote_content: bool, resolve_image: ImageResolver | None, keep_embedded: bool
    ) -> None:
        self._remote_content, self._keep_embedded = remote_content, keep_embedded
        self._resolve = resolve_image
        self._room = MAXIMUM_INLINE_OCTETS

    def filter(self, tag: str, attribute: str, value: str) -> str | None:
        """The value to keep, another in its place, or None to drop the attribute."""
        if attribute == "src":
            return self._image(value.strip())
        if attribute in {"href", "cite"}:
            return value if _LINK.match(value.strip()) else None
        if attribute == "style":
            return _safe_style(value)
        return value

    def _image(self, address: str) -> str | None:
        if _REMOTE.match(address):
            return address if self._remote_content else None
        if address[:4].lower() == "cid:" and self._keep_embedded:
            return address
        if address[:4].lower() == "cid:" and self._resolve is not None:
            return self._inline(self._resolve(unquote(address[4:])))
        data = _INLINE_DATA.fullmatch(address)
        return address if data and data[1].lower() in _IMAGE_TYPES else None

    def _inline(self, image: tuple[str, bytes] | None) -> str | None:
        if image is None:
            return None
        kind, octets = image
        if kind.lower() not in _IMAGE_TYPES or len(octets) > self._room:
            return None
        self._room -= len(octets)
        return f"data:{kind.lower()};base64,{base64.b64encode(octets).decode('ascii')}"


def _safe_style(style: str) -> str | None:
    """Declarations that load nothing and hide nothing behind escapes or comments."""
    if "\\" in style or "/*" in style:
        return None
    kept = [
        declaration.strip()
        for declaration in style.split(";")
        if ":" in declaration
        and all(name.lower() in _COLOUR_FUNCTIONS for name in _FUNCTION.findall(declaration))
    ]
    return "; ".join(kept) or None
