from django.urls import path, re_path

from routing.api import views
from routing.api.shell import ROUTE_PATH

urlpatterns = [
    path("v1/chat/completions", views.ChatCompletions.as_view(), name="chat-completions"),
    re_path(rf"^{ROUTE_PATH}\Z", views.RouteCompletions.as_view(), name="route-completions"),
    path("v1/infer", views.Infer.as_view(), name="infer"),
    path("v1/embeddings", views.Embeddings.as_view(), name="embeddings"),
    path("v1/models", views.Models.as_view(), name="models"),
    path("v1/models/<path:name>", views.Model.as_view(), name="model"),
    path("health", views.Health.as_view(), name="health"),
    path("v1/healthz", views.Health.as_view(), name="healthz"),
    path("v1/readyz", views.Ready.as_view(), name="readyz"),
    re_path(r"^v1(?:/|\Z)", views.Nothing.as_view()),
]
