"""Hostile HTML comes out harmless, ordinary HTML comes out as it was."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailhub.mail.html import MAXIMUM_INLINE_OCTETS, sanitise_html

IMAGES = {
    "logo@example.org": ("image/png", b"\x89PNG"),
    "drawing@example.org": ("image/svg+xml", b"<svg onload='alert(1)'/>"),
    "page@example.org": ("text/html", b"<script>alert(1)</script>"),
}

FORBIDDEN = frozenset(
    re.findall(
        r"\w+",
        "script style iframe object embed form input button svg math link meta base video audio "
        "template frame frameset applet",
    )
)


class _Reader(HTMLParser):
    """Collects what a browser would act upon."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]


def _assert_harmless(html: str, *, remote: bool = False) -> None:
    reader = _Reader()
    reader.feed(html)
    assert not reader.tags & FORBIDDEN
    for tag, name, value in reader.attributes:
        assert not name.startswith("on")
        assert name not in {"id", "name", "class", "srcset", "background", "formaction", "ping"}
        plain = re.sub(r"[\x00-\x20]", "", value).lower()
        if name in {"href", "cite"}:
            assert plain.startswith(("http://", "https://", "mailto:", "tel:"))
        if name == "src":
            allowed = ("data:image/", "http://", "https://") if remote else ("data:image/",)
            assert plain.startswith(allowed)
            assert "svg" not in plain
        if name == "style":
            assert not re.search(r"url|expression|@import|\\|position|behavior|-moz-binding", plain)
        if tag == "a" and name == "target":
            assert value == "_blank"


HOSTILE = [
    "<script>alert(1)</script>",
    "<scr<script>ipt>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)>",
    "<svg><a xlink:href='javascript:alert(1)'><text>x</text></a></svg>",
    "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img onerror=a()&gt;'>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "<form><math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>",
    "<a href='javascript:alert(1)'>x</a>",
    "<a href='jav&#x09;ascript:alert(1)'>x</a>",
    "<a href=' &#1; javascript:alert(1)'>x</a>",
    "<a href='vbscript:x'>x</a><a href='file:///etc/passwd'>y</a><a href='//evil.example'>z</a>",
    "<a href='data:text/html,<script>alert(1)</script>'>x</a>",
    "<a href='https://ok.example' onclick='alert(1)' id='x' name='getElementById'>x</a>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<object data='evil.swf'></object><embed src='evil.swf'>",
    "<base href='https://evil.example/'><a href='login'>x</a>",
    "<meta http-equiv=refresh content='0;url=https://evil.example'>",
    "<link rel=stylesheet href='https://evil.example/x.css'>",
    "<style>@import 'https://evil.example/x.css'; p{background:url(https://evil.example)}</style>",
    "<p style=\"background:url('https://evil.example/x.gif')\">x</p>",
    "<p style='background:\\75rl(https://evil.example)'>x</p>",
    "<p style='color:red;/**/background-image:url(//evil.example)'>x</p>",
    "<p style='width:expression(alert(1))'>x</p>",
    "<p style='background-image:image-set(\"https://evil.example\" 1x)'>x</p>",
    "<div style='position:fixed;top:0;left:0;width:100%;height:100%;z-index:9999'>x</div>",
    "<table background='https://evil.example/x.gif'><tr><td background='//evil.example'>x",
    "<img src='https://evil.example/pixel.gif' srcset='https://evil.example/2x.gif 2x'>",
    "<img src='//evil.example/pixel.gif'><img src='/pixel.gif'><img src='pixel.gif'>",
    "<img src='data:image/svg+xml;base64,PHN2Zz4='><img src='data:text/html;base64,AAAA'>",
    "<img src='data:image/png;base64,AAAA\"onerror=alert(1)'>",
    "<img src='cid:drawing@example.org'><img src='cid:page@example.org'><img src='cid:none'>",
    "<video poster='https://evil.example/x.jpg' src='https://evil.example/x.mp4'></video>",
    "<form action='https://evil.example'><input name=password><button>go</button></form>",
    "<input type=image src='https://evil.example/x.gif'>",
    "<details open ontoggle=alert(1)>x</details>",
    "<template><img src=x onerror=alert(1)></template>",
    "<!--[if mso]><script>alert(1)</script><![endif]--><p>x</p>",
    "<p>x</p\0><scr\0ipt>alert(1)</scr\0ipt>",
    "<x" * 2000,
    "<div>" * 200_000,
]


@pytest.mark.parametrize("html", HOSTILE, ids=lambda html: html[:40])
def test_hostile_html_is_harmless(html: str) -> None:
    _assert_harmless(sanitise_html(html, resolve_image=IMAGES.get))
    _assert_harmless(
        sanitise_html(html, remote_content=True, resolve_image=IMAGES.get), remote=True
    )


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.sampled_from([*HOSTILE[:-2], "</p>", "<", ">", "'", '"', "&#x", "-->"]), max_size=6)
)
def test_hostile_pieces_together_are_harmless(pieces: list[str]) -> None:
    _assert_harmless(sanitise_html("".join(pieces), resolve_image=IMAGES.get))


def test_ordinary_html_keeps_its_looks() -> None:
    html = (
        '<table width="600" cellpadding="0" bgcolor="#ffffff"><tbody><tr><td align="center" '
        'style="color:rgb(1, 2, 3);font-family:Arial"><h1>News</h1><p>Hello <b>you</b> &amp; '
        "<i>them</i></p><ul><li>one</li></ul></td></tr></tbody></table>"
    )
    assert sanitise_html(html) == html


def test_links_open_elsewhere_and_cannot_reach_back() -> None:
    reader = _Reader()
    reader.feed(sanitise_html("<a href='https://example.org/?a=1&b=2' target='_top'>x</a>"))
    found = {name: value for _, name, value in reader.attributes}
    assert found["href"] == "https://example.org/?a=1&b=2"
    assert found["target"] == "_blank"
    assert {"noopener", "noreferrer"} <= set(found["rel"].split())


def test_remote_images_wait_until_they_are_asked_for() -> None:
    html = '<img src="https://example.org/a.png" alt="a picture">'
    assert "example.org" not in sanitise_html(html)
    assert "a picture" in sanitise_html(html)
    assert 'src="https://example.org/a.png"' in sanitise_html(html, remote_content=True)


def test_images_of_the_message_are_put_into_the_page() -> None:
    html = '<img src="cid:logo@example.org"><img src="CID:logo%40example.org">'
    shown = sanitise_html(html, resolve_image=IMAGES.get)
    assert shown.count('src="data:image/png;base64,iVBORw=="') == 2
    assert "data:" not in sanitise_html(html)


def test_inlined_images_have_a_budget() -> None:
    big = {"big": ("image/png", b"\0" * (MAXIMUM_INLINE_OCTETS // 2 + 1))}
    shown = sanitise_html('<img src="cid:big"><img src="cid:big">', resolve_image=big.get)
    assert shown.count("data:image/png") == 1


def test_html_nested_too_deep_is_shown_as_text() -> None:
    shown = sanitise_html("<div>" * 5000 + "the &lt;letter&gt;")
    assert shown.startswith("<pre>")
    assert "<div>" not in shown


def test_a_long_style_costs_no_more_than_its_length() -> None:
    # No clock: what is tried from each of its letters would take minutes here.
    assert sanitise_html(f'<p style="color:{"x" * 1_000_000}(">a</p>').endswith(">a</p>")
