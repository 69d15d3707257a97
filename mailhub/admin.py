"""The admin shows nothing that never runs or is never written."""

from __future__ import annotations

from axes.admin import AccessFailureLog
from django.conf import settings
from django.contrib import admin
from django_q.admin import Schedule

# Importing both modules registers their pages, before the site comes to look for them.
if not settings.Q_CLUSTER["scheduler"]:
    admin.site.unregister(Schedule)
if not settings.AXES_ENABLE_ACCESS_FAILURE_LOG:
    admin.site.unregister(AccessFailureLog)
