"""Every address of the site. The API has one table under two names."""

from django.contrib import admin
from django.urls import include, path

from mailhub.health import healthz, readyz
from mailhub.metrics import metrics

urlpatterns = [
    path("api/", include("mailhub.api_urls")),
    path("v1/", include("mailhub.api_urls")),
    path("admin/", admin.site.urls),
    path("healthz", healthz),
    path("readyz", readyz),
    path("metrics", metrics),
    path("", include("mailhub.page_urls")),
]
handler400 = "mailhub.pages.bad_request"
handler404 = "mailhub.pages.not_found"
handler500 = "mailhub.pages.server_error"
