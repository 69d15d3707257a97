"""Pages about templates: all of them, and one as it is written, with its preview beside it."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.pages import PageRequest, page
from campaigns.files import read_attachments, uploaded
from campaigns.keeping_templates import add_files, change_template, make_template
from campaigns.models import Template
from campaigns.models.template import LONGEST_TEMPLATE_NAME
from campaigns.preview_pages import show_html, show_problem, show_text
from campaigns.previewing import find_person, preview_texts
from campaigns.variables import say_refusal, variables_of
from mailhub.api.pagination import page_after, write_cursor
from mailhub.errors import InvalidInput, MailhubError
from mailhub.mail.errors import MailError
from mailhub.numbers import whole_number

TEMPLATES_A_PAGE = 50
_FIELDS = ("name", "subject", "html", "text")


@require_safe
@page(scope="campaigns")
def show_templates(request: PageRequest) -> HttpResponse:
    """The tenant's templates, newest first."""
    templates = Template.objects.for_caller(request.caller).defer("html", "text")
    cursor = request.GET.get("cursor")
    rows = page_after(templates, "-pk", cursor, TEMPLATES_A_PAGE + 1)
    older = ""
    if len(rows) > TEMPLATES_A_PAGE:
        rows = rows[:TEMPLATES_A_PAGE]
        older = f"cursor={write_cursor('-pk', rows[-1].pk, rows[-1].pk)}"
    context = {"rows": rows, "older": older, "is_first_page": not cursor}
    return render(request, "campaigns/templates/all.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@page(scope="campaigns", writes=True)
def add_template(request: PageRequest) -> HttpResponse:
    """A new template."""
    return _edit(request, None)


@require_http_methods(["GET", "HEAD", "POST"])
@page(scope="campaigns", writes=True)
def edit_template(request: PageRequest, template_id: int) -> HttpResponse:
    """Change a template; what does not compile is not kept, and what was typed stays."""
    templates = Template.objects.for_caller(request.caller)
    return _edit(request, get_object_or_404(templates, pk=template_id))


@require_POST
@page(scope="campaigns")
def preview_template(request: PageRequest) -> HttpResponse:
    """What is typed, as a contact would read it: a page for the frame beside the form."""
    given = _typed(request)
    try:
        person = find_person(request.caller, request.POST.get("contact", "").strip())
        texts = {name: given[name] for name in _FIELDS[1:]}
        preview = preview_texts(**texts, person=person)
    except MailhubError as refusal:
        return show_problem(say_refusal(refusal))
    if request.POST.get("view") == "text" or not preview.html.strip():
        return show_text(preview.text)
    key = whole_number(request.POST.get("template", "")) or 0
    templates = Template.objects.for_caller(request.caller)
    template = templates.filter(pk=key).first()
    files = read_attachments(template.attachments.select_related("file")) if template else []
    return show_html(preview.html, files)


@require_http_methods(["GET", "HEAD", "POST"])
@page(scope="campaigns", writes=True)
def delete_template(request: PageRequest, template_id: int) -> HttpResponse:
    """Asks once, then forgets it."""
    templates = Template.objects.for_caller(request.caller)
    template = get_object_or_404(templates, pk=template_id)
    if request.method != "POST":
        return render(request, "campaigns/templates/delete.html", {"template": template})
    template.delete()
    messages.success(request, f"{template.name} is deleted.")
    return redirect("templates")


def _edit(request: PageRequest, template: Template | None) -> HttpResponse:
    if request.method != "POST":
        typed = {name: getattr(template, name) if template else "" for name in _FIELDS}
        return _show(request, template, typed)
    typed = _typed(request)
    try:
        if not typed["name"]:
            raise InvalidInput.field("name", "Give the template a name.")
        if template is None:
            template = make_template(request.caller, typed)
        else:
            template = change_template(template, typed)
        verb, _, key = request.POST.get("act", "save").partition(":")
        if verb == "detach":
            template.attachments.filter(pk=whole_number(key) or 0).delete()
        files = [uploaded(each) for each in request.FILES.getlist("files")]
        if files:
            add_files(template, files)
    except (MailhubError, MailError) as refusal:
        kept = template if template is not None and template.pk else None
        return _show(request, kept, typed, problem=say_refusal(refusal))
    messages.success(request, "Saved.")
    return redirect("template", template.pk)


def _typed(request: PageRequest) -> dict[str, str]:
    given = {name: request.POST.get(name, "").replace("\r\n", "\n") for name in _FIELDS}
    return given | {
        "name": given["name"].strip()[:LONGEST_TEMPLATE_NAME],
        "subject": given["subject"].strip()[:1000],
    }


def _show(
    request: PageRequest, template: Template | None, typed: dict[str, str], problem: str = ""
) -> HttpResponse:
    context = {
        "template": template,
        "typed": typed,
        "problem": problem,
        "files": template.attachments.all() if template else (),
        "variables": variables_of(request.caller),
        "contact": request.POST.get("contact", "") or find_person(request.caller).email,
    }
    status = 400 if problem else 200
    return render(request, "campaigns/templates/form.html", context, status=status)
