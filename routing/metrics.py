"""What Prometheus counts of requests. Labels are names from the configuration, so their number is bounded."""

from prometheus_client import Counter

REQUESTS = Counter(
    "relay_route_requests", "Requests by the route that they asked for.", ["route", "deployment", "outcome"]
)


def count_request(route: str, deployment: str, outcome: str) -> None:
    """``route`` is “name”, of a tenant's own “tenant/name”; both names are empty where none was found."""
    REQUESTS.labels(route, deployment, outcome).inc()
