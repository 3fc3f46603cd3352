"""The staff roles, as groups: read-only, operator, owner. Each may do what the one before it may."""

from typing import Any

from django.apps.registry import Apps
from django.db import migrations

MODELS = ("organization", "apikey", "provideraccount", "file", "filecopy", "auditevent")

READ_ONLY = [("view", model) for model in MODELS]
OPERATOR = [
    *READ_ONLY,
    ("add", "file"),
    ("change", "file"),
    ("delete", "file"),
    ("read_file_content", "file"),
    ("change", "filecopy"),
    ("operate_provideraccount", "provideraccount"),
]
OWNER = [
    *OPERATOR,
    *((action, model) for model in ("apikey", "provideraccount") for action in ("add", "change", "delete")),
    ("add", "organization"),
    ("change", "organization"),
]
ROLES = {"Read-only": READ_ONLY, "Operator": OPERATOR, "Owner": OWNER}
OWN_NAMES = {
    "read_file_content": "Can preview and download the content of files",
    "operate_provideraccount": "Can test and sync provider accounts",
}
VERBOSE = {
    "organization": "organization",
    "apikey": "API key",
    "provideraccount": "provider account",
    "file": "file",
    "filecopy": "file copy",
    "auditevent": "audit event",
}


def create_roles(apps: Apps, schema_editor: object) -> None:
    """Create the groups; permissions too, which Django itself makes only after the last migration."""
    Group = apps.get_model("auth", "Group")
    for name, granted in ROLES.items():
        group, _ = Group.objects.get_or_create(name=name)
        group.permissions.set([permission(apps, action, model) for action, model in granted])


def permission(apps: Apps, action: str, model: str) -> Any:
    ContentType = apps.get_model("contenttypes", "ContentType")
    Permission = apps.get_model("auth", "Permission")
    content_type, _ = ContentType.objects.get_or_create(app_label="files_app", model=model)
    own_name = OWN_NAMES.get(action)
    found, _ = Permission.objects.get_or_create(
        content_type=content_type,
        codename=action if own_name else f"{action}_{model}",
        defaults={"name": own_name or f"Can {action} {VERBOSE[model]}"},
    )
    return found


def remove_roles(apps: Apps, schema_editor: object) -> None:
    apps.get_model("auth", "Group").objects.filter(name__in=ROLES).delete()


class Migration(migrations.Migration):
    dependencies = [
        ("files_app", "0002_staff"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [migrations.RunPython(create_roles, remove_roles)]
