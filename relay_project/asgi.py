"""The ASGI application: the express shell first, Django behind it, the lane worker on the channel layer."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "relay_project.settings")

from channels.routing import ChannelNameRouter, ProtocolTypeRouter
from django.conf import settings
from django.core.asgi import get_asgi_application

django_application = get_asgi_application()

from relay_project.draining import Draining  # noqa: E402
from relay_project.metrics import warn_if_partial  # noqa: E402
from routing.api.express import Express  # noqa: E402
from routing.runtime import lifespan  # noqa: E402
from scheduling.consumers import LanesConsumer  # noqa: E402

warn_if_partial(os.environ, settings.PROMETHEUS_MULTIPROC_DIR)
application = Draining(
    ProtocolTypeRouter(
        {
            "http": Express(django_application) if settings.RELAY_EXPRESS else django_application,
            "lifespan": lifespan,
            "channel": ChannelNameRouter({"lanes": LanesConsumer.as_asgi()}),
        }
    ),
    seconds=settings.RELAY_DRAIN_S,
)
