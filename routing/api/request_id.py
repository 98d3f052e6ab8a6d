"""X-Request-ID: the name of a request that the client may choose and finds in every answer, log line and trace."""

import re
import secrets
from collections.abc import Callable, Mapping

from django.http import HttpRequest, HttpResponse

HEADER = "x-request-id"
HARMLESS = re.compile(r"[A-Za-z0-9._:-]{1,128}")


def request_id_of(headers: Mapping[str, str]) -> str:
    """The client's if it is harmless (it is sent back, logged and passed on to providers), else a new one.

    ``headers`` are found by their lower-case name.
    """
    given = headers.get(HEADER, "")
    return given if HARMLESS.fullmatch(given) else f"req-{secrets.token_hex(12)}"


class RequestIdMiddleware:
    """For what Django answers by itself: pages, lists, errors. A request that went through the pipeline has its own."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if HEADER not in response.headers:
            response.headers[HEADER] = request_id_of(request.headers)
        return response
