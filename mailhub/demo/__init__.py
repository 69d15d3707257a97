"""The demonstration: mailhub doing its main job on a sandbox mail server."""

import os
from pathlib import Path

_FOLDER = Path(__file__).resolve().parents[2] / "var" / "demo"


def keep_apart() -> None:
    """Give the demonstration a data folder, a database and a queue of its own.

    Its services would otherwise go on with the campaigns and accounts of an installation
    in the same folder, or in the database that `.env` names. To be called before the
    settings are loaded; what the environment itself names is kept.
    """
    folder = Path(os.environ.setdefault("MAILHUB_DATA_DIR", str(_FOLDER)))
    if "DATABASE_URL" not in os.environ:
        os.environ["DATABASE_URL"] = f"sqlite:///{folder.resolve() / 'mailhub.sqlite3'}"
        os.environ.setdefault("REDIS_URL", "")
