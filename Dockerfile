# Relay as it runs in production: no embedded servers, no tools, not root. Also runs under an arbitrary uid (group 0)
# and on a read-only file system; what it writes goes to RELAY_SPOOL_DIR and /tmp.

FROM python:3.11.14-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
RUN python -m venv /opt/relay
COPY requirements.txt constraints.txt /tmp/
RUN /opt/relay/bin/pip install -r /tmp/requirements.txt -c /tmp/constraints.txt
COPY . /app
WORKDIR /app
# Settings want secrets to load at all; these end with the command.
RUN random() { python -c 'import secrets; print(secrets.token_urlsafe(48))'; } \
    && RELAY_SECRET_KEY="$(random)" RELAY_KEY_PEPPER="$(random)" RELAY_ALLOWED_HOSTS=localhost \
       /opt/relay/bin/python manage.py collectstatic --noinput -v0 \
    && /opt/relay/bin/python -m compileall -q /app

FROM python:3.11.14-slim-bookworm
RUN apt-get update && apt-get install -y --no-install-recommends tini && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --gid 0 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin relay \
    && install -d -o 10001 -g 0 -m 0770 /var/lib/relay/spool
COPY --from=build /opt/relay /opt/relay
COPY --from=build /app /app
ENV PATH=/opt/relay/bin:$PATH \
    HOME=/tmp \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    RELAY_DRAIN_S=5 \
    RELAY_SPOOL_DIR=/var/lib/relay/spool
WORKDIR /app
USER 10001:0
VOLUME /var/lib/relay/spool
EXPOSE 8000
STOPSIGNAL SIGTERM
# RELAY_ALLOWED_HOSTS must name localhost for this.
HEALTHCHECK --interval=10s --timeout=4s --start-period=40s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://localhost:8000/health', timeout=3)"]
# tini passes signals on: as process 1, a program that does not ask for SIGTERM would not get it.
ENTRYPOINT ["tini", "--"]
# As many processes as WEB_CONCURRENCY says. Idle connections outlive those of usual balancers (60 s), so that none is
# closed just as a request comes; a stream may go on for 120 s after the listener has closed; on a busy machine a process
# may take more than the usual 5 s to start or to answer its parent.
CMD ["uvicorn", "relay_project.asgi:application", "--host", "0.0.0.0", "--port", "8000", "--no-access-log", \
     "--no-server-header", "--timeout-keep-alive", "75", "--timeout-graceful-shutdown", "120", \
     "--timeout-worker-healthcheck", "30"]
