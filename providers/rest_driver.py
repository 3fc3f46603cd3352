"""The base of every driver whose provider has a REST collection of files: what all of them do alike.

A driver says where the collection is, how its list is called and how it pages, and reads a file object. What
is peculiar, most often the upload, is a method overridden.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from providers.exceptions import (
    FileRejectedError,
    InvalidResponseError,
    ProviderError,
    RemoteFileNotFoundError,
)
from providers.http_driver import HTTPDriver, with_form, with_json
from providers.locations import Location, collection_place
from providers.objects import (
    ByteRange,
    Download,
    JSONObject,
    JSONValue,
    MiB,
    Operation,
    RemoteFile,
    RemotePage,
    Upload,
    UploadPart,
)
from providers.parsing import is_usable_id, parse_objects, parse_text, path_segment
from providers.patience import ask_until_shown
from providers.transports.http import Request, Response
from providers.transports.multipart import FormField, FormFile, FormPart


class RestDriver(HTTPDriver):
    """Works on the collection at `files_url`.

    list_query: fixed query of the list.
    list_member: member of a page that holds the file objects.
    omits_empty_list: a page without files has no such member.
    page_parameter: query parameter that takes a cursor; empty where there are no pages.
    next_member: member of a page that holds the next cursor; null, empty or absent on the last one.
    content_suffix: what is behind a file's own URL where its bytes are.
    """

    list_query: Mapping[str, str] = {}
    list_member: str = "data"
    omits_empty_list: bool = False
    page_parameter: str = ""
    next_member: str = ""
    content_suffix: str = "/content"

    # -- where the files are -------------------------------------------------------------------------------

    @property
    def files_path(self) -> str:
        """What is behind the endpoint in the URL of the collection."""
        return "/files"

    def files_url(self, path: str = "") -> str:
        """Return the URL of the collection, or of `path` below it."""
        return f"{self.base_url}{self.files_path}" + (f"/{path}" if path else "")

    @property
    def endpoint(self) -> str:
        return self.base_url

    def location(self) -> Location:
        """Where `files_url` leads."""
        return Location.of([collection_place(self.files_url())])

    def request(
        self,
        method: str,
        path: str = "",
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Request:
        """Say a request to the collection, or to `path` below it."""
        return Request(method, self.files_url(path), headers=headers or {}, query=query or {})

    # -- the five operations -------------------------------------------------------------------------------

    def _create_file(self, upload: Upload) -> RemoteFile:
        """Send a form with the parts that `form_parts` makes, in the order in which they come.

        It is read up to the file first, so that what comes before can be refused before anything is sent.
        """
        parts = (translated for part in upload for translated in self.form_parts(part, upload))
        fields: list[FormField] = []
        for part in parts:
            if isinstance(part, FormFile):
                request = with_form(self.request("POST"), fields, part, behind=parts)
                break
            fields.append(part)
        else:
            raise AssertionError("an upload without a file is refused before a driver sees it")
        return self.check_size(self.parse_file(self.send_json(Operation.CREATE, request)), upload)

    def _list_files(self, cursor: str | None) -> RemotePage:
        response = self.send(Operation.LIST, self.request("GET", query=self.page_query(cursor)))
        body = self.json_object(response)
        items = self.list_items(body)
        if items is None:
            raise self.invalid("there is no list of files in it", response)
        files = [self.parse_file(each) for each in items]
        following = self.next_cursor(cursor, body, [each.remote_id for each in files])
        shown = (each for each, item in zip(files, items, strict=True) if not self.is_deleted(item))
        return RemotePage(tuple(shown), following)

    def _retrieve_file(self, remote_id: str) -> RemoteFile:
        return self.describe(remote_id, Operation.RETRIEVE)[0]

    def _download_file(self, remote_id: str, byte_range: ByteRange | None) -> Download:
        return self.open_download(self.content_request(remote_id), byte_range)

    def _delete_file(self, remote_id: str) -> None:
        self.send_delete(self.request("DELETE", self.id_segment(remote_id)))

    def describe(self, remote_id: str, operation: Operation) -> tuple[RemoteFile, JSONObject]:
        """Ask for one file, and return what it is and the file object that says so."""
        response = self.send(operation, self.request("GET", self.id_segment(remote_id)))
        body = self.file_object(self.json_object(response))
        if self.is_deleted(body):
            raise self.missing(response)
        found = self.parse_file(body)
        if found.remote_id != remote_id:
            raise self.invalid("with another file than the one asked for", response)
        return found, body

    # -- how providers differ ------------------------------------------------------------------------------

    @abstractmethod
    def parse_file(self, body: JSONObject) -> RemoteFile:
        """Read a file object. Raises InvalidResponseError when it has no id that can be used."""

    def form_parts(self, part: UploadPart, upload: Upload) -> Iterator[FormPart]:
        """Yield what becomes of a part of an upload in the form that is sent."""
        raise self._not_written(Operation.CREATE)

    def file_object(self, body: JSONObject) -> JSONObject:
        """Return the file object in the answer to a retrieve."""
        return body

    def is_deleted(self, body: JSONObject) -> bool:
        """Whether a file object is that of a file which is gone."""
        return False

    def list_items(self, body: JSONObject) -> list[JSONObject] | None:
        """Return the file objects of a page, None when there is no list of them."""
        return parse_objects(body.get(self.list_member, [] if self.omits_empty_list else None))

    def page_query(self, cursor: str | None) -> dict[str, str]:
        """Return the query of the list that asks for the page behind `cursor`."""
        return {
            **self.list_query,
            **({self.page_parameter: cursor} if self.page_parameter and cursor else {}),
        }

    def next_cursor(self, cursor: str | None, body: JSONObject, ids: list[str]) -> str | None:
        """Return what asks for the page behind this one, None when it is the last."""
        return parse_text(body.get(self.next_member), limit=MiB)

    def content_request(self, remote_id: str) -> Request:
        """Say the request for a file's bytes."""
        return self.request("GET", f"{self.id_segment(remote_id)}{self.content_suffix}")

    # -- what uploads need ---------------------------------------------------------------------------------

    def input_purpose(self, upload: Upload) -> str:
        """Return the provider's word for an upload's purpose. Raises FileRejectedError when it has none."""
        try:
            return self.capabilities.purposes[upload.purpose or ""]
        except KeyError:
            raise FileRejectedError(
                f"{self.label} takes no files with the purpose '{upload.purpose}'.", param="purpose"
            ) from None

    def upload_request(
        self, path: str, upload: Upload, file: FormFile, fields: list[FormField] | None = None
    ) -> Request:
        """Say a POST of `fields` and then the file; its last bytes wait for what the upload's checks say."""

        def checked() -> Iterator[FormPart]:
            upload.finish()
            yield from ()

        return with_form(self.request("POST", path), fields or [], file, behind=checked())

    def post_json(self, path: str, body: JSONObject) -> JSONObject:
        """Do one step of an upload: send `body` to `path` below the collection, and return the answer."""
        return self.send_json(Operation.CREATE, with_json(self.request("POST", path), body))

    def go_on(self, path: str, body: JSONObject | None = None) -> JSONObject:
        """Do a further step, like `post_json`: on what an earlier one has made, which may not be shown yet.

        So a 404 is about that, as in a retrieve, and about no wrong URL; the step is tried again for seconds.
        """
        request = self.request("POST", path)
        request = request if body is None else with_json(request, body)
        return ask_until_shown(lambda: self.send_json(Operation.RETRIEVE, request), label=self.label)

    def check_size(self, created: RemoteFile, upload: Upload) -> RemoteFile:
        """Return `created`, unless it counts other bytes than were sent. Call it when the file has passed."""
        sent = upload.finish().bytes
        if created.bytes not in {None, sent}:
            raise self.invalid(f"it counts {created.bytes} bytes of the {sent} that were sent")
        return created

    @contextmanager
    def undone_on_failure(
        self, undo: Callable[[], object], *, unless: Callable[[BaseException], bool] = lambda exc: False
    ) -> Iterator[None]:
        """Run `undo` when the block raises, so that nothing half-made stays at the provider.

        The block's error is the one that counts. It is marked as unanswered when undoing fails too, because
        then something may be left. `unless` tells errors after which there is nothing to undo.
        """
        try:
            yield
        except BaseException as exc:
            if not unless(exc):
                try:
                    undo()
                except RemoteFileNotFoundError:
                    pass
                except ProviderError:
                    if isinstance(exc, ProviderError):
                        exc.answered = False
            raise

    # -- ids -----------------------------------------------------------------------------------------------

    def id_segment(self, remote_id: str) -> str:
        """Return an id as a segment of a URL; RemoteFileNotFoundError for one that no file can have."""
        if not is_usable_id(remote_id):
            raise RemoteFileNotFoundError(f"No file at {self.label} can have this id.")
        return path_segment(remote_id)

    def checked_id(self, value: JSONValue) -> str:
        """Return a provider's id. Raises InvalidResponseError for one that we could not use in a URL."""
        if not isinstance(value, str) or not is_usable_id(value):
            raise self.invalid("the file has no usable id")
        return value

    def missing(self, response: Response | None = None) -> RemoteFileNotFoundError:
        """Return the error for a file that the provider does not have, though it did not answer 404."""
        return RemoteFileNotFoundError(
            f"{self.label} does not have this file.", request_id=response.request_id if response else None
        )


def was_refused(exc: BaseException) -> bool:
    """Whether a request surely changed nothing: a 4xx came back, or it was never sent."""
    if not isinstance(exc, ProviderError) or isinstance(exc, InvalidResponseError):
        return False
    return exc.answered and (exc.status_code is None or exc.status_code < 500)
