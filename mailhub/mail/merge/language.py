"""The personalisation language: Liquid with an allow-list, safe for users' templates.

    {{ first_name }}
    {{ contact.attributes.city | default: "your city" }}
    {% if contact.attributes.vip %}…{% else %}…{% endif %}
    {% for item in contact.attributes.items %}…{% endfor %}

There is no way to assign, to include, to reach an attribute of a Python object, or to
make a value grow: tags and filters that do so do not exist here, loops and output have a
limit, and ranges (`(1..9)`) are refused. A text of nothing but plain `{{ name }}` and
`{{ name | default: "x" }}` is compiled to string segments, which gives the same result
as Liquid many times faster.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from io import StringIO

from liquid import BoundTemplate, Environment
from liquid.exceptions import LiquidError, OutputStreamLimitError
from liquid.undefined import FalsyStrictUndefined, Undefined

from mailhub.mail.errors import MailError
from mailhub.mail.merge.filters import FILTERS
from mailhub.mail.merge.segments import Segments, compile_segments

LONGEST_SOURCE = 1_000_000
LONGEST_OUTPUT = 2_000_000
MOST_PLACEHOLDERS = 5_000
LONGEST_PLACEHOLDER = 2_000

TAGS = frozenset({"if", "unless", "case", "for", "break", "continue", "comment"})
# Words that belong to a tag and are no tags by themselves.
_INNER_TAGS = frozenset(
    {"elsif", "else", "when", "endif", "endunless", "endcase", "endfor", "endcomment"}
)
_OPENING = re.compile(r"\{[{%]")
_TAG_NAME = re.compile(r"\{%-?\s*(?P<name>\w*)")
_BEGINS_WITH_A_NAME = re.compile(r".+ is undefined")
_STRING = re.compile(r"\"[^\"]*\"|'[^']*'")

Variables = Mapping[str, object]


class TemplateError(MailError):
    """A template that cannot be compiled or rendered.

    `line` and `column` count from 1 and are 0 where the place is not known; `field` is
    `subject`, `html`, `text` or the name of a header.
    """

    code = "template_error"
    permanent = True

    def __init__(self, message: str, line: int = 0, column: int = 0, field: str = "") -> None:
        super().__init__(message)
        self.line = line
        self.column = column
        self.field = field

    def __str__(self) -> str:
        place = f" (line {self.line}, column {self.column})" if self.line else ""
        return f"{self.field}: {self.message}{place}" if self.field else self.message + place


class _Missing(FalsyStrictUndefined):
    """An unknown variable in a preview: may be tested and given a default, nothing else."""

    force_liquid_default = True


class _Output(StringIO):
    """A buffer that keeps line ends as they are and stops a template that grows."""

    def __init__(self) -> None:
        super().__init__(newline="")
        self._length = 0

    def write(self, text: str, /) -> int:
        self._length += len(text)
        if self._length > LONGEST_OUTPUT:
            raise OutputStreamLimitError("the result is too long", token=None)
        return super().write(text)


class _Template(BoundTemplate):
    def _get_buffer(self) -> StringIO:
        return _Output()


class _Language(Environment):
    """Liquid's environment cut down to the allow-list."""

    loop_iteration_limit = 1_000
    block_nesting_limit = 20
    template_class = _Template

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        super().setup_tags_and_filters(extra=extra)
        # Names that are no words are Liquid's own nodes for text and output.
        self.tags = {
            name: tag
            for name, tag in self.tags.items()
            if name in TAGS or name in {"content", "output", "illegal"}
        }
        self.filters = dict(FILTERS)


@cache
def _language(html: bool, strict: bool) -> _Language:
    return _Language(autoescape=html, undefined=_Missing if strict else Undefined)


@dataclass(frozen=True, slots=True)
class CompiledText:
    """One field of a template, ready to be rendered any number of times, in any thread.

    `variables` are the dotted names that it reads, as far as they are known beforehand.
    """

    field: str
    source: str
    html: bool
    variables: frozenset[str]
    render_unsafely: Callable[[Variables], str]
    segments: Segments | None

    @property
    def is_static(self) -> bool:
        """Whether every recipient gets the same."""
        return self.segments is not None and self.segments.is_static

    @property
    def is_plain(self) -> bool:
        """Whether it has nothing but plain placeholders."""
        return self.segments is not None

    def render(self, variables: Variables) -> str:
        """The text for one recipient; unknown variables are empty. Raises TemplateError."""
        try:
            return self.render_unsafely(variables)
        except Exception as error:
            raise _render_error(error, self.field) from error

    def render_strictly(self, variables: Variables) -> str:
        """The text for a preview: an unknown variable raises TemplateError."""
        template = _parse(self.source, self.field, _language(self.html, True))
        try:
            return template.render(variables)
        except Exception as error:
            raise _render_error(error, self.field) from error


def compile_text(source: str, field: str, *, html: bool = False) -> CompiledText:
    """Compile one field; with `html`, values are escaped. Raises TemplateError."""
    _check(source, field)
    language = _language(html, False)
    template = _parse(source, field, language)
    analysis = template.analyze()
    for name, spans in analysis.filters.items():
        if name not in FILTERS:
            line, column = _place(source, spans[0].index)
            raise TemplateError(f"There is no filter named {name}.", line, column, field)
    variables = frozenset(str(each) for found in analysis.globals.values() for each in found)
    segments = compile_segments(language.tokenizer()(source), html=html)
    return CompiledText(
        field=field,
        source=source,
        html=html,
        variables=variables,
        render_unsafely=segments.render if segments else template.render,
        segments=segments,
    )


def _parse(source: str, field: str, language: _Language) -> BoundTemplate:
    try:
        return language.from_string(source)
    except LiquidError as error:
        raise _syntax_error(error, source, field) from error


def _syntax_error(error: LiquidError, source: str, field: str) -> TemplateError:
    token = error.token
    # What is missing at the end has no token of its own: the end is its place.
    known = token is not None and token.start_index >= 0
    line, column = _place(source, token.start_index if token and known else len(source))
    words = str(error.message or "the template cannot be read")
    return TemplateError(_sentence(words), line, column, field)


def _sentence(words: str) -> str:
    """A name that it begins with stays as it is written."""
    is_name = _BEGINS_WITH_A_NAME.match(words) is not None
    return f"{words if is_name else words[:1].upper() + words[1:]}."


def _render_error(error: Exception, field: str) -> TemplateError:
    if isinstance(error, LiquidError):
        words = str(error.message or "the template cannot be rendered")
        place = error.token
        line, column = (0, 0)
        if place is not None and 0 <= place.start_index <= len(place.source):
            line, column = _place(place.source, place.start_index)
        return TemplateError(_sentence(words), line, column, field)
    return TemplateError("The template cannot be rendered with these values.", field=field)


def _place(source: str, index: int) -> tuple[int, int]:
    """Line and column, both from 1, of an index into the source."""
    before = source[:index]
    return before.count("\n") + 1, index - (before.rfind("\n") + 1) + 1


def _check(source: str, field: str) -> None:
    """Refuse what the parser must not see, in one pass whatever the source.

    Liquid's own lexer takes quadratic time for openings that are never closed.
    """
    if len(source) > LONGEST_SOURCE:
        raise TemplateError(f"The template has more than {LONGEST_SOURCE} characters.", field=field)
    position = count = 0
    while (opening := _OPENING.search(source, position)) is not None:
        start = opening.start()
        output = source[start + 1] == "{"
        end = source.find("}}" if output else "%}", start + 2, start + LONGEST_PLACEHOLDER)
        line, column = _place(source, start) if end < 0 or count == MOST_PLACEHOLDERS else (0, 0)
        if end < 0:
            closing = "}}" if output else "%}"
            raise TemplateError(f"There is no closing {closing}.", line, column, field)
        if count == MOST_PLACEHOLDERS:
            raise TemplateError("The template has too many placeholders.", line, column, field)
        _check_placeholder(source, start, end, field, output=output)
        position = end + 2
        count += 1


def _check_placeholder(source: str, start: int, end: int, field: str, *, output: bool) -> None:
    if not output:
        found = _TAG_NAME.match(source, start, end)
        name = found["name"] if found else ""
        if name not in TAGS and name not in _INNER_TAGS:
            message = f"There is no tag named {name}." if name else "The tag has no name."
            raise TemplateError(message, *_place(source, start), field)
    elif not source[start + 2 : end].strip("- \t\r\n"):
        raise TemplateError("The placeholder is empty.", *_place(source, start), field)
    if ".." in _STRING.sub("", source[start:end]):
        raise TemplateError("Ranges are not allowed.", *_place(source, start), field)
