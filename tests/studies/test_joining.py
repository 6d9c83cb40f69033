"""The commands of docs/cluster.md as they are typed there, by real `ray start` processes on machines of their own."""

import http.server
import re
import socket
import threading
import time

import pandas as pd
import pytest

from studies.cluster import ray_cluster
from tests.command import ROOT, images
from tests.machines import machines
from trainables.errors import InputError

pytestmark = [pytest.mark.ray, pytest.mark.slow]

PORT = 6379
COUNT = "from studies.cluster import ray_cluster\nwith ray_cluster('{}') as c: print('CPUs', int(c.cpus))"
WRONG = "1" * 32


def documented(starts, alpha):
    """The line of docs/cluster.md that starts so, for this alpha."""
    (line,) = re.findall(
        rf"^    ({re.escape(starts)}.*?)(?:  +#.*)?$", (ROOT / "docs/cluster.md").read_text(), re.MULTILINE
    )
    return line.replace("alpha:6379", f"{alpha.address}:{PORT}").replace("6379", str(PORT))


def make_token(alpha):
    status, said = alpha.run(documented("umask 077; .venv/bin/ray get-auth-token", alpha))
    assert status == 0, said


def copy_token(alpha, beta):
    """What step 1 does by ssh."""
    (line,) = re.findall(r"ssh beta '(.*?)'", documented("ssh beta", alpha))
    status, said = beta.run(f"printf %s '{alpha.token.read_text()}' | ({line})")
    assert status == 0, said


def start_ray(alpha, beta, mode="token", **cpus):
    """Step 2, on both machines; return what each said."""
    lines = [
        (alpha, documented("RAY_AUTH_MODE=token .venv/bin/ray start --head", alpha).replace("--num-cpus 0", f"--num-cpus {cpus.get('head', 0)}")),
        (beta, documented("RAY_AUTH_MODE=token .venv/bin/ray start --address", alpha) + f" --num-cpus {cpus.get('worker', 1)}"),
    ]  # fmt: skip
    answers = [machine.run(line.replace("=token", f"={mode}")) for machine, line in lines]
    assert answers[0][0] == 0, answers[0][1]
    return answers[1]


def joined(machine, address):
    """What a driver on this machine says of the cluster at `address`."""
    return machine.run(f'python -c "{COUNT.format(address)}"')[1].strip().splitlines()[-1]


@pytest.fixture
def pair():
    with machines() as made:
        yield made


def test_fresh_machines_search_by_the_documented_commands_and_one_is_lost(pair):
    """Token, copy, Ray, search: trials run on both machines; with the worker killed in the middle every trial finishes all the same."""
    alpha, beta = pair
    images(alpha.folder / "chips", {"boat": 30, "ship": 30})
    make_token(alpha)
    assert alpha.token.stat().st_mode & 0o777 == 0o600
    copy_token(alpha, beta)
    assert beta.token.stat().st_mode & 0o777 == 0o600
    status, said = start_ray(alpha, beta, head=1, worker=1)
    assert status == 0, said
    line = documented(".venv/bin/python run_search.py", alpha).replace("YOUR_IMAGES", "chips")
    line = line.replace("run_search.py", str(ROOT / "run_search.py"))
    more = "--study s --trials 6 --epochs 6 --repeats 1 --save-every 0"
    with open(alpha.folder / "said", "w+") as heard:
        process = alpha.start(f"{line} {more}", stdout=heard, stderr=heard)
        epochs, deadline = alpha.folder / "results/lr/s/epochs.csv", time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            if epochs.exists() and len(epochs.read_text().splitlines()) > 6:
                break
            time.sleep(0.05)
        beta.kill()
        status = process.wait(240)
        heard.seek(0)
        said = heard.read()
    assert status == 0, said
    assert "2 trials at once on 2 nodes, each on 1 CPU" in said
    for table in ("trials.csv", "repeats.csv"):
        assert set(pd.read_csv(alpha.folder / "results/lr/s" / table)["status"]) == {"finished"}


def test_a_used_machine_beside_a_fresh_one(pair):
    """A token that is there is kept; a worker without it does not join and one with it does; a driver with another or none is told which file to copy; `auto` finds the cluster."""
    alpha, beta = pair
    alpha.token.parent.mkdir()
    alpha.token.write_text("2" * 32)
    make_token(alpha)
    assert alpha.token.read_text() == "2" * 32
    status, said = start_ray(alpha, beta)
    assert status != 0
    assert "Token authentication is enabled but no authentication token was found" in said
    address = f"{alpha.address}:{PORT}"
    copied = "copy ~/.ray/auth_token from the machine where `ray start --head` was typed to ~/.ray/auth_token here"
    lacks = f"--address {address}: the cluster asks for its token, and there is none here; {copied}"
    assert joined(beta, address).endswith(lacks)
    copy_token(alpha, beta)
    own = beta.token.read_text()
    beta.token.write_text(WRONG)
    wrong = f"--address {address}: the token in {beta.token} is not this cluster's; {copied}"
    assert joined(beta, address).endswith(wrong)
    beta.token.write_text(own)
    status, said = beta.run(documented("RAY_AUTH_MODE=token .venv/bin/ray start --address", alpha) + " --num-cpus 3")
    assert status == 0, said
    for machine in pair:
        assert joined(machine, address) == joined(machine, "auto") == "CPUs 3"


def test_a_cluster_without_tokens_is_joined_from_used_and_fresh_machines(pair):
    """Started with RAY_AUTH_MODE=disabled, as documented, a fresh worker joins, and a driver does, whether it has a token or not."""
    alpha, beta = pair
    alpha.token.parent.mkdir()
    alpha.token.write_text(WRONG)
    status, said = start_ray(alpha, beta, mode="disabled", worker=2)
    assert status == 0, said
    for machine in pair:
        assert joined(machine, f"{alpha.address}:{PORT}") == joined(machine, "auto") == "CPUs 2"


def test_a_local_search_leaves_no_token(pair):
    """A Ray of our own has a token of its own, and writes none into the home folder: a machine stays as fresh as it was."""
    alpha, _ = pair
    status, said = alpha.run(f'python -c "{COUNT.format("")}"')
    assert status == 0, said
    assert not alpha.token.exists()


@pytest.mark.parametrize("kind", ["closed", "silent", "web"])
def test_a_port_without_ray_is_told_from_a_wrong_token(kind):
    """A closed port, one that says nothing and a web server are each one line that says no Ray answers there."""
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    said = "no Ray cluster answers there, but something else does"
    if kind == "web":
        server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
        server.RequestHandlerClass.log_message = lambda *_: None
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_port
    elif kind == "closed":
        listening.close()
        said = r"no Ray cluster answers there \(.*refused\); is it running, and is the port open"
    with pytest.raises(InputError, match=f"--address 127.0.0.1:{port}: {said}"), ray_cluster(f"127.0.0.1:{port}"):
        pass
    if kind == "web":
        server.shutdown()
        server.server_close()
    listening.close()
