#!/usr/bin/env python
"""Relay's command line. A missing server or setting is said in one line; ``--traceback`` shows the rest."""

import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.db.utils import OperationalError
from redis.exceptions import ConnectionError as RedisConnectionError

from relay_project.command_line import CommandLine, who_runs
from tenants.acting import Actor, acts_by_default


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "relay_project.settings")
    try:
        acts_by_default(Actor("command", who_runs(" ".join(sys.argv[1:2]))))
        CommandLine(sys.argv).execute()
    except (OperationalError, RedisConnectionError, ImproperlyConfigured) as error:
        if "--traceback" in sys.argv:
            raise
        sys.exit(f"{_cause(error)} Start Relay with `make dev`, or see the README's configuration. (--traceback: more)")


def _cause(error: Exception) -> str:
    if isinstance(error, OperationalError):
        return f"PostgreSQL does not answer ({str(error).splitlines()[0]})."
    if isinstance(error, RedisConnectionError):
        return f"Redis does not answer ({error})."
    return str(error)


if __name__ == "__main__":
    main()
