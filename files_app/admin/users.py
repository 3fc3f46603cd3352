"""Staff: users, their role and the organizations that they may see. Superusers alone manage them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold import widgets
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from files_app.admin.base import GatewayAdmin
from files_app.admin.bulk import BulkAction, as_admin_action
from files_app.admin.formatting import badge, shown_age
from files_app.admin.requests import caller_of
from files_app.models import StaffAccess
from files_app.services.tenants.sign_in import factors
from files_app.services.tenants.sign_in.sessions import end_sessions

if TYPE_CHECKING:
    from django.contrib.admin import StackedInline
else:
    from unfold.admin import StackedInline

admin.site.unregister([User, Group])


def _reset_second_factor(request: HttpRequest, row: User, answers: dict[str, Any]) -> str:
    if not factors.reset(row, caller=caller_of(request, None)):
        return "there was none"
    end_sessions(row)
    return "reset, and signed out everywhere"


RESET_SECOND_FACTOR = BulkAction(
    name="reset_second_factor",
    title="Reset second factor",
    verb="Reset",
    run=_reset_second_factor,
    warning="Their passwords alone open the admin then, until they set up another. "
    "Make sure who asks you for it.",
    is_dangerous=True,
)


class Checkboxes:
    """Django's own widget for many choices cannot be used with a keyboard alone."""

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Offer a box for each choice."""
        kwargs["widget"] = widgets.UnfoldAdminCheckboxSelectMultipleWidget()
        field = super().formfield_for_manytomany(db_field, request, **kwargs)  # type: ignore[misc]  # a mixin
        field.help_text = ""
        return field


class StaffAccessInline(Checkboxes, StackedInline):  # type: ignore[type-arg]  # unfold's takes no parameter at run time
    """What the user may see."""

    model = StaffAccess
    verbose_name_plural = "Organizations in sight"
    can_delete = False
    extra = 1
    max_num = 1


class SuperuserOnly:
    """Staff that could edit users could make itself a superuser."""

    def _allows(self, request: HttpRequest) -> bool:
        return bool(request.user.is_active and getattr(request.user, "is_superuser", False))

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Only superusers."""
        return self._allows(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._allows(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self._allows(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._allows(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._allows(request)


@admin.register(User)
class StaffAdmin(Checkboxes, SuperuserOnly, DjangoUserAdmin, GatewayAdmin):  # type: ignore[misc,type-arg]  # both are ModelAdmins
    """Who signs in here."""

    object_type = "user"
    list_title = "Staff"
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    inlines = [StaffAccessInline]
    list_display = ["username", "role", "sees", "status", "ways_in", "last_seen"]
    actions = [as_admin_action(RESET_SECOND_FACTOR, "change")]
    list_display_links = ["username"]
    list_filter = ()
    search_fields = ["username", "email"]
    search_help_text = "Name"
    sortable_by = ["username", "last_seen"]
    filter_horizontal = ()
    fieldsets = [
        (None, {"fields": ["username", "password"]}),
        ("Person", {"fields": ["first_name", "last_name", "email"]}),
        ("Role", {"fields": ["is_active", "is_staff", "is_superuser", "groups"]}),
    ]
    add_fieldsets = [(None, {"fields": ["username", "password1", "password2"]})]

    def get_queryset(self, request: HttpRequest) -> Any:
        return (
            User.objects.prefetch_related("groups", "staff_access__organizations")
            .select_related("staff_access", "identity", "second_factor")
            .order_by("username")
        )

    def get_inlines(self, request: HttpRequest, obj: Any) -> Any:
        """Ask for organizations once the user exists."""
        return self.inlines if obj is not None else []

    def audit_id(self, row: Any) -> str:
        """Return the name."""
        return str(row.get_username())

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        if not search_term:
            return queryset, False
        return queryset.filter(username__icontains=search_term) | queryset.filter(
            email__icontains=search_term
        ), False

    @admin.display(description="Role")
    def role(self, row: User) -> SafeString:
        """Show what the user may do."""
        if row.is_superuser:
            return badge("superuser", "info")
        names = ", ".join(group.name for group in row.groups.all())
        return format_html("{}", names or "none")

    @admin.display(description="Sees")
    def sees(self, row: User) -> str:
        """Show which organizations are in sight."""
        access = getattr(row, "staff_access", None)
        if row.is_superuser or (access and access.sees_all_organizations):
            return "every organization"
        names = [organization.name for organization in access.organizations.all()] if access else []
        return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "") or "nothing"

    @admin.display(description="Status")
    def status(self, row: User) -> SafeString:
        """Show whether the user can sign in."""
        if not (row.is_active and row.is_staff):
            return badge("cannot sign in", "neutral")
        return badge("active", "ok")

    @admin.display(description="Signs in with")
    def ways_in(self, row: User) -> str:
        """Show with what the user proves who it is."""
        password = "password and app" if hasattr(row, "second_factor") else "password"
        ways = [password] if row.has_usable_password() else []
        return ", ".join(["provider", *ways] if hasattr(row, "identity") else ways) or "nothing yet"

    @admin.display(description="Last sign-in", ordering="last_login")
    def last_seen(self, row: User) -> SafeString:
        """Show when the user was last here."""
        return shown_age(row.last_login)
