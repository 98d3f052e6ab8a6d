from celery import shared_task

from routing.canaries import look_at_all


@shared_task(name="routing.tasks.watch_canaries")  # type: ignore[untyped-decorator]
def watch_canaries() -> int:
    return look_at_all()
