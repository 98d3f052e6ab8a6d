from celery import shared_task
from django.utils import timezone

from routing.canaries import look_at_all
from routing.contexts import forget_unused
from routing.shadows.services import forget_pairs


@shared_task(name="routing.tasks.watch_canaries")  # type: ignore[untyped-decorator]
def watch_canaries() -> int:
    return look_at_all()


@shared_task(name="routing.tasks.forget_shadow_pairs")  # type: ignore[untyped-decorator]
def forget_shadow_pairs() -> int:
    return forget_pairs()


@shared_task(name="routing.tasks.forget_contexts")  # type: ignore[untyped-decorator]
def forget_contexts() -> int:
    return forget_unused(timezone.now())
