"""`manage.py doctor`."""

from __future__ import annotations

from argparse import Namespace

from django.core.management.base import CommandError, CommandParser

from files_app.management.base import GatewayCommand
from files_app.management.output import counted, printable
from files_app.services.operations.doctor import examine
from files_app.services.operations.findings import Finding, Level


class Command(GatewayCommand):
    """Check everything that an operator would."""

    help = (
        "Check settings, disk, secrets, database, broker, worker, encryption keys, quotas, deletes and every "
        "provider account, and say what to fix. Changes nothing. Exit code 1 when there is a problem."
    )
    examples = """
        manage.py doctor
        manage.py doctor --offline            ask no provider
        manage.py doctor --strict --json      for a monitor: warnings count too
    """

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--offline", action="store_true", help="ask no provider")
        parser.add_argument("--strict", action="store_true", help="exit with 1 for warnings too")
        parser.add_argument("--json", action="store_true", help="print the findings as JSON")

    def run(self, arguments: Namespace) -> None:
        """Examine and report."""
        findings = []
        with self.progress("checking") as progress:
            for finding in examine(live=not arguments.offline):
                findings.append(finding)
                progress.clear()
                if not arguments.json:
                    self._show(finding)
                progress.advance()
        problems = sum(finding.level == Level.PROBLEM for finding in findings)
        warnings = sum(finding.level == Level.WARNING for finding in findings)
        if arguments.json:
            rows = [
                {"area": found.area, "level": found.level, "detail": found.detail, "fix": found.fix}
                for found in findings
            ]
            self.write_json({"problems": problems, "warnings": warnings, "findings": rows})
        if problems or (arguments.strict and warnings):
            raise CommandError(f"{counted(problems, 'problem')}, {counted(warnings, 'warning')}.")

    def _show(self, finding: Finding) -> None:
        styles = {
            Level.OK: self.style.SUCCESS,
            Level.WARNING: self.style.WARNING,
            Level.PROBLEM: self.style.ERROR,
        }
        self.stdout.write(
            f"{styles[finding.level](f'{finding.level:8}')} {finding.area:13} {printable(finding.detail)}"
        )
        if finding.fix:
            self.stdout.write(f"{'':23}-> {printable(finding.fix)}")
