"""Sets Django up on an environment of the tests' own, and offers the servers to them."""

from __future__ import annotations

import os

import django
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from tests import environment

# A busy machine is slow, which is no fault of what is tested. With CI set, hypothesis
# chooses a profile of its own that is as patient.
if "CI" not in os.environ:
    hypothesis_settings.register_profile(
        "patient", deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    hypothesis_settings.load_profile("patient")

environment.prepare()
# Not left in the environment: pytest-django of an xdist worker would load the settings
# before the worker's own environment is prepared.
os.environ["DJANGO_SETTINGS_MODULE"] = "mailhub.settings"
django.setup()
del os.environ["DJANGO_SETTINGS_MODULE"]

from django.conf import settings  # noqa: E402 - only after the set-up above

if settings.DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # A file, as in production: the default, memory shared by threads, locks whole tables.
    settings.DATABASES["default"].setdefault("TEST", {})["NAME"] = str(
        settings.MAILHUB_DATA_DIR / "test.sqlite3"
    )

pytest_plugins = [
    "tests.servers.aws",
    "tests.servers.chromium",
    # Before the modules that import it: pytest rewrites its assertions.
    "tests.servers.oauth2",
    "tests.servers.dns",
    "tests.servers.dovecot",
    # It connects accounts to Dovecot.
    "tests.people",
    "tests.servers.postgresql",
    "tests.servers.receiver",
    "tests.servers.redis",
    "tests.servers.ses",
    "tests.servers.site",
    "tests.servers.smtp",
    # It is made of those above.
    "tests.servers.mail_provider",
]
