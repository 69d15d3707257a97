"""A person or a program that can be named as caller; logs in to the pages by username."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser


class User(AbstractUser):
    """`username` is unique on the installation; a tenant knows a user by its membership's name."""

    class Meta:
        db_table = "users"
