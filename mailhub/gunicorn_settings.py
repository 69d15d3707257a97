"""gunicorn's settings for the web service; `manage.py serve` adds where to listen."""

from mailhub.supervised import join_supervisor

join_supervisor()

wsgi_app = "mailhub.wsgi:application"
worker_class = "gthread"
threads = 8
graceful_timeout = 30
keepalive = 5
control_socket_disable = True
loglevel = "warning"
