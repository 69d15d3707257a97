"""Pages about the person: log in, log out, change the password, choose the tenant."""

from __future__ import annotations

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.forms import PasswordChangeForm
from django.contrib.auth.views import LoginView, LogoutView
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.caller import caller_from_session
from accounts.pages import SESSION_TENANT, PageRequest, page


class LogIn(LoginView):
    """Name and password; after too many wrong ones axes answers in the view's place."""

    template_name = "accounts/login.html"
    redirect_authenticated_user = True


class LogOut(LogoutView):
    """Ends the session; POST alone, so that no foreign page can log a person out."""


@require_http_methods(["GET", "HEAD", "POST"])
@page(scope=None)
def change_password(request: PageRequest) -> HttpResponse:
    """Ask for the old password and twice for the new one; other sessions end."""
    form = PasswordChangeForm(request.caller.user, request.POST or None)
    if request.method == "POST" and form.is_valid():
        update_session_auth_hash(request, form.save())
        messages.success(request, "Your password is changed.")
        return redirect(settings.LOGIN_REDIRECT_URL)
    status = 400 if form.errors else 200
    return render(request, "accounts/password.html", {"form": form}, status=status)


@require_POST
@page(scope=None)
def choose_tenant(request: PageRequest) -> HttpResponse:
    """Go on in another of the person's tenants, named by its slug."""
    chosen = caller_from_session(request.caller.user, request.POST.get("tenant", ""))
    if chosen is not None:
        request.session[SESSION_TENANT] = chosen.tenant.slug
    return redirect(settings.LOGIN_REDIRECT_URL)


@require_safe
@page(scope="admin")
def show_settings(_request: PageRequest) -> HttpResponse:
    """Where the settings begin."""
    return redirect("members")
