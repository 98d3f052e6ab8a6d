"""Writes of data sets, in the schema that is set. A version is stored whole or not at all, and never changes."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import orjson
from django.core.exceptions import ValidationError
from django.db import transaction

from evals.core.rows import DatasetInvalid, Row, read_rows
from evals.models import Dataset, DatasetVersion, Item
from tenants.models import SLUG

BUNDLED = Path(__file__).parent / "data"


def bundled() -> dict[str, Path]:
    """Data sets that come with Relay, by name."""
    return {path.stem: path for path in sorted(BUNDLED.glob("*.jsonl"))}


def read_file(file: BinaryIO, name: str) -> list[Row]:
    """By the ending of its name: .csv, else JSON lines. Raises DatasetInvalid."""
    return read_rows(lambda most: file.readline(most), is_csv=name.lower().endswith(".csv"))


def dataset_named(slug: str, *, created_by: str = "") -> Dataset:
    """Made if there is none yet. Raises ValidationError."""
    found = Dataset.objects.filter(slug=slug).first()
    if found is None:
        SLUG(slug)
        if len(slug) > 48:
            raise ValidationError("A name takes up to 48 characters.")
        found, _ = Dataset.objects.get_or_create(slug=slug, defaults={"name": slug, "created_by": created_by[:150]})
    return found


@transaction.atomic
def add_version(
    *, slug: str, rows: Sequence[Row], source: str, origin: str = "", created_by: str = ""
) -> tuple[DatasetVersion, bool]:
    """The version that holds these rows, and whether it is new; the newest one's content again is not."""
    if not rows:
        raise DatasetInvalid(["There is no row in it."])
    dataset = Dataset.objects.select_for_update().get(pk=dataset_named(slug, created_by=created_by).pk)
    newest, digest = dataset.versions.first(), digest_of(rows)
    if newest is not None and newest.digest == digest:
        return newest, False
    version = DatasetVersion.objects.create(
        dataset=dataset,
        number=newest.number + 1 if newest else 1,
        source=source,
        origin=origin[:200],
        digest=digest,
        size=len(rows),
        created_by=created_by[:150],
    )
    Item.objects.bulk_create((_item(version, row) for row in rows), batch_size=500)
    return version, True


def import_bundled(name: str, *, created_by: str = "") -> tuple[DatasetVersion, bool]:
    path = bundled()[name]
    with path.open("rb") as file:
        rows = read_file(file, path.name)
    source = DatasetVersion.Source.BUNDLED
    return add_version(slug=name, rows=rows, source=source, origin=path.name, created_by=created_by)


def _item(version: DatasetVersion, row: Row) -> Item:
    return Item(
        version=version,
        row=row.number,
        body=row.body,
        reference=row.reference,
        answer_schema=row.answer_schema,
        category=row.category,
        trace_id=row.trace_id,
    )


def digest_of(rows: Sequence[Row]) -> str:
    """Of what is asked and what is right; row numbers and traces are not part of it."""
    digest = hashlib.sha256()
    for row in rows:
        told = [row.body, row.reference, row.answer_schema, row.category]
        digest.update(orjson.dumps(told, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE))
    return digest.hexdigest()


def lines_of(version: DatasetVersion) -> list[bytes]:
    """As JSON lines that can be uploaded again."""
    return [orjson.dumps(_line(item), option=orjson.OPT_APPEND_NEWLINE) for item in version.items.all()]


def _line(item: Item) -> dict[str, object]:
    kept = {"reference": item.reference, "category": item.category, "schema": item.answer_schema}
    return {**item.body, **{name: value for name, value in kept.items() if value not in ("", None)}}
