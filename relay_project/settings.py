"""Settings of Relay. Every variable is listed in the README; bad values fail at start, with their name."""

import logging
import os
import sys
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured
from pythonjsonlogger.core import RESERVED_ATTRS

from relay_project import env
from relay_project.embedded.state import discover

BASE_DIR = Path(__file__).resolve().parent.parent

# A running `make dev` publishes where its servers are; the real environment wins.
for name, value in discover().items():
    os.environ.setdefault(name, value)

DEBUG = env.flag("RELAY_DEBUG")
RELAY_ENV = env.text("RELAY_ENV") or ("development" if DEBUG else "production")  # policies prefer by it
SECRET_KEY = env.text("RELAY_SECRET_KEY")
RELAY_KEY_PEPPER = env.text("RELAY_KEY_PEPPER")
ALLOWED_HOSTS = env.names("RELAY_ALLOWED_HOSTS", "127.0.0.1,localhost" if DEBUG else "")
CSRF_TRUSTED_ORIGINS = env.names("RELAY_TRUSTED_ORIGINS")
for name, secret in {"RELAY_SECRET_KEY": SECRET_KEY, "RELAY_KEY_PEPPER": RELAY_KEY_PEPPER}.items():
    if len(secret) < 32 and not DEBUG:
        raise ImproperlyConfigured(f"{name} must be set to at least 32 random characters (or run `make dev`).")
if SECRET_KEY == RELAY_KEY_PEPPER and not DEBUG:
    raise ImproperlyConfigured("RELAY_SECRET_KEY and RELAY_KEY_PEPPER must differ: one secret, one purpose.")
RELAY_CREDENTIAL_KEYS = env.sealing_keys("RELAY_CREDENTIAL_KEYS")
if any(secret and secret in env.text("RELAY_CREDENTIAL_KEYS") for secret in (SECRET_KEY, RELAY_KEY_PEPPER)):
    raise ImproperlyConfigured("RELAY_CREDENTIAL_KEYS must hold keys of their own: one secret, one purpose.")
if not ALLOWED_HOSTS:
    raise ImproperlyConfigured("RELAY_ALLOWED_HOSTS must name the hosts that Relay answers for, separated by commas.")
ADMIN_TOKEN = env.text("ADMIN_TOKEN")
if ADMIN_TOKEN and len(ADMIN_TOKEN) < 32:
    raise ImproperlyConfigured("ADMIN_TOKEN must have at least 32 random characters; without it the admin API is off.")
if ADMIN_TOKEN and ADMIN_TOKEN in {SECRET_KEY, RELAY_KEY_PEPPER, env.text("RELAY_METRICS_TOKEN")}:
    raise ImproperlyConfigured("ADMIN_TOKEN must be a secret of its own: one secret, one purpose.")
if DEBUG:
    SECRET_KEY = SECRET_KEY or "insecure-development-secret-key-do-not-use-it-elsewhere-0123456789"
    RELAY_KEY_PEPPER = RELAY_KEY_PEPPER or "insecure-development-key-pepper-do-not-use-it"

# --- Relay -------------------------------------------------------------------------------------------------------
RELAY_DEV_OPEN_TENANT = env.text("RELAY_DEV_OPEN_TENANT")
if RELAY_DEV_OPEN_TENANT and not DEBUG:
    raise ImproperlyConfigured(
        "RELAY_DEV_OPEN_TENANT lets requests in without a key; it is refused unless RELAY_DEBUG=1."
    )
RELAY_EXPRESS = env.flag("RELAY_EXPRESS", default=True)
RELAY_MAX_BODY_BYTES = env.number("RELAY_MAX_BODY_BYTES", 4 * 1024 * 1024)
DATA_UPLOAD_MAX_MEMORY_SIZE = RELAY_MAX_BODY_BYTES
RELAY_WEB_PROCESSES = env.number("RELAY_WEB_PROCESSES", 1)
RELAY_DRAIN_S = env.number("RELAY_DRAIN_S", 0)
RELAY_QUEUE_TIMEOUT_S = env.number("RELAY_QUEUE_TIMEOUT_S", 60)
RELAY_SEMANTIC_WAIT_MS = env.number("RELAY_SEMANTIC_WAIT_MS", 50)
RELAY_SPOOL_DIR = env.text("RELAY_SPOOL_DIR") or str(BASE_DIR / ".relay" / "spool")
RELAY_SPOOL_MAX_MB = env.number("RELAY_SPOOL_MAX_MB", 256)
RELAY_TRACE_DAYS = env.number("RELAY_TRACE_DAYS", 30)
if not 1 <= RELAY_TRACE_DAYS <= 3650:
    raise ImproperlyConfigured("RELAY_TRACE_DAYS must be from 1 to 3650.")
RELAY_METRICS_TOKEN = env.text("RELAY_METRICS_TOKEN")
PROMETHEUS_MULTIPROC_DIR = env.writable_directory(
    "PROMETHEUS_MULTIPROC_DIR"
)  # ahead of prometheus_client, which reads it
RELAY_OTEL_SAMPLER = env.sampler()  # None: no export
RELAY_OTEL_CONTENT = env.flag("RELAY_OTEL_CONTENT")
CANARY_STAGES = env.percentages("CANARY_STAGES", "1,5,25")
CANARY_WINDOW = env.number("CANARY_WINDOW", 200)
CANARY_BURN_MULTIPLIER = env.real("CANARY_BURN_MULTIPLIER", 2.0)
if CANARY_WINDOW < 1 or not 0.1 <= CANARY_BURN_MULTIPLIER <= 1000:
    raise ImproperlyConfigured("CANARY_WINDOW must be at least 1, CANARY_BURN_MULTIPLIER 0.1 to 1000.")
POLICY_PATH = env.text("POLICY_PATH")
PORT = env.number("PORT", 8000)
RELAY_EVAL_URL = (env.text("RELAY_EVAL_URL") or f"http://127.0.0.1:{PORT}").rstrip("/")
RELAY_EVAL_SCORERS = env.names("RELAY_EVAL_SCORERS")

# --- Applications ------------------------------------------------------------------------------------------------
SERVED_BY_DAPHNE = sys.argv[1:2] == ["runserver"]  # in every other process its 17 MB of Twisted would lie idle
SHARED_APPS = [
    *(["daphne"] if SERVED_BY_DAPHNE else []),
    "tenants",  # ahead of django_tenants, which has a create_tenant of its own
    "django_tenants",
    "routing",
    "scheduling",
    "evals.load",
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "channels",
    "rest_framework",
    "adrf",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_prometheus",
    "django_celery_beat",
    "relay_project",
    "relay_project.alerts",
]
TENANT_APPS = ["traces", "caching", "evals", "routing.shadows"]
INSTALLED_APPS = SHARED_APPS + TENANT_APPS

MIDDLEWARE = [
    "routing.api.request_id.RequestIdMiddleware",
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "relay_project.gzip.GZipWholePages",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "tenants.middleware.ConsoleTenantMiddleware",
    "tenants.audit.ActorMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_prometheus.middleware.PrometheusAfterMiddleware",
]
ROOT_URLCONF = "relay_project.urls"
ASGI_APPLICATION = "relay_project.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# --- State -------------------------------------------------------------------------------------------------------
DATABASE_URL = env.text("DATABASE_URL", "postgres://relay@127.0.0.1:54329/relay")
REDIS_URL = env.redis_url("REDIS_URL", "redis://127.0.0.1:63790/0")
DATABASES = {
    "default": env.database(DATABASE_URL, "django_tenants.postgresql_backend") | {"OPTIONS": {"connect_timeout": 3}}
}
ORIGINAL_BACKEND = "django_prometheus.db.backends.postgresql"
DATABASE_ROUTERS = ["django_tenants.routers.TenantSyncRouter"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
TENANT_MODEL = "tenants.Tenant"
TENANT_DOMAIN_MODEL = "tenants.Domain"
PUBLIC_SCHEMA_NAME = "public"
AUTH_USER_MODEL = "tenants.User"
CACHES = {
    "default": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "relay:django",
        "OPTIONS": {"SOCKET_CONNECT_TIMEOUT": 1, "SOCKET_TIMEOUT": 1, "IGNORE_EXCEPTIONS": True},
    }
}
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "scheduling.layer.PatientLayer",
        # redis-py ends an idle worker's blocking read after 5 s unless told not to.
        "CONFIG": {"hosts": [{"address": REDIS_URL, "socket_timeout": None}], "prefix": "relay:channels", "expiry": 10},
    }
}
CELERY_BROKER_URL = REDIS_URL
CELERY_TASK_IGNORE_RESULT = True
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
CELERY_BROKER_TRANSPORT_OPTIONS = {"global_keyprefix": "relay:celery:"}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TASK_ROUTES = {  # these take up to minutes: workers of their own
    "evals.tasks.execute_run": {"queue": "evals"},
    "evals.tasks.score_canary": {"queue": "evals"},
}
CELERY_BEAT_SCHEDULE = {
    "purge-expired-cache": {"task": "caching.tasks.purge_expired", "schedule": 3600.0},
    "look-for-alerts": {"task": "relay_project.alerts.tasks.look_and_tell", "schedule": 60.0},
    "keep-partitions": {"task": "traces.tasks.keep_partitions", "schedule": 3600.0},
    "resume-eval-runs": {"task": "evals.tasks.resume_runs", "schedule": 10.0, "options": {"expires": 10}},
    "score-canaries": {"task": "evals.tasks.score_canaries", "schedule": 10.0, "options": {"expires": 10}},
    "forget-shadow-pairs": {"task": "routing.tasks.forget_shadow_pairs", "schedule": 3600.0},
    "forget-contexts": {"task": "routing.tasks.forget_contexts", "schedule": 24 * 3600.0},
    "watch-canaries": {"task": "routing.tasks.watch_canaries", "schedule": 2.0, "options": {"expires": 10}},
}

# --- Mail --------------------------------------------------------------------------------------------------------
EMAIL_HOST, EMAIL_PORT, EMAIL_HOST_USER, EMAIL_HOST_PASSWORD, EMAIL_USE_TLS, EMAIL_USE_SSL = env.smtp("RELAY_SMTP_URL")
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env.text("RELAY_MAIL_FROM", "relay@localhost")

# --- Web ---------------------------------------------------------------------------------------------------------
LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False
STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = None if DEBUG else BASE_DIR / "staticfiles"  # filled by `manage.py collectstatic`
WHITENOISE_USE_FINDERS = DEBUG
SESSION_ENGINE = "django.contrib.sessions.backends.cached_db"
LOGIN_URL = "/admin/login/"
LOGIN_REDIRECT_URL = "/admin/"
LOGIN_REDIRECT_URL = "/admin/"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
if not DEBUG:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if env.flag("RELAY_BEHIND_TLS_PROXY") else None
    SECURE_SSL_REDIRECT = env.flag("RELAY_SSL_REDIRECT", default=True)
    SECURE_REDIRECT_EXEMPT = [r"^health$", r"^v1/(healthz|readyz)$", r"^metrics$"]
    SECURE_HSTS_SECONDS = env.number("RELAY_HSTS_SECONDS", 31_536_000)
    SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = True
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": [],
    "UNAUTHENTICATED_USER": None,
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "routing.api.errors.drf_exception_handler",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Relay",
    "DESCRIPTION": "An OpenAI-compatible gateway. Use any OpenAI SDK with a Relay key.",
    "VERSION": "0.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
}

logging.captureWarnings(True)
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "json": {
            "()": "pythonjsonlogger.json.JsonFormatter",
            "format": "%(asctime)s %(levelname)s %(name)s %(message)s",
            "reserved_attrs": [*RESERVED_ATTRS, "color_message"],  # uvicorn's second wording of the same
            "rename_fields": {"asctime": "time", "levelname": "level", "name": "logger"},
        }
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["stderr"], "level": env.text("RELAY_LOG_LEVEL", "INFO")},
    "loggers": {
        "django.server": {"handlers": ["stderr"], "propagate": False},
        "django": {"handlers": []},  # with DEBUG on it would print each line a second time, plain
        "uvicorn": {"handlers": ["stderr"], "propagate": False},  # instead of its own plain lines
        "uvicorn.access": {"handlers": [], "propagate": False},  # a line a request would cost more than all else here
        "httpx": {"level": "WARNING"},  # both tell of each request that they send
        "httpx2": {"level": "WARNING"},
        "opentelemetry": {"level": "CRITICAL"},  # traces/otel.py says once a minute what it says each time
    },
}

UNFOLD = {
    "SITE_TITLE": "Relay",
    "SITE_HEADER": "Relay",
    "SITE_SYMBOL": "alt_route",
    "SITE_SUBHEADER": "relay_project.console.current_tenant_name",
    "SITE_DROPDOWN": "relay_project.console.tenant_switcher",
    "ENVIRONMENT": "relay_project.console.environment_label",
    "DASHBOARD_CALLBACK": "relay_project.home.dashboard",
    "SHOW_HISTORY": False,
    "SHOW_BACK_BUTTON": True,
    "SITE_URL": None,
    "SIDEBAR": {"show_search": False, "navigation": "relay_project.console.navigation"},
    "STYLES": ["relay_project.console.stylesheet", "relay_project.console.frame_stylesheet"],
    "COLORS": {
        "primary": {
            "50": "oklch(97% .014 254.604)",
            "100": "oklch(93.2% .032 255.585)",
            "200": "oklch(88.2% .059 254.128)",
            "300": "oklch(80.9% .105 251.813)",
            "400": "oklch(70.7% .165 254.624)",
            "500": "oklch(62.3% .214 259.815)",
            "600": "oklch(54.6% .245 262.881)",
            "700": "oklch(48.8% .243 264.376)",
            "800": "oklch(42.4% .199 265.638)",
            "900": "oklch(37.9% .146 265.522)",
            "950": "oklch(28.2% .091 267.935)",
        }
    },
}
