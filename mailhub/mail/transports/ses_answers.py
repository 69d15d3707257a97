"""What an answer of SES means: a refusal for good, for now, or of everything.

The codes are those with which SES's own SMTP interface says the same, so that a reader of
the log, and whoever decides by a reply, need not know by which interface a message went.
https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html
https://docs.aws.amazon.com/ses/latest/APIReference-V2/CommonErrors.html
https://docs.aws.amazon.com/ses/latest/dg/manage-sending-quotas-errors.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mailhub.mail.errors import (
    AccountClosed,
    CommandRefused,
    DeliveryUncertain,
    LoginDeferred,
    LoginFailed,
    MailError,
    MessageRefused,
    QuotaExceeded,
    RateExceeded,
    Reply,
    SendingPaused,
)

_RATE = {
    "LimitExceededException",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
}
_DAILY = re.compile(r"\bdaily\b|24.?hour|\bsending quota\b", re.IGNORECASE)
_BAD_KEYS = {
    "IncompleteSignature",
    "IncompleteSignatureException",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "OptInRequired",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}
_STALE_KEYS = {
    "ExpiredToken",
    "ExpiredTokenException",
    "RequestExpired",
    "RequestTimeTooSkewed",
}
# SES's words for a signature that a wrong clock has made.
_CLOCK = re.compile(r"signature (expired|not yet current)", re.IGNORECASE)
_FORBIDDEN = {"AccessDenied", "AccessDeniedException", "NotAuthorized", "UnauthorizedOperation"}
_NOT_VERIFIED = re.compile(r"not verified", re.IGNORECASE)
_LOST_ON_THE_WAY = (502, 504)


# What SES calls a request whose values it does not take.
_BAD_VALUES = {"BadRequestException", "InvalidParameterValue", "ValidationException"}


def is_about_values(error: MailError) -> bool:
    """Whether SES refused what was asked for, for good, and neither who asked nor the pace."""
    return error.reply is not None and error.reply.text.partition(":")[0] in _BAD_VALUES


def refusal_of(answer: Mapping[str, Any]) -> MailError:
    """The error of an answer that is no acceptance; `reply` holds SES's own words.

    LoginFailed, LoginDeferred, AccountClosed, CommandRefused, QuotaExceeded and SendingPaused
    are about every message; the others about this one.
    """
    error = answer.get("Error", {})
    name = str(error.get("Code", ""))
    words = str(error.get("Message") or error.get("message") or "")
    status = int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    text = f"{name}: {words}" if words else name
    if status in _LOST_ON_THE_WAY:
        return DeliveryUncertain(f"A gateway on the way to SES lost its answer ({status}).")
    if name in _RATE or status == 429:
        reply = Reply.read(454, [text])
        if _DAILY.search(words):
            return QuotaExceeded("The daily quota of the SES account is used up.", reply)
        return RateExceeded("SES takes no more messages in this second.", reply)
    if status >= 500:
        return _for_now(text)
    return _about_the_account(name, words, text) or _about_the_message(name, words, text, status)


def _for_now(text: str) -> MailError:
    return MessageRefused("SES cannot take the message now.", Reply.read(451, [text]))


def _about_the_account(name: str, words: str, text: str) -> MailError | None:
    for_good, for_now = Reply.read(535, [text]), Reply.read(454, [text])
    if name in _STALE_KEYS or (name in _BAD_KEYS and _CLOCK.search(words)):
        return LoginDeferred(
            "AWS takes these keys no more, or this machine's clock is wrong.", for_now
        )
    if name in _BAD_KEYS:
        return LoginFailed("AWS does not know these keys.", for_good)
    if name == "AccountSuspendedException":
        return AccountClosed("AWS has suspended this account's sending.", Reply.read(554, [text]))
    if name == "SendingPausedException":
        return SendingPaused(
            "Sending is paused for this SES account or configuration set.", for_now
        )
    if name == "NotFoundException":
        return CommandRefused("SES does not know this configuration set.", Reply.read(554, [text]))
    return None


def _about_the_message(name: str, words: str, text: str, status: int) -> MailError:
    reply = Reply.read(554, [text])
    if name in _FORBIDDEN:
        return MessageRefused("These AWS keys may not send this message.", reply)
    if name == "MailFromDomainNotVerifiedException":
        return MessageRefused("The sender's MAIL FROM domain is not set up at SES.", reply)
    if _NOT_VERIFIED.search(words):
        return MessageRefused(
            "SES sends from verified addresses only, and to verified ones only while the account "
            "is in the sandbox.",
            reply,
        )
    if status == 413:
        reply = Reply.read(552, [f"5.3.4 {text}"])
        return MessageRefused("The message is larger than SES takes.", reply)
    return MessageRefused("SES refused the message.", reply)
