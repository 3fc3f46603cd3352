"""Staff: users, their role and the organizations that they may see. Superusers alone manage them."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST
from unfold.forms import AdminPasswordChangeForm

from files_app.admin.base import GatewayAdmin, changed_fields
from files_app.admin.bulk import BulkAction, as_admin_action
from files_app.admin.formatting import badge, shown_age
from files_app.admin.pages import page
from files_app.admin.requests import caller_of
from files_app.admin.staff_form import EVERY, INVITATION, NewStaffForm, StaffForm
from files_app.services.tenants import invitations, staff_roles
from files_app.services.tenants.grants import Grants, changes, grants_of
from files_app.services.tenants.sign_in import factors
from files_app.services.tenants.sign_in.sessions import end_sessions

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
    command="sign_in reset-second-factor",
)


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
class StaffAdmin(SuperuserOnly, DjangoUserAdmin, GatewayAdmin):  # type: ignore[misc,type-arg]  # both are ModelAdmins
    """Who signs in here."""

    object_type = "user"
    commands: ClassVar = {
        "view": "staff list",
        "add": "staff create",
        "change": "staff change",
        "delete": "staff delete",
        "password_change": "staff password",
        "generate": "staff password",
        "invite": "staff create, staff password",
    }
    list_title = "Staff"
    row_name = "member of staff"
    add_form_template = "admin/change_form.html"
    form = StaffForm
    add_form = NewStaffForm
    change_password_form = AdminPasswordChangeForm
    change_form_outer_after_template = "files_app/admin/staff_sign_in.html"
    list_display = ["username", "role", "sees", "state", "ways_in", "last_seen"]
    actions = [as_admin_action(RESET_SECOND_FACTOR, "change")]
    list_display_links = ["username"]
    list_filter = ()
    search_fields = ["username", "email"]
    search_help_text = "Name or e-mail"
    sortable_by = ["username", "last_seen"]
    filter_horizontal = ()
    _person: ClassVar[Any] = (None, {"fields": ["username", "email", "first_name", "last_name"]})
    _access: ClassVar[Any] = ("Access", {"fields": ["role", "sight", "organizations"]})
    fieldsets = [_person, _access, ("Sign-in", {"fields": ["can_sign_in"]})]
    add_fieldsets = [_person, _access, ("Sign-in", {"fields": ["sign_in"]})]

    def get_urls(self) -> list[URLPattern]:
        """Add what gives somebody a new way to sign in."""

        def view(function: Any) -> Any:
            return self.admin_site.admin_view(require_POST(function))

        return [
            path("<int:pk>/invite/", view(self.invite), name="auth_user_invite"),
            path("<int:pk>/generate/", view(self.generate), name="auth_user_generate"),
            *super().get_urls(),
        ]

    def get_queryset(self, request: HttpRequest) -> Any:
        return (
            User.objects.prefetch_related("groups", "staff_access__organizations")
            .select_related("staff_access", "identity", "second_factor")
            .order_by("username")
        )

    def audit_id(self, row: Any) -> str:
        """Return the name."""
        return str(row.get_username())

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        if not search_term:
            return queryset, False
        return queryset.filter(username__icontains=search_term) | queryset.filter(
            email__icontains=search_term
        ), False

    # -- saving --------------------------------------------------------------------------------------

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Remember what was held before; a new one cannot sign in before `response_add` made a way to."""
        request._files_app_grants = grants_of(obj) if change else Grants()  # type: ignore[attr-defined]
        if not change:
            obj.set_unusable_password()
        super().save_model(request, obj, form, change)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Save what the person may do and see."""
        answers, user = form.cleaned_data, form.instance
        if not change or "role" in form.changed_data:
            staff_roles.set_role(user, answers["role"])
        if not change or {"sight", "organizations"} & set(form.changed_data):
            sees_all = answers["sight"] == EVERY
            chosen = [] if sees_all else answers["organizations"]
            staff_roles.set_sight(user, sees_all=sees_all, organizations=chosen)

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

    # -- ways to sign in -----------------------------------------------------------------------------

    def response_add(
        self, request: HttpRequest, obj: User, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Show the link or the password, this once."""
        with transaction.atomic():
            if request.POST.get("sign_in") == INVITATION:
                return self._invitation(request, obj)
            return self._password(request, obj)

    def invite(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Replace somebody's password by a link with which to choose one."""
        with transaction.atomic():
            return self._invitation(request, self._user(request, pk))

    def generate(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Replace somebody's password by a generated one."""
        with transaction.atomic():
            return self._password(request, self._user(request, pk))

    def _user(self, request: HttpRequest, pk: int) -> User:
        user = self.row_in_sight(request, str(pk))
        if not isinstance(user, User):
            raise Http404
        return user

    def _invitation(self, request: HttpRequest, user: User) -> HttpResponse:
        token = invitations.invite(user)
        self.record(request, "invite", user)
        link = request.build_absolute_uri(f"{reverse('admin:invitation')}#{token}")
        return self._shown_once(request, user, link, days=invitations.LIFETIME.days)

    def _password(self, request: HttpRequest, user: User) -> HttpResponse:
        password = staff_roles.generated_password()
        user.set_password(password)
        user.save(update_fields=["password"])
        self.record(request, "generate", user)
        return self._shown_once(request, user, password)

    def _shown_once(
        self, request: HttpRequest, user: User, secret: str, *, days: int | None = None
    ) -> HttpResponse:
        sign_in = request.build_absolute_uri(reverse("admin:index"))
        context = {"opts": self.opts, "person": user, "sign_in": sign_in, "secret": secret, "days": days}
        title = "Copy the link now" if days else "Copy the password now"
        response = page(request, "staff_once.html", title, context)
        response.headers["Cache-Control"] = "private, no-store"
        return response

    # -- columns -------------------------------------------------------------------------------------

    @admin.display(description="Role")
    def role(self, row: User) -> SafeString:
        """Show what the user may do."""
        if row.is_superuser:
            return badge("superuser", "info")
        names = ", ".join(group.name for group in row.groups.all())
        return format_html("{}", names or "none")

    @admin.display(description="Organizations")
    def sees(self, row: User) -> str:
        """Show which organizations are in sight."""
        access = getattr(row, "staff_access", None)
        if row.is_superuser or (access and access.sees_all_organizations):
            return "every one"
        names = [organization.name for organization in access.organizations.all()] if access else []
        return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "") or "none"

    @admin.display(description="State")
    def state(self, row: User) -> SafeString:
        """Show whether the user can sign in."""
        if not (row.is_active and row.is_staff):
            return badge("cannot sign in", "neutral")
        if not row.has_usable_password():
            return badge("invited", "info", "No password was chosen yet.")
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
