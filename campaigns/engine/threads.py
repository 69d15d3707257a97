"""A sender in a thread of its own, for a way of sending that blocks."""

from __future__ import annotations

from threading import Thread

from django.db import connection

from campaigns.engine.sender import Idle, Sender
from mailhub.mail.transports.base import Need
from mailhub.mail.transports.connected import wait_for


class SenderThread(Thread):
    """Takes a sender's steps, waiting where it waits."""

    def __init__(self, sender: Sender) -> None:
        super().__init__(name="campaign-sender", daemon=True)
        self._sender = sender

    def run(self) -> None:
        sender = self._sender
        steps = sender.steps()
        trouble: Exception | None = None
        try:
            while True:
                step = next(steps) if trouble is None else steps.throw(trouble)
                trouble = None
                if isinstance(step, Idle):
                    sender.board.await_work(sender.lane)
                elif isinstance(step, Need):
                    trouble = open_transport(sender)
                else:
                    wait_for(step)
        except StopIteration:
            return
        finally:
            sender.transport.close()
            connection.close()  # an allowance that is shared lies in the database


def open_transport(sender: Sender) -> Exception | None:
    """Open the sender's connection, where it is not; what went wrong."""
    try:
        sender.transport.open()
    except Exception as error:
        return error
    return None
