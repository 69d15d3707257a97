"""The web pages: each app brings its own part."""

from django.urls import URLPattern, URLResolver, include, path

from mailhub.pages import home

urlpatterns: list[URLPattern | URLResolver] = [
    path("", home, name="home"),
    path("", include("accounts.urls")),
    path("", include("mailboxes.urls")),
    path("", include("contacts.urls")),
    path("", include("campaigns.urls")),
]
