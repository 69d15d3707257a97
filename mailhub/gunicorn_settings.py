"""gunicorn's settings for the web service; `manage.py serve` adds where to listen."""

from typing import Any

from mailhub.supervised import join_supervisor

join_supervisor()

wsgi_app = "mailhub.wsgi:application"
worker_class = "gthread"
threads = 8
graceful_timeout = 30
keepalive = 5
control_socket_disable = True
loglevel = "warning"


def post_worker_init(_: Any) -> None:
    """gunicorn calls this in each worker once the application is loaded."""
    from mailhub.warm_up import warm_up  # noqa: PLC0415 - it needs the loaded application

    warm_up()
