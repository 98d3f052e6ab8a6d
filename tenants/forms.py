"""Forms of the access pages. What the server decides (tenant, key id, digest, user) is no field of any of them."""

from datetime import datetime
from typing import Any, ClassVar

from django import forms
from django.contrib.auth.forms import SetPasswordForm
from django.core.exceptions import ValidationError
from django.utils import timezone
from unfold.widgets import (
    BASE_INPUT_CLASSES,
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from tenants.access import RANK, Role, role_in
from tenants.console import TenantForm
from tenants.models import ApiKey, Membership, Tenant
from tenants.services import find_person


class ApiKeyForm(TenantForm):
    scopes = forms.MultipleChoiceField(
        choices=ApiKey.Scope.choices,
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text="None chosen: everything.",
    )

    class Meta:
        model = ApiKey
        fields: ClassVar = ["name", "scopes", "expires_at"]

    def clean_expires_at(self) -> datetime | None:
        expires_at: datetime | None = self.cleaned_data["expires_at"]
        if expires_at is not None and "expires_at" in self.changed_data and expires_at <= timezone.now():
            raise ValidationError("This is in the past. To end a key, revoke it.")
        return expires_at


class MembershipForm(TenantForm):
    """A person's role: never one's own, never above one's own."""

    class Meta:
        model = Membership
        fields: ClassVar = ["role"]
        widgets: ClassVar = {"role": UnfoldAdminSelectWidget}

    def clean_role(self) -> str:
        role: str = self.cleaned_data["role"]
        mine = role_in(self.request.user, self.instance.tenant)
        if mine is None or RANK[Role(role)] > RANK[Role(mine)]:
            raise ValidationError("You can't give a role above your own.")
        return role


class NewMembershipForm(MembershipForm):
    who = forms.CharField(
        label="Person",
        max_length=150,
        widget=UnfoldAdminTextInputWidget,
        help_text="User name or e-mail address. Somebody new gets a link to choose a password.",
    )

    field_order = ("who", "role")

    def clean_who(self) -> str:
        who: str = self.cleaned_data["who"].strip()
        person = find_person(who)
        if person and Membership.objects.filter(user=person, tenant=self.tenant).exists():
            raise ValidationError("This person is a member already.")
        if person is None:
            Membership._meta.get_field("user").related_model._meta.get_field("username").run_validators(who)  # type: ignore[union-attr]
        return who

    def _get_validation_exclusions(self) -> set[str]:
        return super()._get_validation_exclusions() | {"user"}


class TenantRowForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = Tenant
        fields: ClassVar = ["slug", "name", "content", "trace_days", "active"]


ROLE_WORDS: dict[str, Any] = {value: label.partition(": ") for value, label in Membership.Role.choices}


class WelcomeForm(SetPasswordForm):  # type: ignore[type-arg]
    """The first password, in the theme's look."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("new_password1", "new_password2"):
            self.fields[name].widget.attrs["class"] = " ".join(BASE_INPUT_CLASSES)
