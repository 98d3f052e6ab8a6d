"""The Lane rows: made once, bounded, edited by staff of the platform only."""

import pytest
from django.contrib.admin import site
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.test import RequestFactory

from scheduling.core.lanes import DEFAULT_LANES
from scheduling.models import Lane
from tenants.models import User

pytestmark = pytest.mark.django_db


def test_both_lanes_are_there_after_the_migrations_as_the_defaults_say() -> None:
    assert {lane.slug: lane.config() for lane in Lane.objects.all()} == DEFAULT_LANES
    assert [str(lane) for lane in Lane.objects.all()] == ["Short", "Long"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"weight": 0},
        {"protected_percent": 91},
        {"max_queue": 0},
        {"max_queue": 10_001},
        {"wait_slo_ms": 0},
        {"degraded_max_tokens": 0},
        {"slug": "medium"},
    ],
)
def test_a_lane_out_of_bounds_is_refused_by_the_form_and_by_the_database(wrong: dict[str, object]) -> None:
    lane = Lane.objects.get(slug="short")
    for name, value in wrong.items():
        setattr(lane, name, value)
    with pytest.raises(ValidationError):
        lane.full_clean(validate_constraints=False)
    with pytest.raises(IntegrityError), transaction.atomic():
        lane.save()


def test_the_lanes_together_leave_some_slots_to_everybody() -> None:
    lane = Lane.objects.get(slug="long")
    lane.protected_percent = 66
    with pytest.raises(ValidationError, match="at most 90 percent"):
        lane.full_clean()


@pytest.mark.parametrize(("staff_of_platform", "may"), [(True, True), (False, False)])
def test_only_staff_of_the_platform_edits_lanes_and_nobody_adds_any(staff_of_platform: bool, may: bool) -> None:
    request = RequestFactory().get("/")
    request.user = User(username="someone", is_active=True, is_staff=True, is_superuser=staff_of_platform)
    admin = site.get_model_admin(Lane)
    assert admin.has_view_permission(request) is may
    assert admin.has_change_permission(request) is may
    assert admin.has_module_permission(request) is may
    assert admin.has_add_permission(request) is False
    assert admin.has_delete_permission(request) is False
