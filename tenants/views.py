"""The page behind an invitation: somebody new chooses a password, once, by a signed link that expires."""

from django.contrib.auth.views import PasswordResetConfirmView
from django.urls import reverse_lazy
from django.views.decorators.debug import sensitive_post_parameters

from tenants.forms import WelcomeForm

welcome = sensitive_post_parameters()(
    PasswordResetConfirmView.as_view(
        template_name="tenants/welcome.html",
        form_class=WelcomeForm,
        success_url=reverse_lazy("admin:index"),
        post_reset_login=True,
        extra_context={"title": "Welcome to Relay"},
    )
)
