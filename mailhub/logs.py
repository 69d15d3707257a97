"""Log lines that name what happened and never a secret.

Text lines look as `[2026-01-23 10:30:45] [mailhub.sync] INFO: …`; JSON lines carry the
same fields by name. Every line passes the redaction before it is written: values under
a secret's name, `Authorization` headers, API keys and URL passwords become `[redacted]`.
"""

from __future__ import annotations

import logging
import re
import textwrap
from collections.abc import MutableMapping
from typing import Any

import structlog

REDACTED = "[redacted]"
_SECRET_NAME = re.compile(
    r"pass(word|wd|phrase)?$|secret|token|api_?key|authorization|credential|cookie|private_?key",
    re.IGNORECASE,
)
# A value in quotes goes as a whole; one whose closing quote is missing, to the end of its line.
_VALUE = r"""(?:b?\\*"(?:\\.|[^"\\])*"|b?\\*'(?:\\.|[^'\\])*'|b?\\*["'][^\n]*|[^\s"',;&})]+)"""
_SECRET_TEXT = (
    re.compile(r"(?i)\b((?:token|bearer|basic)\s+)[A-Za-z0-9._~+/=-]{8,}"),
    re.compile(
        r"(?i)((?:\w*(?:password|passwd|passphrase|secret|token|api_?key|sessionid)|\bpass)"
        rf"\\*[\"']?\s*[=:]\s*){_VALUE}"
    ),
    re.compile(r"(?i)\b(AUTH(?:ENTICATE)?\s+(?:PLAIN|LOGIN|XOAUTH2|OAUTHBEARER)\s+)[^\s\"']+"),
    re.compile(r"(\w+://[^\s:/@]*:)[^\s@/]+(?=@)"),
    re.compile(r"\b(mh_[A-Za-z0-9]{8}_)[A-Za-z0-9]{16,}"),
)
_LINE_BREAKS = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")


def redact_text(text: str) -> str:
    """The text with everything that looks like a secret replaced."""
    for pattern in _SECRET_TEXT:
        text = pattern.sub(rf"\g<1>{REDACTED}", text)
    return text


def redact(value: Any, name: str = "") -> Any:
    """A value fit for a log line, given the name it stands under."""
    if name and _SECRET_NAME.search(name):
        return REDACTED
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, dict):
        return {str(key): redact(item, str(key)) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [redact(item) for item in value]
    if isinstance(value, bytes):
        return redact_text(value.decode("utf-8", "replace"))
    return redact_text(str(value))


def _redact_event(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    for name in list(event):
        if not name.startswith("_"):
            event[name] = redact(event[name], name)
    return event


def _write_text(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
    time, name = event.pop("timestamp"), event.pop("logger", "mailhub")
    level, text = str(event.pop("level")).upper(), event.pop("event")
    exception = event.pop("exception", "")
    fields = " ".join(f"{key}={value}" for key, value in event.items())
    line = f"[{time}] [{name}] {level}: " + _on_one_line(f"{text} {fields}".rstrip())
    return f"{line}\n{textwrap.indent(exception, '  ')}" if exception else line


def _on_one_line(text: str) -> str:
    """Control characters escaped, so that no value can pass for another log line."""
    return _LINE_BREAKS.sub(lambda match: repr(match[0])[1:-1], text)


def formatter(style: str) -> logging.Formatter:
    """The logging formatter of the settings, in style `text` or `json`."""
    as_json = style == "json"
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_logger_name,
            structlog.stdlib.add_log_level,
            structlog.stdlib.ExtraAdder(),
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.TimeStamper(
                fmt="iso" if as_json else "%Y-%m-%d %H:%M:%S", utc=True
            ),
            structlog.processors.format_exc_info,
            _redact_event,
            structlog.processors.JSONRenderer() if as_json else _write_text,
        ],
    )


structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.filter_by_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
    ],
    logger_factory=structlog.stdlib.LoggerFactory(),
    wrapper_class=structlog.stdlib.BoundLogger,
    cache_logger_on_first_use=True,
)


class ProvokedErrorFilter(logging.Filter):
    """Lowers what anybody can provoke to one line at WARNING.

    Django reports as errors a foreign Host header, too many fields and their like
    (`django.security.*`), and every answer from 500 on (`django.request`): those too that
    say that a mail server named by a user is away. An operator's alarm in a stranger's hand.
    """

    longest = 300

    def filter(self, record: logging.LogRecord) -> bool:
        if not (record.name.startswith("django.security.") or _tells_of_another(record)):
            return True
        record.levelno, record.levelname = logging.WARNING, "WARNING"
        record.msg, record.args = record.getMessage()[: self.longest], ()
        record.exc_info = record.exc_text = record.stack_info = None
        record.__dict__.pop("request", None)
        return logging.getLogger().isEnabledFor(logging.WARNING)


def _tells_of_another(record: logging.LogRecord) -> bool:
    """Whether it is of an answer that was chosen for another server's fault, or a busy one.

    Nobody chooses 500: that is a defect, and so is all that comes with a traceback.
    """
    status = getattr(record, "status_code", 0)
    return record.name == "django.request" and status in (502, 503, 504) and not record.exc_info


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """The logger of a module; fields are given by name: `log.info("sync ended", folders=3)`."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger
