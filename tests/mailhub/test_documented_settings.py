"""The table of settings in docs/operations.md and what is read from the environment."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_setting_is_documented_and_every_documented_one_is_read() -> None:
    source = (ROOT / "mailhub/settings.py").read_text()
    read = set(re.findall(r'env\.\w+\(\s*"([A-Z0-9_]+)"', source))
    table = (ROOT / "docs/operations.md").read_text().partition("\n## Settings\n")[2]
    rows = [line for line in table.splitlines() if line.startswith("| `")]
    documented = [
        name for row in rows for cell in row.split(" | ")[:2] for name in _names(cell) if name
    ]
    assert len(read) > 50
    assert read - set(documented) == set()
    named_first = [name for row in rows for name in _names(row.split(" | ")[0])]
    assert set(named_first) - read == set()
    assert len(named_first) == len(set(named_first))


def _names(cell: str) -> list[str]:
    return re.findall(r"`([A-Z0-9_]+)`", cell)
