"""What the stateless operations take and answer, in JSON."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import urlsplit

from rest_framework import serializers

from accounts.api.secrets import secret_text
from accounts.validators import clean_hostname, single_line
from mailboxes.api.mail_options import MailOptionsSerializer
from mailboxes.api.shapes import PersonSerializer
from mailboxes.operations.access import Renewal
from mailboxes.operations.credentials import Credentials, OAuth2Grant
from mailboxes.operations.retrieving import Page, PageRequest
from mailhub.api.naming import CamelCaseMixin, MillisecondsField
from mailhub.api.strict import StrictMixin
from mailhub.mail.guarded_http import port_of
from mailhub.mail.html import sanitise_html
from mailhub.mail.parsing import Mailbox
from mailhub.mail.stores.base import ReadMessage

_LARGEST_UID = 2**32 - 1
# Where a client says nothing else: submission and IMAP over TLS (RFC 8314).
_SECURE_PORTS = (465, 993)
_moment = MillisecondsField()


class LoginSerializer(CamelCaseMixin, StrictMixin, serializers.Serializer[Any]):
    """`{user, pass}`, or `{type: "OAuth2", user, accessToken, …}`.

    With a refreshToken a refused or missing accessToken is renewed: at tokenUrl, or where
    Google's and Microsoft's hosts are known to renew theirs.
    """

    type = serializers.ChoiceField(choices=["OAuth2"], required=False)
    user = serializers.CharField(max_length=320, trim_whitespace=False, validators=[single_line])
    access_token = secret_text(required=False, allow_blank=True)
    refresh_token = secret_text(required=False, allow_blank=True)
    client_id = serializers.CharField(
        max_length=1000, required=False, allow_blank=True, validators=[single_line]
    )
    client_secret = secret_text(required=False, allow_blank=True)
    token_url = serializers.URLField(max_length=1000, required=False)

    def get_fields(self) -> dict[str, Any]:
        # `pass` is a word of Python's.
        return {**super().get_fields(), "pass": secret_text(required=False, source="password")}

    def validate_tokenUrl(self, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme != "https" or not parts.hostname or port_of(parts) is None:
            raise serializers.ValidationError("A token URL is an https address.")
        return value

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """One login: by password or by tokens."""
        by_token = attrs.pop("type", None) is not None
        if by_token and "password" in attrs:
            raise serializers.ValidationError({"pass": ["A login by OAuth2 has no password."]})
        if not by_token and attrs.keys() - {"user", "password"}:
            raise serializers.ValidationError({"type": ['Say "OAuth2" to log in by a token.']})
        if not by_token and "password" not in attrs:
            raise serializers.ValidationError({"pass": ["This field is required."]})
        if by_token and not attrs.get("access_token") and not attrs.get("refresh_token"):
            raise serializers.ValidationError({"accessToken": ["This field is required."]})
        return {**attrs, "by_token": by_token}


class CredentialsSerializer(CamelCaseMixin, StrictMixin, serializers.Serializer[Any]):
    """A mail server and a login. They are used for this call and forgotten.

    `secure` is TLS from the start, else STARTTLS, which the server must offer; without it
    the port decides. `allowPlaintext` does without encryption where the installation allows it.
    """

    host = serializers.CharField(max_length=255)
    port = serializers.IntegerField(min_value=1, max_value=65_535)
    secure = serializers.BooleanField(required=False)
    allow_plaintext = serializers.BooleanField(default=False)
    auth = LoginSerializer()

    def validate_host(self, value: str) -> str:
        return clean_hostname(value)

    def validate(self, attrs: dict[str, Any]) -> Credentials:
        auth = attrs["auth"]
        names = ("access_token", "refresh_token", "client_id", "client_secret", "token_url")
        grant = OAuth2Grant(**{name: auth[name] for name in names if name in auth})
        credentials = Credentials(
            host=attrs["host"],
            port=attrs["port"],
            is_secure=attrs.get("secure", attrs["port"] in _SECURE_PORTS),
            username=auth["user"],
            password=auth.get("password", ""),
            grant=grant if auth["by_token"] else None,
            allow_plaintext=attrs["allow_plaintext"],
        )
        if auth["by_token"] and not grant.access_token and not credentials.token_url:
            message = "Say where the refreshToken is to be used."
            raise serializers.ValidationError({"auth": {"tokenUrl": [message]}})
        return credentials


class OperationSerializer(CamelCaseMixin, StrictMixin, serializers.Serializer[Any]):
    """What every operation takes."""

    smtp_credentials = CredentialsSerializer()


class SendEmailSerializer(OperationSerializer):
    """One message to send; without `smtpCredentials` by the installation's default sender.

    `wait` holds that answer back until the first try has ended, for 20 seconds at most.
    """

    smtp_credentials = CredentialsSerializer(required=False, allow_null=True)
    mail_options = MailOptionsSerializer()
    wait = serializers.BooleanField(default=False)


class SaveToDraftSerializer(OperationSerializer):
    """One message to keep."""

    mail_options = MailOptionsSerializer()


class RetrieveEmailsSerializer(OperationSerializer):
    """A page of a folder; `search` narrows it to messages in which the words stand."""

    path = serializers.CharField(max_length=1000, default="INBOX", trim_whitespace=False)
    page = serializers.IntegerField(min_value=1, max_value=10_000_000, default=1)
    page_size = serializers.IntegerField(min_value=1, max_value=100, default=10)
    search = serializers.CharField(max_length=500, default="", allow_blank=True)
    include_attachments = serializers.BooleanField(default=False)

    def page_request(self) -> PageRequest:
        """What was asked for, once it is valid."""
        values = self.validated_data
        return PageRequest(
            path=values["path"],
            number=values["page"],
            size=values["page_size"],
            words=values["search"],
            with_attachments=values["include_attachments"],
        )


class MoveToTrashSerializer(OperationSerializer):
    """One message of a folder."""

    uid = serializers.IntegerField(min_value=1, max_value=_LARGEST_UID)
    path = serializers.CharField(max_length=1000, default="INBOX", trim_whitespace=False)


class EmptyTrashSerializer(OperationSerializer):
    """One message in Trash, or `all: true`."""

    uid = serializers.IntegerField(min_value=1, max_value=_LARGEST_UID, required=False)
    all = serializers.BooleanField(default=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs["all"] is ("uid" in attrs):
            raise serializers.ValidationError({"uid": ["Give a uid, or all: true."]})
        return attrs


class RenewedLoginSerializer(CamelCaseMixin, serializers.Serializer[Renewal]):
    """New tokens, to be put in `smtpCredentials.auth` from now on.

    `refreshToken` is there where the provider replaced it; the old one may hold no longer.
    """

    access_token = serializers.CharField()
    refresh_token = serializers.CharField(required=False)
    expires_in = serializers.IntegerField(required=False, help_text="Seconds.")


class AnswerSerializer(CamelCaseMixin, serializers.Serializer[Any]):
    """What every operation answers; `auth` only where the access token was renewed."""

    status = serializers.ChoiceField(choices=["success"])
    auth = RenewedLoginSerializer(required=False)


class SentSerializer(AnswerSerializer):
    """`rejected` are recipients that the server did not take; `response` its last words."""

    message_id = serializers.CharField()
    accepted = serializers.ListField(child=serializers.CharField())
    rejected = serializers.ListField(child=serializers.CharField())
    response = serializers.CharField()


class EmailAttachmentSerializer(CamelCaseMixin, serializers.Serializer[Any]):
    """`content` is base64, where it was asked for.

    Without it `size` is told from the encoded one: up to two octets too many in base64 of
    ordinary lines, the encoded size itself in quoted-printable.
    """

    filename = serializers.CharField()
    content_type = serializers.CharField()
    size = serializers.IntegerField()
    content = serializers.CharField(required=False)


class EmailSerializer(CamelCaseMixin, serializers.Serializer[Any]):
    """`date` is the message's own, else that of its arrival; `html` is sanitised."""

    uid = serializers.IntegerField()
    message_id = serializers.CharField()
    subject = serializers.CharField()
    to = PersonSerializer(many=True)
    cc = PersonSerializer(many=True)
    date = MillisecondsField()
    flags = serializers.ListField(child=serializers.CharField())
    size = serializers.IntegerField()
    text = serializers.CharField()
    html = serializers.CharField()
    attachments = EmailAttachmentSerializer(many=True)

    def get_fields(self) -> dict[str, Any]:
        # `from` is a word of Python's.
        return {**super().get_fields(), "from": PersonSerializer()}


class EmailPageSerializer(AnswerSerializer):
    """`total` and `pages` count all that is found."""

    path = serializers.CharField()
    page = serializers.IntegerField()
    page_size = serializers.IntegerField()
    total = serializers.IntegerField()
    pages = serializers.IntegerField()
    emails = EmailSerializer(many=True)


class SavedSerializer(AnswerSerializer):
    """`uid` is null where the server neither tells it nor finds the message."""

    path = serializers.CharField()
    uid = serializers.IntegerField(allow_null=True)


class MovedSerializer(AnswerSerializer):
    """`newUid` is null where the server neither tells it nor finds the message."""

    uid = serializers.IntegerField()
    path = serializers.CharField()
    new_uid = serializers.IntegerField(allow_null=True)

    def get_fields(self) -> dict[str, Any]:
        # `from` is a word of Python's.
        return {**super().get_fields(), "from": serializers.CharField()}


class EmptiedSerializer(AnswerSerializer):
    """How many messages are gone."""

    deleted = serializers.IntegerField()


def page_answer(page: Page) -> dict[str, Any]:
    """The shape of `EmailPageSerializer`, without what every answer has."""
    return {
        "path": page.request.path,
        "page": page.request.number,
        "pageSize": page.request.size,
        "total": page.total,
        "pages": page.pages,
        "emails": [_email(email) for email in page.emails],
    }


def renewed_login(renewal: Renewal) -> dict[str, Any]:
    """The shape of `RenewedLoginSerializer`."""
    told: dict[str, Any] = {"accessToken": renewal.access_token}
    if renewal.refresh_token:
        told["refreshToken"] = renewal.refresh_token
    if renewal.expires_in is not None:
        told["expiresIn"] = renewal.expires_in
    return told


def _email(email: ReadMessage) -> dict[str, Any]:
    message, outline = email.message, email.outline
    attachments: list[dict[str, Any]] = [
        {"filename": found.filename, "contentType": found.content_type, "size": found.size}
        for found in message.attachments
    ]
    for attachment, octets in zip(attachments, email.contents, strict=False):
        attachment["content"] = base64.b64encode(octets).decode("ascii")
    return {
        "uid": outline.uid,
        "messageId": message.message_id,
        "subject": message.subject,
        "from": _person(message.sender[0] if message.sender else Mailbox("", "")),
        "to": [_person(person) for person in message.to],
        "cc": [_person(person) for person in message.cc],
        "date": _moment.to_representation(message.date or outline.received_at),
        "flags": sorted(outline.flags),
        "size": outline.size,
        "text": message.text,
        "html": _safe_html(email),
        "attachments": attachments,
    }


def _safe_html(email: ReadMessage) -> str:
    """Its own images are inside it where their octets were fetched."""
    images = {
        found.content_id: (found.content_type, octets)
        for found, octets in zip(email.message.attachments, email.contents, strict=False)
        if found.content_id and found.content_type.startswith("image/")
    }
    return sanitise_html(email.message.html, resolve_image=images.get) if email.message.html else ""


def _person(mailbox: Mailbox) -> dict[str, str]:
    return {"name": mailbox.name, "address": mailbox.address}
