"""The console's page of alerts: what is wrong now, and where messages about it go."""

import time
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminTextInputWidget

from relay_project.alerts import services
from relay_project.alerts.models import Alert, AlertChannel, AlertMessage
from tenants.access import Role
from tenants.console import TenantForm, TenantOwnedAdmin
from tenants.page import current_tenant, is_platform_staff, may, pill, when, with_tenant

ALERTS_SHOWN = 10


class ChannelForm(TenantForm):
    """The address is entered, never shown; with an empty field it stays as it is."""

    address = forms.CharField(
        max_length=400,
        required=False,
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
        help_text="A webhook's URL, or up to five mail addresses separated by commas. It is stored sealed and never"
        " shown again; left empty, it stays.",
    )
    topics = forms.MultipleChoiceField(
        choices=AlertChannel.Topic.choices,
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text="None chosen: all.",
    )

    class Meta:
        model = AlertChannel
        fields: ClassVar = ["name", "kind", "address", "topics", "allow_private", "enabled"]

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or {}
        address = given.get("address", "").strip()
        if address or not self.instance.sealed or "kind" in self.changed_data:
            self.instance.kind = given.get("kind", "")
            self.instance.allow_private = given.get("allow_private", False)
            problem = services.problem_with(self.instance, address) if address else "Enter the address."
            if problem:
                raise ValidationError({"address": problem})
        return given


@admin.register(AlertChannel)
class AlertChannelAdmin(TenantOwnedAdmin):
    form = ChannelForm
    fields: ClassVar = ["name", "kind", "address", "topics", "allow_private", "enabled"]
    list_display: ClassVar = ["name", "kind", "shown", "about", "last_message", "state"]
    list_before_template = "alerts/channel_list_head.html"
    change_form_outer_before_template = "alerts/channel_head.html"

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Any]":
        newest = AlertMessage.objects.filter(channel=OuterRef("pk"))
        rows: QuerySet[Any] = super().get_queryset(request)
        rows = rows.annotate(last_at=Subquery(newest.values("created_at")[:1]))
        rows = rows.annotate(last_problem=Subquery(newest.values("problem")[:1]))
        return rows

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may(request, Role.ADMIN)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Staff who look at all tenants make those of the platform."""
        return may(request, Role.ADMIN)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return [name for name in self.fields if name != "allow_private" or is_platform_staff(request)]

    @admin.display(description="About")
    def about(self, channel: AlertChannel) -> str:
        return ", ".join(channel.topics) or "everything"

    @admin.display(description="Last message")
    def last_message(self, channel: Any) -> SafeString | str:
        return when(channel.last_at, "none yet")

    @admin.display(description="State", ordering="enabled")
    def state(self, channel: Any) -> SafeString:
        if not channel.enabled:
            return pill("inactive", "block", "Off")
        return pill("failed", "error", "Failing") if channel.last_problem else pill("ok", "check", "On")

    def save_model(self, request: HttpRequest, obj: AlertChannel, form: ChannelForm, change: Any) -> None:
        """The secret of a new webhook lives on the request until its one page is rendered, and nowhere else."""
        if not change:
            obj.created_by = request.user.get_username()
        secret = services.save_channel(obj, address=form.cleaned_data["address"].strip())
        request.relay_new_secret = secret  # type: ignore[attr-defined]

    def response_add(self, request: HttpRequest, obj: AlertChannel, post_url_continue: str | None = None) -> Any:
        return self._secret_page(request, obj) or super().response_add(request, obj, post_url_continue)

    def response_change(self, request: HttpRequest, obj: AlertChannel) -> Any:
        return self._secret_page(request, obj) or super().response_change(request, obj)

    def _secret_page(self, request: HttpRequest, channel: AlertChannel) -> HttpResponse | None:
        secret = request.relay_new_secret  # type: ignore[attr-defined]
        if not secret:
            return None
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"Alert channel {channel.name}",
            "channel": channel,
            "secret": secret,
            "back_url": with_tenant(request, reverse("admin:alerts_alertchannel_change", args=[channel.pk])),
        }
        return TemplateResponse(request, "alerts/channel_created.html", context)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        context = {**(extra_context or {}), "alerts": alerts_for(request)}
        page: HttpResponse = super().changelist_view(request, context)
        return page

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        channel = self.get_object(request, object_id)
        sent = channel.messages.select_related("alert")[:ALERTS_SHOWN] if channel else []
        extra = {
            "channel": channel,
            "sent": [(when(one.created_at), one, outcome(one)) for one in sent],
            "test_url": with_tenant(request, reverse("admin:alerts_alertchannel_test", args=[object_id])),
        }
        page: HttpResponse = super().change_view(request, object_id, form_url, {**(extra_context or {}), **extra})
        return page

    def get_urls(self) -> list[URLPattern]:
        test = self.admin_site.admin_view(require_POST(self.test_view))
        return [path("<path:object_id>/test/", test, name="alerts_alertchannel_test"), *super().get_urls()]

    def test_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        channel = self.get_object(request, object_id)
        if channel is None or not self.has_change_permission(request, channel):
            raise Http404("Nothing here has this address.")
        problem = services.send_test(channel, time.time())
        said = f"The test was not sent. {problem}" if problem else f"A test is on its way to {channel.shown}."
        self.message_user(request, said, messages.ERROR if problem else messages.SUCCESS)
        return HttpResponseRedirect(
            with_tenant(request, reverse("admin:alerts_alertchannel_change", args=[channel.pk]))
        )


def alerts_for(request: HttpRequest) -> list[tuple[Alert, SafeString | str, SafeString]]:
    """Open ones first, then the newest: of the current tenant, or for staff who look at all, of everybody."""
    tenant = current_tenant(request)
    if tenant is None and not is_platform_staff(request):
        return []
    rows = Alert.objects.select_related("tenant").filter(Q(tenant=tenant) if tenant else Q())
    found = [*rows.filter(over_at=None)[:ALERTS_SHOWN], *rows.exclude(over_at=None)[:ALERTS_SHOWN]]
    over, still = pill("ok", "check", "Over"), pill("failed", "error", "Now")
    return [(one, when(one.began_at), over if one.over_at else still) for one in found[:ALERTS_SHOWN]]


def outcome(message: AlertMessage) -> SafeString:
    if message.sent_at:
        return pill("ok", "check", "Sent")
    if message.next_try_at:
        return pill("limited", "schedule", f"Try {message.tries + 1} follows")
    return pill("failed", "error", "Not sent")
