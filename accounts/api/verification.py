"""What a verification says, in JSON."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from accounts.verification import Check, Verification
from mailhub.api.naming import CamelCaseMixin


class CheckSerializer(CamelCaseMixin, serializers.Serializer[Check]):
    """One server: whether a login works there, else the error that any call would answer."""

    protocol = serializers.CharField()
    hostname = serializers.CharField()
    port = serializers.IntegerField()
    works = serializers.BooleanField()
    error = serializers.CharField(allow_null=True)
    message = serializers.CharField()
    details = serializers.DictField(child=serializers.CharField())


class VerificationSerializer(CamelCaseMixin, serializers.Serializer[Verification]):
    """`outgoing` is null for an account without an outgoing server."""

    works = serializers.BooleanField()
    incoming: Any = CheckSerializer()
    outgoing: Any = CheckSerializer(allow_null=True)
