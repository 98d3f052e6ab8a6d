"""A Redis database of its own, where the trace writer of other tests does not read."""

from urllib.parse import urlsplit

from django.conf import settings


def redis_url(number: int) -> str:
    return urlsplit(settings.REDIS_URL)._replace(path=f"/{number}").geturl()
