#!/usr/bin/env python3
"""Django's command line for mailhub."""

import os
import sys

from mailhub.demo import keep_apart
from mailhub.supervised import join_supervisor


def main() -> None:
    join_supervisor()
    if sys.argv[1:2] == ["demo"]:
        keep_apart()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mailhub.settings")
    from django.core.management import execute_from_command_line  # noqa: PLC0415 - settings first

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
