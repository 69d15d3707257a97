"""Personalised mail: the language, its limits, and the octets against the standard library."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mailhub.mail.errors import InvalidMessage
from mailhub.mail.merge import (
    MergeTemplate,
    TemplateError,
    compile_text,
    derive_text,
    render_preview,
)
from mailhub.mail.message import Address, Attachment, OutgoingMessage
from mailhub.mail.transports.smtp import prepare_content

ANN = Address("Ann", "ann@example.org")
BOB = Address("Bob", "bob@example.com")
NAMES = ["first_name", "contact.attributes.city", "contact", "contact.attributes", "a", "a.b.c"]

WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats()
    | WORDS
    | st.sampled_from(["", " ", "<b>&\"'</b>", "\r\nBcc: x@y.z", "😀", "привет", "日本語"])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b", "c", "attributes", "city"]), inner, max_size=3)
    ),
    max_leaves=6,
)
VARIABLES = st.dictionaries(st.sampled_from(["first_name", "contact", "a"]), VALUES)


def read(octets: bytes) -> EmailMessage:
    message = message_from_bytes(octets, policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message


def render(source: str, variables: Mapping[str, object], *, html: bool = False) -> str:
    return compile_text(source, "text", html=html).render(variables)


class TestLanguage:
    CONTACT = {
        "first_name": "Ann",
        "contact": {
            "attributes": {"city": "", "vip": True, "items": ["x", "y"], "born": "2001-02-03"},
            "tags": [],
        },
    }

    @pytest.mark.parametrize(
        ("source", "expected"),
        [
            ("Hi {{ first_name }}!", "Hi Ann!"),
            ("{{first_name}}{{  first_name  }}", "AnnAnn"),
            ("{{ nobody }}{{ first_name.nothing }}{{ contact.x.y.z }}", ""),
            ('{{ contact.attributes.city | default: "your city" }}', "your city"),
            ("{{ first_name | default: 'you' }}", "Ann"),
            ("{{ first_name | upcase | truncate: 2, '' }}", "AN"),
            ("{% if contact.attributes.vip %}1{% else %}2{% endif %}", "1"),
            ("{% unless contact.attributes.vip %}1{% endunless %}", ""),
            ("{% case first_name %}{% when 'Ann' %}A{% else %}B{% endcase %}", "A"),
            (
                "{% for item in contact.attributes.items %}{{ item }},{% endfor %}",
                "x,y,",
            ),
            ("{{ contact.attributes.items | join: '+' }}", "x+y"),
            ("{{ contact.attributes.items.size }}", "2"),
            ("{{ contact.attributes.born | date: '%d.%m.%Y' }}", "03.02.2001"),
            ("{{ 'soon' | date: '%d' }}", "soon"),
            ("{{ 2.345 | round: 2 }} {{ 2.5 | round }}", "2.35 2"),
            ("{{ 'a b&c' | url_encode }}", "a+b%26c"),
            ("{% comment %}{{ first_name }}{% endcomment %}", ""),
            ("a {{- first_name -}} b", "aAnnb"),
            ("no placeholders { } % }} here", "no placeholders { } % }} here"),
        ],
    )
    def test_says_what_it_should(self, source: str, expected: str) -> None:
        assert render(source, self.CONTACT) == expected

    def test_escapes_values_in_html_alone(self) -> None:
        values = {"x": '<a href="\'">&'}
        assert render("<p>{{ x }}</p>", values, html=True) == (
            "<p>&lt;a href=&#34;&#39;&#34;&gt;&amp;</p>"
        )
        assert render("<p>{% if x %}{{ x }}{% endif %}</p>", values, html=True) == (
            "<p>&lt;a href=&#34;&#39;&#34;&gt;&amp;</p>"
        )
        assert render("{{ x }}", values) == values["x"]

    @pytest.mark.parametrize(
        ("source", "line", "column"),
        [
            ("{{ a", 1, 1),
            ("a\n  {{ b", 2, 3),
            ("a\nb {{ c d }}", 2, 8),
            ("{{ }}", 1, 1),
            ("{% if x %}\n", 2, 1),
            ("{% if %}{% endif %}", 1, 4),
            ("x {% endif %}", 1, 6),
            ("\n\n{{ a | | }}", 3, 8),
            ("{% assign x = 1 %}", 1, 1),
            ("{% capture x %}{% endcapture %}", 1, 1),
            ("{% include 'x' %}", 1, 1),
            ("{% render 'x' %}", 1, 1),
            ("{% increment x %}", 1, 1),
            ("{% cycle 'a', 'b' %}", 1, 1),
            ("{% tablerow x in y %}{% endtablerow %}", 1, 1),
            ("{% raw %}{{ x }}{% endraw %}", 1, 1),
            ("{% liquid\nassign x = 1 %}", 1, 1),
            ("{% echo x %}", 1, 1),
            ("a {% %}", 1, 3),
            ("{{ 'x' | append: 'y' }}", 1, 10),
            ("{{ 'x' | prepend: 'y' }}", 1, 10),
            ("{{ 'x' | replace: 'x', 'yy' }}", 1, 10),
            ("{{ 'x' | base64_decode }}", 1, 10),
            ("{% if x %}\n{{ y | split: '' }}{% endif %}", 2, 8),
            ("{% for i in (1..1000000000) reversed %}{% endfor %}", 1, 1),
            ("{{ (1..9) | join }}", 1, 1),
        ],
    )
    def test_refuses_what_is_wrong_with_its_place(
        self, source: str, line: int, column: int
    ) -> None:
        with pytest.raises(TemplateError) as caught:
            compile_text(source, "html", html=True)
        assert (caught.value.line, caught.value.column, caught.value.field) == (
            line,
            column,
            "html",
        )

    @pytest.mark.parametrize(
        "source",
        [
            "{{" * 400_000,
            "{{" + " " * 900_000,
            "{% raw %}" * 100_000,
            "{{a}}" * 100_000,
            "{% comment %}" * 50_000,
            "x" * 1_000_001,
            "{% if a %}" * 100,
            "{{ " + "a | upcase " * 1000 + "}}",
        ],
    )
    def test_refuses_a_source_made_to_hurt_at_once(self, source: str) -> None:
        with pytest.raises(TemplateError):
            compile_text(source, "text")

    @pytest.mark.parametrize(
        "source",
        [
            "{% for a in list %}{% for b in list %}x{% endfor %}{% endfor %}",
            "{{ list | join: long }}",
            "{{ 1 | date: '%999999999d' }}",
            "{{ 10 | divided_by: 0 }}",
            "{% for a in list %}{{ long }}{{ long }}{{ long }}{% endfor %}",
        ],
    )
    def test_a_template_that_grows_is_stopped(self, source: str) -> None:
        compiled = compile_text(source, "text")
        with pytest.raises(TemplateError) as caught:
            compiled.render({"list": list(range(900)), "long": "x" * 100_000})
        assert caught.value.field == "text"

    def test_a_number_cannot_be_rounded_into_an_endless_sum(self) -> None:
        assert render("{{ 5 | round: -1000000000 }}", {}) == "5"

    def test_reaches_no_attribute_of_an_object(self) -> None:
        for path in ("__class__", "__class__.__mro__", "_secret", "format", "__globals__"):
            values = {"x": "text", "y": render, "z": ANN}
            source = f"{{{{ x.{path} }}}}{{{{ y.{path} }}}}{{{{ z.{path} }}}}"
            assert render(source, values) == ""
            assert render("{% if true %}" + source + "{% endif %}", values) == ""

    def test_knows_its_variables(self) -> None:
        compiled = compile_text(
            "{{ a }}{% if b.c %}{% for x in d %}{{ x.y }}{% endfor %}{% endif %}", "text"
        )
        assert compiled.variables == {"a", "b.c", "d"}


class TestFastPath:
    PLACEHOLDERS = st.builds(
        lambda name, default, quote: (
            f"{{{{ {name} }}}}"
            if default is None
            else f"{{{{ {name} | default: {quote}{default}{quote} }}}}"
        ),
        st.sampled_from(NAMES),
        st.none() | st.sampled_from(["", "x", "<i>&", "é", " "]),
        st.sampled_from(["'", '"']),
    )
    SOURCES = st.lists(
        PLACEHOLDERS | st.text("ab \n<>&{}%-é", max_size=8).filter(lambda text: "{" not in text),
        max_size=8,
    ).map("".join)

    @settings(max_examples=200, deadline=None)
    @given(source=SOURCES, variables=VARIABLES, html=st.booleans())
    @example(source="{{ a | default: '<b>' }}", variables={"a": []}, html=True)
    @example(source="{{ a }}", variables={"a": {"b": "<"}}, html=True)
    @example(source="{{ a }}", variables={"a": ["<", None, True]}, html=True)
    @example(source="{{ a | default: 'x' }}", variables={"a": 0}, html=False)
    @example(source="{{ a }}\r\n{{ a }}\r", variables={"a": "\r\n\rx"}, html=False)
    @example(source="{{ a }}", variables={"a": "\ud800"}, html=False)
    def test_agrees_with_liquid(
        self, source: str, variables: dict[str, object], html: bool
    ) -> None:
        fast = compile_text(source, "text", html=html)
        assert fast.is_plain
        # A tag that says nothing sends the same source through Liquid.
        slow = compile_text(source + "{% if false %}{% endif %}", "text", html=html)
        assert not slow.is_plain
        assert fast.render(variables) == slow.render(variables)

    @pytest.mark.parametrize(
        "source",
        [
            "{{ a.size }}",
            "{{ a.first }}",
            "{{ a[0] }}",
            "{{ 'literal' }}",
            "{{ true }}",
            "{{ now }}",
            "{{ a | default: b }}",
            "{{ a | upcase }}",
            "{{ a | default: 'x', allow_false: true }}",
            "{{ a-b }}",
        ],
    )
    def test_leaves_the_rest_to_liquid(self, source: str) -> None:
        assert not compile_text(source, "text").is_plain


class TestPreview:
    def test_shows_all_three(self) -> None:
        preview = render_preview(
            subject="Hi {{ name }}",
            html="<p>{{ name }}</p>",
            variables={"name": "A & B\r\nBcc: x"},
        )
        assert preview.subject == "Hi A & B Bcc: x"
        assert preview.html == "<p>A &amp; B\r\nBcc: x</p>"
        assert preview.text == "A & B\r\nBcc: x"

    @pytest.mark.parametrize(
        "source",
        [
            "{{ nobody }}",
            "{{ name.x }}",
            "{{ nobody | upcase }}",
            "{% for x in nobody %}{% endfor %}",
        ],
    )
    def test_an_unknown_variable_is_an_error(self, source: str) -> None:
        for values in ({"subject": source}, {"subject": "", "html": source}):
            with pytest.raises(TemplateError, match="undefined"):
                render_preview(**values, variables={"name": {}})

    def test_an_unknown_variable_may_be_tested_and_given_a_default(self) -> None:
        preview = render_preview(
            subject="{{ nobody | default: 'you' }}{% if nobody %}x{% else %}y{% endif %}",
            text="{% unless a.b %}z{% endunless %}",
            variables={"a": {}},
        )
        assert (preview.subject, preview.text) == ("youy", "z")


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
    def compile(**changes: object) -> MergeTemplate:
        fields: dict[str, object] = {
            "subject": "Hi {{ first_name }}",
            "html": "<p>{{ first_name }}</p>",
            "text": "{{ first_name }}",
            "sender": ANN,
        }
        return MergeTemplate.compile(**(fields | changes))  # type: ignore[arg-type]  # any field

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
        octets = template.render(BOB, variables, message_id="<a@b>", date=1_800_000_000)
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
        assert prepare_content(octets) == prepare_content(bytes(octets))

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
