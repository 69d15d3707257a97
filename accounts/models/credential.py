"""How to log in to a mail server or provider; encrypted, and never read back by a client."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Self

from django.db import models

from accounts.models.user import User
from accounts.scope import TenantOwned, TenantQuerySet
from accounts.validators import single_line
from mailhub.encryption import Sealed, SealedField

if TYPE_CHECKING:
    from accounts.caller import Caller


class CredentialKind(models.TextChoices):
    """What a credential holds, and so the shape of its secret.

    password: {"password"} · oauth2: {"access_token", "refresh_token", "client_id",
    "client_secret", "token_url", "expires_at"} (expires_at in seconds since the epoch; what is
    of the client stands in the settings where the credential names a provider) ·
    aws: {"access_key_id", "secret_access_key"}
    """

    PASSWORD = "password"  # noqa: S105 - the name of a kind
    OAUTH2 = "oauth2"
    AWS = "aws"


class CredentialQuerySet(TenantQuerySet["Credential"]):
    def for_caller(self, caller: Caller) -> Self:
        """A user's own; a teammate's are nobody else's business."""
        return super().for_caller(caller).filter(user_id=caller.user.pk)


class Credential(TenantOwned):
    """`secret` opens only as this row of this tenant. `refreshing_until`: one process
    renews its access token, and the others wait, until then at most.

    `goes_with_account`: made from a password given with an account, and deleted with it.
    `provider`: the OAuth2 provider of the settings where a person gave its permission.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="credentials")
    name = models.CharField(max_length=100, blank=True, validators=[single_line])
    kind = models.CharField(max_length=10, choices=CredentialKind.choices)
    username = models.CharField(max_length=320, blank=True, validators=[single_line])
    provider = models.CharField(max_length=50, blank=True, editable=False)
    secret = SealedField()
    goes_with_account = models.BooleanField(default=False, editable=False)
    refreshing_until = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = CredentialQuerySet.as_manager()

    class Meta:
        db_table = "credentials"

    def __str__(self) -> str:
        return f"{self.kind} of {self.username or self.name or self.pk}"

    def keep_secret(self, secret: dict[str, Any]) -> None:
        """Seal the secret for this row; the caller saves."""
        self.secret = Sealed.seal(secret, self.binding)

    def reveal_secret(self) -> dict[str, Any]:
        """The secret in the clear. Raises SecretUnreadable."""
        secret: dict[str, Any] = self.secret.reveal(self.binding)
        return secret

    def drop_if_unused(self) -> None:
        """Delete a credential that came with an account and that no account uses any more."""
        if self.goes_with_account and not self.is_used:
            self.delete()

    @property
    def is_used(self) -> bool:
        """Whether an account reads or sends with it, or a topic's queue is read with it."""
        users = (self.email_accounts, self.ses_accounts, self.ses_topics)
        return any(each.exists() for each in users)

    @property
    def binding(self) -> str:
        """The name of the row inside its own plaintext."""
        return f"{self.tenant_id}:credentials:{self.pk}"
