#!/usr/bin/env python3
"""Asks the policy sidecar for one decision and prints allow or deny. Whatever goes wrong is a denial.

    ask.py PATH INPUT

It exits with 0 for allow, 1 for deny, and 2 where nothing was decided, which is printed as deny as well.
"""

import http.client
import json
import os
import socket
import stat
import sys
import threading
from pathlib import Path
from urllib.parse import quote

PATIENCE = 2  # seconds for a decision, which takes less than a millisecond
MAX_ANSWER_BYTES = 1 << 20


class NotDecided(Exception):
    """There is no decision; its text says why."""


class OverSocket(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path):
        super().__init__("localhost", timeout=PATIENCE)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def find():
    """Looks for the sidecar as its commands do, and returns a connection and the token, which is empty where none is needed.

    The address is the one that the environment names, else the one in gateway.json; before that comes the Unix socket in the
    data directory, where a process of the same user needs no token.
    """
    home = Path(os.environ.get("DEFENSECLAW_HOME") or Path.home() / ".defenseclaw")
    token = os.environ.get("DEFENSECLAW_GATEWAY_TOKEN", "")
    if os.environ.get("DEFENSECLAW_API_SOCKET"):
        return OverSocket(os.environ["DEFENSECLAW_API_SOCKET"]), token
    if os.environ.get("DEFENSECLAW_API_PORT", "0") not in ("", "0"):
        host = os.environ.get("DEFENSECLAW_API_BIND") or "127.0.0.1"
        return over_tcp(host, os.environ["DEFENSECLAW_API_PORT"], home, token)
    try:
        published = json.loads((home / "gateway.json").read_text())
    except (OSError, ValueError) as err:
        raise NotDecided(f"no sidecar runs with the data directory {home}: {err}") from err
    local = home / "sidecar.sock"
    if local.exists() and stat.S_ISSOCK(local.stat().st_mode):
        return OverSocket(local), token
    if published["api_addr"].startswith("unix:"):
        return OverSocket(published["api_addr"][len("unix:") :]), token
    if published.get("tls_cert"):
        raise NotDecided("the sidecar speaks TLS, which this example does not")
    host, _, port = published["api_addr"].rpartition(":")
    return over_tcp(host, port, home, token)


def over_tcp(host, port, home, token):
    token = token or token_in(home / ".env")
    if not token:
        raise NotDecided("there is no token in DEFENSECLAW_GATEWAY_TOKEN nor in .env in the data directory")
    return http.client.HTTPConnection(host.strip("[]"), int(port), timeout=PATIENCE), token


def token_in(path):
    """Reads the token that the first start made."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return ""
    for line in lines:
        name, _, value = line.partition("=")
        if name == "DEFENSECLAW_GATEWAY_TOKEN":
            return value.strip("\"'")
    return ""


def evaluate(path, given):
    """Returns the document at path for the input, None where it is undefined. Raises an exception where nothing was decided."""
    connection, token = find()
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    route = "/v1/data/" + "/".join(quote(part, safe="") for part in path.split("/"))
    try:
        connection.request("POST", route, json.dumps({"input": given}), headers)
        response = connection.getresponse()
        text = response.read(MAX_ANSWER_BYTES)
        if response.length:  # what is still to come
            raise NotDecided("the answer is too long, or was cut")
    finally:
        connection.close()
    if response.status != 200:  # such as 401, a wrong token, and 503, no policy or too many decisions at once
        raise NotDecided(f"the sidecar answered {response.status}: {text.decode(errors='replace').strip()}")
    answer = json.loads(text)
    if not isinstance(answer, dict):
        raise NotDecided("the answer is not one of the sidecar")
    return answer.get("result")  # left out where the document is undefined


def ask(path, given):
    """Returns whether the document at path is true for the input. False and undefined are denials."""
    result = evaluate(path, given)
    if result is not None and not isinstance(result, bool):
        raise NotDecided(f"{path} is neither true nor false")
    return result is True


def main():
    if len(sys.argv) != 3:
        print("usage: ask.py PATH INPUT, such as: ask.py orders/allow '{\"role\": \"clerk\", \"amount\": 40}'", file=sys.stderr)
        return 2
    # The connection's timeout is one of each read; this is one of all of them. Only who has the right to speak prints.
    speaking = threading.Lock()

    def give_up():
        if speaking.acquire(blocking=False):
            print("deny", flush=True)
            print("not decided: it took too long", file=sys.stderr, flush=True)
            os._exit(2)

    late = threading.Timer(PATIENCE, give_up)
    late.daemon = True
    late.start()
    try:
        allowed, why = ask(sys.argv[1], json.loads(sys.argv[2])), ""
    except Exception as err:  # whatever it is, it is no decision
        allowed, why = False, f"not decided: {err}"
    speaking.acquire()
    print("allow" if allowed else "deny")
    if why:
        print(why, file=sys.stderr)
        return 2
    return 0 if allowed else 1


if __name__ == "__main__":
    sys.exit(main())
