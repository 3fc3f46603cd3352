"""Form fields of the admin: sizes in words, and widgets in the theme's look."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from django import forms
from django.core.validators import ProhibitNullCharactersValidator
from django.forms.models import ModelChoiceIterator
from unfold import widgets

from files_app.models.accounts import SHARED
from files_app.words import exact_bytes, short_bytes, size_in

if TYPE_CHECKING:
    ModelForm: TypeAlias = forms.ModelForm[Any]
    ModelChoiceField: TypeAlias = forms.ModelChoiceField[Any]
    Choices: TypeAlias = ModelChoiceIterator[Any]
else:
    ModelForm, ModelChoiceField, Choices = forms.ModelForm, forms.ModelChoiceField, ModelChoiceIterator

MAX_SIZE = 2**60
#: Of the rates that organizations and keys may have of their own.
RATE_HELP = "Empty: as the gateway's settings have it. 0: no limit."


class _Owners(Choices):
    """What an account can be: shared, or one organization's."""

    def __iter__(self) -> Iterator[Any]:
        yield from super().__iter__()
        yield SHARED, "Shared by every organization"


class OwnerField(ModelChoiceField):
    """The organization that owns an account, or None: that all share it is chosen, and never what is left."""

    iterator = _Owners

    def clean(self, value: Any) -> Any:
        return None if value == SHARED else super().clean(value)


def show_default_rates(form: forms.Form | ModelForm, of: Mapping[str, int]) -> None:
    """Show in each empty field what holds while it is empty. of: settings, by the names of columns."""
    for name, value in of.items():
        shown = exact_bytes(value) if name.startswith("bytes") else f"{value:,}"
        if name in form.fields:
            form.fields[name].widget.attrs["placeholder"] = shown if value else "no limit"


class SizeField(forms.CharField):
    """A number of bytes, written as people do: `100 GiB`; `10 MB` is 10,000,000, `10 M` as `10 MiB`."""

    widget = widgets.UnfoldAdminTextInputWidget

    def prepare_value(self, value: Any) -> Any:
        """Show a stored number in the largest unit that says it exactly."""
        if not isinstance(value, int):
            return value
        return exact_bytes(value)

    def to_python(self, value: Any) -> Any:
        """Return the number of bytes; None for nothing, where that may be."""
        if not self.required and value in self.empty_values:
            return None
        size = size_in(str(super().to_python(value)))
        if size is None:
            raise forms.ValidationError("Write a size such as 100 GiB, 10 MB or 1048576.")
        if size > MAX_SIZE:
            raise forms.ValidationError(f"At most {short_bytes(MAX_SIZE)}.")
        return size

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Whether the number is another, however it is written."""
        return _reads_otherwise(self, initial, data)


class MappingField(forms.CharField):
    """A mapping of strings, one `name: value` a line."""

    widget = widgets.UnfoldAdminTextareaWidget

    def prepare_value(self, value: Any) -> Any:
        """Show a stored mapping one line each."""
        if isinstance(value, dict):
            return "\n".join(f"{name}: {item}" for name, item in value.items())
        return value

    def to_python(self, value: Any) -> Any:
        """Return the mapping."""
        mapping: dict[str, str] = {}
        text = str(super().to_python(value))
        ProhibitNullCharactersValidator()(text)  # it sees none in a mapping, and PostgreSQL stores none
        for line in text.splitlines():
            name, colon, item = line.partition(":")
            if not line.strip():
                continue
            if not colon or not name.strip():
                raise forms.ValidationError("Write one 'name: value' on each line.")
            mapping[name.strip()] = item.strip()
        return mapping

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Whether it is another mapping, however it is written."""
        return _reads_otherwise(self, initial or {}, data)


class ListField(forms.CharField):
    """A list of strings, one a line or with commas."""

    widget = widgets.UnfoldAdminTextareaWidget

    def prepare_value(self, value: Any) -> Any:
        """Show a stored list one line each."""
        return "\n".join(map(str, value)) if isinstance(value, list | tuple) else value

    def to_python(self, value: Any) -> Any:
        """Return the list."""
        return [word.strip() for word in re.split(r"[,\n]", str(super().to_python(value))) if word.strip()]

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Whether it is another list, however it is written."""
        return _reads_otherwise(self, initial or [], data)


def _reads_otherwise(field: forms.Field, initial: Any, data: Any) -> bool:
    try:
        return bool(field.to_python(data) != initial)
    except forms.ValidationError:
        return True


def shown_json(value: Any) -> str:
    """Return a value as indented JSON."""
    return json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True)
