"""Sending by Amazon SES: raw messages over its API, version 2."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from mailhub.mail.addresses import encode_address
from mailhub.mail.aws import AwsKeys, AwsService
from mailhub.mail.errors import (
    DeliveryUncertain,
    InvalidMessage,
    MailError,
    MessageRefused,
    QuotaExceeded,
    RateExceeded,
    Reply,
)
from mailhub.mail.transports.base import Job, Key, Outcome, Result, Transport
from mailhub.mail.transports.octets import crlf_lines, seven_bit
from mailhub.mail.transports.pacing import NoPace, Pace
from mailhub.mail.transports.ses_wire import ClosedEarly, SesWire

# https://docs.aws.amazon.com/ses/latest/dg/quotas.html
MOST_RECIPIENTS = 50
_THROTTLED_TRIES = 5
_MOST_FRUITLESS = 5
_NO_TAG_CHARACTER = re.compile(r"[^A-Za-z0-9_-]")


@dataclass(frozen=True, slots=True)
class SesSettings:
    """One SES account in one region, and what its messages carry.

    Without `keys` the environment's identity sends. `configuration_set` decides where SES
    reports what becomes of a message; `tags` come back in those reports. `size_limit` is in
    octets; a larger message is refused before it leaves. `timeout` is in seconds.
    """

    region: str
    keys: AwsKeys | None = None
    endpoint: str = ""
    configuration_set: str = ""
    tags: tuple[tuple[str, str], ...] = ()
    size_limit: int = 10 * 1024 * 1024
    timeout: float = 30.0

    @property
    def service(self) -> AwsService:
        """Whom it speaks to, and as whom."""
        return AwsService(
            "sesv2", self.region, keys=self.keys, endpoint=self.endpoint, timeout=self.timeout
        )


class SesTransport(Transport):
    """Sends by an account that any number of threads and machines use at once.

    There is no connection to be opened: the process keeps as many as its threads use.
    `pace` is asked before each message. A message to more than 50 recipients goes as several
    requests. `sleep` waits so many seconds.
    """

    def __init__(
        self,
        settings: SesSettings,
        pace: Pace | None = None,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._settings = settings
        self._pace: Pace = pace or NoPace()
        self._sleep = sleep
        self._wire: SesWire | None = None
        self._fruitless = 0

    def open(self) -> None:
        if self._wire is None:
            self._wire = SesWire(self._settings.service)
            self._fruitless = 0

    def close(self) -> None:
        self._wire = None

    def send_many(
        self,
        jobs: Iterable[Job[Key]],
        *,
        before_data: Callable[[Key], None] | None = None,
    ) -> Iterator[tuple[Key, Outcome]]:
        """See Transport.send_many.

        MailError is raised only before the first outcome; when nothing can be sent any more
        after it, the rest of the jobs are deferred with the reason.
        """
        given_up: MailError | None = None
        is_first = True
        for job in jobs:
            if given_up is None:
                try:
                    outcome = self._send(job, before_data)
                except MailError as error:
                    if is_first:
                        raise
                    given_up = error
            if given_up is not None:
                outcome = Outcome(Result.DEFERRED, reply=given_up.reply, error=given_up)
            is_first = False
            yield job.key, outcome

    def _send(self, job: Job[Key], before_data: Callable[[Key], None] | None) -> Outcome:
        refusal = self._refusal(job)
        if refusal is not None:
            return Outcome(Result.FAILED, error=refusal)
        self.open()

        def begin() -> None:
            if before_data is not None:
                before_data(job.key)

        request = self._request(job)
        recipients = job.envelope.recipients
        parts = [
            recipients[start : start + MOST_RECIPIENTS]
            for start in range(0, len(recipients), MOST_RECIPIENTS)
        ]
        if len(parts) == 1:
            return self._send_part(request, parts[0], begin)
        return self._send_parts(request, parts, begin)

    def _send_parts(
        self,
        request: dict[str, object],
        parts: Sequence[tuple[str, ...]],
        begin: Callable[[], None],
    ) -> Outcome:
        whole = _Sum()
        for part in parts:
            try:
                outcome = self._send_part(request, part, begin)
            except MailError as error:
                if not whole.accepted:
                    raise
                outcome = Outcome(Result.DEFERRED, reply=error.reply, error=error)
            begin = _nothing
            whole.add(part, outcome)
            if outcome.result is Result.UNCERTAIN:
                break
        return whole.outcome()

    def _send_part(
        self, request: dict[str, object], recipients: tuple[str, ...], begin: Callable[[], None]
    ) -> Outcome:
        """The outcome of one request. Raises MailError where nothing can be sent at all."""
        refused: MailError = RateExceeded("SES takes no more messages now.")
        for _ in range(_THROTTLED_TRIES):
            try:
                wait = self._pace.take(len(recipients))
            except RateExceeded as error:
                return Outcome(Result.DEFERRED, error=error)
            if wait:
                self._sleep(wait)
            begin()
            try:
                return self._offer(request, recipients)
            except RateExceeded as error:
                self._pace.slow_down()
                refused = error
        return Outcome(Result.DEFERRED, reply=refused.reply, error=refused)

    def _offer(self, request: dict[str, object], recipients: tuple[str, ...]) -> Outcome:
        assert self._wire is not None
        destination = {"ToAddresses": [encode_address(each) for each in recipients]}
        try:
            message_id = self._offer_twice({**request, "Destination": destination})
        except DeliveryUncertain as error:
            return Outcome(Result.UNCERTAIN, error=error)
        except MessageRefused as error:
            self._fruitless = 0
            result = Result.FAILED if error.permanent else Result.DEFERRED
            return Outcome(result, reply=error.reply, error=error)
        except QuotaExceeded as error:
            raise self._pace.use_up(error.reply or Reply(454, error.message)) from error
        except ClosedEarly as closed:
            self._fruitless += 1
            if self._fruitless >= _MOST_FRUITLESS:
                raise closed.error from closed
            return Outcome(Result.DEFERRED, error=closed.error)
        self._fruitless = 0
        reply = Reply(250, f"Ok {message_id}")
        return Outcome(Result.SENT, accepted=recipients, reply=reply, provider_id=message_id)

    def _offer_twice(self, request: dict[str, object]) -> str:
        """A connection that lay idle may be closed already; the message has not left then."""
        assert self._wire is not None
        try:
            return self._wire.send_email(request)
        except ClosedEarly:
            return self._wire.send_email(request)

    def _refusal(self, job: Job[Key]) -> InvalidMessage | None:
        if not job.envelope.recipients:
            return InvalidMessage("A message needs at least one recipient.")
        if 0 < self._settings.size_limit < len(job.content):
            return InvalidMessage("The message is larger than may be sent by SES.")
        try:
            for address in (job.envelope.sender, *job.envelope.recipients):
                if address and not encode_address(address).isascii():
                    return InvalidMessage(
                        f"SES sends to and from ASCII addresses only, which {address} is not."
                    )
        except InvalidMessage as error:
            return error
        return None

    def _request(self, job: Job[Key]) -> dict[str, object]:
        content = crlf_lines(seven_bit(bytes(job.content)))
        request: dict[str, object] = {"Content": {"Raw": {"Data": content}}}
        if job.envelope.sender:
            request["FromEmailAddress"] = encode_address(job.envelope.sender)
        if self._settings.configuration_set:
            request["ConfigurationSetName"] = self._settings.configuration_set
        if self._settings.tags:
            request["EmailTags"] = [
                {"Name": _tag(name), "Value": _tag(value)} for name, value in self._settings.tags
            ]
        return request


@dataclass(slots=True)
class _Sum:
    """The outcomes of one message's requests, as one."""

    accepted: list[str] = field(default_factory=list)
    refused: dict[str, Reply] = field(default_factory=dict)
    ids: list[str] = field(default_factory=list)
    last: Outcome = field(default_factory=lambda: Outcome(Result.FAILED))
    deferred: Outcome | None = None

    def add(self, recipients: tuple[str, ...], outcome: Outcome) -> None:
        self.last = outcome
        if outcome.result is Result.SENT:
            self.accepted.extend(recipients)
            self.ids.append(outcome.provider_id)
        elif outcome.result is not Result.UNCERTAIN:
            code = 451 if outcome.result is Result.DEFERRED else 554
            reply = outcome.reply or Reply(code, outcome.reason)
            self.refused.update(dict.fromkeys(recipients, reply))
        if outcome.result is Result.DEFERRED:
            self.deferred = outcome

    def outcome(self) -> Outcome:
        result = self.last.result
        if result is not Result.UNCERTAIN and self.accepted:
            result = Result.SENT
        elif result is not Result.UNCERTAIN and self.deferred is not None:
            result = Result.DEFERRED
        told = self.deferred if result is Result.DEFERRED and self.deferred else self.last
        return Outcome(
            result,
            accepted=tuple(self.accepted),
            refused=self.refused,
            reply=told.reply,
            error=None if result is Result.SENT else told.error,
            provider_id=" ".join(self.ids),
        )


def _tag(text: str) -> str:
    """As much of it as a tag of SES may hold."""
    return _NO_TAG_CHARACTER.sub("-", text)[:256]


def _nothing() -> None:
    """A message has begun but once."""
