"""All settings, from environment variables or `.env`; docs/operations.md lists them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import environ
from csp.constants import NONE, SELF

from mailhub.api import configuration
from mailhub.installation import (
    fresh_encryption_key,
    fresh_secret_key,
    keep_key,
    make_private_database,
    make_private_folder,
)

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()
environ.Env.read_env(BASE_DIR / ".env")

DEBUG = env.bool("DEBUG", False)
MAILHUB_DATA_DIR = make_private_folder(
    BASE_DIR / env.str("MAILHUB_DATA_DIR", default=str(BASE_DIR / "var"))
)

# Database

DATABASES: dict[str, dict[str, Any]] = {
    "default": env.db("DATABASE_URL", default=f"sqlite:///{MAILHUB_DATA_DIR / 'mailhub.sqlite3'}")
}
EMBEDDED = DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3"
DATABASES["default"]["CONN_MAX_AGE"] = 600
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
if EMBEDDED:
    if DATABASES["default"]["NAME"] != ":memory:":
        make_private_database(Path(DATABASES["default"]["NAME"]))
    DATABASES["default"]["OPTIONS"] = {
        "timeout": 20,
        "transaction_mode": "IMMEDIATE",
        "init_command": (
            "PRAGMA journal_mode=WAL;"
            "PRAGMA synchronous=NORMAL;"
            "PRAGMA temp_store=MEMORY;"
            "PRAGMA mmap_size=67108864;"
            "PRAGMA cache_size=-32768;"
            # A checkpoint waits for the disk: one for each 32 MB written, not for each 4.
            "PRAGMA wal_autocheckpoint=8192;"
            "PRAGMA journal_size_limit=67108864;"
        ),
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Keys

_may_create_keys = EMBEDDED or DEBUG
SECRET_KEY = env.str("SECRET_KEY", default="") or keep_key(
    MAILHUB_DATA_DIR / "secret_key",
    "SECRET_KEY",
    may_create=_may_create_keys,
    fresh=fresh_secret_key(),
)
MAILHUB_ENCRYPTION_KEYS: list[str] = env.list("MAILHUB_ENCRYPTION_KEYS", default=[]) or keep_key(
    MAILHUB_DATA_DIR / "encryption_keys",
    "MAILHUB_ENCRYPTION_KEYS",
    may_create=_may_create_keys,
    fresh=fresh_encryption_key(),
).split(",")

# The site

MAILHUB_PUBLIC_URL = env.str("MAILHUB_PUBLIC_URL", default="http://localhost:8000").rstrip("/")
ALLOWED_HOSTS: list[str] = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS: list[str] = [MAILHUB_PUBLIC_URL]
CORS_ALLOWED_ORIGINS: list[str] = env.list("CORS_ALLOWED_ORIGINS", default=[])
CORS_URLS_REGEX = r"^/(api|v1)/"
CORS_ALLOW_HEADERS = [
    "accept",
    "authorization",
    "content-type",
    "idempotency-key",
    "x-tenant-id",
    "x-user-id",
]
CORS_EXPOSE_HEADERS = ["Idempotent-Replayed", "Retry-After"]
_served_over_https = MAILHUB_PUBLIC_URL.startswith("https://")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _served_over_https
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if _served_over_https else None
SECURE_HSTS_SECONDS = 31_536_000 if _served_over_https else 0
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_HTTPONLY = True
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "img-src": [SELF, "data:"],
        "object-src": [NONE],
        "base-uri": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}

INSTALLED_APPS = [
    "mailhub",
    "accounts",
    "contacts",
    "mailboxes",
    "campaigns",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "corsheaders",
    "csp",
    "axes",
    "django_q",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "mailhub.api.requests.RequestLogMiddleware",
    "mailhub.api.requests.BodyLimitMiddleware",
    "mailhub.api.requests.NulGuardMiddleware",
    "mailhub.api.requests.TrailingSlashMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
]
ROOT_URLCONF = "mailhub.urls"
WSGI_APPLICATION = "mailhub.wsgi.application"
ASGI_APPLICATION = "mailhub.asgi.application"
APPEND_SLASH = False
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = True
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False

# Who may come in

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
PASSWORD_HASHERS = [
    env.str("MAILHUB_PASSWORD_HASHER", "django.contrib.auth.hashers.PBKDF2PasswordHasher"),
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 10},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "/login"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/login"
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = 0.25
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_LOCKOUT_TEMPLATE = "accounts/locked_out.html"
AXES_VERBOSE = False
AXES_ENABLE_ACCESS_FAILURE_LOG = False

# The API

REST_FRAMEWORK = configuration.REST_FRAMEWORK
SPECTACULAR_SETTINGS = configuration.SPECTACULAR_SETTINGS
MAILHUB_JSON_BODY_LIMIT = env.int("MAILHUB_JSON_BODY_LIMIT", 40 * 1024 * 1024)
MAILHUB_UPLOAD_LIMIT = env.int("MAILHUB_UPLOAD_LIMIT", 1024 * 1024 * 1024)
MAILHUB_MESSAGE_LIMIT = env.int("MAILHUB_MESSAGE_LIMIT", 25 * 1024 * 1024)
MAILHUB_RECIPIENT_LIMIT = env.int("MAILHUB_RECIPIENT_LIMIT", 100)
MAILHUB_REQUEST_RATE = env.int("MAILHUB_REQUEST_RATE", 50)
MAILHUB_REQUEST_BURST = env.int("MAILHUB_REQUEST_BURST", 200)
MAILHUB_REFUSED_ATTACHMENTS: list[str] = env.str(
    "MAILHUB_REFUSED_ATTACHMENTS",
    default=(
        "ade,adp,apk,app,bat,chm,cmd,com,cpl,dll,exe,hta,ins,isp,jar,js,jse,lib,lnk,mde,msc,msi,"
        "msp,mst,pif,scr,sct,shb,sys,vb,vbe,vbs,vxd,wsc,wsf,wsh"
    ),
).split(",")
DATA_UPLOAD_MAX_MEMORY_SIZE = MAILHUB_JSON_BODY_LIMIT
FILE_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024

# Who may read /metrics

MAILHUB_METRICS_KEY = env.str("MAILHUB_METRICS_KEY", default="")
MAILHUB_METRICS_NETWORKS: list[str] = env.list("MAILHUB_METRICS_NETWORKS", default=[])

# Mail servers named by users

MAILHUB_ALLOWED_NETWORKS: list[str] = env.list("MAILHUB_ALLOWED_NETWORKS", default=[])
MAILHUB_ALLOW_PLAINTEXT = env.bool("MAILHUB_ALLOW_PLAINTEXT", False)
MAILHUB_CA_FILE = env.str("MAILHUB_CA_FILE", default="") or None
MAILHUB_DNS_SERVER = env.str("MAILHUB_DNS_SERVER", default="")
MAILHUB_MAIL_TIMEOUT = env.float("MAILHUB_MAIL_TIMEOUT", 30.0)
MAILHUB_CONNECTIONS_PER_ACCOUNT = env.int("MAILHUB_CONNECTIONS_PER_ACCOUNT", 4)
MAILHUB_CONNECTIONS_PER_HOST = env.int("MAILHUB_CONNECTIONS_PER_HOST", 20)
MAILHUB_WATCHED_ACCOUNTS = env.int("MAILHUB_WATCHED_ACCOUNTS", 1000)
MAILHUB_IDLE_RENEWAL_SECONDS = env.float("MAILHUB_IDLE_RENEWAL_SECONDS", 480.0)

# OAuth2 providers: accounts/oauth2/providers.py reads <NAME>_CLIENT_ID and its like

_OAUTH2 = "MAILHUB_OAUTH2_"
MAILHUB_OAUTH2: dict[str, str] = {
    name.removeprefix(_OAUTH2): text
    for name, text in os.environ.items()
    if name.startswith(_OAUTH2)
}
MAILHUB_OAUTH2_RETURN_URLS: list[str] = env.list("MAILHUB_OAUTH2_RETURN_URLS", default=[])

# The installation's own mail server, for who names none

SMTP_SERVER = env.str("SMTP_SERVER", default="")
SMTP_PORT = env.int("SMTP_PORT", 587)
SMTP_USERNAME = env.str("SMTP_USERNAME", default="")
SMTP_PASSWORD = env.str("SMTP_PASSWORD", default="")
SMTP_ENCRYPTION = env.str("SMTP_ENCRYPTION", "tls" if SMTP_PORT == 465 else "starttls")

# Amazon's services. Keys that are not named here come from AWS's own variables, a profile, or
# the machine's role. The names are those of django-ses, which sends the site's own mail.

AWS_SES_REGION_NAME = env.str("AWS_SES_REGION_NAME", default="") or env.str(
    "AWS_REGION", default=env.str("AWS_DEFAULT_REGION", default="")
)
AWS_SES_REGION_ENDPOINT_URL = env.str("AWS_SES_REGION_ENDPOINT_URL", default="") or None
AWS_SES_ACCESS_KEY_ID = env.str("AWS_SES_ACCESS_KEY_ID", default="") or None
AWS_SES_SECRET_ACCESS_KEY = env.str("AWS_SES_SECRET_ACCESS_KEY", default="") or None
AWS_SES_SESSION_TOKEN = env.str("AWS_SES_SESSION_TOKEN", default="") or None
AWS_SES_CONFIGURATION_SET = env.str("AWS_SES_CONFIGURATION_SET", default="") or None
AWS_SES_AUTO_THROTTLE = None
USE_SES_V2 = True
MAILHUB_SES_MESSAGE_LIMIT = env.int("MAILHUB_SES_MESSAGE_LIMIT", 10 * 1024 * 1024)
MAILHUB_SNS_ORIGINS: list[str] = env.list("MAILHUB_SNS_ORIGINS", default=[])
MAILHUB_SQS_ENDPOINT_URL = env.str("MAILHUB_SQS_ENDPOINT_URL", default="").rstrip("/")
MAILHUB_DEAD_LETTER_SQS_URL = env.str("MAILHUB_DEAD_LETTER_SQS_URL", default="")

# Who sends what names no server: ses, smtp, or the id of an account

MAILHUB_DEFAULT_SENDER = env.str("MAILHUB_DEFAULT_SENDER", default="").strip()

# The site's own mail goes the same way

DEFAULT_FROM_EMAIL = SERVER_EMAIL = env.str("MAILHUB_FROM_EMAIL", default="mailhub@localhost")
EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
if MAILHUB_DEFAULT_SENDER == "ses":
    EMAIL_BACKEND = "mailhub.site_mail.SesBackend"
    INSTALLED_APPS.append("django_ses")
elif SMTP_SERVER:
    EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    EMAIL_HOST, EMAIL_PORT, EMAIL_TIMEOUT = SMTP_SERVER, SMTP_PORT, int(MAILHUB_MAIL_TIMEOUT)
    EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = SMTP_USERNAME, SMTP_PASSWORD
    EMAIL_USE_SSL, EMAIL_USE_TLS = SMTP_ENCRYPTION == "tls", SMTP_ENCRYPTION == "starttls"

# Messages a minute by one account, or of one tenant by the default sender; 0 for no limit.
MAILHUB_ACCOUNT_RATE = env.int("MAILHUB_ACCOUNT_RATE", 0)

# Campaigns

MAILHUB_CAMPAIGN_CONNECTIONS = env.int("MAILHUB_CAMPAIGN_CONNECTIONS", 4)
MAILHUB_SES_CONNECTIONS = env.int("MAILHUB_SES_CONNECTIONS", 16)
MAILHUB_SHIFT_SECONDS = env.float("MAILHUB_SHIFT_SECONDS", 45.0)
MAILHUB_LEASE_SECONDS = env.float("MAILHUB_LEASE_SECONDS", 12.0)
MAILHUB_LOST_MACHINE_SECONDS = env.float("MAILHUB_LOST_MACHINE_SECONDS", 600.0)
MAILHUB_UNDO_SEND_SECONDS = env.int("MAILHUB_UNDO_SEND_SECONDS", 10)
MAILHUB_SEND_ATTEMPTS = env.int("MAILHUB_SEND_ATTEMPTS", 10)
MAILHUB_FIRST_RETRY_SECONDS = env.float("MAILHUB_FIRST_RETRY_SECONDS", 5.0)
MAILHUB_LONGEST_RETRY_SECONDS = env.float("MAILHUB_LONGEST_RETRY_SECONDS", 3600.0)
MAILHUB_UNSUBSCRIBE_ADDRESS = env.str("MAILHUB_UNSUBSCRIBE_ADDRESS", "")
MAILHUB_UNREACHABLE_SECONDS = env.float("MAILHUB_UNREACHABLE_SECONDS", 3600.0)

# Events posted to webhooks

MAILHUB_EVENT_WEBHOOKS = env.int("MAILHUB_EVENT_WEBHOOKS", 20)
MAILHUB_EVENT_TIMEOUT = env.float("MAILHUB_EVENT_TIMEOUT", 15.0)
MAILHUB_EVENT_PATIENCE_DAYS = env.float("MAILHUB_EVENT_PATIENCE_DAYS", 3.0)
MAILHUB_EVENT_DAYS = env.float("MAILHUB_EVENT_DAYS", 14.0)

# Queue, cache

REDIS_URL = env.str("REDIS_URL", default="")
CACHES: dict[str, dict[str, Any]] = {
    "default": (
        {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS_URL}
        if REDIS_URL
        else {
            "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
            "LOCATION": str(MAILHUB_DATA_DIR / "cache"),
        }
    )
}
MAILHUB_WORKERS = env.int("MAILHUB_WORKERS", 2)
Q_CLUSTER: dict[str, Any] = {
    "name": "mailhub",
    "workers": MAILHUB_WORKERS,
    "queue_limit": MAILHUB_WORKERS,
    "bulk": 1,
    "poll": 0.1,
    "timeout": 120,
    "retry": 600,
    "recycle": 500,
    "ack_failures": True,
    "max_attempts": 1,
    "save_limit": -1,
    "catch_up": False,
    "scheduler": False,
    "label": "Background tasks",
    **({"redis": REDIS_URL} if REDIS_URL else {"orm": "default"}),
}

# Logs

LOG_LEVEL = env.str("EMAIL_SERVICE_LOG_LEVEL", "INFO").upper()
LOG_FORMAT = env.str("MAILHUB_LOG_FORMAT", "text")
LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"mailhub": {"()": "mailhub.logs.formatter", "style": LOG_FORMAT}},
    "filters": {"provoked_errors": {"()": "mailhub.logs.ProvokedErrorFilter"}},
    "handlers": {
        "stream": {
            "class": "logging.StreamHandler",
            "stream": "ext://sys.stdout",
            "formatter": "mailhub",
            "filters": ["provoked_errors"],
        }
    },
    "root": {"handlers": ["stream"], "level": LOG_LEVEL},
    "loggers": {
        "django.request": {"level": "ERROR"},
        "django-q": {"level": "WARNING", "handlers": [], "propagate": True},
        "axes": {"level": "WARNING"},
    },
}
