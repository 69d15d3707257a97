"""The page addresses of accounts."""

from django.urls import URLPattern, URLResolver, path

from accounts import event_webhook_views as webhooks
from accounts import key_views, member_views, views

urlpatterns: list[URLPattern | URLResolver] = [
    path("login", views.LogIn.as_view(), name="login"),
    path("logout", views.LogOut.as_view(), name="logout"),
    path("password", views.change_password, name="change-password"),
    path("tenant", views.choose_tenant, name="choose-tenant"),
    path("settings", views.show_settings, name="settings"),
    path("settings/members", member_views.list_members, name="members"),
    path("settings/members/add", member_views.add, name="add-member"),
    path("settings/members/<str:name>/role", member_views.change, name="change-member"),
    path("settings/members/<str:name>/remove", member_views.remove, name="remove-member"),
    path("settings/keys", key_views.list_keys, name="keys"),
    path("settings/keys/add", key_views.add, name="add-key"),
    path("settings/keys/<uuid:pk>/revoke", key_views.revoke, name="revoke-key"),
    path("settings/event-webhooks", webhooks.list_webhooks, name="event-webhooks"),
    path("settings/event-webhooks/add", webhooks.add, name="add-event-webhook"),
    path("settings/event-webhooks/<uuid:pk>", webhooks.show, name="event-webhook"),
    path(
        "settings/event-webhooks/<uuid:pk>/deliveries",
        webhooks.show_deliveries,
        name="event-webhook-deliveries",
    ),
    path("settings/event-webhooks/<uuid:pk>/change", webhooks.change, name="change-event-webhook"),
    path("settings/event-webhooks/<uuid:pk>/test", webhooks.test, name="test-event-webhook"),
    path("settings/event-webhooks/<uuid:pk>/switch", webhooks.switch, name="switch-event-webhook"),
    path("settings/event-webhooks/<uuid:pk>/secret", webhooks.rotate, name="rotate-event-webhook"),
    path("settings/event-webhooks/<uuid:pk>/delete", webhooks.delete, name="delete-event-webhook"),
]
