"""Runs a command behind a bad network: lose.py URL request|502|answer|network PATH -- COMMAND …

The first POST of PATH does not arrive (request), or gets HTTP 502 instead (502), or its answer is lost (answer), or
nothing arrives after it (network).
"""

import os
import socket
import subprocess
import sys
import threading

end = sys.argv.index("--")
url, what, path = sys.argv[1:end]
host, port = url.removeprefix("http://").split(":")
lost = threading.Event()


def read(stream):
    """Reads the head and the body of one message."""
    message = b""
    while b"\r\n\r\n" not in message:
        part = stream.recv(1 << 16)
        if not part:
            return b""
        message += part
    head, body = message.split(b"\r\n\r\n", 1)
    lines = [line.partition(b":") for line in head.split(b"\r\n")]
    length = sum(int(value) for name, _, value in lines if name.lower() == b"content-length")
    while len(body) < length:
        body += stream.recv(1 << 16)
    return head + b"\r\n\r\n" + body


def serve(client):
    with client, socket.create_connection((host, int(port))) as server:
        while request := read(client):
            is_first = request.startswith(f"POST {path} ".encode()) and not lost.is_set()
            if lost.is_set() and what == "network":
                return
            if is_first:
                lost.set()
            if is_first and what == "request":
                return
            if is_first and what == "502":
                client.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
                return
            server.sendall(request)
            answer = read(server)
            if is_first:
                return
            client.sendall(answer)


listener = socket.create_server(("127.0.0.1", 0))


def accept():
    while True:
        threading.Thread(target=serve, args=[listener.accept()[0]], daemon=True).start()


threading.Thread(target=accept, daemon=True).start()
api = f"http://127.0.0.1:{listener.getsockname()[1]}"
sys.stdout.flush()
sys.exit(subprocess.run(sys.argv[end + 1 :], env=os.environ | {"MIXIN_API": api}).returncode)
