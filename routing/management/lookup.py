from django.core.management.base import CommandError

from tenants.models import Tenant


def tenant_named(slug: str) -> Tenant | None:
    """None for the platform."""
    if not slug:
        return None
    tenant: Tenant | None = Tenant.objects.exclude(schema_name="public").filter(slug=slug).first()
    if tenant is None:
        raise CommandError(f"There is no tenant {slug!r}. Create it: manage.py create_tenant {slug}")
    return tenant
