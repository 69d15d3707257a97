"""The settings of the libraries that the API is made with: the same in every installation."""

from __future__ import annotations

from typing import Any

REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "accounts.authentication.ApiKeyAuthentication",
        "accounts.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["accounts.permissions.CallerMayAct"],
    "DEFAULT_THROTTLE_CLASSES": ["accounts.rate_limit.CallerThrottle"],
    "DEFAULT_PAGINATION_CLASS": "mailhub.api.pagination.KeysetPagination",
    "DEFAULT_PARSER_CLASSES": ["mailhub.api.parsing.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": [
        "rest_framework.renderers.JSONRenderer",
        "rest_framework.renderers.BrowsableAPIRenderer",
    ],
    "DEFAULT_SCHEMA_CLASS": "mailhub.api.schema.ApiSchema",
    "EXCEPTION_HANDLER": "mailhub.api.errors.answer_error",
    "DATETIME_FORMAT": "%Y-%m-%dT%H:%M:%S.%fZ",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
    "URL_FORMAT_OVERRIDE": None,
}
SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "mailhub",
    "DESCRIPTION": "An email API over any IMAP, POP3 and SMTP account, and a bulk sender.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "SCHEMA_PATH_PREFIX": r"/api",
    "PREPROCESSING_HOOKS": ["mailhub.api.schema.describe_each_endpoint_once"],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {
        "EncryptionEnum": "accounts.models.AccountEncryption",
        "CampaignStatusEnum": "campaigns.models.CampaignStatus",
        "ContactStatusEnum": "contacts.models.ContactStatus",
        "ImportStatusEnum": "contacts.models.ImportStatus",
        "MemberStateEnum": "contacts.models.MemberState",
        "ChosenStateEnum": ["subscribed", "unsubscribed"],
        "OperationStatusEnum": ["success"],
        "EventDeliveryStateEnum": "accounts.models.EventDeliveryState",
        "OutboxStatusEnum": "mailboxes.models.OutboxState",
        "QueuedStatusEnum": ["queued", "scheduled"],
    },
}
