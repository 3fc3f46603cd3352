"""Provider accounts: a form for the chosen driver, a live connection test, sync."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST, require_safe

from files_app.admin.account_facts import account_status, facts_of, open_breakers
from files_app.admin.account_filters import DriverFilter, EnabledFilter
from files_app.admin.account_form import (
    BASIC_FIELDS,
    CLEAR,
    CONFIRM,
    CREDENTIAL,
    can_confirm,
    form_for,
    option_sections,
    removable,
)
from files_app.admin.account_live import run_sync, run_test
from files_app.admin.base import GatewayAdmin
from files_app.admin.bulk import BulkAction, as_admin_action
from files_app.admin.fields import OwnerField
from files_app.admin.filters import OrganizationFilter
from files_app.admin.folders import folders_link, folders_page
from files_app.admin.formatting import NOTHING, badge, label_of, shown_age, two_lines
from files_app.admin.pages import page
from files_app.admin.requests import caller_of, decides_for_tenants, reach_for
from files_app.admin.retention import AccountRules, ShowsRetention
from files_app.admin.streaming import json_lines
from files_app.exceptions import InvalidRequestError
from files_app.models import Organization, ProviderAccount
from files_app.services.accounts.disk_segments import lacks_segment
from files_app.services.accounts.places import is_exclusive
from files_app.services.accounts.saving import save_account, switch_account
from files_app.services.accounts.sharing import confirm_exclusive
from files_app.services.operations.heartbeats import lacks
from providers.base import Driver
from providers.exceptions import ProviderConfigurationError
from providers.objects import INPUT_PURPOSES, Operation
from providers.registry import DRIVERS, driver_class


def _switch(is_enabled: bool) -> Any:
    def run(request: HttpRequest, row: ProviderAccount, answers: dict[str, Any]) -> str:
        switch_account(row, is_enabled=is_enabled, caller=caller_of(request, row.organization_id))
        return "enabled" if is_enabled else "disabled"

    return run


ENABLE = BulkAction(
    name="enable_accounts",
    title="Enable accounts",
    verb="Enable",
    run=_switch(True),
    command="accounts enable",
)
DISABLE = BulkAction(
    name="disable_accounts",
    title="Disable accounts",
    verb="Disable",
    run=_switch(False),
    warning="Uploads and downloads through these accounts are refused until they are enabled again.",
    is_dangerous=True,
    command="accounts disable",
)


def _only_organization(request: HttpRequest) -> Organization | None:
    """Return the organization in sight, if there is no other."""
    found = list(reach_for(request).organizations()[:2])
    return found[0] if len(found) == 1 else None


@admin.register(ProviderAccount)
class ProviderAccountAdmin(ShowsRetention, GatewayAdmin):
    """Named configurations of drivers."""

    object_type = "account"
    commands: ClassVar = {
        "view": "accounts list",
        "add": "apply",
        "change": "apply",
        "delete": "apply",
        "test": "accounts test",
        "sync": "accounts sync",
        "confirm": "accounts confirm",
        "retention": "retention preview",
        "folders": "files list",
    }
    empty_title = "No provider account yet"
    empty_text = "An account says where files go: a provider's API, a bucket, or this host's disk."
    list_display = ["shown_name", "owner", "status", "operations", "credentials_state", "synced"]
    list_display_links = ["shown_name"]
    list_select_related = ["organization"]
    list_filter = [EnabledFilter, DriverFilter, OrganizationFilter]
    search_fields = ["name"]
    search_help_text = "Name"
    sortable_by = ["shown_name", "synced"]
    actions = [as_admin_action(ENABLE, "change"), as_admin_action(DISABLE, "change")]
    change_form_outer_before_template = "files_app/admin/account_panel.html"
    change_form_after_template = "files_app/admin/retention_button.html"
    rules_inline = AccountRules

    def get_inlines(self, request: HttpRequest, obj: ProviderAccount | None) -> Any:
        """Ask for retention rules once the account exists."""
        return [] if obj is None else [self.rules_inline]

    def get_urls(self) -> list[URLPattern]:
        """Add the connection test, the sync, the confirmation and the folders."""
        return [
            path(
                "<int:pk>/folders/",
                self.admin_site.admin_view(require_safe(self.folders)),
                name="files_app_provideraccount_folders",
            ),
            path(
                "<int:pk>/test/",
                self.admin_site.admin_view(require_POST(self.test_connection)),
                name="files_app_provideraccount_test",
            ),
            path(
                "<int:pk>/sync/",
                self.admin_site.admin_view(require_POST(self.sync_now)),
                name="files_app_provideraccount_sync",
            ),
            path(
                "<int:pk>/confirm/",
                self.admin_site.admin_view(require_POST(self.confirm)),
                name="files_app_provideraccount_confirm",
            ),
            *self.retention_urls(),
            *super().get_urls(),
        ]

    def get_queryset(self, request: HttpRequest) -> Any:
        """Bring what each account's provider does not answer."""
        return super().get_queryset(request).prefetch_related("open_breakers")

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        return (queryset.filter(name__icontains=search_term) if search_term else queryset), False

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Whether the user may test and sync."""
        return request.user.has_perm("files_app.operate_provideraccount")

    # -- form ----------------------------------------------------------------------------------------

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Let the user choose a driver first: its settings make the form."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        if request.GET.get("driver") not in DRIVERS:
            drivers = [driver_class(name) for name in DRIVERS]  # called by templates, so only facts go there
            groups = [
                ("Providers", [(d.name, d.label) for d in drivers if d.capabilities.storage == "provider"]),
                (
                    "Object stores",
                    [(d.name, d.label) for d in drivers if d.capabilities.storage != "provider"],
                ),
            ]
            return page(
                request, "choose_driver.html", "New provider account", {"groups": groups, "opts": self.opts}
            )
        title = f"New {label_of(request.GET['driver'])} account"
        return super().add_view(request, form_url, {"title": title, **(extra_context or {})})

    def get_form(
        self, request: HttpRequest, obj: ProviderAccount | None = None, change: bool = False, **kwargs: Any
    ) -> Any:
        kwargs["form"] = form_for(self._driver(request, obj), request, obj)
        return super().get_form(request, obj, change=change, **kwargs)

    def get_fieldsets(self, request: HttpRequest, obj: ProviderAccount | None = None) -> Any:
        """Return the sections: what every account has, then the driver's own."""
        driver = self._driver(request, obj)
        if not self.has_change_permission(request, obj) and obj is not None:
            return [("Account", {"fields": [*BASIC_FIELDS]})]
        confirm = [CONFIRM] if can_confirm(request, obj) else []
        sections = [("Account", {"fields": [*BASIC_FIELDS, *confirm]})]
        sections += option_sections(driver, obj)
        if driver.credentials:
            fields = []
            for setting in driver.credentials:
                fields.append(CREDENTIAL + setting.name)
                if setting.name in removable(driver, obj):
                    fields.append(CLEAR + setting.name)
            sections.append(("Credentials", {"fields": fields}))
        return sections

    def get_readonly_fields(self, request: HttpRequest, obj: ProviderAccount | None = None) -> Any:
        """An account stays with its organization: its files do."""
        return ["organization"] if obj is not None else []

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Only staff that sees everything makes accounts that all share."""
        if db_field.name == "organization" and reach_for(request).sees_all:
            kwargs["form_class"] = OwnerField
        field = super().formfield_for_foreignkey(db_field, request, **kwargs)
        if db_field.name == "organization":
            field.required = True
            field.empty_label = None if _only_organization(request) else "Choose whose it is"
            field.help_text = "Cannot be changed later."
        return field

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Take the only organization for granted; of several, or of all together, somebody chooses."""
        given = super().get_changeform_initial_data(request)
        only = _only_organization(request)
        return {"organization": only.pk, **given} if only else given

    def _driver(self, request: HttpRequest, obj: ProviderAccount | None) -> type[Driver]:
        return driver_class(obj.driver if obj is not None else request.GET.get("driver", "local"))

    def save_model(self, request: HttpRequest, obj: ProviderAccount, form: Any, change: bool) -> None:
        """Save through the service, which fingerprints the upstream and encrypts."""
        credentials = form.new_credentials() if form.changes_credentials else None
        save_account(obj, credentials, kept=form.kept_credentials())
        if reach_for(request).sees_all:
            for lack in lacks([obj.full_name]):
                messages.warning(request, str(lack))

    def response_add(
        self, request: HttpRequest, obj: Any, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Lead to the account and test it."""
        messages.success(request, f"Account {obj.name} is saved.")
        return redirect(f"{reverse('admin:files_app_provideraccount_change', args=[obj.pk])}?test=1")

    def response_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        """Stay on the account, where its connection can be tested."""
        messages.success(request, f"Account {obj.name} is saved.")
        return redirect(reverse("admin:files_app_provideraccount_change", args=[obj.pk]))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Show test, sync and capabilities above the form."""
        row = self.get_object(request, object_id)
        if row is not None and self.has_view_permission(request, row):
            extra_context = {**self._panel(request, row), **(extra_context or {})}
        return super().change_view(request, object_id, form_url, extra_context)

    def _panel(self, request: HttpRequest, row: ProviderAccount) -> dict[str, Any]:
        return {
            "account": row,
            "driver_label": label_of(row.driver),
            "status": account_status(row),
            "open_breakers": open_breakers(row),
            "takes_credentials": bool(driver_class(row.driver).credentials),
            "capabilities": facts_of(row),
            "can_operate": self.has_operate_permission(request),
            "withheld": row.files.filter(is_withheld=True).count(),
            "can_confirm": row.shared_since is not None
            and not lacks_segment(row)
            and decides_for_tenants(request),
            "can_sync": row.organization_id is not None and is_exclusive(row),
            "start_test": request.GET.get("test") == "1",
            "folders_link": folders_link(row),
            "file_count_link": f"{reverse('admin:files_app_file_changelist')}?account={row.pk}",
        }

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """Delete an account that no file knows; one with files is disabled instead."""
        row = self.get_object(request, object_id)
        if row is not None and self.has_delete_permission(request, row) and row.files.exists():
            reason = "Files are recorded at this account, so its name has to stay. Disable it instead."
            context = {"reason": reason, "opts": self.opts, "original": row}
            return page(request, "not_possible.html", f"{row.name} cannot be deleted", context, status=409)
        return super().delete_view(request, object_id, extra_context)

    # -- live actions --------------------------------------------------------------------------------

    def test_connection(self, request: HttpRequest, pk: int) -> StreamingHttpResponse:
        """Run the connection test and send each step as it ends."""
        account = self._operable(request, pk)
        round_trip = request.POST.get("round_trip") == "1"
        caller = caller_of(request, account.organization_id)
        return json_lines(run_test(account, caller, round_trip=round_trip))

    def sync_now(self, request: HttpRequest, pk: int) -> StreamingHttpResponse:
        """Sync the account and send the numbers after each page of the provider's list."""
        account = self._operable(request, pk)
        caller = caller_of(request, account.organization_id)
        return json_lines(run_sync(account, caller))

    def confirm(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Take everything at the account for its organization's, on a superuser's word."""
        if not decides_for_tenants(request):
            raise PermissionDenied
        account = self._operable(request, pk)
        try:
            shown = confirm_exclusive(account, caller=caller_of(request, account.organization_id))
            messages.success(request, f"Account {account.name} is confirmed; files shown again: {shown}.")
        except InvalidRequestError as exc:
            messages.error(request, exc.message)
        return redirect(reverse("admin:files_app_provideraccount_change", args=[pk]))

    def folders(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Show the files of a bucket as folders."""
        return folders_page(request, pk, self.opts)

    def _operable(self, request: HttpRequest, pk: int) -> ProviderAccount:
        if not self.has_operate_permission(request):
            raise PermissionDenied
        account = self.get_queryset(request).select_related("organization").filter(pk=pk).first()
        if account is None:
            raise Http404
        return account  # type: ignore[no-any-return]

    # -- columns -------------------------------------------------------------------------------------

    def audit_id(self, row: Any) -> str:
        """Return the account's name."""
        return str(row.name)

    @admin.display(description="Account", ordering="name")
    def shown_name(self, row: ProviderAccount) -> SafeString:
        """Show the name and the driver."""
        return two_lines(row.name, label_of(row.driver))

    @admin.display(description="Organization")
    def owner(self, row: ProviderAccount) -> SafeString | str:
        """Show whose it is."""
        return (
            row.organization.name
            if row.organization
            else badge("shared", "info", "Every organization uses it.")
        )

    @admin.display(description="State")
    def status(self, row: ProviderAccount) -> SafeString:
        """Show whether it is used and works."""
        return account_status(row)

    @admin.display(description="Can")
    def operations(self, row: ProviderAccount) -> SafeString:
        """Show what the driver can do."""
        try:
            capabilities = driver_class(row.driver).capabilities
        except ProviderConfigurationError:
            return NOTHING
        missing = [operation.value for operation in Operation if operation not in capabilities.operations]
        purposes = sorted(capabilities.purposes)
        return two_lines(
            f"all but {', '.join(missing)}" if missing else "everything",
            "for any purpose" if len(purposes) == len(INPUT_PURPOSES) else f"for {', '.join(purposes)}",
        )

    @admin.display(description="Credentials")
    def credentials_state(self, row: ProviderAccount) -> SafeString:
        """Show when the credentials were changed."""
        return shown_age(row.credentials_changed_at) if row.credentials_changed_at else NOTHING

    @admin.display(description="Synced", ordering="last_synced_at")
    def synced(self, row: ProviderAccount) -> SafeString:
        """Show when the index last followed the provider."""
        if row.last_sync_error:
            return badge("sync fails", "critical", row.last_sync_error)
        return shown_age(row.last_synced_at)
