"""Folders as they stand beside a list: those with a use first, then a tree by name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from mailboxes.models import Folder, FolderRole

_ROLES = [*FolderRole.values]
_NAMES: dict[str, str] = {**dict(FolderRole.choices), FolderRole.ALL: "All mail"}
_DEEPEST = 4


@dataclass(frozen=True, slots=True)
class FolderLine:
    """`depth` counts from 0, and goes no further than a list can be indented."""

    folder: Folder
    name: str
    depth: int

    @property
    def icon(self) -> str:
        """The name of its picture."""
        return self.folder.role or "folder"


def folder_tree(folders: Iterable[Folder]) -> list[FolderLine]:
    """In the order in which they are shown. A folder with a use stands at the outermost level."""
    known = {folder.path: folder for folder in folders}
    beneath: dict[str, list[tuple[str, Folder]]] = defaultdict(list)
    for folder in known.values():
        parent, name = _parent(folder, known)
        beneath[parent].append((name, folder))
    lines: list[FolderLine] = []
    waiting = _in_order(beneath[""], 0)
    while waiting:
        line = waiting.pop()
        lines.append(line)
        waiting += _in_order(beneath[line.folder.path], line.depth + 1)
    return lines


def folder_name(folder: Folder) -> str:
    """What a folder is called on its own: its use, else the last part of its path."""
    if folder.role:
        return _NAMES[folder.role]
    return folder.path.rpartition(folder.delimiter)[2] if folder.delimiter else folder.path


def _parent(folder: Folder, known: dict[str, Folder]) -> tuple[str, str]:
    """The path of the nearest folder above that there is, and the name below it."""
    if folder.role:
        return "", _NAMES[folder.role]
    above = folder.path
    while folder.delimiter and folder.delimiter in above:
        above = above.rpartition(folder.delimiter)[0]
        if above in known:
            return above, folder.path[len(above) + len(folder.delimiter) :]
    return "", folder.path


def _in_order(found: list[tuple[str, Folder]], depth: int) -> list[FolderLine]:
    """The last first, as they are taken from the end."""

    def order(entry: tuple[str, Folder]) -> tuple[int, str]:
        name, folder = entry
        return (_ROLES.index(folder.role) if folder.role else len(_ROLES), name.casefold())

    return [
        FolderLine(folder, name, min(depth, _DEEPEST))
        for name, folder in sorted(found, key=order, reverse=True)
    ]
