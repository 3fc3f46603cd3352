"""The form of a provider account: its driver's options, and its credentials, which are only ever written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.http import HttpRequest
from unfold import widgets

from files_app.admin.fields import ListField, MappingField, ModelForm
from files_app.admin.requests import reach_for
from files_app.models import ProviderAccount
from files_app.services.accounts import credentials as secrets
from files_app.services.accounts.saving import checked_driver
from providers.base import Driver, Setting
from providers.exceptions import ProviderConfigurationError

OPTION, CREDENTIAL, CLEAR = "option_", "credential_", "clear_"
CONFIRM = "confirm_operators"
BASIC_FIELDS = ["organization", "name", "is_default", "is_enabled", "list_freshness_seconds"]


class AccountForm(ModelForm):
    """The fields that every account has. Subclasses made by `form_for` add the driver's."""

    driver_class: type[Driver]
    request: HttpRequest

    class Meta:
        model = ProviderAccount
        fields = ["name", "is_default", "is_enabled", "list_freshness_seconds"]
        labels = {
            "is_default": "Default account",
            "is_enabled": "Enabled",
            "list_freshness_seconds": "List freshness",
        }
        help_texts = {
            "name": "Clients name it in the header x-tfy-provider-name.",
            "list_freshness_seconds": (
                "Age in seconds of the last sync above which a list asks the provider first. 0: always. "
                "Empty: never sync."
            ),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.instance.driver = self.driver_class.name
        self._stored = _stored(self.instance)
        for setting in self.driver_class.options:
            self.fields[OPTION + setting.name].initial = self.instance.options.get(setting.name)
        for setting in self.driver_class.credentials:
            _describe(self.fields[CREDENTIAL + setting.name], setting, self._stored.get(setting.name))

    @property
    def changed_data(self) -> list[str]:
        """The names of what changed, for the audit trail."""
        return [name for name in super().changed_data if not name.startswith(CLEAR) or self.data.get(name)]

    def clean(self) -> dict[str, Any]:
        """Build the driver with what was entered: its refusals are errors of the form."""
        cleaned: dict[str, Any] = super().clean() or {}
        self._refuse_references(cleaned)
        if self.errors:
            return cleaned
        self.instance.is_operators = self._is_operators(cleaned)
        self.instance.options = self._options(cleaned)
        self.instance.name = cleaned.get("name") or self.instance.name
        try:
            checked_driver(self.instance, self.new_credentials(), kept=self.kept_credentials())
        except ProviderConfigurationError as exc:
            self.add_error(self._field_of(exc), str(exc))
        return cleaned

    def new_credentials(self) -> dict[str, str]:
        """Return the credentials after the change."""
        return self.kept_credentials() | self._entered(self.cleaned_data)

    def kept_credentials(self) -> dict[str, str]:
        """Return the stored credentials that stay: their fields were left empty."""
        entered = self._entered(self.cleaned_data)
        return {
            name: value
            for name, value in self._stored.items()
            if name not in entered and not self.cleaned_data.get(CLEAR + name)
        }

    @property
    def changes_credentials(self) -> bool:
        """Whether any credential was entered or removed."""
        return self.new_credentials() != self._stored

    def _entered(self, cleaned: Mapping[str, Any]) -> dict[str, str]:
        names = [setting.name for setting in self.driver_class.credentials]
        return {name: cleaned[CREDENTIAL + name] for name in names if cleaned.get(CREDENTIAL + name)}

    def _options(self, cleaned: Mapping[str, Any]) -> dict[str, Any]:
        values = {s.name: cleaned.get(OPTION + s.name) for s in self.driver_class.options}
        return {name: value for name, value in values.items() if value not in (None, "", [], {}, False)}

    def _refuse_references(self, cleaned: Mapping[str, Any]) -> None:
        """A reference reads the gateway's own environment and files: only for who sees everything."""
        if reach_for(self.request).sees_all:
            return
        for name, value in self._entered(cleaned).items():
            if secrets.is_reference(value):
                self.add_error(CREDENTIAL + name, "Enter the secret itself: references are for the platform.")

    def _is_operators(self, cleaned: Mapping[str, Any]) -> bool:
        """Whether who runs the gateway answers for where the account leads after this edit.

        That somebody who runs it edits what others made says nothing: it has to be confirmed.
        """
        if not self.instance.pk:
            return bool(getattr(self.request.user, "is_superuser", False))
        is_others_edit = self.has_changed() and not reach_for(self.request).sees_all
        return bool(cleaned.get(CONFIRM)) or (self.instance.is_operators and not is_others_edit)

    def _field_of(self, exc: ProviderConfigurationError) -> str | None:
        for prefix in (OPTION, CREDENTIAL):
            if exc.field and prefix + exc.field in self.fields:
                return prefix + exc.field
        return None


def removable(driver: type[Driver], account: ProviderAccount | None) -> list[str]:
    """Return the names of the credentials that are stored and may be removed."""
    stored = _stored(account) if account is not None else {}
    return [s.name for s in driver.credentials if s.name in stored and not s.required]


def option_sections(
    driver: type[Driver], account: ProviderAccount | None
) -> list[tuple[str, dict[str, list[str]]]]:
    """Return the sections of the driver's options: rare ones that are not set are folded."""
    usual = [OPTION + setting.name for setting in driver.options if not setting.rare]
    rare = [OPTION + setting.name for setting in driver.options if setting.rare]
    is_set = account is not None and any(s.rare and s.name in account.options for s in driver.options)
    sections: list[tuple[str, dict[str, list[str]]]] = []
    if usual:
        sections.append((f"{driver.label} options", {"fields": usual}))
    if rare:
        classes = [] if is_set else ["collapse"]
        sections.append(("More options, for servers that differ", {"fields": rare, "classes": classes}))
    return sections


def can_confirm(request: HttpRequest, account: ProviderAccount | None) -> bool:
    """Whether the user may make the account an operator's."""
    is_superuser = getattr(request.user, "is_superuser", False)
    return is_superuser and account is not None and not account.is_operators


def form_for(
    driver: type[Driver], request: HttpRequest, account: ProviderAccount | None = None
) -> type[AccountForm]:
    """Return the form of an account of this driver."""
    can_go = removable(driver, account)
    fields: dict[str, Any] = {OPTION + setting.name: option_field(setting) for setting in driver.options}
    if can_confirm(request, account):
        fields[CONFIRM] = forms.BooleanField(
            label="Make it an operator's account",
            help_text=(
                "Staff of one organization chose where it leads. Check that before you let it use the "
                "platform's own credentials, roles and private networks."
            ),
            required=False,
            widget=widgets.UnfoldBooleanSwitchWidget,
        )
    for setting in driver.credentials:
        fields[CREDENTIAL + setting.name] = credential_field(setting)
        if setting.name not in can_go:
            continue
        fields[CLEAR + setting.name] = forms.BooleanField(
            label=f"Remove {setting.label.lower()}", required=False, widget=widgets.UnfoldBooleanSwitchWidget
        )
    return type("DriverAccountForm", (AccountForm,), {**fields, "driver_class": driver, "request": request})


def option_field(setting: Setting) -> forms.Field:
    """Return the field for one option."""
    common: dict[str, Any] = {
        "label": setting.label,
        "help_text": setting.help,
        "required": setting.required and setting.default is None,
    }
    placeholder = {"placeholder": str(setting.default)} if setting.default not in (None, "") else {}
    if setting.choices:
        choices = [("", "default"), *((choice, choice) for choice in setting.choices if choice)]
        return forms.ChoiceField(choices=choices, widget=widgets.UnfoldAdminSelectWidget, **common)
    match setting.kind:
        case "url":
            return forms.CharField(widget=widgets.UnfoldAdminTextInputWidget(placeholder), **common)
        case "integer":
            return forms.IntegerField(
                min_value=0, widget=widgets.UnfoldAdminIntegerFieldWidget(placeholder), **common
            )
        case "boolean":
            common["required"] = False
            return forms.BooleanField(widget=widgets.UnfoldBooleanSwitchWidget, **common)
        case "mapping":
            return MappingField(**common)
        case "list":
            return ListField(**common)
        case "text":
            return forms.CharField(widget=widgets.UnfoldAdminTextareaWidget, **common)
    return forms.CharField(widget=widgets.UnfoldAdminTextInputWidget(placeholder), **common)


def credential_field(setting: Setting) -> forms.Field:
    """Return the field for one credential: what is stored is never put into it."""
    attributes = {"autocomplete": "off", "spellcheck": "false"}
    if setting.kind == "text":
        widget: forms.Widget = widgets.UnfoldAdminTextareaWidget(attributes)
    elif setting.secret:
        attributes["autocomplete"] = "new-password"
        widget = widgets.UnfoldAdminPasswordWidget(attributes)
    else:
        widget = widgets.UnfoldAdminTextInputWidget(attributes)
    return forms.CharField(label=setting.label, help_text=setting.help, required=False, widget=widget)


def _describe(field: forms.Field, setting: Setting, stored: str | None) -> None:
    if stored is None:
        field.help_text = setting.help or "The secret itself, or where it is: env:NAME or file:/path."
        return
    hint = secrets.hint(stored) if setting.secret else stored
    field.widget.attrs["placeholder"] = hint
    field.help_text = f"{setting.help} Now: {hint}. Leave empty to keep it.".strip()


def _stored(account: ProviderAccount) -> dict[str, str]:
    """Return the stored credentials; none when no key decrypts them, so that new ones can be entered."""
    try:
        return secrets.unseal(account)
    except ProviderConfigurationError:
        return {}
