"""Retention rules: rows on the pages of organizations and accounts, and what they would remove."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import RelatedFieldWidgetWrapper
from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django.forms.models import BaseInlineFormSet
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.views.decorators.http import require_POST
from unfold import widgets

from files_app.admin.fields import ModelForm
from files_app.admin.pages import page
from files_app.admin.requests import reach_for
from files_app.models import Organization, ProviderAccount, RetentionRule
from files_app.services.retention.enforcement import preview
from files_app.words import duration, seconds_in

if TYPE_CHECKING:
    from django.contrib.admin import TabularInline

    RuleSet = BaseInlineFormSet[Any, Any, Any]
else:
    from unfold.admin import TabularInline

    RuleSet = BaseInlineFormSet

LIVES = ["default_expiry_seconds", "longest_life_seconds", "failed_after_seconds", "lost_after_seconds"]


class LifeField(forms.CharField):
    """A duration, written as people do: `90d`. Stored in seconds."""

    widget = widgets.UnfoldAdminTextInputWidget

    def __init__(self, label: str, **kwargs: Any) -> None:
        super().__init__(label=label, required=False, **kwargs)

    def prepare_value(self, value: Any) -> Any:
        """Show stored seconds in the largest unit that says them exactly."""
        return duration(value) if isinstance(value, int) else value

    def to_python(self, value: Any) -> int | None:  # type: ignore[override]  # a number for a text
        """Return the seconds; None for nothing."""
        text = str(value or "").strip()
        if not text:
            return None
        seconds = seconds_in(text)
        if seconds is None:
            raise forms.ValidationError("Write a time such as 12h, 90d or 8w.")
        return seconds

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Whether it is another time, however it is written."""
        try:
            return bool(self.to_python(data) != initial)
        except forms.ValidationError:
            return True


class RuleForm(ModelForm):
    """One rule."""

    default_expiry_seconds = LifeField("Expires after")
    longest_life_seconds = LifeField("Lives at most")
    failed_after_seconds = LifeField("Failed go after")
    lost_after_seconds = LifeField("Lost go after")

    class Meta:
        model = RetentionRule
        fields = ["purpose", *LIVES]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():  # a row of a table has no labels of its own
            field.widget.attrs.setdefault("aria-label", str(field.label or ""))


class RuleRows(RuleSet):
    """The rows of a form. One that was sent without them, by a program or an earlier page, changes none."""

    def __init__(self, data: Any = None, *args: Any, **kwargs: Any) -> None:
        prefix = kwargs.get("prefix") or self.get_default_prefix()
        if data is not None and f"{prefix}-TOTAL_FORMS" not in data:
            data = {f"{prefix}-TOTAL_FORMS": "0", f"{prefix}-INITIAL_FORMS": "0"}
        super().__init__(data, *args, **kwargs)

    def clean(self) -> None:
        """Refuse two rules for the same files: Django skips constraints that the page's row is a part of."""
        super().clean()
        seen = set()
        for form in self.forms:
            if form.errors or not form.has_changed() or form in self.deleted_forms:
                continue
            rule = form.instance
            try:
                rule.validate_constraints()
            except ValidationError as exc:
                form.add_error(None, exc)
            if (same := (rule.organization_id, rule.account_id, rule.purpose)) in seen:
                form.add_error("purpose", "There is a rule for this above.")
            seen.add(same)


class Rules(TabularInline):  # type: ignore[type-arg]  # unfold's takes no parameter at run time
    """The rules of a page's row. Who may change them is who may change limits."""

    model = RetentionRule
    form = RuleForm
    formset = RuleRows
    extra = 1
    verbose_name = "retention rule"
    verbose_name_plural = "Retention rules"
    hide_title = True

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Leave out the shortcuts that add and change related rows in pop-up windows."""
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field is not None and isinstance(field.widget, RelatedFieldWidgetWrapper):
            field.widget = field.widget.widget
        return field

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._may(request, "add")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._may(request, "change")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._may(request, "delete")

    def _may(self, request: HttpRequest, action: str) -> bool:
        return reach_for(request).sees_all and request.user.has_perm(f"files_app.{action}_retentionrule")


class OrganizationRules(Rules):
    """Of an organization, at all of its accounts or at one."""

    fields = ["purpose", "account", *LIVES, "keep_audit_days"]

    def get_formset(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        """Offer the organization's accounts and the shared ones: of all there may be tens of thousands."""
        made = super().get_formset(request, obj, **kwargs)
        if isinstance(account := made.form.base_fields.get("account"), forms.ModelChoiceField):
            usable = reach_for(request).usable_accounts().select_related("organization")
            account.queryset = usable.filter(Q(organization=obj) | Q(organization=None))
        return made


class AccountRuleRows(RuleRows):
    """Rules at an account are its owner's; at a shared one everybody's."""

    def _construct_form(self, i: int, **kwargs: Any) -> Any:
        form = super()._construct_form(i, **kwargs)  # type: ignore[misc]  # Django's, without a stub
        form.instance.organization = self.instance.organization
        return form


class AccountRules(Rules):
    """At one account: its owner's, or everybody's at a shared one."""

    formset = AccountRuleRows

    def get_queryset(self, request: HttpRequest) -> QuerySet[RetentionRule]:
        """Leave out what one organization has for a shared account: its own page has it."""
        rows: QuerySet[RetentionRule] = super().get_queryset(request)
        return rows.exclude(organization__isnull=False, account__organization__isnull=True)


class ShowsRetention:
    """Adds the page that shows what the rules of a form would remove, before they are saved."""

    rules_inline: type[Rules]

    def retention_urls(self) -> list[URLPattern]:
        """Return its address; it takes what the form would send."""
        opts, site = self.opts, self.admin_site  # type: ignore[attr-defined]  # a mixin of ModelAdmin
        view = site.admin_view(require_POST(self.show_retention))
        name = f"{opts.app_label}_{opts.model_name}_retention"
        return [path("<int:pk>/retention/", view, name=name)]

    def show_retention(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Show what would go; nothing is saved."""
        row = self.row_in_sight(request, str(pk))  # type: ignore[attr-defined]
        if row is None:
            raise Http404
        inline = self.rules_inline(type(row), admin.site)
        formset = inline.get_formset(request, row)(request.POST, instance=row)
        rules = _entered(formset) if formset.is_valid() else []
        others = list(RetentionRule.objects.exclude(pk__in=[rule.pk for rule in _stored(row)]))
        only = row if isinstance(row, Organization) else None
        shown = [each for each in preview([*rules, *others], only=only) if each.rule in rules]
        context = {
            "opts": self.opts,  # type: ignore[attr-defined]
            "row": row,
            "errors": [
                error for form in formset.forms for errors in form.errors.values() for error in errors
            ],
            "going": [(each, duration(getattr(each.rule, each.ending.value))) for each in shown],
        }
        return page(request, "retention.html", f"What the rules of {row} would remove", context)


def _stored(row: Organization | ProviderAccount) -> QuerySet[RetentionRule]:
    if isinstance(row, Organization):
        return RetentionRule.objects.filter(organization=row)
    return RetentionRule.objects.filter(account=row, organization=row.organization)


def _entered(formset: RuleSet) -> list[RetentionRule]:
    """Return the rules as the form has them, saved or not, without those that are to be removed."""
    forms_kept = [form for form in formset.forms if form not in formset.deleted_forms]
    return [form.instance for form in forms_kept if form.instance.pk or form.has_changed()]
