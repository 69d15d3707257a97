"""Requests to SES (API v2), and what is certain of each when it fails.

Whether a message may have been accepted depends on whether its last octet has left. AWS's
library does not say, so the body of a request is handed to it as something that is read
piece by piece: the end is asked for only after the last piece was written to the network.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from mailhub.mail.aws import AwsService, aws_client
from mailhub.mail.errors import (
    CommandRefused,
    ConnectionFailed,
    DeliveryUncertain,
    EncryptionRefused,
    LoginDeferred,
    LoginFailed,
    MailError,
    MessageRefused,
    RecipientRefused,
    ServerTimeout,
)
from mailhub.mail.transports.ses_answers import is_about_values, refusal_of

_IN_HAND = threading.local()


class ClosedEarly(Exception):
    """The service closed the connection before the message's last octet had left."""

    def __init__(self, error: MailError) -> None:
        super().__init__(error.message)
        self.error = error


class SesWire:
    """One account and region. To be used from any thread."""

    def __init__(self, service: AwsService) -> None:
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415 - see mailhub.mail.aws

        try:
            self._client = aws_client(service)
        except BotoCoreError as error:
            raise _not_connected(error) from error
        # Registered once for each client, however often this is said.
        self._client.meta.events.register(
            "before-send.sesv2.SendEmail", _watch_body, unique_id="mailhub-watch"
        )

    def send_email(self, request: dict[str, Any]) -> str:
        """The id that SES gives to the message.

        Raises what `refusal_of` answers; DeliveryUncertain where the answer was lost;
        ClosedEarly, ConnectionFailed, ServerTimeout, EncryptionRefused, LoginFailed and
        LoginDeferred where the message has certainly not arrived.
        """
        with _watching() as watch:
            answer = self._ask(self._client.send_email, request, watch)
        message_id = answer.get("MessageId")
        if not message_id:
            raise DeliveryUncertain("SES answered, but not with an id of the message.")
        return str(message_id)

    def get_account(self) -> dict[str, Any]:
        """The account's quota and state, as SES's GetAccount has it. Raises MailError."""
        return self._manage(self._client.get_account, {})

    def get_identity(self, name: str) -> dict[str, Any]:
        """How a sender's domain or address stands, as SES's GetEmailIdentity has it.

        Raises MailError; CommandRefused where SES does not know it.
        """
        return self._manage(self._client.get_email_identity, {"EmailIdentity": name})

    def suppressed(self, since: datetime | None = None) -> Iterator[tuple[str, str]]:
        """The addresses that SES does not write to, each with BOUNCE or COMPLAINT.

        All, or those that came on its list from `since` on. Raises MailError.
        """
        request: dict[str, Any] = {"PageSize": 1000}
        if since is not None:
            request["StartDate"] = since
        while True:
            page = self._manage(self._client.list_suppressed_destinations, request)
            for each in page.get("SuppressedDestinationSummaries", []):
                yield each["EmailAddress"], each["Reason"]
            if not page.get("NextToken"):
                return
            request["NextToken"] = page["NextToken"]

    def suppress(self, email: str, reason: str) -> None:
        """Let SES write to this address no more; `reason` is BOUNCE or COMPLAINT.

        Raises MailError; RecipientRefused where it is this address that SES does not take.
        """
        request = {"EmailAddress": email, "Reason": reason}
        try:
            self._manage(self._client.put_suppressed_destination, request)
        except MessageRefused as error:
            if is_about_values(error):
                raise RecipientRefused("SES does not take this address.", error.reply) from error
            raise

    def unsuppress(self, email: str) -> None:
        """Let SES write to this address again, also where it does already. Raises MailError."""
        try:
            self._manage(self._client.delete_suppressed_destination, {"EmailAddress": email})
        except CommandRefused:
            # It is not on the list.
            return

    def _manage(self, call: Any, request: dict[str, Any]) -> dict[str, Any]:
        try:
            return self._ask(call, request, _Watch())
        except ClosedEarly as closed:
            raise closed.error from closed

    def _ask(self, call: Any, request: dict[str, Any], watch: _Watch) -> dict[str, Any]:
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - as above

        try:
            answer: dict[str, Any] = call(**request)
        except ClientError as error:
            raise refusal_of(error.response) from error
        except BotoCoreError as error:
            if watch.has_left:
                raise DeliveryUncertain(
                    "The connection was lost after the message, before SES's answer."
                ) from error
            raise _not_connected(error, has_begun=watch.has_begun) from error
        return answer


def _not_connected(error: Exception, *, has_begun: bool = False) -> MailError | ClosedEarly:
    from botocore import exceptions as aws  # noqa: PLC0415 - as above

    if isinstance(
        error, aws.NoCredentialsError | aws.PartialCredentialsError | aws.ProfileNotFound
    ):
        return LoginFailed(
            "There are no AWS keys: neither given nor in this machine's environment."
        )
    if isinstance(error, aws.CredentialRetrievalError | aws.MetadataRetrievalError):
        return LoginDeferred("The AWS keys of this machine's role could not be fetched.")
    if isinstance(error, aws.ConnectTimeoutError | aws.ReadTimeoutError):
        return ServerTimeout("SES did not answer in time.")
    if isinstance(error, aws.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error):
        return EncryptionRefused("The certificate of SES's address does not verify.")
    if isinstance(error, aws.ConnectionClosedError) or has_begun:
        return ClosedEarly(ConnectionFailed("SES closed the connection."))
    if isinstance(error, aws.HTTPClientError):
        return ConnectionFailed("SES could not be reached.")
    return ConnectionFailed("The request to SES could not be made.")


class _Watch:
    """How much of one request's body has left."""

    def __init__(self) -> None:
        self.has_begun = False
        self.has_left = False
        self._body = io.BytesIO()

    def over(self, body: bytes) -> _Watch:
        """To be read in place of the body; anew where the request is made anew."""
        self.has_begun = self.has_left = False
        self._body = io.BytesIO(body)
        return self

    def read(self, size: int = -1) -> bytes:
        piece = self._body.read(size)
        self.has_begun = True
        self.has_left = not piece
        return piece


@contextmanager
def _watching() -> Iterator[_Watch]:
    _IN_HAND.watch = watch = _Watch()
    try:
        yield watch
    finally:
        _IN_HAND.watch = None


def _watch_body(request: Any, **_: Any) -> None:
    """AWS's library calls it in the sending thread, just before a request leaves."""
    watch: _Watch | None = getattr(_IN_HAND, "watch", None)
    if watch is not None and isinstance(request.body, bytes | bytearray):
        request.body = watch.over(bytes(request.body))
