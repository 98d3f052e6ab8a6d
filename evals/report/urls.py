"""Comparisons, mounted at /admin/evals/compare/ ahead of the admin's own URLs."""

from django.contrib.admin import site
from django.urls import path

from evals.report import pages

app_name = "evals-compare"
urlpatterns = [
    path("", site.admin_view(pages.compare), name="now"),
    path("keep", site.admin_view(pages.keep_verdict), name="keep"),
    path("report.html", site.admin_view(pages.download), name="file"),
    path("<uuid:pk>/", site.admin_view(pages.comparison), name="kept"),
]
