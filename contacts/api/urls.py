"""The API addresses of contacts."""

from django.urls import URLPattern, URLResolver, path
from rest_framework.parsers import MultiPartParser
from rest_framework.routers import SimpleRouter

from contacts.api.contacts import ContactViewSet
from contacts.api.imports import ImportErrorViewSet, ImportViewSet
from contacts.api.lists import ListViewSet, MemberViewSet
from contacts.api.segments import SegmentViewSet
from contacts.api.suppressions import SuppressionViewSet

router = SimpleRouter(trailing_slash=False)
router.register("contacts/imports", ImportViewSet, basename="contact-imports")
router.register("contacts", ContactViewSet, basename="contacts")
router.register("lists", ListViewSet, basename="lists")
router.register("segments", SegmentViewSet, basename="segments")
router.register("suppressions", SuppressionViewSet, basename="suppressions")

urlpatterns: list[URLPattern | URLResolver] = [
    path(
        "contacts/import",
        ImportViewSet.as_view({"post": "start"}, parser_classes=[MultiPartParser]),
        name="contact-import-start",
    ),
    path("contacts/export", ContactViewSet.as_view({"get": "export"}), name="contact-export"),
    path(
        "contacts/<path:email>/export",
        ContactViewSet.as_view({"get": "export_one"}),
        name="contact-export-one",
    ),
    path(
        "contacts/<path:email>/history",
        ContactViewSet.as_view({"get": "history"}),
        name="contact-history",
    ),
    path(
        "contacts/imports/<int:pk>/cancel",
        ImportViewSet.as_view({"post": "cancel"}),
        name="contact-import-cancel",
    ),
    path(
        "contacts/imports/<int:pk>/errors",
        ImportErrorViewSet.as_view({"get": "list"}),
        name="contact-import-errors",
    ),
    path(
        "contacts/imports/<int:pk>/errors.csv",
        ImportErrorViewSet.as_view({"get": "download"}),
        name="contact-import-errors-csv",
    ),
    path(
        "lists/<int:list_id>/members",
        MemberViewSet.as_view({"get": "list", "post": "create"}),
        name="list-members",
    ),
    path(
        "lists/<int:list_id>/members/<path:email>",
        MemberViewSet.as_view({"get": "retrieve", "patch": "partial_update", "delete": "destroy"}),
        name="list-member",
    ),
    path("segments/preview", SegmentViewSet.as_view({"post": "preview"}), name="segment-preview"),
    *router.urls,
]
