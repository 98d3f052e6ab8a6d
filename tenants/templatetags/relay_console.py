"""Template helpers of the console: links that keep the tenant, relative times."""

from typing import Any

from django import template
from django.template import RequestContext
from django.urls import reverse

from tenants.page import when, with_tenant

register = template.Library()
register.filter("when", lambda moment: when(moment))


@register.simple_tag(takes_context=True)
def in_tenant(context: RequestContext, link: Any, *arguments: Any) -> str:
    """``{% in_tenant 'admin:index' %}`` or an address: with ``?tenant=`` of the page."""
    address = str(link)
    return with_tenant(context.request, address if address.startswith("/") else reverse(address, args=arguments))
