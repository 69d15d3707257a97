"""Pages of Settings › SES topics: whose word is taken on what became of mail at Amazon SES."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from accounts.caller import Caller
from accounts.models import Credential
from accounts.pages import PageRequest, page
from campaigns.feedback.topics import readers_for, register_topic
from campaigns.models import SesTopic
from mailhub.errors import Conflict, InvalidInput


class TopicForm(forms.Form):
    """As the API takes it; a queue is asked about only where there are keys to read one."""

    arn = forms.CharField(
        label="ARN of the topic",
        max_length=300,
        help_text="As AWS shows it: arn:aws:sns:REGION:ACCOUNT:NAME.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    queue_url = forms.CharField(
        label="Queue of Amazon SQS",
        max_length=500,
        required=False,
        help_text="Only where Amazon cannot reach this installation: the URL of a queue that is "
        "subscribed to the topic. Events are fetched from it.",
        widget=forms.TextInput(attrs={"inputmode": "url", "autocomplete": "off"}),
    )
    credential_id = forms.ModelChoiceField(
        Credential.objects.none(),
        label="Keys to read the queue with",
        required=False,
        empty_label="No queue",
    )

    def __init__(self, caller: Caller, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        readers = readers_for(caller).order_by("name", "created_at")
        credential = self.fields["credential_id"]
        assert isinstance(credential, forms.ModelChoiceField)
        credential.queryset = readers
        if not readers.exists():
            del self.fields["queue_url"], self.fields["credential_id"]

    def register(self, caller: Caller) -> SesTopic | None:
        """None where it was refused; the form says why."""
        given = self.cleaned_data
        try:
            return register_topic(
                caller.tenant,
                given["arn"],
                given.get("queue_url", ""),
                given.get("credential_id"),
            )
        except InvalidInput as refusal:
            for name, words in refusal.details["fields"].items():
                self.add_error(name if name in self.fields else None, words)
        except Conflict as refusal:
            self.add_error("arn", refusal.message)
        return None


@require_safe
@page(scope="admin")
def list_topics(request: PageRequest) -> HttpResponse:
    """The tenant's topics, newest first, and the address to subscribe to them."""
    topics = SesTopic.objects.for_caller(request.caller).order_by("-pk")
    context = {"topics": topics, "address": f"{settings.MAILHUB_PUBLIC_URL}/api/webhooks/ses"}
    return render(request, "campaigns/topics/list.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@page(scope="admin", writes=True)
def add(request: PageRequest) -> HttpResponse:
    """Ask for the topic."""
    form = TopicForm(request.caller, request.POST or None)
    if request.method == "POST" and form.is_valid() and form.register(request.caller):
        messages.success(request, "The topic is registered.")
        return redirect("ses-topics")
    status = 400 if form.errors else 200
    return render(request, "campaigns/topics/form.html", {"form": form}, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
@page(scope="admin", writes=True)
def remove(request: PageRequest, pk: int) -> HttpResponse:
    """Ask once, naming what is not acted on then, and take its word no more."""
    topic = get_object_or_404(SesTopic.objects.for_caller(request.caller), pk=pk)
    if request.method == "POST":
        topic.delete()
        messages.success(request, "The topic is removed.")
        return redirect("ses-topics")
    waiting = topic.notices.filter(due_at__isnull=False).count()
    context = {"topic": topic, "waiting": waiting}
    return render(request, "campaigns/topics/remove.html", context)
