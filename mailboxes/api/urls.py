"""The API addresses of mailboxes."""

from django.urls import URLPattern, URLResolver, path
from rest_framework.routers import SimpleRouter

from mailboxes.api.changes import ChangesViewSet
from mailboxes.api.compose import ComposeViewSet
from mailboxes.api.drafts import DraftViewSet, ProposalViewSet
from mailboxes.api.folders import FolderViewSet
from mailboxes.api.messages import MessageViewSet
from mailboxes.api.oauth2 import OAuth2ViewSet
from mailboxes.api.operations import OperationViewSet
from mailboxes.api.outbox import DeadLetterViewSet, EmailLogViewSet, OutboxViewSet
from mailboxes.api.sync import SyncViewSet
from mailboxes.api.threads import ThreadViewSet

router = SimpleRouter(trailing_slash=False)
router.register("folders", FolderViewSet, basename="folder")
router.register("messages", MessageViewSet, basename="message")
router.register("compose/drafts", DraftViewSet, basename="draft")
router.register("outbox", OutboxViewSet, basename="outbox")
router.register("email-log", EmailLogViewSet, basename="email-log")
router.register("dead-letters", DeadLetterViewSet, basename="dead-letter")
router.register("threads", ThreadViewSet, basename="thread")

urlpatterns: list[URLPattern | URLResolver] = [
    *router.urls,
    path("changes", ChangesViewSet.as_view({"get": "read"}), name="changes"),
    path("sync/<str:account_id>", SyncViewSet.as_view({"post": "start"}), name="sync-start"),
    path(
        "sync/<str:account_id>/status", SyncViewSet.as_view({"get": "status"}), name="sync-status"
    ),
    path(
        "sync/<str:account_id>/cancel",
        SyncViewSet.as_view({"post": "cancel"}),
        name="sync-cancel",
    ),
    path(
        "oauth2/<slug:provider>/start",
        OAuth2ViewSet.as_view({"post": "start"}),
        name="oauth2-start",
    ),
    path(
        "oauth2/<slug:provider>/finish",
        OAuth2ViewSet.as_view({"post": "finish"}),
        name="oauth2-finish",
    ),
    path("compose", ComposeViewSet.as_view({"post": "create"}), name="compose"),
    path("compose/reply", ProposalViewSet.as_view({"get": "reply"}), name="compose-reply"),
    path("compose/forward", ProposalViewSet.as_view({"get": "forward"}), name="compose-forward"),
    path("send-email", OperationViewSet.as_view({"post": "send_email"}), name="send-email"),
    path(
        "retrieve-emails",
        OperationViewSet.as_view({"post": "retrieve_emails"}),
        name="retrieve-emails",
    ),
    path(
        "save-to-draft", OperationViewSet.as_view({"post": "save_to_draft"}), name="save-to-draft"
    ),
    path(
        "move-to-trash", OperationViewSet.as_view({"post": "move_to_trash"}), name="move-to-trash"
    ),
    path("empty-trash", OperationViewSet.as_view({"post": "empty_trash"}), name="empty-trash"),
]
