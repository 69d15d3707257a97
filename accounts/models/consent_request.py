"""A person on the way to an OAuth2 provider, to let an account of theirs be connected."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

from django.db import models
from django.utils import timezone

from accounts.models.api_key import digest_key
from accounts.models.email_account import EmailAccount
from accounts.models.user import User
from accounts.scope import TenantOwned, TenantQuerySet
from mailhub.encryption import Sealed, SealedField

if TYPE_CHECKING:
    from accounts.caller import Caller

GOOD_FOR = timedelta(minutes=10)


class ConsentRequestQuerySet(TenantQuerySet["ConsentRequest"]):
    def for_caller(self, caller: Caller) -> Self:
        """Those of the person itself."""
        return super().for_caller(caller).filter(user_id=caller.user.pk)

    def known_by(self, word: str, provider: str) -> Self:
        """The one that this state or code belongs to, where it has not run out."""
        digest = digest_key(word)
        return self.filter(digest=digest, provider=provider, expires_at__gt=timezone.now())

    def forget_expired(self) -> None:
        """Remove those that nobody can answer any more."""
        self.filter(expires_at__lte=timezone.now()).delete()


class ConsentRequest(TenantOwned):
    """`digest` is of the word that finds it: of the state while the person is at the provider
    (RFC 6749 section 10.12), then, once `is_granted`, of the code that a client of the API was
    handed. `session` is a digest of the browser's session; empty where a client of the API
    asked, which names a `return_url`. `account` is the one to be connected again.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    account = models.ForeignKey(EmailAccount, on_delete=models.CASCADE, null=True, related_name="+")
    provider = models.CharField(max_length=50)
    digest = models.CharField(max_length=64, unique=True)
    session = models.CharField(max_length=64, blank=True)
    return_url = models.TextField(blank=True)
    is_granted = models.BooleanField(default=False)
    secret = SealedField()
    expires_at = models.DateTimeField(db_index=True)

    objects = ConsentRequestQuerySet.as_manager()

    class Meta:
        db_table = "consent_requests"

    def __str__(self) -> str:
        return f"consent at {self.provider}"

    def find_by(self, word: str) -> None:
        """From now on it is this word's, for ten minutes; the caller saves."""
        self.digest = digest_key(word)
        self.expires_at = timezone.now() + GOOD_FOR

    def keep_secret(self, secret: dict[str, Any]) -> None:
        """Seal what only we and the provider know; the caller saves."""
        self.secret = Sealed.seal(secret, self.binding)

    def reveal_secret(self) -> dict[str, Any]:
        """In the clear. Raises SecretUnreadable."""
        secret: dict[str, Any] = self.secret.reveal(self.binding)
        return secret

    @property
    def binding(self) -> str:
        """The name of the row inside its own plaintext."""
        return f"{self.tenant_id}:consent_requests:{self.pk}"
