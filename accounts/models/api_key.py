"""API keys: a lookup prefix that is stored, and a secret of which only a keyed digest is.

A key reads `mh_<prefix>_<secret>`. The prefix finds the row, the digest of the whole is
compared in constant time. The digest is keyed with SECRET_KEY, so that a stolen table
alone cannot be tested against guesses.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import re
import secrets
import uuid
from datetime import datetime, timedelta

from django.conf import settings
from django.db import OperationalError, models
from django.utils import timezone
from django.utils.functional import cached_property

from accounts.models.membership import Membership
from accounts.models.user import User
from accounts.scope import TenantOwned, TenantQuerySet
from accounts.validators import single_line
from mailhub.prepared_query import Parameter, PreparedQuery

PREFIX_LENGTH = 8
SECRET_LENGTH = 40
_LAST_USED_STEP = timedelta(minutes=1)
_KEY = re.compile(rf"mh_([A-Za-z0-9]{{{PREFIX_LENGTH}}})_[A-Za-z0-9]{{{SECRET_LENGTH}}}")
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


def digest_key(key: str) -> str:
    """The keyed digest (HMAC-SHA256, hex) under which a key is stored."""
    return hmac.new(settings.SECRET_KEY.encode(), key.encode(), hashlib.sha256).hexdigest()


def _random_text(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


class ApiKeyQuerySet(TenantQuerySet["ApiKey"]):
    def issue(
        self,
        membership: Membership,
        *,
        name: str = "",
        scopes: list[str] | None = None,
        is_service: bool = False,
        expires_at: datetime | None = None,
    ) -> tuple[ApiKey, str]:
        """A new key and its text, which is never to be had again."""
        row = self.model(
            tenant=membership.tenant,
            user=membership.user,
            name=name,
            scopes=scopes or [],
            is_service=is_service,
            expires_at=expires_at,
        )
        text = row.make_text()
        row.save()
        return row, text

    def find(self, text: str) -> ApiKey | None:
        """Of all keys the live one of this text; None where it is unknown, revoked or expired."""
        found = _KEY.fullmatch(text)
        if found is None:
            return None
        row = _BY_PREFIX.first(prefix=found[1])
        if row is None or not hmac.compare_digest(row.digest, digest_key(text)):
            return None
        return row if row.is_live else None


class ApiKey(TenantOwned):
    """`scopes` is a list of names as `mail:read`; empty means those of the user's role.

    A service key may act for any user of its tenant.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_keys")
    name = models.CharField(max_length=100, blank=True, validators=[single_line])
    prefix = models.CharField(max_length=PREFIX_LENGTH, unique=True, editable=False)
    digest = models.CharField(max_length=64, editable=False)
    scopes = models.JSONField(default=list, blank=True)
    is_service = models.BooleanField(default=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = ApiKeyQuerySet.as_manager()

    class Meta:
        db_table = "api_keys"

    def __str__(self) -> str:
        return f"mh_{self.prefix}_…"

    def __repr__(self) -> str:
        return f"<ApiKey {self}>"

    def make_text(self) -> str:
        """Give the row a new text and return it; the caller saves."""
        self.prefix = _random_text(PREFIX_LENGTH)
        text = f"mh_{self.prefix}_{_random_text(SECRET_LENGTH)}"
        self.digest = digest_key(text)
        return text

    def note_use(self) -> None:
        """Remember the use, at most once a minute: a write per request would be a queue.

        A database too busy to take the note does not stop the request.
        """
        now = timezone.now()
        if self.last_used_at is None or now - self.last_used_at > _LAST_USED_STEP:
            with contextlib.suppress(OperationalError):
                type(self).objects.filter(pk=self.pk).update(last_used_at=now)
            self.last_used_at = now

    @cached_property
    def membership(self) -> Membership | None:
        """Its user's place in its tenant; None where the user has left."""
        return Membership.objects.filter(tenant=self.tenant, user=self.user).first()

    @property
    def is_live(self) -> bool:
        """Not expired, of an active user and tenant."""
        expired = self.expires_at is not None and self.expires_at <= timezone.now()
        return not expired and self.user.is_active and self.tenant.is_active


def _with_whom_it_is_of() -> models.QuerySet[ApiKey]:
    """Each key with all that a request has to know of it."""
    own = models.FilteredRelation(
        "tenant__memberships", condition=models.Q(tenant__memberships__user=models.F("user"))
    )
    keys = ApiKey.objects.annotate(membership=own)  # type: ignore[no-redef]  # fills the property
    return keys.select_related("tenant", "user", "membership")  # type: ignore[misc]  # as annotated


_BY_PREFIX = PreparedQuery(
    lambda: _with_whom_it_is_of().filter(prefix=Parameter("prefix", models.CharField()))
)
