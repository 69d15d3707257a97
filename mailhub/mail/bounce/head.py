"""The header of a message that may be a report: who wrote it, to whom, and whether by itself."""

from __future__ import annotations

import re
from functools import cached_property

from mailhub.mail.parsing.header_block import decode_fields, decode_words
from mailhub.mail.parsing.structured_fields import read_content_type

RawFields = list[tuple[str, bytes]]

_MOST_FIELDS = 300
_LONGEST_VALUE = 2_000
_ADDRESS = re.compile(r"[^\s<>()\[\],;:\"@]{1,128}@[^\s<>()\[\],;:\"@]{1,255}")
# Who writes reports: a local part, or the name beside it.
_DAEMON = re.compile(
    rb"mailer[-_. ]?daemon|mail[-_. ]?daemon|post_?master|mdaemon|mailerdaemon"
    rb"|mail[-_. ]?(?:delivery|deliver)|delivery[-_. ]?(?:sub)?system|system administrator"
    rb"|mail[-_. ]?(?:system|administrator|admin\b)|\bmta@|mailbounce|bounce[-_.]?manager"
    rb"|\A\s*<>\s*\Z",
    re.IGNORECASE,
)
_MAILER_DAEMON = re.compile(rb"mailer[-_. ]?daemon", re.IGNORECASE)
_NOBODY = re.compile(rb"\A\s*(?:<\s*>)?\s*\Z|mailer-?daemon", re.IGNORECASE)
_TRACE = (
    *("x-original-to", "delivered-to", "x-delivered-to", "envelope-to", "x-envelope-to"),
    *("x-rcpt-to", "apparently-to", "resent-to", "to"),
)
_OF_LIST = ("list-id", "list-post", "list-unsubscribe")
_STATUS_TYPES = ("message/delivery-status", "message/global-delivery-status")
# "": not all tell.
_REPORT_TYPES = frozenset({"", "delivery-status", "global-delivery-status", "feedback-report"})
_PASSED_ON = re.compile(r"\s*(?:re|fwd?|aw|wg|sv|vs|tr|rv|i|r|antw|odp|enc|res)\s*:", re.IGNORECASE)
_FAILURE_SUBJECT = re.compile(
    r"undeliver\w*|(?:non|not)[- ]?deliver\w*|deliver\w* (?:status|fail|error|problem|report|"
    r"has failed|delay|incomplete|notif)|fail\w* (?:notice|to deliver|delivery|mail)|failure notice"
    r"|mail (?:delivery|fail|error|could not)|returned? mail|returned to sender|return to sender"
    r"|message (?:not|you sent)|could ?n[o']t be delivered|\bbounced?\b|user unknown|ndn:|ndr:"
    r"|delayed|still being retried|warning: (?:message|could)|rejected|was not sent"
    r"|unzustellbar|nicht zugestellt|zustell\w*|fehlgeschlagen|non remis|échec|non distribu"
    r"|no se (?:pudo|puede) entregar|no entregad|error de entrega|fallid|mancato recapito"
    r"|non recapitabile|recapito|não (?:foi )?(?:entregue|entregável)|falha|onbestelbaar"
    r"|niet bezorgd|nie dostarcz|niedostarcz|не (?:доставлен|удалось)|недоставлен|ошибка"
    r"|配信|エラー|退信|退回|无法",
    re.IGNORECASE,
)


class Head:
    """The header of one message; values are decoded when they are asked for."""

    def __init__(self, fields: RawFields) -> None:
        self._raw: dict[str, list[bytes]] = {}
        for name, value in fields[:_MOST_FIELDS]:
            self._raw.setdefault(name.lower(), []).append(value[:_LONGEST_VALUE])

    def has(self, *names: str) -> bool:
        """Whether there is one of these fields, given in lower case."""
        return any(name in self._raw for name in names)

    def value(self, name: str) -> str:
        """The first field of that name (in lower case) for a person, or ""."""
        return next(iter(self.values(name)), "")

    def values(self, name: str) -> list[str]:
        """All fields of that name."""
        raw = self._raw.get(name, ())
        return [decode_words(text) for _, text in decode_fields([(name, v) for v in raw])]

    @cached_property
    def content_type(self) -> tuple[str, dict[str, str]]:
        """`type/subtype` and its parameters."""
        return read_content_type(self.value("content-type"))

    @property
    def report_type(self) -> str:
        """Of a multipart/report (RFC 6522), or ""."""
        kind, parameters = self.content_type
        told = parameters.get("report-type", "") if kind == "multipart/report" else ""
        return told.strip().lower()

    @cached_property
    def is_from_daemon(self) -> bool:
        """Whether a mail server says that it is the sender."""
        return self._comes_from(_DAEMON)

    def _comes_from(self, pattern: re.Pattern[bytes]) -> bool:
        senders = (*self._raw.get("from", ()), *self._raw.get("sender", ()))
        return any(pattern.search(value) for value in senders)

    @property
    def is_automatic(self) -> bool:
        """Whether it says that no person wrote it (RFC 3834 section 5)."""
        return self._auto_submitted not in {"", "no"}

    @property
    def is_auto_replied(self) -> bool:
        """Whether it says that it answers something by itself."""
        return self._auto_submitted == "auto-replied"

    @property
    def _auto_submitted(self) -> str:
        return self.value("auto-submitted").partition(";")[0].partition(" ")[0].strip().lower()

    @cached_property
    def has_null_path(self) -> bool:
        """Whether nobody is to answer it (RFC 5321 section 4.5.5)."""
        return any(_NOBODY.search(path) for path in self._raw.get("return-path", ())[:1])

    @property
    def is_report(self) -> bool:
        """Whether it calls itself a report (RFC 6522) about a message."""
        kind = self.content_type[0]
        return kind in _STATUS_TYPES or (kind == "multipart/report" and not self.is_other_report)

    @property
    def is_other_report(self) -> bool:
        """Whether it is a report of another kind: a read receipt (RFC 8098), one on TLS."""
        return self.report_type not in _REPORT_TYPES

    @cached_property
    def is_of_server(self) -> bool:
        """Whether a mail server wrote it about a message, as far as a header can tell.

        A person may be a postmaster, whose letters have a return path.
        """
        if self.has(*_OF_LIST):
            return False
        if self.has("x-failed-recipients"):
            return True
        if self.has_null_path or self.is_automatic:
            return self.is_from_daemon or self.tells_failure
        is_nobody = self._comes_from(_MAILER_DAEMON) or not self.has("return-path")
        return self.tells_failure and self.is_from_daemon and is_nobody

    @cached_property
    def tells_failure(self) -> bool:
        """Whether its subject is that of a report, and no reply to one."""
        subject = self.value("subject")[:300]
        return not _PASSED_ON.match(subject) and _FAILURE_SUBJECT.search(subject) is not None

    @property
    def written_to(self) -> list[str]:
        """The addresses of its To field."""
        return [each for text in self.values("to") for each in addresses_in(text)]

    @property
    def sent_to(self) -> tuple[str, ...]:
        """The addresses that it was sent to, those of the envelope first."""
        texts = (text for name in _TRACE for text in self.values(name))
        return tuple(dict.fromkeys(each for text in texts for each in addresses_in(text)))[:50]


def addresses_in(text: str) -> list[str]:
    """What looks like an address, in order."""
    return [found.strip("'.") for found in _ADDRESS.findall(text[:_LONGEST_VALUE])]
