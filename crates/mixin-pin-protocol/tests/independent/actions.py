"""Computes what a TIP key signs for a request, without this project's code.

Standard input has a JSON object a line: `method`, `path`, `body` (without the PIN) and `user_id`, the user who makes the
request. Standard output gets an object a line: the prefix of the action, and in hex everything that the signature may cover.
"""

import hashlib
import json
import re
import sys

ID = "([0-9a-f-]{36})"
# Path, prefix, and the parameters: 1 is the id in the path, `user` the user, `=` begins a literal, `?` a field that may be
# absent, and all others are fields of the body.
TABLE = [
    ("/pin/verify", "TIP:VERIFY:", ["timestamp"]),
    ("/addresses", "TIP:ADDRESS:ADD:", ["asset_id", "destination", "tag", "label"]),
    (f"/addresses/{ID}/delete", "TIP:ADDRESS:REMOVE:", [1]),
    (f"/emergency_verifications/{ID}", "TIP:EMERGENCY:CONTACT:CREATE:", [1, "code"]),
    ("/emergency_contact", "TIP:EMERGENCY:CONTACT:READ:", ["=0"]),
    ("/emergency_contact/delete", "TIP:EMERGENCY:CONTACT:REMOVE:", ["=0"]),
    (f"/verifications/{ID}", "TIP:PHONE:NUMBER:UPDATE:", [1, "code"]),
    (f"/multisigs/{ID}/sign", "TIP:MULTISIG:REQUEST:SIGN:", [1]),
    (f"/multisigs/{ID}/unlock", "TIP:MULTISIG:REQUEST:UNLOCK:", [1]),
    (f"/collectibles/requests/{ID}/sign", "TIP:COLLECTIBLE:REQUEST:SIGN:", [1]),
    (f"/collectibles/requests/{ID}/unlock", "TIP:COLLECTIBLE:REQUEST:UNLOCK:", [1]),
    ("/transfers", "TIP:TRANSFER:CREATE:", ["asset_id", "opponent_id", "amount", "trace_id", "memo"]),
    ("/withdrawals", "TIP:WITHDRAWAL:CREATE:", ["address_id", "amount", "?fee", "trace_id", "memo"]),
    ("/oauth/authorize", "TIP:OAUTH:APPROVE:", ["authorization_id"]),
    (f"/provisionings/{ID}", "TIP:PROVISIONING:UPDATE:", [1, "secret"]),
    (f"/apps/{ID}/transfer", "TIP:APP:OWNERSHIP:TRANSFER:", ["user_id"]),
    ("/safe/users", "SEQUENCER:REGISTER:", ["user", "public_key"]),
    ("/logout", "TIP:SESSION:LOGOUT:", ["session_id"]),
    ("/me/salt_export", "TIP:USER:EXPORT:PRIVATE:", ["user"]),
]


def transaction(body, threshold):
    """A key has no receivers. Some clients sign the threshold 0 for it, others nothing."""
    users = body.get("opponent_multisig", {"receivers": [], "threshold": threshold})
    return [body["asset_id"], body.get("opponent_key", ""), *users["receivers"], str(users["threshold"]), body["amount"],
            body["trace_id"], body["memo"]]


def parameters(path, body, user):
    """The prefix, and a list of parameters for each text that may be signed."""
    if path == "/transactions":
        thresholds = ["0", ""] if "opponent_key" in body else [""]
        return "TIP:TRANSACTION:CREATE:", [transaction(body, threshold) for threshold in thresholds]
    if path == "/me/deactivate":
        return "TIP:USER:DEACTIVATE:", [[body.get("verification_id", user)]]
    for pattern, prefix, names in TABLE:
        found = re.fullmatch(pattern, path)
        if not found:
            continue

        def value(name, absent):
            if name == 1:
                return found[1]
            if name == "user":
                return user
            if name[0] == "=":
                return name[1:]
            if name[0] == "?":
                return body.get(name[1:], absent)
            return str(body[name])

        may_lack = path == "/withdrawals" and "fee" not in body
        return prefix, [[value(name, absent) for name in names] for absent in (["", "0"] if may_lack else [""])]
    raise SystemExit(f"no action has the path {path}")


def signed(prefix, values):
    if prefix == "TIP:VERIFY:":
        return (prefix + "%032d" % int(values[0])).encode()
    return hashlib.sha256((prefix + "".join(values)).encode()).digest()


for line in sys.stdin.buffer:
    request = json.loads(line)
    if request["method"] != "POST":
        raise SystemExit("all actions are POST")
    prefix, texts = parameters(request["path"], request["body"], request["user_id"])
    print(json.dumps({"prefix": prefix, "signed": [signed(prefix, values).hex() for values in texts]}))
