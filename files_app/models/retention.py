"""Retention rules: how long files live where nobody says otherwise, and at the longest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Exists, OuterRef, Q

from files_app.models.accounts import ProviderAccount
from files_app.models.organizations import Organization

HOUR_SECONDS = 3_600
DAY_SECONDS = 86_400
#: What a retry of an upload, or a slow store's list, may still refer to.
LEAST_RECORD_SECONDS = DAY_SECONDS
LONGEST_SECONDS = 50 * 365 * DAY_SECONDS


class RetentionRuleQuerySet(models.QuerySet["RetentionRule"]):
    """Which rules are for which files."""

    def of_place(self, organization_id: int, account_id: int) -> RetentionRuleQuerySet:
        """Return the rules for an organization's files at an account."""
        mine = self.filter(Q(organization=organization_id) | Q(organization=None))
        return mine.filter(Q(account=account_id) | Q(account=None))

    def at(self, organization_id: int, account_id: int) -> Rules:
        """Return the same, to be asked."""
        return Rules(self.of_place(organization_id, account_id))


def _seconds(least: int) -> models.PositiveIntegerField[int | None, int | None]:
    bounds = [MinValueValidator(least), MaxValueValidator(LONGEST_SECONDS)]
    return models.PositiveIntegerField(null=True, blank=True, validators=bounds)


class RetentionRule(models.Model):
    """How long files live: of an organization, at an account, of a purpose, or of some of these together.

    Of several rules for a file, the nearest that says a value gives it: see `nearness`. organization: None
    for every organization that uses a shared account. account: None for all. purpose: empty for all.
    default_expiry_seconds: of uploads that ask for none. longest_life_seconds: of whatever is there.
    failed_after_seconds, lost_after_seconds: when records of failed and lost files go. keep_audit_days: in a
    rule for a whole organization, how long its audit events are kept. None of each: this rule does not say.
    """

    organization = models.ForeignKey(
        Organization, on_delete=models.CASCADE, null=True, blank=True, related_name="retention_rules"
    )
    account = models.ForeignKey(
        ProviderAccount, on_delete=models.CASCADE, null=True, blank=True, related_name="retention_rules"
    )
    purpose = models.CharField(max_length=64, blank=True)
    default_expiry_seconds = _seconds(HOUR_SECONDS)
    longest_life_seconds = _seconds(HOUR_SECONDS)
    failed_after_seconds = _seconds(LEAST_RECORD_SECONDS)
    lost_after_seconds = _seconds(LEAST_RECORD_SECONDS)
    keep_audit_days = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(36_500)]
    )

    objects = RetentionRuleQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["organization", "account", "purpose"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["organization", "purpose"],
                condition=Q(account__isnull=True),
                name="one_rule_of_a_purpose",
                violation_error_message="There is a rule for this purpose already.",
            ),
            models.UniqueConstraint(
                fields=["organization", "account", "purpose"],
                condition=Q(organization__isnull=False, account__isnull=False),
                name="one_rule_of_an_account",
                violation_error_message="There is a rule for this account and purpose already.",
            ),
            models.UniqueConstraint(
                fields=["account", "purpose"],
                condition=Q(organization__isnull=True),
                name="one_rule_for_everybody",
                violation_error_message="There is a rule for this account and purpose already.",
            ),
            models.CheckConstraint(
                condition=Q(organization__isnull=False) | Q(account__isnull=False),
                name="a_rule_is_for_somebody",
                violation_error_message="A rule is for an organization or for an account.",
            ),
            models.CheckConstraint(
                condition=Q(keep_audit_days=None) | Q(account=None, purpose=""),
                name="audit_is_kept_for_all",
                violation_error_message="How long audit events are kept is said for a whole organization.",
            ),
        ]

    def __str__(self) -> str:
        named = (self.organization, self.account and self.account.name, self.purpose)
        return " ".join(str(each) for each in named if each)

    def clean(self) -> None:
        """Refuse an account that the organization does not use. Raises ValidationError."""
        if self.account is not None and self.account.organization_id not in (None, self.organization_id):
            raise ValidationError({"account": "Another organization has this account."})

    @property
    def nearness(self) -> tuple[bool, bool, bool]:
        """What decides between rules: one for an account, then for an organization, then for a purpose."""
        return self.account_id is not None, self.organization_id is not None, bool(self.purpose)

    @property
    def scope(self) -> Q:
        """The condition on files that the rule is for."""
        given = {"organization": self.organization_id, "account": self.account_id, "purpose": self.purpose}
        return Q(**{name: value for name, value in given.items() if value})


@dataclass(frozen=True, slots=True)
class Life:
    """How long a file may live. Seconds, None for no end."""

    default_seconds: int | None = None
    longest_seconds: int | None = None

    @property
    def unasked_seconds(self) -> int | None:
        """How long a file lives of which nobody said it."""
        return min(filter(None, (self.default_seconds, self.longest_seconds)), default=None)


class Rules:
    """The rules for the files of one organization at one account; without any, nothing has an end."""

    def __init__(self, rules: Iterable[RetentionRule] = ()) -> None:
        self._nearest_first = sorted(rules, key=lambda rule: rule.nearness, reverse=True)

    def __iter__(self) -> Iterator[RetentionRule]:
        return iter(self._nearest_first)

    def life(self, purpose: str) -> Life:
        """Return how long files of this purpose live."""
        mine = [rule for rule in self._nearest_first if rule.purpose in ("", purpose)]
        return Life(
            _first(mine, lambda rule: rule.default_expiry_seconds),
            _first(mine, lambda rule: rule.longest_life_seconds),
        )

    def purposes(self) -> list[str]:
        """Return the purposes that have rules of their own."""
        return sorted({rule.purpose for rule in self._nearest_first if rule.purpose})


def _first(rules: Iterable[RetentionRule], value: Callable[[RetentionRule], int | None]) -> int | None:
    return next((found for rule in rules if (found := value(rule)) is not None), None)


def organization_and_all_rules(organization_id: int) -> tuple[Organization, list[RetentionRule]]:
    """Return an organization, and the rules for its files anywhere: without any, in one statement."""
    mine = RetentionRule.objects.filter(Q(organization=OuterRef("pk")) | Q(organization=None))
    row = Organization.objects.annotate(has_rules=Exists(mine)).get(pk=organization_id)
    has_rules: bool = row.has_rules  # type: ignore[attr-defined]  # annotated
    rules = RetentionRule.objects.filter(Q(organization=organization_id) | Q(organization=None))
    return row, list(rules) if has_rules else []
