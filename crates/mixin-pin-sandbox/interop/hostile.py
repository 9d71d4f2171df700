#!/usr/bin/env python3
"""Tests the command's release binary in a hostile environment: gateway, captive portal, proxy, terminal, crowd and killed
process. Prints one line for each act and, at the end, the number of promises that were kept.

    hostile.py MIXIN_PIN SCRATCH_FOLDER
"""

import atexit
import base64
import http.server
import json
import os
import pty
import re
import select
import signal
import socket
import socketserver
import subprocess
import sys
import termios
import threading
import time
import urllib.error
import urllib.request

MIXIN_PIN, SCRATCH = sys.argv[1], sys.argv[2]
kept = 0


def promise(is_kept, what):
    global kept
    if not is_kept:
        sys.exit(f"BROKEN: {what}")
    kept += 1


def environment(**more):
    clean = {name: value for name, value in os.environ.items() if not re.search("proxy|MIXIN", name, re.I)}
    return clean | {"XDG_DATA_HOME": os.path.join(SCRATCH, "data")} | more


def run(*args, stdin=b"", timeout=30, **more):
    return subprocess.run(
        [MIXIN_PIN, *args], input=stdin, capture_output=True, timeout=timeout, env=environment(**more)
    )


def said(result):
    return (result.stdout + result.stderr).decode("utf-8", "replace")


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """Answers with `answer(handler, body)`: status, headers and body, or None to close the connection without an answer."""

    daemon_threads = True

    def __init__(self, answer):
        self.requests, self.lock = [], threading.Lock()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def any(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                with outer.lock:
                    outer.requests.append((self.command, self.path, body))
                answered = answer(self, body)
                self.close_connection = True
                if answered is None:
                    return
                status, headers, text = answered
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(text)))
                self.send_header("Connection", "close")
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = any

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def posts(self):
        return [body for method, _, body in self.requests if method == "POST"]


def now_ns(later=0):
    return str(time.time_ns() + later * 10**9)


def repeating(handler, later=0):
    """The headers of an answer from the API, or from an imitation of it."""
    return {"X-Request-Id": handler.headers["X-Request-Id"], "X-Server-Time": now_ns(later)}


USER = b'{"data":{"user_id":"b7bce11c-8dd9-4d1e-b7bb-8b4ab80cb4f4","full_name":"N","has_pin":true}}'


def gateway_that_imitates_mixin(keystore):
    wrong = [(200, code) for code in (0, 408, 409, 502, 503, 504, 7002, 10001, 20125, 99999)]
    wrong += [(500, 10001), (500, 99999), (504, 504), (429, 429), (403, 10002), (503, 20119)]
    for status, code in wrong + [(202, 20119), (202, 401)]:
        def answer(handler, _, status=status, code=code):
            if handler.command == "GET":
                return 200, repeating(handler), USER
            return status, repeating(handler), json.dumps({"error": {"status": 202, "code": code}}).encode()

        server = Server(answer)
        common = ["--keystore", keystore, "--api", server.url, "--pin-stdin", "--store", "memory:"]
        transfer = run("call", "POST", "/transfers", "--with-pin", *common, stdin=b"123456\n")
        promise(transfer.returncode == 3, f"HTTP {status} with code {code} leaves a transfer unknown: {said(transfer)}")
        promise("nothing changed" not in said(transfer) and "before the call" not in said(transfer), said(transfer))
        promise(len(server.posts()) == 1, "a transfer is sent once")
        change = run("update", *common, stdin=b"123456\n654321\n")
        promise(change.returncode == 3 and "resolve" in said(change), f"a change is unknown: {said(change)}")
        promise(len(set(server.posts())) == len(server.posts()) == 2, "no encrypted PIN is sent twice")
    refused = Server(lambda handler, _: (202, repeating(handler), b'{"error":{"status":202,"code":20117}}'))
    transfer = run("call", "POST", "/transfers", "--with-pin", "--keystore", keystore, "--api", refused.url,
                   "--pin-stdin", "--store", "memory:", stdin=b"123456\n")
    promise(transfer.returncode == 1, f"a documented refusal is a refusal: {said(transfer)}")


def gateway_that_repeats_requests(sandbox):
    """A gateway that sends each update twice and returns the answer to the copy without its reason."""
    keystore = os.path.join(SCRATCH, "copied.json")
    new = run("keystore", "new", "--kind", "ed25519", "--app-keystore", sandbox.app, "--name", "C", "--out", keystore,
              "--api", sandbox.url)
    promise(new.returncode == 0, said(new))

    def forward(handler, body):
        def once():
            headers = {name: value for name, value in handler.headers.items() if name.lower() not in ("host", "connection")}
            request = urllib.request.Request(sandbox.url + handler.path, body or None, headers, method=handler.command)
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with opener.open(request) as answer:
                kept = {name: answer.headers[name] for name in ("X-Request-Id", "X-Server-Time")}
                return answer.status, kept, answer.read()

        status, headers, text = once()
        if handler.path == "/pin/update":
            status, headers, text = once()
            answer = json.loads(text)
            answer["error"].pop("extra")
            text = json.dumps(answer).encode()
        return status, headers, text

    gateway = Server(forward)
    common = ["--keystore", keystore, "--api", gateway.url, "--pin-stdin"]
    created = run("update", "--new-user", *common, stdin=b"739146\n")
    promise(created.returncode == 3, f"the bare answer to a copy leaves a change unknown: {said(created)}")
    settled = run("resolve", "--json", "--new-user", *common, stdin=b"739146\n")
    promise(json.loads(settled.stdout)["verdict"] == "applied", f"and it is settled correctly: {said(settled)}")


def captive_portal(keystore):
    page = b"<html>Welcome to the hotel</html>"
    portals = [
        (lambda handler, _: (403, {"Content-Type": "text/html"}, page), 4, "confirm"),
        (lambda handler, _: (403, repeating(handler), page), 4, "confirm"),
        (lambda handler, _: (200, {"X-Request-Id": handler.headers["X-Request-Id"]}, USER), 4, "server's time"),
        (lambda handler, _: (200, repeating(handler, 400 * 86400), USER), 2, "days behind"),
        (lambda handler, _: (200, repeating(handler, -1830), USER), 2, "30 minutes ahead"),
    ]
    for number, (answer, code, words) in enumerate(portals):
        server = Server(answer)
        store = f"sqlite:{SCRATCH}/portal-{number}.db"
        verify = run("verify", "--keystore", keystore, "--api", server.url, "--pin-stdin", "--store", store,
                     stdin=b"123456\n")
        promise(verify.returncode == code and words in said(verify), f"portal {number}: {said(verify)}")
        promise(not server.posts(), "no PIN was sent to it")
        promise(not re.search(r"\b0 (hours|days|minutes)", said(verify)), said(verify))


def proxies(keystore):
    listener = socket.create_server(("127.0.0.1", 0))
    greetings = []

    def accept():
        while True:
            connection, _ = listener.accept()
            greetings.append(connection.recv(3))
            connection.close()

    threading.Thread(target=accept, daemon=True).start()
    address = f"127.0.0.1:{listener.getsockname()[1]}"
    call = ["me", "--keystore", keystore, "--api", "https://mixin-pin.invalid", "--store", "memory:", "--timeout", "5"]
    for variable in ("ALL_PROXY", "all_proxy", "HTTPS_PROXY", "https_proxy"):
        greetings.clear()
        result = run(*call, **{variable: f"socks5h://{address}"})
        promise(result.returncode == 4 and greetings and greetings[0][:1] == b"\x05", f"{variable}: {said(result)}")
    greetings.clear()
    result = run(*call, ALL_PROXY=f"http://{address}")
    promise(greetings and greetings[0] == b"CON", said(result))
    for value in ("socks6://x:1", "http://x:99999", "no proxy", "http://"):
        result = run(*call, ALL_PROXY=value)
        promise(result.returncode == 2 and "ALL_PROXY" in said(result), f"{value}: {said(result)}")
    greetings.clear()
    run(*call, ALL_PROXY=f"socks5h://{address}", NO_PROXY=".invalid")
    promise(not greetings, "NO_PROXY is honoured")


EVIL = "\x1b[2J\x1b[1;32mHOLDS\x1b[0m\r\n  HOLDS  judged\u202e\u2028\u200b\x9b31m\x7f\x07"
FORBIDDEN = re.compile("[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069]|\x1b(?!\\[[0-9;]*m)")


def terminal(keystore):
    answers = [
        (202, {"error": {"status": 202, "code": 20117, "description": EVIL, "extra": {EVIL: EVIL}}}),
        (200, {"data": {"user_id": "b7bce11c-8dd9-4d1e-b7bb-8b4ab80cb4f4", "full_name": EVIL, "has_pin": True}}),
    ]
    for status, body in answers:
        server = Server(lambda handler, _: (status, repeating(handler), json.dumps(body).encode()))
        common = ["--keystore", keystore, "--api", server.url, "--store", "memory:"]
        for args in (["me"], ["me", "--json"], ["call", "GET", "/me"], ["call", "GET", "/me", "--json"], ["doctor"]):
            result = run(*args, *common, CLICOLOR_FORCE="1")
            promise(not FORBIDDEN.search(said(result)), f"{args}: {said(result)!r}")
    curl = f"curl -X POST https://api.mixin.one/x -H 'Authorization: Bearer a.b.c' -H 'X-Request-Id: {EVIL}' -d '{EVIL}'"
    for text in (curl, curl.replace("/x", "/x" + EVIL.replace("\r\n", "")), EVIL):
        result = subprocess.run([MIXIN_PIN, "inspect", "--curl", "-"], input=text.encode(), capture_output=True,
                                env=environment())
        promise(result.returncode != 0 and not FORBIDDEN.search(said(result)), f"{said(result)!r}")
        promise(not re.search(r"^\W*HOLDS", said(result), re.M), f"a capture draws no verdict: {said(result)!r}")
    with open(keystore) as file:
        text = file.read()
    secrets = [value for value in json.loads(text).values() if len(str(value)) > 40 and "public" not in value]
    for result in (run("me", MIXIN_KEYSTORE=text), run("me", "--keystore", text), run("keystore", "check", text)):
        promise(result.returncode == 2 and not any(secret in said(result) for secret in secrets), "a keystore as a path")


def at_a_prompt(keystore):
    """The command at its prompt, in the foreground of a terminal whose session leader is another process, as with a shell."""
    reading, writing = os.pipe()
    leader, terminal = pty.fork()
    if leader == 0:
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        go, went = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.setpgid(0, 0)
            os.read(go, 1)
            signal.signal(signal.SIGTTOU, signal.SIG_DFL)
            os.execve(MIXIN_PIN, [MIXIN_PIN, "verify", "--keystore", keystore, "--store", "memory:"], environment())
        while os.getpgid(pid) != pid:
            time.sleep(0.01)
        os.tcsetpgrp(0, pid)
        os.write(went, b"x")
        os.write(writing, str(pid).encode())
        while True:
            os.waitpid(pid, os.WUNTRACED)
            time.sleep(0.01)
    pid = int(os.read(reading, 16))
    os.close(reading)
    os.close(writing)
    return leader, pid, terminal


def echo_after(keystore, number):
    """Whether the terminal echoes again after a signal at a prompt."""
    leader, pid, terminal = at_a_prompt(keystore)
    shown = b""
    while b"PIN: " not in shown:
        promise(select.select([terminal], [], [], 20)[0], f"the prompt appears: {shown!r}")
        shown += os.read(terminal, 1024)

    def wait_for(wanted):
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            if bool(termios.tcgetattr(terminal)[3] & termios.ECHO) == wanted:
                return True
            time.sleep(0.02)
        return False

    promise(wait_for(False), "the prompt does not echo")
    os.kill(pid, number)
    is_back = wait_for(True)
    for process in (pid, leader):
        try:
            os.kill(process, signal.SIGKILL)
        except ProcessLookupError:
            pass
    os.waitpid(leader, 0)
    os.close(terminal)
    return is_back


def prompts(keystore):
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGTSTP):
        promise(echo_after(keystore, number), f"echo is back after {signal.Signals(number).name}")


class Sandbox:
    def __init__(self, *args):
        self.app = os.path.join(SCRATCH, f"app-{time.monotonic_ns()}.json")
        self.process = subprocess.Popen([MIXIN_PIN, "sandbox", "--json", "--app-keystore-out", self.app, *args],
                                        stdout=subprocess.PIPE, env=environment())
        atexit.register(self.process.kill)
        self.url = json.loads(self.process.stdout.readline())["url"]
        self.address = ("127.0.0.1", int(self.url.rsplit(":", 1)[1]))

    def memory(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            return int(re.search(r"VmHWM:\s+(\d+) kB", status.read())[1]) // 1024

    def request(self, method, path, body=b"", **headers):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        request = urllib.request.Request(self.url + path, body or None, headers, method=method)
        try:
            with opener.open(request, timeout=30) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def stop(self):
        begun = time.monotonic()
        self.process.terminate()
        self.process.wait(20)
        return time.monotonic() - begun


def crowd():
    sandbox = Sandbox()
    # More endless heads and bodies than connections: the last ones wait in the system's queue.
    crowd = []

    def join(start):
        connection = socket.create_connection(sandbox.address)
        crowd.append(connection)
        connection.sendall(start)

    for start in (b"GET / HTTP/1.1\r\nHost: localhost\r\nX-A: ", b"POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n{"):
        for _ in range(200):
            threading.Thread(target=join, args=(start,), daemon=True).start()
    deadline = time.monotonic() + 10
    while len(crowd) < 400:
        if time.monotonic() > deadline:
            sys.exit(f"only {len(crowd)} clients connected")
        time.sleep(0.02)
    keystore = os.path.join(SCRATCH, f"crowd-{time.monotonic_ns()}.json")
    begun = time.monotonic()
    new = run("keystore", "new", "--kind", "ed25519", "--app-keystore", sandbox.app, "--name", "N", "--out", keystore,
              "--api", sandbox.url, timeout=60)
    took = time.monotonic() - begun
    promise(new.returncode == 0, f"an honest client is served after {took:.1f} s, despite a crowd: {said(new)}")
    # Unsigned requests that ask the sandbox to store large text.
    app_id = json.load(open(sandbox.app))["app_id"]
    body = json.dumps({"client_id": app_id, "scope": "PROFILE:READ " * 70_000, "code_challenge": "x" * 60_000}).encode()
    status, answer = sandbox.request("POST", "/sandbox/authorizations", body[:17 << 10])
    promise(status == 202 and b"body_too_long" in answer, f"a long body is refused: {answer[:200]!r}")
    for _ in range(300):
        try:
            status, answer = sandbox.request("POST", "/sandbox/authorizations", body)
        except (urllib.error.URLError, ConnectionError):
            # The sandbox closes before all is written, and the answer may be lost.
            continue
        promise(status == 202 and b"error" in answer, f"a field of a mebibyte is refused: {answer[:200]!r}")
    promise(sandbox.memory() < 150, f"the crowd takes little memory: {sandbox.memory()} MiB")
    # The page is for this machine only.
    promise(sandbox.request("GET", "/", Host="evil.example")[0] >= 400, "a name of another machine sees no page")
    promise(sandbox.request("GET", "/", Origin="http://evil.example")[0] >= 400, "another origin sees no page")
    promise(sandbox.request("GET", "/")[0] == 200, "this machine sees it")
    took = sandbox.stop()
    # Two seconds are promised. A busy machine may take longer.
    promise(took < 5, f"SIGTERM stops it with open connections: {took:.1f} s")
    for connection in crowd:
        connection.close()


def encrypted_pins(sandbox_args=()):
    """A captured PIN is not revealed when it is sent again in another form."""
    record = os.path.join(SCRATCH, "record.jsonl")
    sandbox = Sandbox("--record", record, *sandbox_args)
    keystore = os.path.join(SCRATCH, "encrypted.json")
    run("keystore", "new", "--kind", "ed25519", "--app-keystore", sandbox.app, "--name", "S", "--out", keystore, "--api",
        sandbox.url)
    common = ["--keystore", keystore, "--pin-stdin"]
    promise(run("update", "--new-user", *common, "--api", sandbox.url, stdin=b"739146\n").returncode == 0, "a PIN is set")
    verify = Server(lambda handler, body: None)
    run("verify", *common, "--api", verify.url, "--timeout", "5", stdin=b"739146\n")
    captured = json.loads(verify.posts()[0])["pin_base64"]
    block = base64.urlsafe_b64decode(captured + "=" * (-len(captured) % 4))
    iv, first = block[:16], block[16:32]
    # Its first block in the place of an iterator, behind 64 other bytes.
    moved = base64.urlsafe_b64encode(os.urandom(64) + iv + first + os.urandom(16)).rstrip(b"=").decode()
    session = json.load(open(keystore))["session_id"]
    claims = {"uid": json.load(open(keystore)).get("user_id"), "sid": session, "iat": 1, "exp": 2**40, "jti": session,
              "sig": "00" * 32}
    part = lambda value: base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
    token = f"{part({'alg': 'EdDSA', 'typ': 'JWT'})}.{part(claims)}.{'A' * 86}"
    for text in (moved, captured):
        body = json.dumps({"pin_base64": text}).encode()
        _, answer = sandbox.request("POST", "/pin/verify", body, Authorization=f"Bearer {token}",
                                    **{"X-Request-Id": session})
        promise(b"739146" not in answer and b'"code":401' in answer, f"{answer!r}")
    _, page = sandbox.request("GET", "/")
    lines = [json.loads(line) for line in open(record)]
    refused = [line for line in lines if line["path"] == "/pin/verify"]
    promise(len(refused) == 2 and all(pin["iterator"] is None for line in refused for pin in line["pins"]), f"{refused}")
    promise(b"739146" not in page, "the page shows no PIN")
    # The exact attack, in which the PIN becomes the iterator, needs the block's time and iterator: see tests/undecrypted.rs.
    sandbox.stop()


def killed(keystore):
    """A process that is killed while it has the lease delays no other process."""
    silent = Server(lambda handler, _: time.sleep(60) if handler.command == "POST" else (200, repeating(handler), USER))
    working = Server(lambda handler, _: (200, repeating(handler), USER))
    store = f"sqlite:{SCRATCH}/killed.db"
    verify = ["verify", "--keystore", keystore, "--pin-stdin", "--store", store]
    process = subprocess.Popen([MIXIN_PIN, *verify, "--api", silent.url], stdin=subprocess.PIPE, env=environment(),
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    process.stdin.write(b"123456\n")
    process.stdin.close()
    deadline = time.monotonic() + 20
    while not silent.posts():
        promise(time.monotonic() < deadline, "the process sends")
        time.sleep(0.02)
    process.kill()
    process.wait()
    begun = time.monotonic()
    after = run(*verify, "--api", working.url, stdin=b"123456\n", timeout=60)
    took = time.monotonic() - begun
    promise(after.returncode == 0 and took < 5, f"{took:.1f} s after a kill: {said(after)}")


def endless_input():
    for args in (["keystore", "check", "/dev/zero"], ["me", "--keystore", "/dev/zero"], ["inspect", "--curl", "/dev/zero"],
                 ["keystore", "lock", "/dev/zero"]):
        result = subprocess.run(["sh", "-c", 'ulimit -v 2000000; exec "$@"', "sh", MIXIN_PIN, *args], capture_output=True,
                                timeout=30, env=environment())
        promise(result.returncode == 2, f"{args}: {result.returncode} {said(result)}")


def main():
    os.makedirs(SCRATCH, exist_ok=True)
    sandbox = Sandbox()
    keystore = os.path.join(SCRATCH, "me.json")
    new = run("keystore", "new", "--kind", "ed25519", "--app-keystore", sandbox.app, "--name", "Me", "--out", keystore,
              "--api", sandbox.url)
    promise(new.returncode == 0, said(new))
    acts = [
        ("a gateway that imitates Mixin", lambda: gateway_that_imitates_mixin(keystore)),
        ("a gateway that repeats requests", lambda: gateway_that_repeats_requests(sandbox)),
        ("a captive portal", lambda: captive_portal(keystore)),
        ("proxies", lambda: proxies(keystore)),
        ("a hostile terminal", lambda: terminal(keystore)),
        ("signals at a prompt", lambda: prompts(keystore)),
        ("a crowd of clients", crowd),
        ("a captured PIN that is sent again", encrypted_pins),
        ("a killed process", lambda: killed(keystore)),
        ("endless input", endless_input),
    ]
    for name, act in acts:
        before = kept
        act()
        print(f"ok   {name}: {kept - before} promises", flush=True)
    sandbox.stop()
    print(f"{kept} promises, 0 broken")


main()
