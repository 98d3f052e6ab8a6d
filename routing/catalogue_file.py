"""Providers, deployments and routes of the platform from a YAML file, for those who keep them beside their manifests.

    providers:    {SLUG: {FIELD: VALUE, ...}}
    deployments:  {SLUG: {provider: SLUG, FIELD: VALUE, ...}}
    routes:       {NAME: {policy: SLUG, candidates: [{deployment: SLUG, share: PERCENT}, ...], FIELD: VALUE, ...}}

The fields are those of the rows. What is named is made or changed, field by field; candidates are replaced as a whole;
what is not named stays as it is. All or nothing, and the same file again writes nothing.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from django.core.exceptions import ValidationError
from django.db import models, transaction

from routing.core.split import problem_with
from routing.models import Deployment, Policy, Provider, Route, RouteCandidate

SECTIONS = ("providers", "deployments", "routes")


class CatalogueInvalid(Exception):
    """Nothing was written. ``place`` is like ``routes.1b.policy``."""

    def __init__(self, place: str, message: str) -> None:
        super().__init__(f"{place}: {message}" if place else message)


@transaction.atomic
def apply_catalogue(text: str) -> list[str]:
    """The places that were made or changed. Raises CatalogueInvalid."""
    document = _read(text)
    changed = []
    for place, slug, fields in _entries(document, "providers"):
        changed += _save(Provider, {"slug": slug}, fields, place)
    for place, slug, fields in _entries(document, "deployments"):
        if "provider" in fields:
            fields["provider"] = _named(Provider, f"{place}.provider", slug=fields["provider"])
        changed += _save(Deployment, {"slug": slug}, fields, place)
    for place, name, fields in _entries(document, "routes"):
        candidates = fields.pop("candidates", None)
        if "policy" in fields:
            fields["policy"] = _named(Policy, f"{place}.policy", tenant=None, slug=fields["policy"])
        changed += _save(Route, {"tenant": None, "name": name}, fields, place)
        if candidates is not None:
            changed += _replace_candidates(Route.objects.get(tenant=None, name=name), candidates, f"{place}.candidates")
    return changed


def _read(text: str) -> Mapping[str, Any]:
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise CatalogueInvalid("", f"This is not YAML: {error}") from error
    if not isinstance(document, dict) or not set(document) <= set(SECTIONS):
        raise CatalogueInvalid("", f"The file must hold {', '.join(SECTIONS)} and nothing else.")
    return document


def _entries(document: Mapping[str, Any], section: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    entries = document.get(section) or {}
    if not isinstance(entries, dict):
        raise CatalogueInvalid(section, "must map names to fields.")
    for name, fields in entries.items():
        place = f"{section}.{name}"
        if not isinstance(name, str) or not isinstance(fields, dict):
            raise CatalogueInvalid(place, "must be a name (in quotes if it is a number) with its fields.")
        yield place, name, dict(fields)


def _named(model: type[models.Model], place: str, **key: Any) -> models.Model:
    row = model._default_manager.filter(**key).first() if isinstance(key["slug"], str) else None
    if row is None:
        raise CatalogueInvalid(place, f"There is no {model._meta.verbose_name} “{key['slug']}”.")
    return row


def _save(model: type[models.Model], key: Mapping[str, Any], fields: Mapping[str, Any], place: str) -> list[str]:
    known = {field.name for field in model._meta.concrete_fields if field.editable and not field.primary_key} - {*key}
    for name in fields:
        if name not in known:
            raise CatalogueInvalid(f"{place}.{name}", f"is not a field; there are {', '.join(sorted(known))}.")
    row = model._default_manager.filter(**key).first()
    before = None if row is None else {name: getattr(row, name) for name in fields}
    row = row or model(**key)
    for name, value in fields.items():
        setattr(row, name, value)
    try:
        row.full_clean()
    except ValidationError as error:
        name, messages = next(iter(error.message_dict.items()))
        raise CatalogueInvalid(f"{place}.{name}", " ".join(messages)) from error
    if before == {name: getattr(row, name) for name in fields}:
        return []
    row.save()
    return [place]


def _replace_candidates(route: Route, wanted: Any, place: str) -> list[str]:
    if not isinstance(wanted, list) or not all(isinstance(one, dict) for one in wanted):
        raise CatalogueInvalid(
            place, "must be a list of {deployment: SLUG, share: PERCENT}; the share may be left out."
        )
    given = [one["share"] for one in wanted if "share" in one]
    if not all(isinstance(share, int) for share in given):
        raise CatalogueInvalid(place, "Shares are whole percents.")
    if problem := problem_with([one.get("share") for one in wanted]):
        raise CatalogueInvalid(place, problem)
    steps = []
    for position, one in enumerate(wanted):
        deployment = _named(Deployment, f"{place}[{position}].deployment", slug=one.get("deployment"))
        steps.append((deployment.pk, position, one.get("share")))
    if steps == list(route.steps.values_list("deployment_id", "position", "share")):
        return []
    route.steps.all().delete()
    for deployment_id, position, share in steps:
        step = RouteCandidate(route=route, deployment_id=deployment_id, position=position, share=share)
        try:
            step.full_clean()
        except ValidationError as error:
            raise CatalogueInvalid(f"{place}[{position}]", " ".join(error.messages)) from error
        step.save()
    return [place]
