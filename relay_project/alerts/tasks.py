import time

from celery import shared_task

from relay_project.alerts import conditions, services


@shared_task(name="relay_project.alerts.tasks.look_and_tell")  # type: ignore[untyped-decorator]
def look_and_tell() -> int:
    """Once a minute: what is wrong, and who is to hear of it. How many messages were sent."""
    now = time.time()
    services.note(conditions.find(now), now)
    return services.deliver(now)
