"""`folders`: what accounts hold, and how much of it is unread."""

from __future__ import annotations

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import mixins

from accounts.api.viewsets import TenantViewSet
from mailboxes.api.accounts import readable_account
from mailboxes.api.queries import AccountQuery
from mailboxes.api.shapes import FolderSerializer
from mailboxes.models import Folder


@extend_schema_view(list=extend_schema(parameters=[AccountQuery]))
class FolderViewSet(mixins.ListModelMixin, TenantViewSet[Folder]):
    """Folders of the accounts that the caller may read, by path."""

    scope = "mail"
    queryset = Folder.objects.all()
    serializer_class = FolderSerializer
    page_key = "folders"
    page_ordering = "path"
    page_cursor_name = "nextCursor"

    def get_queryset(self) -> QuerySet[Folder]:
        rows = super().get_queryset()
        if getattr(self, "swagger_fake_view", False):
            return rows
        account_id = AccountQuery.read(self.request).get("account_id")
        if account_id is not None:
            rows = rows.filter(account=readable_account(self.caller, account_id))
        return rows
