"""The language of personalised mail: what it may say, its limits, and its quick way."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mailhub.mail.merge import (
    TemplateError,
    compile_text,
    render_preview,
)
from mailhub.mail.message import Address

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
            values = {"x": "text", "y": render, "z": Address("Ann", "ann@example.org")}
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

    def test_a_name_is_told_as_it_is_written(self) -> None:
        with pytest.raises(TemplateError) as caught:
            render_preview(subject="{{ first_name.__class__ }}", variables={"first_name": "x"})
        assert caught.value.message == "first_name.__class__ is undefined."

    def test_an_unknown_variable_may_be_tested_and_given_a_default(self) -> None:
        preview = render_preview(
            subject="{{ nobody | default: 'you' }}{% if nobody %}x{% else %}y{% endif %}",
            text="{% unless a.b %}z{% endunless %}",
            variables={"a": {}},
        )
        assert (preview.subject, preview.text) == ("youy", "z")
