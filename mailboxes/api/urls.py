"""The API addresses of mailboxes."""

from django.urls import URLPattern, URLResolver, path
from rest_framework.routers import SimpleRouter

from mailboxes.api.folders import FolderViewSet
from mailboxes.api.messages import MessageViewSet
from mailboxes.api.sync import SyncViewSet

router = SimpleRouter(trailing_slash=False)
router.register("folders", FolderViewSet, basename="folder")
router.register("messages", MessageViewSet, basename="message")

urlpatterns: list[URLPattern | URLResolver] = [
    *router.urls,
    path("sync/<str:account_id>", SyncViewSet.as_view({"post": "start"}), name="sync-start"),
    path(
        "sync/<str:account_id>/status", SyncViewSet.as_view({"get": "status"}), name="sync-status"
    ),
    path(
        "sync/<str:account_id>/cancel",
        SyncViewSet.as_view({"post": "cancel"}),
        name="sync-cancel",
    ),
]
