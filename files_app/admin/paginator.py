"""Pages without a COUNT(*) over the whole table."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

from django.core.paginator import Paginator
from django.db.models import Count, Sum

if TYPE_CHECKING:
    _Paginator: TypeAlias = Paginator[Any]
else:
    _Paginator = Paginator

#: Rows that are counted, and so can be paged to; filters and search reach the rest.
MAX_COUNTED = 10_000


class CappedPaginator(_Paginator):
    """Counts to a limit: a page of a million rows costs what one of ten thousand does."""

    template_name = "files_app/admin/pagination.html"

    @cached_property
    def _counted(self) -> int:
        rows: Any = self.object_list
        return int(rows.order_by().values("pk")[: MAX_COUNTED + 1].count())

    @property
    def count(self) -> int:
        """The number of rows that can be paged to."""
        return min(self._counted, MAX_COUNTED)

    @property
    def is_capped(self) -> bool:
        """Whether there are more rows than were counted."""
        return self._counted > MAX_COUNTED


class SizedPaginator(CappedPaginator):
    """Adds the bytes of the rows up, in the query that counts them and to the same limit.

    In the order of the list, so that the index that has the first page has them too.
    """

    @cached_property
    def _totals(self) -> tuple[int, int]:
        rows: Any = self.object_list
        totals = rows.values("pk", "bytes")[: MAX_COUNTED + 1].aggregate(rows=Count("*"), size=Sum("bytes"))
        return totals["rows"], int(totals["size"] or 0)

    @cached_property
    def _counted(self) -> int:
        return self._totals[0]

    @property
    def size(self) -> int:
        """The bytes of the rows that were counted: of all, unless `is_capped`."""
        return self._totals[1]
