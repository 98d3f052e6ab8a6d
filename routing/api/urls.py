from django.urls import path, re_path

from routing.api import views

urlpatterns = [
    path("v1/chat/completions", views.ChatCompletions.as_view(), name="chat-completions"),
    path("v1/models", views.Models.as_view(), name="models"),
    path("health", views.Health.as_view(), name="health"),
    path("v1/healthz", views.Health.as_view(), name="healthz"),
    path("v1/readyz", views.Ready.as_view(), name="readyz"),
    re_path("^v1/", views.Nothing.as_view()),
]
