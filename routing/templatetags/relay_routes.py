from django import template
from django.template import RequestContext

from routing.editor.page import routes_for
from tenants.page import current_tenant

register = template.Library()


@register.simple_tag(takes_context=True)
def first_model(context: RequestContext) -> str:
    """A model name that the current tenant's clients may send, rather one without a path (those are for comparisons);
    empty if there is none."""
    routes = routes_for(current_tenant(context.request))
    return min(routes, key=lambda route: (bool(route.path), route.name)).name if routes else ""
