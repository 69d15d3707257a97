"""What a caller brings along is forgotten: no module that could keep it, and no trace of it."""

from __future__ import annotations

import base64
import io
import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django_q.models import OrmQ
from pytest_django.fixtures import Settings

from mailhub.logs import formatter
from mailhub.mail.transports.in_memory import Disturbance, Step
from tests.mailboxes.operations.calls import (
    MAIL,
    PASSWORD,
    USER,
    by_token,
    call,
    of_dovecot,
    of_receiver,
    trust,
)
from tests.people import People
from tests.servers.dovecot import DovecotServer, DovecotUser
from tests.servers.oauth2 import TokenServer
from tests.servers.site import ROOT
from tests.servers.smtp import SmtpReceiver

_IMPORT_ALONE = """
import importlib, json, os, pkgutil, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "mailhub.settings"
import mailboxes.operations
for found in pkgutil.walk_packages(mailboxes.operations.__path__, "mailboxes.operations."):
    importlib.import_module(found.name)
print(json.dumps(sorted(sys.modules)))
"""


def test_the_operations_work_without_any_model() -> None:
    """They are imported where Django was never set up, and bring neither models nor queue."""
    ran = subprocess.run(
        [sys.executable, "-c", _IMPORT_ALONE], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = json.loads(ran.stdout)
    assert "mailboxes.operations.sending" in loaded
    kept_out = ("django.db.models", "django_q", "django.core.cache", "mailhub.logs", "accounts")
    assert not [
        name
        for name in loaded
        if name.startswith(kept_out) or name.endswith(".models") or ".models." in name
    ]


class Traces:
    """Everything that is written down meanwhile, at the most talkative level."""

    def __init__(self) -> None:
        self.lines = io.StringIO()
        self.answers: list[str] = []

    def find(self, *secrets: str, in_answers: bool = True) -> list[str]:
        """Where any of the secrets stands, plain or in base64."""
        places = {
            "log": self.lines.getvalue(),
            "tables": _all_rows(),
            "answers": "\n".join(self.answers) if in_answers else "",
        }
        words = {word for secret in secrets for word in _writings(secret)}
        return [place for place, text in places.items() if any(word in text for word in words)]


def _writings(secret: str) -> Iterator[str]:
    yield secret
    yield json.dumps(secret)[1:-1]
    for text in (secret, f"\0{USER}\0{secret}"):
        yield base64.b64encode(text.encode()).decode()


def _all_rows() -> str:
    found = []
    with connection.cursor() as cursor:
        tables = set(connection.introspection.table_names(cursor))
        if connection.vendor == "sqlite":
            # A search index without content cannot be read as rows; its own tables can.
            cursor.execute("SELECT name FROM sqlite_master WHERE sql LIKE 'CREATE VIRTUAL%'")
            tables -= {name for (name,) in cursor.fetchall()}
        for table in sorted(tables):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            found += [repr(row) for row in cursor.fetchall()]
    return "\n".join(found)


@pytest.fixture
def traces() -> Iterator[Traces]:
    traces = Traces()
    handler = logging.StreamHandler(traces.lines)
    handler.setFormatter(formatter("text"))
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield traces
    root.setLevel(level)
    root.removeHandler(handler)


@pytest.fixture
def ask(people: People, traces: Traces) -> Callable[..., int]:
    """A call with an Idempotency-Key of its own; its status."""

    def ask(operation: str, body: dict[str, Any]) -> int:
        key = f"key-{len(traces.answers)}"
        response = call(people.member.api, operation, body, idempotency_key=key)
        traces.answers.append(response.content.decode())
        status: int = response.status_code
        return status

    return ask


def test_the_search_for_traces_finds_them(people: People, traces: Traces) -> None:
    logging.getLogger("anything").debug("the word is %s", "zebra-1")
    people.tenant.name = "zebra-2"
    people.tenant.save()
    traces.answers.append(base64.b64encode(b"zebra-3").decode())
    assert traces.find("zebra-1") == ["log"]
    assert traces.find("zebra-2") == ["tables"]
    assert traces.find("zebra-3") == ["answers"]


def test_a_password_leaves_no_trace_when_sending(
    ask: Callable[..., int], traces: Traces, start_smtp_receiver: Callable[..., SmtpReceiver],
    settings: Settings,
) -> None:  # fmt: skip
    settings.MAILHUB_MAIL_TIMEOUT = 0.2
    receiver = start_smtp_receiver(users={USER: PASSWORD})
    body = {"smtpCredentials": of_receiver(receiver), "mailOptions": MAIL}
    assert ask("send-email", body) == 200
    for step in Step:
        if step is not Step.STARTTLS:
            receiver.script.answer(step, f"554 5.7.1 {PASSWORD}", times=1)
            assert ask("send-email", body) in (422, 502)
    for step in (Step.LOGIN, Step.CONTENT):
        for disturbance in (Disturbance.DROP, Disturbance.HANG):
            receiver.script.answer(step, disturbance, times=1)
            if step is Step.LOGIN or disturbance is Disturbance.DROP:
                assert ask("send-email", body) in (502, 504)
        receiver.script.clear()
    for changes in ({"port": 1}, {"host": "10.0.0.1"}, {"secure": True}, {"nonsense": 1}):
        assert (
            ask("send-email", {**body, "smtpCredentials": of_receiver(receiver, **changes)}) >= 400
        )
    assert ask("send-email", {**body, "mailOptions": {"to": "nobody"}}) == 400
    assert traces.find(PASSWORD) == []
    assert OrmQ.objects.count() == 0


def test_a_password_leaves_no_trace_in_a_mailbox(
    ask: Callable[..., int], traces: Traces, dovecot_user: DovecotUser, settings: Settings
) -> None:
    settings.MAILHUB_CA_FILE = dovecot_user.server.ca_file
    password = "geheimnis-9d1f"
    user = dovecot_user.server.add_user(dovecot_user.name, password)
    credentials = of_dovecot(user)
    bodies: dict[str, dict[str, Any]] = {
        "retrieve-emails": {},
        "save-to-draft": {"mailOptions": MAIL},
        "move-to-trash": {"uid": 1},
        "empty-trash": {"all": True},
    }
    user.deliver(b"Subject: one\r\n\r\nHi\r\n")
    for operation, body in bodies.items():
        assert ask(operation, {**body, "smtpCredentials": credentials}) == 200
    broken = (
        {"port": 1},
        {"host": "10.0.0.1"},
        {"port": user.server.port, "secure": True},
        {"auth": {"user": user.name + "x", "pass": password}},
        {"auth": {"user": user.name, "pass": password, "clientSecret": password}},
    )
    for changes in broken:
        for operation, body in bodies.items():
            assert ask(operation, {**body, "smtpCredentials": credentials | changes}) >= 400
    assert ask("retrieve-emails", {"smtpCredentials": credentials, "path": "Nowhere"}) == 422
    assert traces.find(password) == []
    assert OrmQ.objects.count() == 0


@pytest.fixture
def user(
    oauth2_dovecot: DovecotServer, token_server: TokenServer, tmp_path: Path, settings: Settings
) -> DovecotUser:
    """Who logs in by tokens."""
    settings.MAILHUB_CA_FILE = trust(tmp_path, oauth2_dovecot, token_server)
    return oauth2_dovecot.add_user("traceless@example.org", "unused")


def test_tokens_leave_no_trace_but_in_the_answer_to_their_owner(
    ask: Callable[..., int], traces: Traces, user: DovecotUser, token_server: TokenServer
) -> None:
    given = [token_server.grant(user.name)]
    for _ in range(2):
        token_server.expire(given[-1])
        credentials = of_dovecot(user, auth=by_token(given[-1], token_server))
        body = {"smtpCredentials": credentials, "mailOptions": MAIL}
        assert ask("save-to-draft", body) == 200
        given.append(token_server.newest[user.name])
    token_server.expire(given[-1])
    missing = {
        "smtpCredentials": of_dovecot(user, auth=by_token(given[-1], token_server)),
        "uid": 9,
    }
    assert ask("move-to-trash", missing) == 404
    given.append(token_server.newest[user.name])
    token_server.expire(given[-1])
    token_server.refused_users.add(user.name)
    auth = by_token(given[-1], token_server)
    refused = {"smtpCredentials": of_dovecot(user, auth=auth)}
    assert ask("retrieve-emails", refused) == 422
    tokens = [token for grant in given for token in (grant.access_token, grant.refresh_token)]
    assert traces.find(*tokens, in_answers=False) == []
    assert traces.find(auth["clientSecret"], given[0].access_token, given[0].refresh_token) == []
    handed_back = [
        grant for grant in given[1:] if any(grant.access_token in a for a in traces.answers)
    ]
    assert handed_back == given[1:]
