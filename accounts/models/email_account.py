"""A mail account that a user has connected: where to read, where to send, how to log in."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Self

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models, transaction
from django.db.models import Case, Exists, OuterRef, Q, Value, When

from accounts.models.credential import Credential
from accounts.models.user import User
from accounts.scope import TenantOwned, TenantQuerySet
from accounts.validators import single_line, valid_hostname
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

    `smtp_username` empty means the same login as for reading. `is_syncing` and
    `last_sync_at` are written by whoever syncs.
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
    is_sync_enabled = models.BooleanField(default=True)
    sync_interval = models.PositiveIntegerField(
        default=300, validators=[MinValueValidator(30), MaxValueValidator(7 * 86_400)]
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
        """ValidationError where the credential is another user's."""
        credential = Credential.objects.filter(pk=self.credential_id).first()
        if credential is not None and (credential.tenant_id, credential.user_id) != (
            self.tenant_id,
            self.user_id,
        ):
            raise ValidationError({"credential": "This credential belongs to another user."})

    def disconnect(self) -> None:
        """Delete the account, all mail beneath it, and the secret that was given with it."""
        with transaction.atomic():
            credential = self.credential
            self.delete()
            credential.drop_if_unused()
