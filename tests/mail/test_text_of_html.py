"""The text of HTML: as it looks, in linear time, never longer than its source."""

from __future__ import annotations

import pytest

from mailhub.mail.parsing.html_text import text_of_html


def test_text_of_html_never_grows_beyond_its_source() -> None:
    for start, repeated in (
        ("<ul><li>" * 120, "a<br>"),
        ("<blockquote>" * 500, "a<br>"),
        ("<table><tr><td>" + "x" * 5000, "<tr><td>a<td>b"),
        ("<div style='padding-left:9999em'>", "a<br>"),
    ):
        html = start + repeated * 10_000
        assert len(text_of_html(html)) < len(html)


def test_text_of_html_reads_as_it_looks() -> None:
    html = (
        "<table><tr><td>A</td><td>B</td></tr><tr><td>C&nbsp;D</td></tr></table><p>Hello  <b>you</b>"
        ",\n there</p><ul><li>one</li><li>two</li></ul>line<br>next<div><div>x</div></div>"
        "<pre>a\n  b</pre>&lt;tag&gt;"
    )
    assert text_of_html(html) == (
        "A B\nC D\n\nHello you, there\n\n* one\n* two\n\nline\nnext\nx\n\na\n  b\n\n<tag>"
    )


def test_text_of_html_leaves_out_what_nobody_sees() -> None:
    html = "<head><title>t</title><style>p{}</style></head><p>a</p><script>b</script><!-- c --><p>d"
    assert text_of_html(html) == "a\n\nd"


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("a<!-- > <p> -->b<!-->c<!--->d", "abcd"),
        ("a<!-- no end <b>c</b>", "a no end c"),
        ('a<img alt="x>y" src=\'>\'>b<A HREF=x>c</A>', "abc"),
        ("a<p title=\"it's>b<i class='c>d", "a\n\nbd"),
        ("1 < 2 > 1 <3 <", "1 < 2 > 1 <3 <"),
        ("a<SCRIPT>if (b<c) '</p>'</script >d", "ad"),
        ("a<style>no end <p>b", "a"),
        ("a<svg><text>b</text></svg>c<select><option>d</select>e", "ace"),
        ("a<svg>no end<p>b", "ano end\n\nb"),
        ("<!DOCTYPE html><?xml ?><head><title>a</title><meta x><body>b", "b"),
        ("<pre>\n a <b>b</b>  c\n</pre>", " a b  c"),
        ("<p>a<td title=\"cut", "a"),
        ("&lt;b&gt; &amp;amp; &#0;&#xd800; &bogus;", "<b> &amp; \ufffd\ufffd &bogus;"),
        ("</p></pre>a  b", "a b"),
        ("<form>a</form><form>b</form><button>c</button><button>d</button>", "a\nb\nc d"),
        ("<header>a</header><main>b<nav>c</nav></main>d<legend>e</legend>f", "a\nb\nc\nd\ne\nf"),
        ("Name<input name=n>Town", "Name Town"),
    ],
)  # fmt: skip
def test_text_of_html_that_is_broken_or_odd(html: str, expected: str) -> None:
    assert text_of_html(html) == expected
