"""Eval runs and data sets, mounted at /admin/evals/ ahead of the admin's own URLs."""

from django.contrib.admin import site
from django.urls import path

from evals.console import dataset_pages, run_pages

app_name = "evals-console"
urlpatterns = [
    path("runs/", site.admin_view(run_pages.run_list), name="runs"),
    path("runs/live", site.admin_view(run_pages.live), name="live"),
    path("runs/new", site.admin_view(run_pages.new_run), name="new-run"),
    path("runs/<int:pk>/", site.admin_view(run_pages.run_page), name="run"),
    path("runs/<int:pk>/cancel", site.admin_view(run_pages.cancel), name="cancel-run"),
    path("datasets/", site.admin_view(dataset_pages.dataset_list), name="datasets"),
    path("datasets/new", site.admin_view(dataset_pages.new_version), name="new-dataset"),
    path("datasets/<slug:slug>/", site.admin_view(dataset_pages.dataset_page), name="dataset"),
    path("datasets/<slug:slug>/<int:number>.jsonl", site.admin_view(dataset_pages.download), name="download"),
]
