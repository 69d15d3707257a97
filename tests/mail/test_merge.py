"""Personalised mail: its octets against the standard library's, and the text made of its HTML."""

from __future__ import annotations

from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailhub.mail.errors import InvalidMessage
from mailhub.mail.merge import (
    MergeTemplate,
    TemplateError,
    compile_text,
    derive_text,
)
from mailhub.mail.message import Address, Attachment, OutgoingMessage
from mailhub.mail.transports.octets import LargeLines, WireLines
from mailhub.mail.transports.smtp import prepare_content
from tests.mail.test_merge_language import render

ANN = Address("Ann", "ann@example.org")
BOB = Address("Bob", "bob@example.com")


def read(octets: bytes) -> EmailMessage:
    message = message_from_bytes(octets, policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message


BROKEN_HTML = [
    *("<p>", "</p>", "<table>", "<tr>", "<td>", "</table>", "<a href='x'>", "</a>", "<li>"),
    *("<!--", "-->", "<script>", "</script>", "<", "&", "\ue000", "text", "<svg/>"),
    *("{{ a }}", "{% if b %}", "{% endif %}", "<?xml encoding='x'?>"),
]


HURTING = [
    *("{{", "{%", "{{ a }}", "<!--", "<!-- x -->", "<a ", "<a href='", '<a href="', "</", "<!["),
    *("<?", "<!", "&#", "&amp", "<", "<script>", "<head>", "<title>", "<ul>", "<li>", "<a b="),
    *("<table><tr><td>", "<p style='padding: 999999em'>x", "<br>", "\ue000", "\ue0001\ue001"),
]


class TestDerivedText:
    HTML = """<html><head><title>T</title><style>p { color: red }</style></head><body>
    <h1>Hello {{ first_name | default: "friend <3" }}</h1>
    <p>Read <a href="{{ link }}?a=1&amp;b=2">the news &amp; more</a>.</p>
    <ul><li>one</li><li>two</li></ul><script>x()</script></body></html>"""

    def test_keeps_placeholders_and_links(self) -> None:
        text = derive_text(self.HTML)
        assert '{{ first_name | default: "friend <3" }}' in text
        assert "[the news & more]({{ link }}?a=1&b=2)" in text
        assert "* one" in text
        for hidden in ("color", "x()", "<p>", "&amp;"):
            assert hidden not in text

    def test_keeps_tags_in_order_where_a_table_would_move_them(self) -> None:
        html = (
            "<table>{% for item in items %}<tr><td>{{ item.name }}</td>"
            "<td>{{ item.price }}</td></tr>{% endfor %}</table><p>{{ end }}</p>"
        )
        text = derive_text(html)
        compiled = compile_text(text, "text")
        values = {"items": [{"name": "A", "price": 1}, {"name": "B", "price": 2}], "end": "Z"}
        assert compiled.render(values).split() == ["A", "1", "B", "2", "Z"]

    def test_a_tag_takes_the_break_of_what_it_leaves_out_along(self) -> None:
        html = "<p>a</p>{% if x %}<p>b</p>{% endif %}<p>c {% if x %}d{% endif %} e</p>"
        compiled = compile_text(derive_text(html), "text")
        assert compiled.render({"x": True}) == "a\n\nb\n\nc d e"
        assert compiled.render({}) == "a\n\nc e"

    @pytest.mark.parametrize(
        "piece",
        HURTING,
    )
    def test_a_page_made_to_hurt_costs_no_more_than_its_length(self, piece: str) -> None:
        html = piece * (200_000 // len(piece))
        assert len(derive_text(html)) <= len(html) + 1

    @settings(max_examples=100, deadline=None)
    @given(st.lists(st.sampled_from(BROKEN_HTML)).map("".join))
    def test_never_fails(self, html: str) -> None:
        assert isinstance(derive_text(html), str)


class TestMergeTemplate:
    @staticmethod
    def compile(**changes: Any) -> MergeTemplate:
        fields: dict[str, Any] = {
            "subject": "Hi {{ first_name }}",
            "html": "<p>{{ first_name }}</p>",
            "text": "{{ first_name }}",
            "sender": ANN,
        }
        return MergeTemplate.compile(**(fields | changes))

    LINE = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=120)
    BODY = st.text(
        st.characters(exclude_categories=["Cs"], exclude_characters="\0{"), max_size=600
    ) | st.sampled_from(
        [
            "x" * 5000,
            ("x" * 998 + "\n") * 2,
            "x" * 999,
            "é" * 3000,
            "trailing \t \nblanks \n",
            ".\n..\n.x\nFrom x\n",
            "--=_boundary\n",
            "= =3D =\n",
            "日本語" * 500,
            "a\rb\r\nc\n\n\n",
            "😀 mostly ASCII " + "words " * 200,
        ]
    )
    ATTACHMENTS = st.lists(
        st.builds(
            Attachment,
            filename=LINE.filter(lambda name: bool(name) and name.strip() == name),
            content=st.binary(max_size=200),
            content_type=st.sampled_from(["image/png", "application/pdf", "text/csv"]),
            content_id=st.sampled_from(["", "pic"]),
            inline=st.booleans(),
        ),
        max_size=3,
    )

    @settings(max_examples=80, deadline=None)
    @given(
        subject=LINE,
        value=BODY,
        html=BODY,
        text=BODY,
        name=LINE,
        attachments=ATTACHMENTS,
        extra=LINE,
    )
    def test_reads_as_what_the_standard_library_writes(
        self,
        *,
        subject: str,
        value: str,
        html: str,
        text: str,
        name: str,
        attachments: list[Attachment],
        extra: str,
    ) -> None:
        recipient = Address(name, "bob@example.com")
        template = MergeTemplate.compile(
            subject="{{ subject }}",
            html=html and html + "{{ value }}",
            text=text + ".{{ value }}",
            headers={"X-Extra": "{{ extra }}", "X-Fixed": "fixed"},
            sender=ANN,
            reply_to=[BOB],
            attachments=attachments,
        )
        octets = template.render(
            recipient,
            {"subject": subject, "value": value, "extra": extra},
            headers={"List-Unsubscribe": "<https://example.org/" + "u" * 80 + ">"},
            message_id="<a@example.org>",
            date=1_800_000_000,
        )
        expected = OutgoingMessage(
            sender=ANN,
            to=[recipient],
            reply_to=[BOB],
            subject=subject,
            html=html and html + render("{{ value }}", {"value": value}, html=True),
            text=text + "." + value,
            headers={
                "X-Fixed": "fixed",
                "X-Extra": extra,
                "List-Unsubscribe": "<https://example.org/" + "u" * 80 + ">",
            },
            attachments=attachments,
            message_id="<a@example.org>",
            date=datetime.fromtimestamp(1_800_000_000, UTC),
        ).as_bytes()
        assert parts(octets) == parts(expected)
        lines = octets.split(b"\r\n")
        assert lines[-1] == b""
        assert not any(b"\n" in line or b"\r" in line or len(line) > 998 for line in lines)
        assert octets.isascii()

    ORDINARY = st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=9) | (
        st.sampled_from(["", ".", "..", "_", "=", "a=", "_b", "x" * 990, "a\tb", "é", "<&>"])
    )

    @settings(max_examples=300, deadline=None)
    @given(first=ORDINARY, second=ORDINARY, third=ORDINARY)
    def test_ordinary_values_read_the_same_wherever_they_stand(
        self, first: str, second: str, third: str
    ) -> None:
        source = "{{ a }}{{ b }}\n{{ a }}{{ b }}.\nhttps://x.example/?id={{ a }}{{ c }}_{{ c }}"
        variables = {"a": first, "b": second, "c": third}
        template = MergeTemplate.compile(
            subject="Hi", html=f"<p>{source}</p>", text=source, sender=ANN
        )
        made = template.make(BOB, variables, message_id="<a@b>", date=1_800_000_000)
        octets = bytes(made)
        expected = OutgoingMessage(
            sender=ANN,
            to=[BOB],
            subject="Hi",
            html=render(f"<p>{source}</p>", variables, html=True),
            text=render(source, variables),
            message_id="<a@b>",
            date=datetime.fromtimestamp(1_800_000_000, UTC),
        ).as_bytes()
        assert parts(octets) == parts(expected)
        assert octets.isascii()
        lines = octets.split(b"\r\n")
        assert not any(b"\n" in line or b"\r" in line or len(line) > 998 for line in lines)
        assert all(b"=_" not in line or line.startswith((b"--=_", b" boundary")) for line in lines)
        if isinstance(made, WireLines):
            assert prepare_content(octets) == octets + b".\r\n"

    @pytest.mark.parametrize("evil", ["\r\nBcc: x@y.z", "\nX: y", "\r\rZ: y", "a\0b", "\u2028X: y"])
    def test_a_value_can_never_start_a_header(self, evil: str) -> None:
        template = self.compile(headers={"X-Name": "{{ first_name }}"})
        octets = template.render(BOB, {"first_name": f"Ann{evil}"})
        parsed = read(octets)
        collapsed = " ".join(evil.replace("\0", "\n").replace("\r", "\n").split("\n"))
        for name in ("Subject", "X-Name"):
            assert " ".join(str(parsed[name]).split()).endswith(" ".join(f"Ann{collapsed}".split()))
        assert set(parsed.keys()) == {
            "From", "To", "Subject", "Date", "Message-ID", "X-Name", "MIME-Version",
            "Content-Type",
        }  # fmt: skip

    def test_a_value_cannot_add_a_part(self) -> None:
        template = self.compile()
        boundary = read(template.render(BOB, {})).get_boundary()
        octets = template.render(
            BOB, {"first_name": f"\r\n--{boundary}\r\nContent-Type: text/html\r\n\r\nevil"}
        )
        assert [part.get_content_type() for part in read(octets).walk()] == [
            "multipart/alternative",
            "text/plain",
            "text/html",
        ]

    def test_unknown_variables_are_empty(self) -> None:
        parsed = read(self.compile(subject="Hi {{ nobody }}!").render(BOB, {}))
        assert parsed["Subject"] == "Hi !"

    def test_half_a_surrogate_pair_is_replaced(self) -> None:
        octets = self.compile(headers={"X-Name": "{{ first_name }}"}).render(
            BOB, {"first_name": "a\ud800b"}
        )
        parsed = read(octets)
        assert parsed["X-Name"] == "a?b"
        assert parsed["Subject"] == "Hi a?b"

    def test_each_message_has_an_id_of_its_own_and_one_date(self) -> None:
        template = self.compile()
        ids = set()
        for _ in range(50):
            parsed = read(template.render(BOB, {}))
            (message_id,) = parsed.get_all("Message-ID", [])
            assert message_id.endswith("@example.org>")
            assert len(parsed.get_all("Date", [])) == 1
            ids.add(str(message_id))
        assert len(ids) == 50

    def test_a_missing_text_is_derived_from_the_html(self) -> None:
        template = self.compile(text="", html="<p>Dear <b>{{ first_name }}</b></p>")
        plain = read(template.render(BOB, {"first_name": "A & B"})).get_body(("plain",))
        assert plain is not None
        assert plain.get_content().strip() == "Dear A & B"

    def test_attachments_are_encoded_once(self) -> None:
        template = self.compile(attachments=[Attachment("a.bin", bytes(300_000))])
        first, second = (template.render(BOB, {"first_name": name}) for name in "ab")
        assert len(first) == len(second) > 400_000

    @pytest.mark.parametrize("name", ["Ann", "Zoë", ".Ann", ""])
    def test_a_large_end_is_shared_and_read_the_same(self, name: str) -> None:
        files = [Attachment("a.bin", bytes(range(256)) * 400), Attachment("b.txt", b"\n.\n" * 9)]
        template = self.compile(attachments=files, text="{{ first_name }}\n")
        first, second = (
            template.make(BOB, {"first_name": name}, message_id="<a@b>", date=1_800_000_000)
            for _ in range(2)
        )
        if name != ".Ann":  # of which a dot has to be doubled
            assert isinstance(first, LargeLines) and isinstance(second, LargeLines)
            assert first.pieces[1] is second.pieces[1]
        expected = OutgoingMessage(
            sender=ANN,
            to=[BOB],
            subject=f"Hi {name}",
            html=f"<p>{name}</p>",
            text=f"{name}\n",
            attachments=files,
            message_id="<a@b>",
            date=datetime.fromtimestamp(1_800_000_000, UTC),
        ).as_bytes()
        assert parts(bytes(first)) == parts(expected)
        assert len(bytes(first)) == len(first)

    @pytest.mark.parametrize(
        ("field", "source"),
        [
            ("subject", "{{ a"),
            ("html", "{% if %}"),
            ("text", "{% nothing %}"),
            ("headers", {"X-A": "{{ a | none }}"}),
        ],
    )
    def test_says_which_field_is_wrong(self, field: str, source: object) -> None:
        with pytest.raises(TemplateError) as caught:
            self.compile(**{field: source})
        assert caught.value.field == ("X-A" if field == "headers" else field)
        assert caught.value.line == 1

    def test_refuses_headers_that_are_ours(self) -> None:
        with pytest.raises(InvalidMessage):
            self.compile(headers={"Bcc": "x"})
        with pytest.raises(InvalidMessage):
            self.compile().render(BOB, {}, headers={"To": "x"})
        with pytest.raises(InvalidMessage):
            self.compile().render(BOB, {}, headers={"X-A": "x\r\nBcc: y"})
        with pytest.raises(InvalidMessage):
            self.compile().render(BOB, {}, message_id="<a@b>\r\nBcc: y")

    def test_knows_the_variables_of_all_fields(self) -> None:
        template = self.compile(headers={"X-A": "{{ x.y }}"}, subject="{{ z | default: '' }}")
        assert template.variables == {"first_name", "x.y", "z"}


def parts(octets: bytes) -> list[object]:
    """What a reader sees of a message: fields and content of each part, whatever its encoding."""
    found: list[object] = []
    for part in read(octets).walk():
        fields = {
            name.lower(): str(value)
            for name, value in part.items()
            if name.lower() not in {"content-type", "content-transfer-encoding"}
        }
        found.append((part.get_content_type(), fields))
        if not part.is_multipart():
            content = part.get_content()
            found.append(content.replace("\r\n", "\n") if isinstance(content, str) else content)
    return found
