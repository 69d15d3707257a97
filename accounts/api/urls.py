"""The API addresses of accounts."""

from django.urls import URLPattern, URLResolver, path
from rest_framework.routers import SimpleRouter

from accounts.api.credentials import CredentialViewSet
from accounts.api.delegates import DelegateViewSet
from accounts.api.email_accounts import EmailAccountViewSet
from accounts.api.event_webhooks import EventDeliveryViewSet, EventWebhookViewSet
from accounts.api.keys import KeyViewSet
from accounts.api.users import UserViewSet

router = SimpleRouter(trailing_slash=False)
router.register("accounts", EmailAccountViewSet, basename="account")
router.register("credentials", CredentialViewSet, basename="credential")
router.register("event-webhooks", EventWebhookViewSet, basename="event-webhook")
router.register("keys", KeyViewSet, basename="key")
router.register("users", UserViewSet, basename="user")

urlpatterns: list[URLPattern | URLResolver] = [
    *router.urls,
    path(
        "event-webhooks/<str:webhook_id>/deliveries",
        EventDeliveryViewSet.as_view({"get": "list"}),
        name="event-delivery-list",
    ),
    path(
        "accounts/<str:account_id>/delegates",
        DelegateViewSet.as_view({"get": "list", "post": "create"}),
        name="delegate-list",
    ),
    path(
        "accounts/<str:account_id>/delegates/<str:user_id>",
        DelegateViewSet.as_view({"delete": "destroy"}),
        name="delegate-detail",
    ),
]
