"""The outbox beside Django's SMTP backend: messages a second into the same smtp-sink."""

from __future__ import annotations

import os
import shutil
import subprocess

from tests.servers.processes import free_port
from tests.servers.site import RunningSite, SiteTemplate

SINK = shutil.which("smtp-sink") or shutil.which("smtp-sink", path="/usr/sbin")


def throughput(template: SiteTemplate, messages: int) -> None:
    """Messages a second, from what is queued to what the receiver has taken."""
    port = free_port()
    sink = subprocess.Popen([str(SINK), *(["-u", "nobody"] if not os.geteuid() else []),
                             f"127.0.0.1:{port}", "1000"])  # fmt: skip
    variables = {"SMTP_SERVER": "127.0.0.1", "SMTP_PORT": str(port), "SMTP_ENCRYPTION": "none"}
    site = RunningSite(template, only=("dispatcher",), settings=variables)
    try:
        site.manage("shell", "--no-imports", "-c", f"{QUEUE}\nqueue({messages})")
        site.start()
        ours = float(site.manage("shell", "--no-imports", "-c", RATE))
        peer = float(site.manage("shell", "--no-imports", "-c", f"{DJANGO}\nsend({messages})"))
        print(f"The outbox: {ours:.0f} messages a second, Django's backend {peer:.0f}, "
              f"ratio {ours / peer:.2f}")  # fmt: skip
    finally:
        site.remove()
        sink.terminate()
        sink.wait()


# Run in processes with the site's settings.
QUEUE = """
from accounts.caller import caller_from_key
from accounts.models import ApiKey, Membership, Role, Tenant
from mailboxes.operations.composing import MailOptions
from mailboxes.outbox.default_sender import send_by_default
from mailhub.mail.message import Address

def queue(count):
    tenant = Tenant.objects.create(slug="bench", name="Bench")
    membership = Membership.objects.add_user(tenant, "bench", Role.OWNER)
    caller = caller_from_key(ApiKey.objects.issue(membership)[0], None, None)
    for number in range(count):
        send_by_default(caller, MailOptions(
            sender=Address("", "shop@example.org"), to=[Address("", f"p{number}@example.com")],
            subject=f"Order {number}", text="Thanks for your order.\\n" * 40,
            html="<p>Thanks for your order.</p>" * 40))
"""
RATE = """
import time
from django.db.models import Count, Max, Min
from mailboxes.models import OutboxMessage, SendAttempt
while OutboxMessage.objects.exclude(state="sent").exists():
    time.sleep(0.5)
found = SendAttempt.objects.aggregate(n=Count("pk"), first=Min("ended_at"), last=Max("ended_at"))
print((found["n"] - 1) / (found["last"] - found["first"]).total_seconds())
"""
DJANGO = """
import time
from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.core.mail.backends.smtp import EmailBackend

def send(count):
    made = []
    for number in range(count):
        message = EmailMultiAlternatives(
            f"Order {number}", "Thanks for your order.\\n" * 40, "shop@example.org",
            [f"p{number}@example.com"])
        message.attach_alternative("<p>Thanks for your order.</p>" * 40, "text/html")
        made.append(message)
    backend = EmailBackend(host=settings.SMTP_SERVER, port=settings.SMTP_PORT, use_tls=False)
    began = time.perf_counter()
    assert backend.send_messages(made) == count
    print(count / (time.perf_counter() - began))
"""
