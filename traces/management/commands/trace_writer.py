"""`manage.py trace_writer`: moves finished traces from Redis into PostgreSQL. Several may run, each with its --name."""

import signal
import socket
from typing import Any

import redis
from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from traces.otel import OtelExport
from traces.writer import TraceWriter, retry_dead


class Command(BaseCommand):
    help = "Write finished traces from the Redis stream to the tenants' schemas."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="end when the stream is empty")
        parser.add_argument(
            "--name", default=socket.gethostname(), help="tells writers apart (default: the host's name)"
        )
        parser.add_argument("--retry-dead", action="store_true", help="first try again what could not be stored")

    def handle(self, *args: Any, **options: Any) -> None:
        with redis.Redis.from_url(settings.REDIS_URL, socket_timeout=5, socket_connect_timeout=2) as client:
            export = OtelExport(content=settings.RELAY_OTEL_CONTENT) if settings.RELAY_OTEL_SAMPLER else None
            writer = TraceWriter(client, options["name"], export.take if export else None)
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: writer.stop())
            if options["retry_dead"]:
                self.stderr.write(f"{retry_dead(client):,} traces to try again")
            writer.run(once=options["once"])
            if export is not None:
                export.close()
        counts = writer.counts
        self.stdout.write(f"{counts.stored:,} traces stored, {counts.known:,} known already, {counts.dead:,} set aside")
