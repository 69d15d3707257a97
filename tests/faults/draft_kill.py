"""Drafts that are written while every process is killed, again and again.

Clients save drafts, each version after the other, and say again what was not answered. At
random moments all processes of the site get SIGKILL at once and are started again. At the
end the mail server's own Drafts folder holds each draft once, in its last version.

    make faults ARGS="--only drafts --drafts 40 --kills 20 [--postgresql]"
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import sys
import threading
import time
import urllib.request
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mailhub.mail.parsing import parse_headers
from mailhub.mail.server import Encryption
from mailhub.mail.stores.imap import ImapStore
from tests.faults.campaign_kill import prepare_sites

if TYPE_CHECKING:
    from tests.servers.dovecot import DovecotUser
    from tests.servers.site import RunningSite

VERSIONS = 5
_SETTLES_WITHIN = 60.0


@dataclass
class DraftRound:
    """What happened, and what must be true of it."""

    drafts: int
    kills: int
    kept: Counter[str] = field(default_factory=Counter)
    there: Counter[str] = field(default_factory=Counter)

    def check(self) -> None:
        """Each draft is here and there, once and as it was saved last."""
        last = Counter(_subject(number, VERSIONS) for number in range(self.drafts))
        assert self.kept == last, f"here: {(self.kept - last) + (last - self.kept)}"
        assert self.there == last, f"on the server: {(self.there - last) + (last - self.there)}"

    def __str__(self) -> str:
        return f"{self.drafts} drafts of {VERSIONS} versions, {self.kills} kills: each once"


def run_round(
    site: RunningSite, user: DovecotUser, *, drafts: int, kills: int, dice: random.Random
) -> DraftRound:
    """Write, kill, start again, until the folder has all."""
    result = DraftRound(drafts, kills)
    site.start()
    writer = _Writer(site, site.create_api_key(), user)
    thread = threading.Thread(target=writer.write, args=(drafts,))
    thread.start()
    for kill in range(kills):
        enough = drafts * VERSIONS * (kill + dice.random()) / kills
        while writer.saved < enough and thread.is_alive():
            time.sleep(0.01)
        time.sleep(dice.random() * 1.5)
        site.kill()
        site.start()
    thread.join()
    deadline = time.monotonic() + _SETTLES_WITHIN
    while any(draft["copy"] != "kept" for draft in writer.drafts()) or not _is_settled(
        user, drafts
    ):
        assert time.monotonic() < deadline, [draft["copyError"] for draft in writer.drafts()]
        time.sleep(0.2)
    result.kept = Counter(draft["subject"] for draft in writer.drafts())
    result.there = Counter(subjects(user))
    return result


def subjects(user: DovecotUser) -> list[str]:
    """What another program finds in Drafts."""
    with ImapStore(user.settings(Encryption.NONE)) as store:
        store.select("Drafts")
        found = store.fetch(store.uids("UNDELETED"), headers_only=True)
        return [parse_headers(message.content).subject for message in found]


def _is_settled(user: DovecotUser, drafts: int) -> bool:
    """Whether nothing is left to be removed, as far as their number tells."""
    return len(subjects(user)) == drafts


def _subject(number: int, version: int) -> str:
    return f"draft {number} version {version}"


class _Writer:
    def __init__(self, site: RunningSite, key: str, user: DovecotUser) -> None:
        self._url, self._key, self.saved = site.url, key, 0
        account = {
            "accountName": "Drafts",
            "emailAddress": user.name,
            "hostname": "127.0.0.1",
            "port": user.server.port,
            "encryption": "none",
            "username": user.name,
            "password": user.password,
        }
        self._account = self._until_answered("POST", "accounts", account, "account")["id"]

    def write(self, drafts: int) -> None:
        """Every version of every draft, in turns, each until it is answered."""
        ids = []
        for number in range(drafts):
            body = {"accountId": self._account, "subject": _subject(number, 1)}
            draft = self._until_answered("POST", "compose/drafts", body, f"draft-{number}")
            ids.append(draft["id"])
            self.saved += 1
        for version in range(2, VERSIONS + 1):
            for number, draft_id in enumerate(ids):
                body = {"subject": _subject(number, version)}
                self._until_answered("PUT", f"compose/drafts/{draft_id}", body)
                self.saved += 1

    def drafts(self) -> list[dict[str, Any]]:
        """All that the API tells of."""
        listed: list[dict[str, Any]] = self._call("GET", "compose/drafts?limit=500")["drafts"]
        return listed

    def _until_answered(
        self, method: str, path: str, body: dict[str, Any], key: str = ""
    ) -> dict[str, Any]:
        while True:
            try:
                return self._call(method, path, body, key)
            except (OSError, http.client.HTTPException, json.JSONDecodeError):
                time.sleep(0.1)

    def _call(
        self, method: str, path: str, body: dict[str, Any] | None = None, key: str = ""
    ) -> dict[str, Any]:
        headers = {"Authorization": f"Token {self._key}", "Content-Type": "application/json"}
        if key:
            headers["Idempotency-Key"] = key
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"{self._url}/api/{path}", data=data, headers=headers, method=method
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return dict(json.load(answer))


SETTINGS = {"MAILHUB_REQUEST_RATE": "100000", "MAILHUB_REQUEST_BURST": "100000"}


def main() -> int:
    """Run one round; its seed is printed, for `--seed`."""
    parser = argparse.ArgumentParser(
        prog='make faults ARGS="--only drafts …"',
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("--drafts", type=int, default=40)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--postgresql", action="store_true", help="on PostgreSQL and Redis")
    options = parser.parse_args()
    print(f"seed {options.seed}: ", end="", flush=True)
    with ExitStack() as stack:
        template = prepare_sites(stack, options.postgresql)
        from tests.servers.dovecot import DovecotServer
        from tests.servers.site import RunningSite

        dovecot = DovecotServer()
        stack.callback(dovecot.stop)
        dovecot.start()
        site = RunningSite(template, only=("web", "dispatcher"), settings=SETTINGS)
        stack.callback(site.remove)
        result = run_round(
            site,
            dovecot.add_user("joe@example.org"),
            drafts=options.drafts,
            kills=options.kills,
            dice=random.Random(options.seed),
        )
        result.check()
        print(result, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
