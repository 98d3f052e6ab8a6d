"""The trace viewer, mounted at /admin/traces/ ahead of the admin's own URLs."""

from django.contrib.admin import site
from django.urls import path

from traces.viewer import detail, lists

app_name = "traces"
urlpatterns = [
    path("", site.admin_view(lists.trace_list), name="list"),
    path("live", site.admin_view(lists.live), name="live"),
    path("export.csv", site.admin_view(lists.export), name="export"),
    path("<uuid:pk>/", site.admin_view(detail.trace_detail), name="detail"),
    path("<uuid:pk>/peek", site.admin_view(detail.peek), name="peek"),
    path("<uuid:pk>/<str:part>.json", site.admin_view(detail.download), name="download"),
]
