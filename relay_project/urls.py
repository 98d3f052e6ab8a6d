from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from evals.trace_replay import trace_replay
from relay_project import data_page
from relay_project.forget import forget_entry
from relay_project.metrics import metrics
from tenants.views import welcome

urlpatterns = [
    path("", RedirectView.as_view(url="/admin/")),
    path("v1/admin/", include("relay_project.admin_api.urls")),
    path("", include("routing.api.urls")),
    path("metrics", metrics, name="metrics"),
    path("api/schema", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs", SpectacularSwaggerView.as_view(url_name="schema", http_method_names=["get", "head"]), name="docs"),
    path("admin/traces/<uuid:pk>/forget", admin.site.admin_view(forget_entry), name="forget-entry"),
    path("admin/traces/<uuid:pk>/replay", admin.site.admin_view(trace_replay), name="replay-trace"),
    path("admin/traces/", include("traces.viewer.urls")),
    path("admin/evals/compare/", include("evals.report.urls")),
    path("admin/evals/", include("evals.console.urls")),
    path("admin/data/", admin.site.admin_view(data_page.data), name="tenant-data"),
    path("admin/data/export", admin.site.admin_view(data_page.export), name="export-tenant"),
    path("admin/welcome/<uidb64>/<token>/", welcome, name="welcome"),
    path("admin/", admin.site.urls),
]
