"""Every error leaves in one shape: `{"status", "error", "message", "details"}`."""

from __future__ import annotations

import math
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from rest_framework import exceptions
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response
from rest_framework.views import set_rollback

from mailhub import errors
from mailhub.logs import get_logger
from mailhub.mail import errors as mail

log = get_logger(__name__)

_MAIL_STATUS: dict[type[mail.MailError], int] = {
    mail.HostNotAllowed: 400,
    mail.InvalidMessage: 400,
    mail.LoginFailed: 422,
    mail.ConsentRevoked: 422,
    mail.ClientRefused: 422,
    mail.FolderMissing: 422,
    mail.MessageMissing: 404,
    mail.RecipientRefused: 422,
    mail.MessageRefused: 422,
    mail.CommandRefused: 422,
    mail.LoginDeferred: 503,
    mail.ServerTimeout: 504,
    mail.RateExceeded: 503,
    mail.QuotaExceeded: 503,
    mail.SendingPaused: 503,
    mail.AccountClosed: 422,
}


def error_body(code: str, message: str, details: dict[str, Any] | None = None) -> dict[str, Any]:
    """The one shape."""
    return {"status": "error", "error": code, "message": message, "details": details or {}}


def from_mail_error(error: mail.MailError) -> errors.MailhubError:
    """What an API client hears of a mail error.

    422 only where the server refused it for good; 502 where another try may help.
    """
    status = _MAIL_STATUS.get(type(error), 502)
    if status == 422 and not error.permanent:
        status = 502
    details: dict[str, Any] = {}
    if error.reply is not None:
        details["reply"] = str(error.reply)
    answer = errors.MailhubError(error.message, code=error.code, details=details)
    answer.status = status
    if status == 503:
        seconds = math.ceil(error.retry_after) if isinstance(error, mail.SendingHeld) else 30
        answer.retry_after = answer.details["retry_after"] = seconds
    return answer


def _field_messages(detail: Any) -> Any:
    if isinstance(detail, dict):
        return {name: _field_messages(value) for name, value in detail.items()}
    if isinstance(detail, list):
        return [_field_messages(item) for item in detail]
    return str(detail)


def _first_message(fields: Any, path: str = "") -> str:
    if isinstance(fields, dict):
        for name, value in fields.items():
            outer = "" if name == "non_field_errors" else name
            found = _first_message(value, f"{path}.{outer}".strip("."))
            if found:
                return found
    if isinstance(fields, list):
        for item in fields:
            found = _first_message(item, path)
            if found:
                return found
    if isinstance(fields, str):
        return f"{path}: {fields}" if path else fields
    return ""


def _from_validation(error: exceptions.ValidationError) -> errors.MailhubError:
    fields = _field_messages(error.detail)
    if isinstance(fields, list):
        fields = {"non_field_errors": fields}
    return errors.InvalidInput(
        _first_message(fields) or "The input is not valid.", details={"fields": fields}
    )


def _from_framework(error: exceptions.APIException) -> errors.MailhubError:
    if isinstance(error, exceptions.ValidationError):
        return _from_validation(error)
    if isinstance(error, exceptions.Throttled):
        wait = max(1, math.ceil(getattr(error, "wait", None) or 1))
        return errors.TooManyRequests(
            "Too many requests with this key; try again later.", retry_after=wait
        )
    answer = errors.MailhubError(str(error.detail))
    answer.status = error.status_code
    answer.code = {
        400: "invalid",
        401: "not_authenticated",
        403: "not_allowed",
        404: "not_found",
        405: "method_not_allowed",
        406: "not_acceptable",
        413: "too_large",
        415: "unsupported_media_type",
    }.get(error.status_code, "error")
    return answer


def as_mailhub_error(error: Exception) -> errors.MailhubError | None:
    """The client's view of any expected error; None for a defect."""
    match error:
        case errors.MailhubError():
            return error
        case mail.MailError():
            return from_mail_error(error)
        case Http404():
            return errors.NotFound("There is nothing here.")
        case PermissionDenied():
            return errors.NotAllowed("You may not do this.")
        case exceptions.APIException():
            return _from_framework(error)
        case OperationalError():
            log.error("database not available", error=str(error))
            return errors.Busy("The database is busy; try again.", retry_after=5)
        case _:
            return None


def answer_error(error: Exception, context: dict[str, Any]) -> Response | None:
    """The exception handler of the API (REST_FRAMEWORK's EXCEPTION_HANDLER)."""
    known = as_mailhub_error(error)
    if known is None:
        return None
    set_rollback()
    response = Response(error_body(known.code, known.message, known.details), status=known.status)
    if known.retry_after is not None:
        response["Retry-After"] = str(known.retry_after)
    if known.status == 401:
        response["WWW-Authenticate"] = "Token"
    return response


def json_error(code: str, message: str, status: int) -> HttpResponse:
    """The one shape, outside of the API's views, written as they write it."""
    body: bytes = JSONRenderer().render(error_body(code, message))
    return HttpResponse(body, status=status, content_type=JSONRenderer.media_type)


def refuse(request: HttpRequest, error: errors.MailhubError) -> HttpResponse:
    """The answer to a request that reaches no view: the one shape, or a page for a visitor."""
    if wants_json(request):
        return json_error(error.code, error.message, error.status)
    return render(request, "error.html", {"error": error}, status=error.status)


def wants_json(request: HttpRequest) -> bool:
    """Whether the address belongs to the API."""
    return request.path_info.startswith(("/api/", "/v1/"))
