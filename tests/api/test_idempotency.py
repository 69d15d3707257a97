"""Idempotency-Key: once is once, also for requests that come at the same moment."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.utils import timezone
from rest_framework.parsers import JSONParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory, force_authenticate

from accounts.api.viewsets import CallerViewSet
from accounts.idempotency import forget_old_requests, idempotent
from accounts.models import Credential, IdempotentRequest
from mailhub.errors import Busy
from mailhub.mail.errors import DeliveryUncertain
from tests.people import People, Person, client_with

URL = "/api/credentials"


def post(person: Person, key: str, body: Any, url: str = URL) -> Any:
    return person.api.post(url, body, HTTP_IDEMPOTENCY_KEY=key)


def test_same_key_and_body_gives_the_first_answer_and_acts_once(people: People) -> None:
    first = post(people.member, "one", {"password": "x", "name": "a"})
    again = post(people.member, "one", {"name": "a", "password": "x"})
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert "Idempotent-Replayed" not in first
    assert again["Idempotent-Replayed"] == "true"
    assert Credential.objects.count() == 1


@pytest.mark.parametrize(
    ("body", "url"),
    [
        ({"password": "y"}, URL),
        ({"password": "x", "name": "b"}, URL),
        ({"password": "x"}, f"{URL}?upsert=true"),
        ({"password": "x"}, "/api/keys"),
    ],
)
def test_key_belongs_to_one_request(people: People, body: dict[str, str], url: str) -> None:
    assert post(people.admin, "one", {"password": "x"}).status_code == 201
    response = post(people.admin, "one", body, url)
    assert (response.status_code, response.json()["error"]) == (409, "idempotency_mismatch")
    assert Credential.objects.count() == 1


def test_key_belongs_to_one_caller(people: People) -> None:
    for person in (people.member, people.teammate, people.stranger, people.namesake):
        assert post(person, "one", {"password": "x"}).status_code == 201
    acting = people.service_acting_for(people.member)
    assert acting.post(URL, {"password": "y"}, HTTP_IDEMPOTENCY_KEY="one").status_code == 409


def test_slash_at_the_end_is_the_same_request(people: People) -> None:
    first = post(people.member, "one", {"password": "x"})
    assert post(people.member, "one", {"password": "x"}, f"{URL}/").json() == first.json()


def test_error_leaves_the_key_free(people: People) -> None:
    assert post(people.member, "one", {}).status_code == 400
    assert post(people.member, "one", {"password": "x"}).status_code == 201


@pytest.mark.parametrize("key", ["", "x" * 257, "a\nb", "schlüssel", "\x00"])
def test_key_that_is_none(people: People, key: str) -> None:
    assert post(people.member, key, {"password": "x"}).status_code == 400
    assert not Credential.objects.exists()


def test_password_is_in_no_stored_row(people: People) -> None:
    post(people.member, "one", {"password": "tr0ub4dor&3"})
    row = IdempotentRequest.objects.get()
    assert "tr0ub4dor" not in f"{row.answer}{row.digest}"


def test_first_request_that_still_runs(people: People) -> None:
    answer = post(people.member, "one", {"password": "x"})
    IdempotentRequest.objects.update(status=0, answer=None)
    response = post(people.member, "one", {"password": "x"})
    assert (response.status_code, response.json()["error"]) == (409, "idempotency_in_progress")
    assert response["Retry-After"] == "2"
    assert answer.status_code == 201


def test_after_a_day_the_key_is_free_and_forgotten(people: People) -> None:
    post(people.member, "one", {"password": "x"})
    post(people.teammate, "two", {"password": "x"})
    long_ago = timezone.now() - timedelta(hours=25)
    IdempotentRequest.objects.update(created_at=long_ago)
    assert post(people.member, "one", {"password": "another"}).status_code == 201
    assert forget_old_requests() == 1
    assert IdempotentRequest.objects.get().key == "one"


class SendingViewSet(CallerViewSet):
    """Actions that end as the test says."""

    scope = "mail"
    parser_classes = [JSONParser, MultiPartParser]
    act: Callable[[], Response] = staticmethod(lambda: Response({"sent": True}, status=202))

    @idempotent(talks_to_servers=True)
    def create(self, request: Request) -> Response:
        return self.act()


def send(
    person: Person, body: Any, act: Callable[[], Response] | None = None, **options: Any
) -> Any:
    request = APIRequestFactory().post(
        "/api/send", body, HTTP_IDEMPOTENCY_KEY="one", **{"format": "json", **options}
    )
    force_authenticate(request, person.user, person.caller)  # type: ignore[arg-type]  # request.auth
    actions = {"act": staticmethod(act)} if act else {}
    view: Any = type("View", (SendingViewSet,), actions)
    return view.as_view({"post": "create"})(request)


def test_send_whose_outcome_is_unknown_is_never_done_again(people: People) -> None:
    def lose() -> Response:
        raise DeliveryUncertain("The connection was lost after the message had left.")

    first = send(people.member, {"a": 1}, lose)
    again = send(people.member, {"a": 1})
    assert (first.status_code, again.status_code) == (502, 502)
    assert again.data == first.data
    assert again["Idempotent-Replayed"] == "true"


def test_send_that_was_refused_may_be_tried_again(people: People) -> None:
    def refuse() -> Response:
        raise Busy("Later.", retry_after=1)

    assert send(people.member, {"a": 1}, refuse).status_code == 503
    assert send(people.member, {"a": 1}).data == {"sent": True}


def test_send_after_whose_start_the_process_died_stays_taken(people: People) -> None:
    def die() -> Response:
        raise SystemExit

    with pytest.raises(SystemExit):
        send(people.member, {"a": 1}, die)
    assert send(people.member, {"a": 1}).data["error"] == "idempotency_in_progress"


def test_files_and_repeated_fields_are_part_of_the_request(people: People) -> None:
    def upload(content: bytes, lists: list[str]) -> Any:
        file = SimpleUploadedFile("people.csv", content)
        return send(people.member, {"file": file, "list_ids": lists}, format="multipart")

    assert upload(b"a,b", ["1", "2"]).status_code == 202
    assert upload(b"a,b", ["1", "2"])["Idempotent-Replayed"] == "true"
    assert upload(b"a,c", ["1", "2"]).data["error"] == "idempotency_mismatch"
    assert upload(b"a,b", ["3", "2"]).data["error"] == "idempotency_mismatch"


@pytest.mark.django_db(transaction=True)
def test_many_at_once_act_once(transactional_db: None) -> None:
    people = People()
    key = people.member.key
    answers: list[Any] = []
    start = threading.Barrier(6)

    def call() -> None:
        client = client_with(key)
        start.wait()
        try:
            answers.append(client.post(URL, {"password": "x"}, HTTP_IDEMPOTENCY_KEY="one"))
        finally:
            connection.close()

    threads = [threading.Thread(target=call) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.status_code for answer in answers] == [201] * 6
    assert [answer.json() for answer in answers] == [answers[0].json()] * 6
    assert sum("Idempotent-Replayed" in answer for answer in answers) == 5
    assert Credential.objects.count() == 1
