"""Celery: what no request waits for. Started by `celery -A relay_project worker --beat`."""

import os
from typing import Any

from celery import Celery, signals

from tenants.acting import Actor, acts_by_default

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "relay_project.settings")

app = Celery("relay")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@signals.worker_init.connect  # type: ignore[untyped-decorator]
def name_the_worker(**about: Any) -> None:
    acts_by_default(Actor("command", "celery"))
