"""Runs a command on a terminal: ask.py PROMPT=ANSWER … -- COMMAND …"""

import os
import pty
import sys

end = sys.argv.index("--")
answers = [argument.split("=") for argument in sys.argv[1:end]]
child, terminal = pty.fork()
if child == 0:
    os.execvp(sys.argv[end + 1], sys.argv[end + 1 :])
shown = b""
while True:
    try:
        part = os.read(terminal, 1024)
    except OSError:  # the command has ended
        break
    if not part:
        break
    shown += part
    if answers and shown.endswith(f"{answers[0][0]}: ".encode()):
        os.write(terminal, f"{answers.pop(0)[1]}\n".encode())
print(shown.decode().replace("\r\n", "\n"), end="")
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
