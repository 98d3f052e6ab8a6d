"""What a person may see and do in the console: tenants by membership, verbs by role."""

from typing import Any

from tenants.models import Membership, Tenant, User

Role = Membership.Role
RANK = {role: rank for rank, role in enumerate((Role.VIEWER, Role.ANALYST, Role.EDITOR, Role.ADMIN, Role.OWNER))}


def tenants_of(user: Any) -> list[Tenant]:
    """Staff of the platform see every tenant; everybody else those of their memberships. In the order of names."""
    tenants = Tenant.objects.exclude(schema_name="public").order_by("name")
    if user.is_staff_of_platform:
        return list(tenants)
    return list(tenants.filter(memberships__user=user))


def role_in(user: Any, tenant: Tenant | None) -> str | None:
    """The user's role in a tenant; platform staff rank as owner everywhere."""
    if user.is_staff_of_platform:
        return Role.OWNER
    if tenant is None:
        return None
    return Membership.objects.filter(user=user, tenant=tenant).values_list("role", flat=True).first()


def allows(user: Any, tenant: Tenant | None, role: str) -> bool:
    """Whether the user's role in the tenant is at least ``role``."""
    have = role_in(user, tenant)
    return have is not None and RANK[Role(have)] >= RANK[Role(role)]


def may_enter_console(user: User) -> bool:
    return user.is_active and (user.is_staff_of_platform or user.memberships.exists())
