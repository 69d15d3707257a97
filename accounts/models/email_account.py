"""A mail account that a user has connected: where to read, where to send, how to log in."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Self

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models, transaction
from django.db.models import Case, Exists, OuterRef, Q, Value, When

from accounts.models.credential import Credential, CredentialKind
from accounts.models.user import User
from accounts.scope import TenantOwned, TenantQuerySet
from accounts.validators import (
    single_line,
    valid_configuration_set,
    valid_hostname,
    valid_region,
)
from mailhub.errors import NotAllowed, NotFound

if TYPE_CHECKING:
    from accounts.caller import Caller


_PORT = [MinValueValidator(1), MaxValueValidator(65_535)]


class AccountProtocol(models.TextChoices):
    """How mail is read."""

    IMAP = "imap"
    POP3 = "pop3"


class AccountEncryption(models.TextChoices):
    """How a connection is protected."""

    TLS = "tls"
    STARTTLS = "starttls"
    NONE = "none"


def _delegated(caller: Caller, **rights: bool) -> Exists:
    from accounts.models.delegation import Delegation  # noqa: PLC0415 - it points back here

    mine = Delegation.objects.filter(account=OuterRef("pk"), user_id=caller.user.pk, **rights)
    return Exists(mine)


class EmailAccountQuerySet(TenantQuerySet["EmailAccount"]):
    def for_caller(self, caller: Caller) -> Self:
        """Whose mail the caller may read: its own accounts and those delegated to it."""
        return super().for_caller(caller).filter(Q(user_id=caller.user.pk) | _delegated(caller))

    def sendable_by(self, caller: Caller) -> Self:
        """The accounts from which the caller may send."""
        delegated = _delegated(caller, may_send=True)
        return super().for_caller(caller).filter(Q(user_id=caller.user.pk) | delegated)

    def owned_by(self, caller: Caller) -> Self:
        """The accounts that the caller may change."""
        return super().for_caller(caller).filter(user_id=caller.user.pk)

    def in_tenant_of(self, caller: Caller) -> Self:
        """All of the tenant: for admins, who see that an account works, never its mail."""
        return super().for_caller(caller)

    def visible_to(self, caller: Caller) -> Self:
        """The accounts of which the caller may know; for admins those are all of the tenant.

        Each has `access`: owner, send, read, or admin for one whose mail stays closed.
        """
        is_admin = caller.is_admin and caller.may("admin", write=False)
        rows = self.in_tenant_of(caller) if is_admin else self.for_caller(caller)
        access = Case(
            When(user_id=caller.user.pk, then=Value("owner")),
            When(_delegated(caller, may_send=True), then=Value("send")),
            When(_delegated(caller), then=Value("read")),
            default=Value("admin"),
        )
        return rows.annotate(access=access)

    def get_for_change(self, caller: Caller, pk: uuid.UUID | str) -> EmailAccount:
        """The caller's own account.

        Raises NotFound where the caller may not know of it, NotAllowed where it may but
        does not own it.
        """
        try:
            account = self.visible_to(caller).filter(pk=pk).first()
        except ValidationError:
            account = None
        if account is None:
            raise NotFound("There is no such account.")
        if account.user_id != caller.user.pk:
            raise NotAllowed("Only its owner may change an account.", code="not_owner")
        return account

    def due_for_sync(self) -> Self:
        """Enabled accounts whose owner's tenant is active and that want to be synced."""
        return self.filter(is_enabled=True, is_sync_enabled=True, tenant__is_active=True)


class EmailAccount(TenantOwned):
    """`sync_interval` is in seconds. `disabled_reason` says why a disabled one is so.

    `delete_from_server_after_days` is for POP3: so long after it was first seen a message that
    is kept here is deleted there; null is never.

    `smtp_username` empty means the same login as for reading. With a `ses_region` it sends by
    Amazon SES there, with the keys of `aws_credential`. With a `bounce_address`, `bounce@domain`,
    a campaign's envelopes are from `bounce+TOKEN@domain`: this mailbox receives what comes back.
    `is_syncing` and `last_sync_at` are written by whoever syncs.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="email_accounts")
    account_name = models.CharField(max_length=200, validators=[single_line])
    email_address = models.EmailField(max_length=320)
    protocol = models.CharField(
        max_length=4, choices=AccountProtocol.choices, default=AccountProtocol.IMAP
    )
    hostname = models.CharField(max_length=253, validators=[valid_hostname])
    port = models.PositiveIntegerField(validators=_PORT)
    encryption = models.CharField(
        max_length=8, choices=AccountEncryption.choices, default=AccountEncryption.TLS
    )
    username = models.CharField(max_length=320, validators=[single_line])
    credential = models.ForeignKey(
        Credential, on_delete=models.RESTRICT, related_name="email_accounts"
    )
    smtp_hostname = models.CharField(max_length=253, blank=True, validators=[valid_hostname])
    smtp_port = models.PositiveIntegerField(null=True, blank=True, validators=_PORT)
    smtp_encryption = models.CharField(max_length=8, choices=AccountEncryption.choices, blank=True)
    smtp_username = models.CharField(max_length=320, blank=True, validators=[single_line])
    ses_region = models.CharField(max_length=30, blank=True, validators=[valid_region])
    ses_configuration_set = models.CharField(
        max_length=64, blank=True, validators=[valid_configuration_set]
    )
    aws_credential = models.ForeignKey(
        Credential, on_delete=models.RESTRICT, null=True, blank=True, related_name="ses_accounts"
    )
    bounce_address = models.EmailField(max_length=254, blank=True)
    is_sync_enabled = models.BooleanField(default=True)
    sync_interval = models.PositiveIntegerField(
        default=300, validators=[MinValueValidator(30), MaxValueValidator(7 * 86_400)]
    )
    delete_from_server_after_days = models.PositiveSmallIntegerField(
        null=True, blank=True, validators=[MaxValueValidator(3650)]
    )
    last_sync_at = models.DateTimeField(null=True, blank=True, editable=False)
    is_syncing = models.BooleanField(default=False, editable=False)
    is_enabled = models.BooleanField(default=True)
    disabled_reason = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = EmailAccountQuerySet.as_manager()

    class Meta:
        db_table = "email_accounts"
        indexes = [models.Index(fields=["tenant", "user"], name="email_account_owner")]

    def __str__(self) -> str:
        return self.email_address

    def clean(self) -> None:
        """ValidationError where a credential is another user's, or SES has no keys."""
        if self.ses_region and self.aws_credential_id is None:
            raise ValidationError({"aws_credential": "To send by SES it needs AWS keys."})
        for name in ("credential", "aws_credential"):
            credential = Credential.objects.filter(pk=getattr(self, f"{name}_id")).first()
            if credential is not None and (credential.tenant_id, credential.user_id) != (
                self.tenant_id,
                self.user_id,
            ):
                raise ValidationError({name: "This credential belongs to another user."})

    def new_credential(
        self, kind: CredentialKind, secret: dict[str, Any], *, provider: str = ""
    ) -> Credential:
        """One that comes with this account; neither of them is saved."""
        credential = Credential(
            tenant=self.tenant,
            user=self.user,
            kind=kind,
            username=self.username,
            provider=provider,
            goes_with_account=True,
        )
        credential.keep_secret(secret)
        return credential

    def replace_secret(
        self, kind: CredentialKind, secret: dict[str, Any], *, provider: str = ""
    ) -> None:
        """Reseal the account's own credential; one that was chosen by id is left as it is, and
        another takes its place. The credential is saved, the account by the caller."""
        fresh = self.new_credential(kind, secret, provider=provider)
        own = self.credential
        if own.goes_with_account and not own.email_accounts.exclude(pk=self.pk).exists():
            own.kind, own.username, own.provider = kind, self.username, provider
            own.keep_secret(secret)
            fresh = own
        fresh.save()
        self.credential = fresh

    def enable(self) -> None:
        """Switch it on, whatever it was switched off for; the caller saves."""
        self.is_enabled, self.disabled_reason = True, ""

    def disconnect(self) -> None:
        """Delete the account, all mail beneath it, and the secret that was given with it."""
        with transaction.atomic():
            credential = self.credential
            self.delete()
            credential.drop_if_unused()
