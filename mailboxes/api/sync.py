"""`sync`: have an account's mail fetched, see how far it is, cancel it."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.viewsets import CallerViewSet
from accounts.idempotency import idempotent
from accounts.models import EmailAccount
from mailboxes.api.accounts import readable_account
from mailboxes.api.queries import NothingQuery, RunQuery
from mailboxes.api.shapes import (
    SyncRequestSerializer,
    SyncStartedSerializer,
    SyncStatusSerializer,
)
from mailboxes.connections import refuse_unreadable
from mailboxes.models import Folder, SyncRun, SyncState
from mailboxes.sync.estimate import describe_progress, estimate_end
from mailboxes.sync.folder_store import StoredFolder
from mailboxes.sync.requesting import cancel_sync, request_sync
from mailhub.errors import Conflict, InvalidInput, NotFound


class SyncViewSet(CallerViewSet):
    """Passes over an account that the caller may read."""

    scope = "mail"

    @extend_schema(request=SyncRequestSerializer, responses={202: SyncStartedSerializer})
    @idempotent()
    def start(self, request: Request, account_id: str) -> Response:
        """A pass that begins after this call. While one runs, another follows it."""
        NothingQuery.read(request)
        account = readable_account(self.caller, account_id)
        asked = SyncRequestSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        refuse_unreadable(account)
        folders = _known_folders(account, asked.validated_data["folder_ids"])
        requested = request_sync(
            account, is_full=asked.validated_data["force_full_sync"], folders=folders
        )
        run = requested.run
        answer = {
            "sync_id": run.pk,
            "account_id": account.pk,
            "status": "started",
            "started_at": run.started_at or run.created_at,
            "estimated_completion_at": estimate_end(run),
            "progress_message": describe_progress(run),
            "queued_again": requested.queued_again,
        }
        return Response(SyncStartedSerializer(answer).data, status=202)

    @extend_schema(parameters=[RunQuery], responses=SyncStatusSerializer)
    def status(self, request: Request, account_id: str) -> Response:
        """How far a pass is; without syncId the newest."""
        return Response(SyncStatusSerializer(self._run(request, account_id)).data)

    @extend_schema(parameters=[RunQuery], request=None, responses=SyncStatusSerializer)
    def cancel(self, request: Request, account_id: str) -> Response:
        """Takes effect within two seconds. What was fetched stays; the next pass goes on.

        A pass that was to follow it (`queuedAgain`) is cancelled with it.
        """
        run = cancel_sync(self._run(request, account_id))
        if run.state in (SyncState.COMPLETED, SyncState.FAILED):
            raise Conflict(f"This sync has ended: it is {run.state}.", code="sync_ended")
        return Response(SyncStatusSerializer(run).data)

    def _run(self, request: Request, account_id: str) -> SyncRun:
        run_id = RunQuery.read(request).get("sync_id")
        account = readable_account(self.caller, account_id)
        runs = SyncRun.objects.for_caller(self.caller).filter(account=account)
        if run_id is not None:
            runs = runs.filter(pk=run_id)
        run = runs.order_by("-created_at").first()
        if run is None:
            raise NotFound("There is no such sync.")
        return run


def _known_folders(account: EmailAccount, names: list[str]) -> list[str]:
    """The names as they came. Raises InvalidInput for one that no known folder has.

    Before the first pass no folder is known, and the pass itself will say.
    """
    known = [StoredFolder.of(row) for row in Folder.objects.filter(account=account)]
    for name in names:
        if known and not any(folder.is_called(name) for folder in known):
            raise InvalidInput.field("folderIds", f"The account has no folder {name}.")
    return names
