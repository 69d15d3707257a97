"""`oauth2`: connecting a person's account at a provider, for clients that have pages of their own.

client ── start ──> url ── person consents ──> returnUrl?code=… ── finish ──> account
"""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.email_accounts import EmailAccountSerializer
from accounts.api.verification import VerificationSerializer
from accounts.api.viewsets import CallerViewSet
from accounts.idempotency import idempotent
from accounts.models import EmailAccount
from accounts.oauth2.connecting import Connected, connect_account
from accounts.oauth2.consent import ask_for_consent, take_granted
from accounts.oauth2.providers import get_provider
from mailboxes.sync.requesting import request_sync
from mailhub.api.naming import CamelCaseMixin, MillisecondsField
from mailhub.api.strict import StrictMixin
from mailhub.errors import InvalidInput


class OAuth2StartSerializer(CamelCaseMixin, StrictMixin, serializers.Serializer[Any]):
    """`returnUrl` is listed in MAILHUB_OAUTH2_RETURN_URLS; a query of your own comes back with it.

    `accountId` connects an account again whose permission is gone; `emailAddress` is proposed to
    the provider, where the person may choose another.
    """

    return_url = serializers.CharField(max_length=2000)
    account_id = serializers.UUIDField(required=False)
    email_address = serializers.EmailField(max_length=320, required=False)


class OAuth2DepartureSerializer(CamelCaseMixin, serializers.Serializer[Any]):
    """Send the person's browser to `url` before `expiresAt`."""

    url = serializers.CharField()
    expires_at = MillisecondsField()


class OAuth2FinishSerializer(CamelCaseMixin, StrictMixin, serializers.Serializer[Any]):
    """The `code` with which the person's browser came to `returnUrl`."""

    code = serializers.CharField(max_length=200)


class OAuth2ConnectedSerializer(CamelCaseMixin, serializers.Serializer[Connected]):
    """The account, and whether it sends as well as it reads."""

    account: Any = EmailAccountSerializer()
    verification: Any = VerificationSerializer()


class OAuth2ViewSet(CallerViewSet):
    """Accounts by a provider's consent page: `google`, `microsoft` or another of the settings."""

    scope = "mail"

    @extend_schema(request=OAuth2StartSerializer, responses={201: OAuth2DepartureSerializer})
    def start(self, request: Request, provider: str) -> Response:
        """Begin to connect an account for the person that the call is for.

        Send the person's browser to `url`. It comes to `returnUrl` with a `code`, which `finish`
        takes within ten minutes, or with `error` and a `message` for the person.
        """
        known = get_provider(provider)
        given = OAuth2StartSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        asked = given.validated_data
        account = None
        if "account_id" in asked:
            account = EmailAccount.objects.get_for_change(self.caller, asked["account_id"])
        departure = ask_for_consent(
            self.caller,
            known,
            return_url=asked["return_url"],
            account=account,
            email=asked.get("email_address", ""),
        )
        return Response(OAuth2DepartureSerializer(departure).data, status=201)

    @extend_schema(
        request=OAuth2FinishSerializer,
        responses={200: OAuth2ConnectedSerializer, 201: OAuth2ConnectedSerializer},
    )
    @idempotent(talks_to_servers=True)
    def finish(self, request: Request, provider: str) -> Response:
        """Connect the account, once its servers let it in, and have it synced: 201 for a new
        one, 200 for one that was known.

        The call must be for the same person as `start`, so take that from your own session: a
        code that somebody was lured to give is then of no use. 422 `verification_failed` where
        the mailbox stays closed.
        """
        known = get_provider(provider)
        given = OAuth2FinishSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        row = take_granted(self.caller, known.key, given.validated_data["code"])
        if row is None:
            raise InvalidInput(
                "No request of this person has such a code: it was used before, or ten minutes "
                "have passed. Begin again.",
                code="unknown_code",
            )
        connected = connect_account(self.caller, row, row.reveal_secret()["code"])
        request_sync(connected.account)
        answer = OAuth2ConnectedSerializer(connected, context={"caller": self.caller}).data
        return Response(answer, status=201 if connected.is_new else 200)
