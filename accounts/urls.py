"""The page addresses of accounts."""

from django.urls import URLPattern, URLResolver, path

from accounts import views

urlpatterns: list[URLPattern | URLResolver] = [
    path("login", views.LogIn.as_view(), name="login"),
    path("logout", views.LogOut.as_view(), name="logout"),
    path("password", views.change_password, name="change-password"),
    path("tenant", views.choose_tenant, name="choose-tenant"),
]
