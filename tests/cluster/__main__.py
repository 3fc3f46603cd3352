"""Start a cluster to be used by hand, or try one. `make cluster` and `make cluster-test` run it.

python -m tests.cluster [run|test] [--broker redis|rabbitmq] [--port 8080] [--seed N]
"""

from __future__ import annotations

import argparse
import secrets
import shutil
import signal
import sys
import tempfile
import threading
from functools import partial
from pathlib import Path

from tests.cluster import trial
from tests.cluster.parts import BROKERS, Cluster

BANNER = """
The cluster is ready. Ctrl-C takes it away.

  API      {url}/v1          nginx, in front of {nodes}
  Admin    {url}/admin/      user admin, password {password}
  API key  {key}
  Accounts api (the default), s3, gcs: name one with the header x-tfy-provider-name
  Logs     {directory}

curl {url}/v1/files -H "Authorization: Bearer {key}" -F purpose=user_data -F file=@README.md

To break it, end or stop what you like (kill -9, kill -STOP, kill -CONT); here nothing is started again:

{processes}
"""


def find_nginx() -> str:
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if found is None:
        sys.exit("error: nginx is needed (on Debian and Ubuntu: apt install nginx-light)")
    return found


def banner(cluster: Cluster) -> str:
    named = {
        f"{node.directory.name} {part}": process.pid
        for node in cluster.nodes
        for part, process in node.processes.items()
    }
    named |= {"PostgreSQL": cluster.database.process.pid, "broker": cluster.broker.process.pid}
    return BANNER.format(
        url=cluster.url,
        nodes=", ".join(node.url for node in cluster.nodes),
        password=cluster.admin_password,
        key=cluster.api_key,
        directory=cluster.directory,
        processes="\n".join(f"  {name:<16} {pid}" for name, pid in named.items()),
    )


def use(cluster: Cluster) -> int:
    """Wait for Ctrl-C."""
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    print(banner(cluster), flush=True)
    stopping.wait()
    print("Stopping", flush=True)
    return 0


def test(cluster: Cluster, seed: int) -> int:
    print(f"seed {seed}", flush=True)
    _, broken, accepted = trial.run(cluster, trial.LONG, seed=seed, tell=partial(print, flush=True))
    print(f"{accepted} files, {len(broken)} promises broken")
    for words in broken:
        print(f"  {words}")
    return int(bool(broken))


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("mode", nargs="?", choices=["run", "test"], default="run")
    arguments.add_argument("--broker", choices=list(BROKERS), default="redis")
    arguments.add_argument("--port", type=int, default=0, help="of nginx; a free one if not given")
    arguments.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    options = arguments.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what runs already is taken away then, too
    directory = Path(tempfile.mkdtemp(prefix="cluster-"))
    environment = trial.ENVIRONMENT if options.mode == "test" else {}
    with Cluster(
        directory, nginx=find_nginx(), broker=options.broker, port=options.port, environment=environment
    ) as cluster:
        code = test(cluster, options.seed) if options.mode == "test" else use(cluster)
    if code:
        print(f"logs and data are in {directory}")
    else:
        shutil.rmtree(directory)
    return code


if __name__ == "__main__":
    sys.exit(main())
