"""A small client of mailhub's own API, as a customer would write one."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import requests

_PATIENCE = 120.0
_BETWEEN_LOOKS = 0.2


class DemoFailed(Exception):
    """A step did not come true; the text says which and why."""


class Client:
    """Calls one installation with one API key."""

    def __init__(self, address: str, key: str) -> None:
        self.address = address
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["Authorization"] = f"Token {key}"

    def get(self, path: str, **query: Any) -> Any:
        """The answer's JSON; DemoFailed with the error's sentence otherwise."""
        return self._read(self._ask("GET", path, params=query))

    def get_bytes(self, path: str) -> bytes:
        """The answer's octets."""
        response = self._ask("GET", path)
        if not response.ok:
            self._read(response)
        return response.content

    def post(self, path: str, body: Any = None, **query: Any) -> Any:
        """POST JSON."""
        return self._read(self._ask("POST", path, json=body, params=query))

    def patch(self, path: str, body: Any) -> Any:
        """PATCH JSON."""
        return self._read(self._ask("PATCH", path, json=body))

    def upload(self, path: str, name: str, content: bytes) -> Any:
        """POST a file as multipart form data."""
        return self._read(self._ask("POST", path, files={"file": (name, content)}))

    def watch(self, path: str, look: Callable[[Any], bool], **query: Any) -> Any:
        """Ask again and again until `look` says that it is over; DemoFailed after 2 minutes."""
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            answer = self.get(path, **query)
            if look(answer):
                return answer
            time.sleep(_BETWEEN_LOOKS)
        raise DemoFailed(f"{path} did not come to an end within {_PATIENCE:.0f} seconds.")

    def _ask(self, method: str, path: str, **more: Any) -> requests.Response:
        """Send a request; where the server says that it was one too many, wait as it says."""
        while True:
            address = f"{self.address}/api/{path}"
            response = self._session.request(method, address, timeout=60, **more)
            if response.status_code != requests.codes.too_many_requests:
                return response
            time.sleep(float(response.headers["Retry-After"]))

    def _read(self, response: requests.Response) -> Any:
        try:
            answer = response.json()
        except ValueError as error:
            raise DemoFailed(
                f"{response.request.method} {response.url} answered {response.status_code}, "
                "and no JSON."
            ) from error
        if not response.ok:
            raise DemoFailed(
                f"{response.request.method} {response.url} answered {response.status_code}: "
                f"{answer.get('message', answer)}"
            )
        return answer
