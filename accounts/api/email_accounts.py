"""`accounts`: mail accounts that users connect."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins, serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.proposals import ProposalSerializer
from accounts.api.secrets import OAuth2SecretSerializer, secret_text, take_secret
from accounts.api.verification import VerificationSerializer
from accounts.api.viewsets import TenantViewSet
from accounts.autoconfig import propose_servers
from accounts.connections import smtp_encryption
from accounts.hosts import refuse_private_host
from accounts.idempotency import idempotent
from accounts.models import (
    AccountEncryption,
    AccountProtocol,
    Credential,
    CredentialKind,
    EmailAccount,
)
from accounts.validators import clean_hostname
from accounts.verification import verify_account
from mailhub.api.naming import CamelCaseMixin, MillisecondsField
from mailhub.api.strict import StrictMixin
from mailhub.errors import NotAllowed
from mailhub.mail.server import DEFAULT_PORTS, Encryption, Protocol

_LOGS_IN = (CredentialKind.PASSWORD, CredentialKind.OAUTH2)
FOR_THE_OWNER = ("username", "smtpUsername", "credentialId", "awsCredentialId")


class EmailAccountSerializer(
    CamelCaseMixin, StrictMixin, serializers.ModelSerializer[EmailAccount]
):
    """A secret goes in by `credentialId`, or as `password` or `oauth2`; it never comes out.

    Whoever does not own the account is not shown with which login it works.

    With a `sesRegion` it sends by Amazon SES there, with the keys of `awsCredentialId` (a
    credential of kind aws), in place of an SMTP server. With a `bounceAddress` that this mailbox
    receives, `bounce@example.org`, a campaign's messages are sent from `bounce+TOKEN@example.org`.

    `deleteFromServerAfterDays` is for POP3 accounts: null keeps all messages on the server;
    a number deletes there what is kept here, so many days after it was first seen, and lets
    `DELETE messages/{id}` delete there too.
    """

    credential_id = serializers.UUIDField(required=False)
    aws_credential_id = serializers.UUIDField(required=False, allow_null=True)
    password = secret_text(required=False)
    oauth2 = OAuth2SecretSerializer(required=False, write_only=True)
    port = serializers.IntegerField(min_value=1, max_value=65_535, required=False)
    username = serializers.CharField(
        max_length=320,
        required=False,
        validators=EmailAccount._meta.get_field("username").validators,
    )
    access = serializers.SerializerMethodField()
    last_sync_at = MillisecondsField(read_only=True, allow_null=True)
    created_at = MillisecondsField(read_only=True)
    updated_at = MillisecondsField(read_only=True)

    class Meta:
        model = EmailAccount
        fields = (
            "id",
            "account_name",
            "email_address",
            "protocol",
            "hostname",
            "port",
            "encryption",
            "username",
            "credential_id",
            "password",
            "oauth2",
            "smtp_hostname",
            "smtp_port",
            "smtp_encryption",
            "smtp_username",
            "ses_region",
            "ses_configuration_set",
            "aws_credential_id",
            "bounce_address",
            "is_sync_enabled",
            "sync_interval",
            "delete_from_server_after_days",
            "last_sync_at",
            "is_syncing",
            "is_enabled",
            "disabled_reason",
            "access",
            "created_at",
            "updated_at",
        )
        read_only_fields = ("id", "is_syncing", "disabled_reason")

    def get_access(self, account: EmailAccount) -> str:
        """owner, send, read or admin."""
        return str(getattr(account, "access", "owner"))

    def to_representation(self, instance: EmailAccount) -> dict[str, Any]:
        shown: dict[str, Any] = super().to_representation(instance)
        if shown["access"] != "owner":
            shown.update(dict.fromkeys(FOR_THE_OWNER))
        return shown

    def validate_hostname(self, value: str) -> str:
        return clean_hostname(value)

    def validate_smtpHostname(self, value: str) -> str:
        return clean_hostname(value) if value else ""

    def validate_credentialId(self, value: Any) -> Any:
        mine = Credential.objects.for_caller(self.context["caller"]).filter(kind__in=_LOGS_IN)
        if not mine.filter(pk=value).exists():
            raise serializers.ValidationError("You have no such credential.")
        return value

    def validate_awsCredentialId(self, value: Any) -> Any:
        mine = Credential.objects.for_caller(self.context["caller"])
        if value and not mine.filter(pk=value, kind=CredentialKind.AWS).exists():
            raise serializers.ValidationError("You have no such credential of kind aws.")
        return value

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        secret = take_secret(attrs)
        if secret and attrs.get("credential_id"):
            raise serializers.ValidationError("Give a credentialId or a secret, not both.")
        if secret is None and "credential_id" not in attrs and self.instance is None:
            raise serializers.ValidationError("Give a credentialId, a password or oauth2.")
        whole = self._complete(attrs)
        _settle_deletion(attrs, whole)
        _check_ses(whole)
        refuse_private_host(whole.hostname, whole.port)
        if whole.smtp_hostname:
            refuse_private_host(whole.smtp_hostname, whole.smtp_port or 587)
        return {**attrs, "secret": secret}

    def _complete(self, attrs: dict[str, Any]) -> EmailAccount:
        """Fill in what follows from the rest; the account as it would then be."""
        whole = EmailAccount()
        if self.instance is not None:
            for field in EmailAccount._meta.concrete_fields:
                setattr(whole, field.attname, getattr(self.instance, field.attname))
        else:
            attrs.setdefault("username", attrs["email_address"])
        usual, usual_smtp = _usual_ports(whole)
        followed = self.instance is None or whole.port == usual
        followed_smtp = usual_smtp is not None and whole.smtp_port == usual_smtp
        for name, value in attrs.items():
            setattr(whole, name, value)
        usual, usual_smtp = _usual_ports(whole)
        if followed:
            whole.port = attrs.setdefault("port", usual)
        if followed_smtp and usual_smtp is not None:
            whole.smtp_port = attrs.setdefault("smtp_port", usual_smtp)
        if whole.smtp_hostname and not whole.smtp_encryption:
            attrs["smtp_encryption"] = AccountEncryption(smtp_encryption("", whole.smtp_port).value)
        if whole.smtp_hostname and not whole.smtp_port:
            chosen = attrs.get("smtp_encryption", whole.smtp_encryption)
            attrs["smtp_port"] = DEFAULT_PORTS[Protocol.SMTP, Encryption(chosen)]
        return whole

    def create(self, validated_data: dict[str, Any]) -> EmailAccount:
        account = self.build(validated_data)
        with transaction.atomic():
            if account.credential._state.adding:
                account.credential.save()
            account.save()
        return account

    def build(self, validated_data: dict[str, Any]) -> EmailAccount:
        """The account and its credential, neither of them stored."""
        caller = self.context["caller"]
        secret = validated_data.pop("secret")
        account = EmailAccount(tenant=caller.tenant, user=caller.user, **validated_data)
        if secret is not None:
            account.credential = account.new_credential(*secret)
        return account

    def update(self, instance: EmailAccount, validated_data: dict[str, Any]) -> EmailAccount:
        secret = validated_data.pop("secret")
        with transaction.atomic():
            previous = instance.credential
            for name, value in validated_data.items():
                setattr(instance, name, value)
            if validated_data.get("is_enabled"):
                instance.enable()
            if secret is not None:
                instance.replace_secret(*secret)
            instance.save()
            if instance.credential_id != previous.pk:
                previous.drop_if_unused()
        return instance


def _settle_deletion(attrs: dict[str, Any], whole: EmailAccount) -> None:
    """Only over POP3 are messages deleted behind a mail program's back."""
    if whole.protocol == AccountProtocol.POP3 or whole.delete_from_server_after_days is None:
        return
    if attrs.get("delete_from_server_after_days") is not None:
        raise serializers.ValidationError(
            {"deleteFromServerAfterDays": ["Only messages of a POP3 account are deleted so."]}
        )
    attrs["delete_from_server_after_days"] = None


def _check_ses(whole: EmailAccount) -> None:
    """An account sends by an SMTP server or by SES, never by somebody else's keys."""
    if whole.ses_region and whole.smtp_hostname:
        raise serializers.ValidationError({"sesRegion": ["Give smtpHostname or sesRegion."]})
    if whole.ses_region and whole.aws_credential_id is None:
        raise serializers.ValidationError({"awsCredentialId": ["SES needs AWS keys."]})


def _usual_ports(account: EmailAccount) -> tuple[int, int | None]:
    """The ports that go with the account's protocol and encryption; no SMTP port where none is.

    A port that is the usual one follows a change of these; any other was chosen, and stays.
    """
    usual = DEFAULT_PORTS[Protocol(account.protocol), Encryption(account.encryption)]
    if not account.smtp_encryption:
        return usual, None
    return usual, DEFAULT_PORTS[Protocol.SMTP, Encryption(account.smtp_encryption)]


class VerifySerializer(EmailAccountSerializer):
    """An account that is only tried: it needs no name."""

    class Meta(EmailAccountSerializer.Meta):
        extra_kwargs = {"account_name": {"required": False}}


class EmailAccountViewSet(
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    mixins.UpdateModelMixin,
    mixins.DestroyModelMixin,
    TenantViewSet[EmailAccount],
):
    """The caller's own accounts and those delegated to it.

    An admin sees, with `everyone=true` or by its id, that a teammate's account exists and
    whether it works.
    """

    scope = "mail"
    queryset = EmailAccount.objects.all()
    serializer_class = EmailAccountSerializer
    page_key = "accounts"
    page_ordering = "-created_at"
    page_cursor_name = "nextCursor"
    http_method_names = ["get", "post", "put", "patch", "delete", "head", "options"]

    def get_queryset(self) -> QuerySet[EmailAccount]:
        rows = super().get_queryset()
        if getattr(self, "swagger_fake_view", False):
            return rows
        visible = EmailAccount.objects.visible_to(self.caller)
        if self.action == "list" and self.request.query_params.get("everyone") != "true":
            return visible.filter(pk__in=rows.values("pk"))
        if self.action == "list" and not self.caller.is_admin:
            raise NotAllowed("Only an admin may list everyone's accounts.")
        return visible

    def get_object(self) -> EmailAccount:
        if self.request.method in ("GET", "HEAD", "OPTIONS"):
            return super().get_object()
        return EmailAccount.objects.get_for_change(self.caller, self.kwargs["pk"])

    @extend_schema(
        parameters=[
            OpenApiParameter(
                "everyone", OpenApiTypes.BOOL, description="For admins: all of the tenant."
            )
        ]
    )
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """The accounts whose mail the caller may read."""
        return super().list(request, *args, **kwargs)

    @extend_schema(request=EmailAccountSerializer, responses={201: EmailAccountSerializer})
    @idempotent(talks_to_servers=True)
    def create(self, request: Request) -> Response:
        """Connect an account."""
        return Response(self.get_serializer(self.write(request)).data, status=201)

    def perform_destroy(self, instance: EmailAccount) -> None:
        instance.disconnect()

    @extend_schema(request=None, responses=VerificationSerializer)
    @action(detail=True, methods=["post"])
    def verify(self, request: Request, pk: str) -> Response:
        """Log in to the account's servers, and say what works."""
        return Response(VerificationSerializer(verify_account(self.get_object())).data)

    @extend_schema(request=VerifySerializer, responses=VerificationSerializer)
    @action(detail=False, methods=["post"], url_path="verify", serializer_class=VerifySerializer)
    def verify_unsaved(self, request: Request) -> Response:
        """Log in to servers as an account would, and say what works; nothing is stored."""
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        assert isinstance(serializer, VerifySerializer)
        account = serializer.build(serializer.validated_data)
        return Response(VerificationSerializer(verify_account(account)).data)

    @extend_schema(
        parameters=[OpenApiParameter("email", OpenApiTypes.EMAIL, required=True)],
        responses=ProposalSerializer,
    )
    @action(detail=False, methods=["get"], pagination_class=None)
    def autoconfig(self, request: Request) -> Response:
        """Propose servers for an address, and say where the proposal is from."""
        field = serializers.EmailField(max_length=320)
        try:
            email = field.run_validation(request.query_params.get("email", ""))
        except serializers.ValidationError as error:
            raise serializers.ValidationError({"email": error.detail}) from error
        return Response(propose_servers(email).as_json())
