"""Compares what is generated from the code with what is committed.

`python -m tools.check_generated` fails where a migration is missing or docs/openapi.yaml
is not what the code says; with `--write` it writes docs/openapi.yaml. It runs on a
database and keys of its own, under a temporary folder.
"""

from __future__ import annotations

import difflib
import os
import sys
import tempfile
from pathlib import Path

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "openapi.yaml"


def main(arguments: list[str]) -> int:
    """The exit code: 0 where all agrees, 1 where something has drifted."""
    with tempfile.TemporaryDirectory(prefix="mailhub-check-") as folder:
        os.environ.update(
            DJANGO_SETTINGS_MODULE="mailhub.settings",
            MAILHUB_DATA_DIR=folder,
            DATABASE_URL=f"sqlite:///{folder}/check.sqlite3",
            REDIS_URL="",
            MAILHUB_PUBLIC_URL="http://localhost:8000",
        )
        import django  # noqa: PLC0415 - reads the environment set above

        django.setup()
        generated = _generate_document(Path(folder) / "openapi.yaml")
        misses_migration = "--write" not in arguments and _misses_migration()
    if "--write" in arguments:
        if generated:
            DOCUMENT.write_text(generated)
            sys.stdout.write(f"Wrote {DOCUMENT}\n")
        return int(not generated)
    drifted = not generated or _show_drift(generated)
    return int(misses_migration or drifted)


def _misses_migration() -> bool:
    from django.core.management import call_command  # noqa: PLC0415 - after django.setup

    try:
        call_command("makemigrations", check=True, dry_run=True, verbosity=1)
    except SystemExit:
        sys.stderr.write("A model has changed without its migration: manage.py makemigrations\n")
        return True
    return False


def _generate_document(path: Path) -> str:
    """The document; "" where it has warnings or errors, which it has shown then."""
    from django.core.management import CommandError, call_command  # noqa: PLC0415 - as above

    try:
        call_command("spectacular", file=str(path), validate=True, fail_on_warn=True)
    except CommandError as error:
        sys.stderr.write(f"The API document cannot be made: {error}\n")
        return ""
    return path.read_text()


def _show_drift(generated: str) -> bool:
    committed = DOCUMENT.read_text() if DOCUMENT.exists() else ""
    if committed == generated:
        return False
    lines = difflib.unified_diff(
        committed.splitlines(), generated.splitlines(), "docs/openapi.yaml", "the code", lineterm=""
    )
    sys.stderr.write("\n".join(list(lines)[:60]) + "\n")
    sys.stderr.write("docs/openapi.yaml does not say what the code does: make openapi\n")
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
