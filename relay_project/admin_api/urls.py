from django.urls import path

from relay_project.admin_api import canary_views, platform_views, quota_views, tenant_views

urlpatterns = [
    path("status", platform_views.Status.as_view(), name="admin-status"),
    path("policy", platform_views.Policy.as_view(), name="admin-policy"),
    path("providers/reload", platform_views.Reload.as_view(), name="admin-reload"),
    path("audit", platform_views.Audit.as_view(), name="admin-audit"),
    path("tenants", tenant_views.Tenants.as_view(), name="admin-tenants"),
    path("tenants/<slug:slug>", tenant_views.OneTenant.as_view(), name="admin-tenant"),
    path("keys", tenant_views.Keys.as_view(), name="admin-keys"),
    path("keys/<slug:key_id>/revoke", tenant_views.RevokeKey.as_view(), name="admin-key-revoke"),
    path("quotas", quota_views.Quotas.as_view(), name="admin-quotas"),
    path("quotas/<int:pk>", quota_views.OneQuota.as_view(), name="admin-quota"),
    path("quotas/<int:pk>/reset", quota_views.ResetQuota.as_view(), name="admin-quota-reset"),
    path("canary/status", canary_views.CanaryStatus.as_view(), name="canary-status"),
    path("canary/advance", canary_views.CanaryAdvance.as_view(), name="canary-advance"),
    path("canary/pause", canary_views.CanaryPause.as_view(), name="canary-pause"),
    path("canary/resume", canary_views.CanaryResume.as_view(), name="canary-resume"),
    path("canary/rollback", canary_views.CanaryRollback.as_view(), name="canary-rollback"),
    path("usage", quota_views.Usage.as_view(), name="admin-usage"),
]
