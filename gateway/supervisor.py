"""Keeps the parts of `manage.py run` running, in a process that has nothing else to do.

    python -m gateway.forking FD               # parts are forked of it
    python -S -E -m gateway.supervisor FD      # parts are programs of their own, where Python does not fork

The plan is read from the descriptor, once; see `Plan`. A part that ends, or that says nothing for 30 s, is
started again after a pause; the others never notice. The standard library alone, and little of it: where
parts are programs of their own this process is to be small.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable

from gateway import beats
from gateway.notices import notice, say

TYPE_CHECKING = False  # typing itself would be a tenth of this process
if TYPE_CHECKING:
    from typing import Protocol

    class Process(Protocol):
        """A `subprocess.Popen`, or what is forked."""

        pid: int

        def poll(self) -> int | None: ...
        def wait(self, timeout: float | None = None) -> int: ...
        def send_signal(self, number: int, /) -> None: ...

    #: The arguments are the program, its environment, and the descriptor that it beats to.
    Start = Callable[["Program", dict[str, str], int], Process]

POLL_SECONDS = 0.2
KILL_SECONDS = 5.0
#: The first part comes up sooner when the others wait until it has, or so long at most.
BEHIND_SECONDS = 4.0
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0
#: A part that stood for so long is not in a loop of crashes: its next pause is the first again.
STEADY_SECONDS = 300.0
#: Ctrl-C comes once from a terminal and again from whoever passes it on; a person is slower.
SECOND_SIGNAL_SECONDS = 1.0
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Program:
    """A part: its name in logs, its name in sentences, its command line, and what waits while it is down.

    command: `[python, "-m", module, *arguments]`; the module has a `main()`, for where no command is run
    """

    def __init__(self, name: str, title: str, command: list[str], meanwhile: str) -> None:
        self.name = name
        self.title = title
        self.command = command
        self.meanwhile = meanwhile


class Plan:
    """What to run. `banner` holds secrets, so a plan comes by a pipe and never by arguments or environment.

    grace_seconds: what running transfers get after a stop signal, as it is said
    patience_seconds: after so long what has not ended is killed
    address: where the web server listens, asked for `/readyz` until it first answers 200
    """

    def __init__(
        self,
        programs: list[Program],
        *,
        grace_seconds: float,
        patience_seconds: float,
        address: tuple[str, int],
        banner: str,
    ) -> None:
        self.programs = programs
        self.grace_seconds = grace_seconds
        self.patience_seconds = patience_seconds
        self.address = address
        self.banner = banner

    def to_json(self) -> str:
        return json.dumps({**vars(self), "programs": [vars(program) for program in self.programs]})

    @classmethod
    def from_json(cls, text: str) -> Plan:
        given = json.loads(text)
        programs = [Program(**program) for program in given.pop("programs")]
        host, port = given.pop("address")
        return cls(programs, address=(host, port), **given)


def start_anew(program: Program, environment: dict[str, str], writer: int) -> subprocess.Popen[bytes]:
    """Run its command, in a session of its own: Ctrl-C in the terminal reaches the supervisor alone."""
    return subprocess.Popen(  # noqa: S603 - our own command lines
        program.command, env=environment, pass_fds=[writer], start_new_session=True
    )


class Part:
    """A program, its process, and when it was last heard of; all times are those of the clock."""

    def __init__(self, program: Program, clock: beats.Clock, start: Start) -> None:
        self.program = program
        self.process: Process | None = None
        self.start_at = 0.0
        self.starts = 0
        self.came_up = False  # once, ever
        self._clock = clock
        self._start = start
        self.is_up = False  # this process
        self._listener: beats.Listener | None = None
        self._started_at = self._heard_at = 0.0
        self._pause_seconds = FIRST_PAUSE_SECONDS

    def start(self) -> None:
        self._listener = beats.Listener()
        environment = {**os.environ, beats.VARIABLE: str(self._listener.writer)}
        for name in beats.SYSTEMD_VARIABLES:
            environment.pop(name, None)
        self.process = self._start(self.program, environment, self._listener.writer)
        self._listener.close_writer()
        self.starts += 1
        self._started_at = self._heard_at = self._clock.now

    def hear(self) -> bool:
        """Take its beats; return whether this is the first of this process."""
        if not (self._listener and self._listener.read()):
            return False
        self._heard_at = self._clock.now
        is_first, self.is_up, self.came_up = not self.is_up, True, True
        return is_first

    @property
    def silent_seconds(self) -> float:
        return self._clock.now - self._heard_at

    @property
    def stands(self) -> bool:
        return self.silent_seconds > (beats.SILENT_SECONDS if self.is_up else beats.START_SECONDS)

    def rest(self) -> float:
        """Let it be down, and return for how many seconds."""
        if self._clock.now - self._started_at > STEADY_SECONDS:
            self._pause_seconds = FIRST_PAUSE_SECONDS
        seconds = self._pause_seconds
        self._pause_seconds = min(2 * seconds, LONGEST_PAUSE_SECONDS)
        self.start_at = self._clock.now + seconds
        self.process, self.is_up = None, False
        if self._listener:
            self._listener.close()
        return seconds


class Supervisor:
    """Starts the programs of a plan and keeps them up; prints its banner when `/readyz` first answers 200."""

    def __init__(self, plan: Plan, *, say: Callable[[str], object], start: Start = start_anew) -> None:
        self._plan = plan
        self._say = say
        self._clock = beats.Clock()
        self._parts = [Part(program, self._clock, start) for program in plan.programs]
        #: Groups whose first process is gone, and when what is left of them has to end.
        self._remains: dict[int, float] = {}
        self._stopping_since = 0.0
        self._signal = signal.SIGTERM  # what the parts get
        self._is_ready = False
        self._told_systemd_at = -beats.INTERVAL_SECONDS

    def run(self) -> str:
        """Block until a signal; return why a first start failed, else nothing."""
        previous = {number: signal.signal(number, self._handle) for number in STOP_SIGNALS}
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)  # `programs` held them back until here
        try:
            if not self._stopping_since:
                self._start(self._parts[0])
            for part in self._parts[1:]:
                part.start_at = BEHIND_SECONDS
            return self._watch()
        finally:
            self._stop()
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _handle(self, number: int, frame: object) -> None:
        now = time.monotonic()
        if not self._stopping_since:
            self._stopping_since = now
            if number == signal.SIGINT:  # a person waits, and no balancer
                self._signal = signal.SIGINT
        elif number == signal.SIGINT and now - self._stopping_since > SECOND_SIGNAL_SECONDS:
            # Not for a second SIGTERM: make, tini and systemd send it to the group and pass it on as well.
            self._kill()

    # -- while all is well ---------------------------------------------------------------------------------

    def _watch(self) -> str:
        while not self._stopping_since:
            time.sleep(POLL_SECONDS)
            self._clock.tick()
            for part in self._parts:
                if failure := self._look_at(part):
                    return failure
            self._clear_remains()
            if not self._is_ready and is_ready(self._plan.address):
                self._ready()
            self._beat()
        grace = self._plan.grace_seconds
        self._say(f"Stopping: running transfers get {grace:g} s. Ctrl-C again stops at once.")
        return ""

    def _look_at(self, part: Part) -> str:
        """Start the part, or see that it has ended or stands. Return why the first start fails, if so."""
        if part.process is None:
            is_first_up = part.starts == 0 and self._parts[0].came_up
            if is_first_up or self._clock.now >= part.start_at:
                self._start(part)
        elif part.process.poll() is not None:
            return self._ended(part, part.process)
        elif part.hear():
            self._came_up(part)
        elif part.stands:
            self._stands(part, part.process)
        return ""

    def _start(self, part: Part) -> None:
        try:
            part.start()
        except OSError as error:  # no memory or no process is free just now
            self._again(part, "part_ended", f"cannot be started ({error.strerror})")

    def _came_up(self, part: Part) -> None:
        program, again = part.program, " again" if part.starts > 1 else ""
        notice("part_runs", f"The {program.title} runs{again}.", level="info", fields={"part": program.name})

    def _ended(self, part: Part, process: Process) -> str:
        code = process.wait()
        if not (part.came_up or self._is_ready):
            return f"the {part.program.title} ended with exit code {code}: its last lines say why"
        self._let_end(process.pid)
        self._again(part, "part_ended", f"ended with exit code {code}", exit_code=code)
        return ""

    def _stands(self, part: Part, process: Process) -> None:
        seconds = round(part.silent_seconds)
        _signal_group(process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):  # one that waits for a dead disk cannot even die
            process.wait(KILL_SECONDS)
        self._again(part, "part_stands", f"has said nothing for {seconds} s and was ended", silent=seconds)

    def _again(self, part: Part, event: str, what: str, **fields: float) -> None:
        pause = part.rest()
        program = part.program
        words = f"The {program.title} {what}. It starts again in {pause:g} s; until then {program.meanwhile}."
        notice(event, words, level="error", fields={"part": program.name, "restart_seconds": pause, **fields})

    def _ready(self) -> None:
        self._is_ready = True
        self._say(self._plan.banner)
        for part in self._parts:
            if part.process is None and part.starts:  # the others are about to start
                self._say(
                    f"Not running: the {part.program.title}. Until it is back {part.program.meanwhile}."
                )
        self._plan.banner = ""
        beats.tell_systemd("READY=1")

    def _beat(self) -> None:
        if self._clock.now - self._told_systemd_at >= beats.INTERVAL_SECONDS:
            self._told_systemd_at = self._clock.now
            beats.tell_systemd("WATCHDOG=1")

    # -- the end -------------------------------------------------------------------------------------------

    def _let_end(self, group: int) -> None:
        """Ask what a dead process left behind to end: workers of a killed server finish their transfers."""
        if _signal_group(group, signal.SIGTERM):
            self._remains[group] = time.monotonic() + self._plan.patience_seconds

    def _clear_remains(self) -> None:
        for group, ends_at in list(self._remains.items()):
            number = signal.SIGKILL if time.monotonic() > ends_at else 0
            if not _signal_group(group, number):
                del self._remains[group]

    def _stop(self) -> None:
        self._stopping_since = self._stopping_since or time.monotonic()
        beats.tell_systemd("STOPPING=1")
        for part in self._parts:
            if part.process and part.process.poll() is None:
                # What still imports would answer SIGINT with a traceback.
                part.process.send_signal(self._signal if part.is_up else signal.SIGTERM)
        deadline = time.monotonic() + self._plan.patience_seconds
        while time.monotonic() < deadline and (self._running() or self._remains):
            self._clear_remains()
            time.sleep(POLL_SECONDS / 4)
        self._kill()
        for part in self._parts:
            if part.process:
                part.process.wait()
        self._say("Stopped.")

    def _running(self) -> list[Process]:
        processes = [part.process for part in self._parts if part.process]
        return [process for process in processes if process.poll() is None]

    def _kill(self) -> None:
        """Kill what is left of each part's group: a killed server does not take its workers with it."""
        for part in self._parts:
            if part.process and not _signal_group(part.process.pid, signal.SIGKILL):
                part.process.send_signal(signal.SIGKILL)  # forked just now, and not yet in a group of its own
        for group in self._remains:
            _signal_group(group, signal.SIGKILL)


def _signal_group(group: int, number: int) -> bool:
    """Send the signal to all of the group; return whether there was anybody."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    return True


def is_ready(address: tuple[str, int]) -> bool:
    """Ask `/readyz`, without http.client, which would be half of this process."""
    try:
        with socket.create_connection(address, timeout=2) as connection:
            host = f"[{address[0]}]" if ":" in address[0] else address[0]
            connection.sendall(f"GET /readyz HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
            return connection.recv(16).split(b" ")[1:2] == [b"200"]
    except OSError:
        return False


def main(start: Start = start_anew) -> None:
    with os.fdopen(int(sys.argv[1])) as given:
        plan = Plan.from_json(given.read())
    if failure := Supervisor(plan, say=say, start=start).run():
        sys.exit(f"CommandError: {failure}")


if __name__ == "__main__":
    main()
