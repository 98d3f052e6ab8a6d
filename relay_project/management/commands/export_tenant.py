"""`manage.py export_tenant SLUG --out FILE`: everything of a tenant as JSON lines."""

import asyncio
import os
import time
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from relay_project.export import export_lines, record_export
from tenants.models import Tenant


class Command(BaseCommand):
    help = "Write everything that Relay holds of a tenant as JSON lines; secrets stay out."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("tenant", help="its slug")
        parser.add_argument("--out", required=True, type=Path, help="a file that does not exist yet, or a folder")

    def handle(self, *args: Any, tenant: str, out: Path, **options: Any) -> None:
        row = Tenant.objects.filter(slug=tenant).first()
        if row is None:
            raise CommandError(f"There is no tenant {tenant!r}.")
        path = out / f"{tenant}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.jsonl" if out.is_dir() else out
        if path.exists():
            raise CommandError(f"{path} exists already.")
        record_export(row)
        part = path.with_name(f"{path.name}.part")  # a name that says whole only when it is
        try:
            size = asyncio.run(_write(row, part))
            part.replace(path)
        except OSError as error:
            raise CommandError(f"{path} cannot be written: {error.strerror}.") from error
        self.stdout.write(f"{path}: {size:,} bytes. It holds prompts and answers: keep it safe.")


async def _write(tenant: Tenant, path: Path) -> int:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:  # noqa: ASYNC230
        async for piece in export_lines(tenant):
            file.write(piece)
        return file.tell()
