"""The web pages: each app brings its own part."""

from django.urls import URLPattern, URLResolver, include, path

from mailhub.pages import home, running_now

urlpatterns: list[URLPattern | URLResolver] = [
    path("", home, name="home"),
    path("running", running_now, name="running-now"),
    path("", include("accounts.urls")),
    path("", include("mailboxes.urls")),
    path("", include("contacts.urls")),
    path("", include("campaigns.urls")),
]
