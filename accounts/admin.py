"""The admin's pages of accounts. None shows a secret."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest

from accounts import admin_events, admin_ses  # noqa: F401 - they register their pages
from accounts.admin_forms import ApiKeyForm, CredentialForm
from accounts.models import (
    ApiKey,
    Credential,
    Delegation,
    EmailAccount,
    IdempotentRequest,
    Membership,
    Tenant,
    User,
)
from accounts.tenant_deletion import delete_tenant, is_large
from accounts.verification import Verification, verify_account
from mailhub.generic_bases import ModelAdmin, TabularInline
from mailhub.generic_bases import UserAdmin as DjangoUserAdmin

_MOST_VERIFIED = 20

# Rights come from memberships; Django's groups would promise what nothing asks for.
admin.site.unregister(Group)


class MembershipInline(TabularInline):
    model = Membership
    extra = 0
    autocomplete_fields = ("user", "tenant")


@admin.register(Tenant)
class TenantAdmin(ModelAdmin):
    list_display = ("slug", "name", "is_active", "created_at")
    list_filter = ("is_active",)
    search_fields = ("slug", "name")
    date_hierarchy = "created_at"
    inlines = (MembershipInline,)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """A superuser may delete all that it has, which has no page from which it is deleted.

        What is too much for a page is left to a command.
        """
        large = [tenant for tenant in objs if is_large(tenant)]
        if large:
            words = "too large to be deleted here; on the server: manage.py delete_tenant"
            return [], {}, set(), [f"{tenant.slug} is {words} {tenant.slug}" for tenant in large]
        rows, counts, missing, protected = super().get_deleted_objects(objs, request)
        return rows, counts, set() if request.user.is_superuser else missing, protected

    def delete_model(self, request: HttpRequest, obj: Tenant) -> None:
        delete_tenant(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Tenant]) -> None:
        for tenant in queryset:
            delete_tenant(tenant)


@admin.register(User)
class UserAdmin(DjangoUserAdmin):
    list_display = ("username", "email", "is_active", "is_staff", "last_login")
    list_filter = ("is_active", "is_staff", "is_superuser")
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        ("Person", {"fields": ("first_name", "last_name", "email")}),
        ("Admin", {"fields": ("is_active", "is_staff", "is_superuser", "user_permissions")}),
        ("Dates", {"fields": ("last_login", "date_joined")}),
    )
    filter_horizontal = ("user_permissions",)
    inlines = (MembershipInline,)


@admin.register(Membership)
class MembershipAdmin(ModelAdmin):
    list_display = ("name", "tenant", "role", "user", "created_at")
    list_filter = ("role", "tenant")
    list_select_related = ("tenant", "user")
    search_fields = ("name", "user__username", "user__email", "tenant__slug")
    autocomplete_fields = ("tenant", "user")


@admin.register(ApiKey)
class ApiKeyAdmin(ModelAdmin):
    """A key is issued by adding one; its text stands in the message that follows, once."""

    form = ApiKeyForm
    list_display = (
        "__str__",
        "name",
        "tenant",
        "user",
        "rights",
        "is_service",
        "expires_at",
        "last_used_at",
    )
    list_filter = ("is_service", "tenant")
    list_select_related = ("tenant", "user")
    search_fields = ("prefix", "name", "user__username", "tenant__slug")
    date_hierarchy = "created_at"
    autocomplete_fields = ("tenant", "user")

    def get_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> tuple[str, ...]:
        if obj is None:
            return ("tenant", "user", "name", "scopes", "is_service", "expires_at")
        return ("name", "expires_at", *self.get_readonly_fields(request, obj))

    def get_readonly_fields(
        self, request: HttpRequest, obj: ApiKey | None = None
    ) -> tuple[str, ...]:
        if obj is None:
            return ()
        return ("prefix", "tenant", "user", "rights", "is_service", "last_used_at", "created_at")

    def save_model(
        self, request: HttpRequest, obj: ApiKey, form: ModelForm[ApiKey], change: bool
    ) -> None:
        text = "" if change else obj.make_text()
        super().save_model(request, obj, form, change)
        if text:
            messages.warning(request, f"The new key, shown this once: {text}")

    @admin.display(description="scopes")
    def rights(self, key: ApiKey) -> str:
        """The scopes in one line."""
        return ", ".join(key.scopes) or "those of the role"


@admin.register(Credential)
class CredentialAdmin(ModelAdmin):
    form = CredentialForm
    list_display = ("__str__", "kind", "provider", "tenant", "user", "created_at", "updated_at")
    list_filter = ("kind", "provider", "tenant")
    list_select_related = ("tenant", "user")
    search_fields = ("name", "username", "user__username", "tenant__slug")
    date_hierarchy = "created_at"
    autocomplete_fields = ("tenant", "user")

    def get_fields(self, request: HttpRequest, obj: Credential | None = None) -> tuple[str, ...]:
        return ("tenant", "user", "name", "username", "new_password", *self._shown(obj))

    def get_readonly_fields(
        self, request: HttpRequest, obj: Credential | None = None
    ) -> tuple[str, ...]:
        # The secret is sealed for this tenant's row; it would not open as another's.
        return ("tenant", "user", *self._shown(obj)) if obj else ()

    @staticmethod
    def _shown(obj: Credential | None) -> tuple[str, ...]:
        return ("kind", "provider", "goes_with_account", "created_at", "updated_at") if obj else ()


class DelegationInline(TabularInline):
    model = Delegation
    extra = 0
    autocomplete_fields = ("user",)


@admin.register(EmailAccount)
class EmailAccountAdmin(ModelAdmin):
    list_display = (
        "email_address",
        "user",
        "server",
        "is_enabled",
        "is_syncing",
        "last_sync_at",
    )
    list_filter = ("is_enabled", "is_sync_enabled", "protocol", "encryption", "tenant")
    list_select_related = ("tenant", "user")
    search_fields = ("email_address", "account_name", "hostname", "user__username", "tenant__slug")
    date_hierarchy = "created_at"
    autocomplete_fields = ("tenant", "user", "credential", "aws_credential")
    readonly_fields = ("is_syncing", "last_sync_at", "created_at", "updated_at")
    inlines = (DelegationInline,)
    actions = ("verify_login",)

    @admin.display(description="server", ordering="hostname")
    def server(self, account: EmailAccount) -> str:
        """Where mail is read, and how."""
        return f"{account.hostname} ({account.get_protocol_display()})"

    def get_readonly_fields(
        self, request: HttpRequest, obj: EmailAccount | None = None
    ) -> tuple[str, ...]:
        return (*(("tenant", "user") if obj else ()), *self.readonly_fields)

    def delete_model(self, request: HttpRequest, obj: EmailAccount) -> None:
        obj.disconnect()

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[EmailAccount]) -> None:
        for account in queryset.select_related("credential"):
            account.disconnect()

    @admin.action(description="Verify login", permissions=["change"])
    def verify_login(self, request: HttpRequest, accounts: QuerySet[EmailAccount]) -> None:
        """Log in to the servers of the chosen accounts, and say what works."""
        chosen = list(accounts.select_related("credential")[: _MOST_VERIFIED + 1])
        for account in chosen[:_MOST_VERIFIED]:
            found = verify_account(account)
            messages.add_message(
                request,
                messages.SUCCESS if found.works else messages.ERROR,
                f"{account.email_address}: {_in_words(found)}",
            )
        if len(chosen) > _MOST_VERIFIED:
            messages.warning(request, f"Only the first {_MOST_VERIFIED} were tried.")


@admin.register(Delegation)
class DelegationAdmin(ModelAdmin):
    list_display = ("account", "user", "may_send", "created_at")
    list_filter = ("may_send", "account__tenant")
    list_select_related = ("account", "user")
    search_fields = ("account__email_address", "user__username")
    autocomplete_fields = ("account", "user")


@admin.register(IdempotentRequest)
class IdempotentRequestAdmin(ModelAdmin):
    """To look at, not to change; the answers stay hidden."""

    list_display = ("key", "tenant", "user", "status", "created_at")
    list_filter = ("status", "tenant")
    list_select_related = ("tenant", "user")
    search_fields = ("key", "user__username")
    date_hierarchy = "created_at"
    fields = ("key", "tenant", "user", "status", "created_at")
    show_full_result_count = False

    def has_add_permission(self, _request: HttpRequest) -> bool:
        return False

    def has_change_permission(
        self, _request: HttpRequest, _obj: IdempotentRequest | None = None
    ) -> bool:
        return False


def _in_words(found: Verification) -> str:
    checks = [check for check in (found.incoming, found.outgoing) if check is not None]
    return " · ".join(
        f"{check.protocol.upper()} {'works' if check.works else check.message}" for check in checks
    )
