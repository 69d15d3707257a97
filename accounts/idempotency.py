"""Idempotency-Key: the same key and body gives the first answer again, and acts once.

Two kinds of requests need two ways. One that only writes to the database runs in one
transaction with its key and its answer: all are there or none. One that talks to a mail
server first commits the key: after a crash in between nobody knows what the server
did, so the key stays taken (409) rather than act twice.

Only answers below 400 are kept: after an error the same key may be tried again. Kept as well
are DeliveryUncertain, since to try again might act twice, and NotSent: the message is there,
and is sent again where it is.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.db import IntegrityError, transaction
from django.http import QueryDict
from django.utils import timezone
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.caller import Caller
from accounts.models import IdempotentRequest
from mailhub.api.errors import error_body, from_mail_error
from mailhub.errors import Conflict, InvalidInput, NotSent
from mailhub.mail.errors import DeliveryUncertain

KEPT_FOR = timedelta(hours=24)
LONGEST_KEY = 256
_KEY = re.compile(rf"[\x20-\x7e]{{1,{LONGEST_KEY}}}")

View = TypeVar("View")
Parameters = ParamSpec("Parameters")
Action = Callable[Concatenate[View, Request, Parameters], Response]


def idempotent(
    *,
    talks_to_servers: bool | Callable[[Request], bool] = False,
    secret_fields: Iterable[str] = (),
) -> Callable[[Action[View, Parameters]], Action[View, Parameters]]:
    """Make a view's action obey the Idempotency-Key header.

    `talks_to_servers` may depend on the request. `secret_fields` are left out of the stored
    answer.
    """

    def decorate(action: Action[View, Parameters]) -> Action[View, Parameters]:
        @functools.wraps(action)
        def obey(
            self: View, request: Request, *args: Parameters.args, **kwargs: Parameters.kwargs
        ) -> Response:
            key = request.headers.get("Idempotency-Key")
            if key is None:
                return action(self, request, *args, **kwargs)
            if _KEY.fullmatch(key) is None:
                raise InvalidInput(
                    f"An Idempotency-Key has 1 to {LONGEST_KEY} printable ASCII characters."
                )
            attempt = _Attempt(request, key, frozenset(secret_fields))
            in_steps = talks_to_servers(request) if callable(talks_to_servers) else talks_to_servers
            run = attempt.run_in_steps if in_steps else attempt.run_at_once
            return run(lambda: action(self, request, *args, **kwargs))

        obey.obeys_idempotency_key = True  # type: ignore[attr-defined]  # for the API's document
        return cast("Action[View, Parameters]", obey)

    return decorate


class _Attempt:
    def __init__(self, request: Request, key: str, secret_fields: frozenset[str]) -> None:
        caller = request.auth
        assert isinstance(caller, Caller)
        self.caller, self.key, self.secret_fields = caller, key, secret_fields
        self.digest = _digest(request)

    def run_at_once(self, act: Callable[[], Response]) -> Response:
        with transaction.atomic():
            row, is_first = self._claim()
            if not is_first:
                return self._replay(row)
            response = act()
            self._keep(row, response)
            return response

    def run_in_steps(self, act: Callable[[], Response]) -> Response:
        row, is_first = self._claim()
        if not is_first:
            return self._replay(row)
        try:
            response = act()
        except (DeliveryUncertain, NotSent) as error:
            answer = error if isinstance(error, NotSent) else from_mail_error(error)
            row.status = answer.status
            row.answer = error_body(answer.code, answer.message, answer.details)
            row.save(update_fields=["status", "answer"])
            raise
        except Exception:
            row.delete()
            raise
        self._keep(row, response)
        return response

    def _claim(self) -> tuple[IdempotentRequest, bool]:
        mine = IdempotentRequest.objects.filter(
            tenant=self.caller.tenant, user=self.caller.user, key=self.key
        )
        mine.filter(created_at__lt=timezone.now() - KEPT_FOR).delete()
        while True:
            try:
                with transaction.atomic():
                    row = IdempotentRequest.objects.create(
                        tenant=self.caller.tenant,
                        user=self.caller.user,
                        key=self.key,
                        digest=self.digest,
                    )
            except IntegrityError:
                # The first one may have failed, and left, since.
                taken = mine.first()
                if taken is not None:
                    return taken, False
            else:
                return row, True

    def _replay(self, row: IdempotentRequest) -> Response:
        if row.digest != self.digest:
            raise Conflict(
                "This Idempotency-Key was used for another request.", code="idempotency_mismatch"
            )
        if row.status == 0:
            raise Conflict(
                "The first request with this Idempotency-Key is still running.",
                code="idempotency_in_progress",
                retry_after=2,
            )
        return Response(row.answer, status=row.status, headers={"Idempotent-Replayed": "true"})

    def _keep(self, row: IdempotentRequest, response: Response) -> None:
        if response.status_code >= 400:
            row.delete()
            return
        answer = json.loads(JSONRenderer().render(response.data) or b"null")
        if isinstance(answer, dict):
            answer = {
                name: value for name, value in answer.items() if name not in self.secret_fields
            }
        row.status, row.answer = response.status_code, answer
        row.save(update_fields=["status", "answer"])


def _digest(request: Request) -> str:
    """A digest of method, address and body; keyed, because a body may hold a password."""
    digest = hmac.new(settings.SECRET_KEY.encode(), digestmod=hashlib.sha256)
    data: Any = request.data
    fields = dict(data.lists()) if isinstance(data, QueryDict) else data
    if request.FILES:
        fields = {name: values for name, values in fields.items() if name not in request.FILES}
    query = sorted(request.query_params.lists())
    described = [request.method, request.path, query, fields]
    digest.update(json.dumps(described, sort_keys=True, default=str).encode())
    for name, files in sorted(request.FILES.lists()):
        for file in files:
            _add_file(digest, name, file)
    return digest.hexdigest()


def _add_file(digest: hmac.HMAC, field: str, file: UploadedFile[bytes]) -> None:
    digest.update(json.dumps([field, file.name, file.size]).encode())
    for chunk in file.chunks():
        digest.update(chunk)
    file.seek(0)


def forget_old_requests() -> int:
    """Delete the answers that are older than a day; how many there were."""
    deleted, _ = IdempotentRequest.objects.filter(created_at__lt=timezone.now() - KEPT_FOR).delete()
    return deleted
