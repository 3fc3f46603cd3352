"""Staff: users, their role and the organizations that they may see. Superusers alone manage them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold import widgets
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from files_app.admin.base import GatewayAdmin, changed_fields
from files_app.admin.formatting import badge, shown_age
from files_app.models import StaffAccess
from files_app.services.tenants.grants import Grants, changes, grants_of

if TYPE_CHECKING:
    from django.contrib.admin import StackedInline
else:
    from unfold.admin import StackedInline

admin.site.unregister([User, Group])


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
    commands: ClassVar = {
        "view": "staff list",
        "add": "staff create",
        "change": "staff change",
        "delete": "staff delete",
        "password_change": "staff password",
    }
    list_title = "Staff"
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    inlines = [StaffAccessInline]
    list_display = ["username", "role", "sees", "status", "last_seen"]
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
            .select_related("staff_access")
            .order_by("username")
        )

    def get_inlines(self, request: HttpRequest, obj: Any) -> Any:
        """Ask for organizations once the user exists."""
        return self.inlines if obj is not None else []

    def audit_id(self, row: Any) -> str:
        """Return the name."""
        return str(row.get_username())

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Remember what the user held before, for the audit trail."""
        request._files_app_grants = grants_of(obj) if change else Grants()  # type: ignore[attr-defined]
        super().save_model(request, obj, form, change)

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Write what the user may do and see from the beginning."""
        self.record(request, "create", obj, **self._granted(request, obj))

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Write which roles and organizations were granted and withdrawn."""
        details: dict[str, Any] = self._granted(request, obj)
        if changed := changed_fields(message):
            details["changed"] = changed
        if details:
            self.record(request, "update", obj, **details)

    def _granted(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        before = getattr(request, "_files_app_grants", None)
        return {} if before is None else changes(before, grants_of(obj))

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

    @admin.display(description="Last sign-in", ordering="last_login")
    def last_seen(self, row: User) -> SafeString:
        """Show when the user was last here."""
        return shown_age(row.last_login)
