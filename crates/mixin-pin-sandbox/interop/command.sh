# Our own command against the sandbox: a user of each kind of session, from no PIN to a TIP key. Started by `run`.
set -euo pipefail

passed=0
step() { # NAME COMMAND…
  "${@:2}" >/dev/null
  passed=$((passed + 1))
  echo "ok $1"
}

refused() { # CODE COMMAND…
  local answer status=0
  answer=$("${@:2}") || status=$?
  [[ $status -eq 1 && $answer == *"\"code\":$1"* ]] || { echo "not refused as expected: $answer" >&2; return 1; }
}

nothing_pending() {
  local answer
  answer=$("$MIXIN_PIN" pending --json --keystore "$keystore")
  [[ $answer == '{"pending":[]}' ]] || { echo "pending: $answer" >&2; return 1; }
}

pin() { # PINS COMMAND…
  printf '%s\n' "$1" | "$MIXIN_PIN" "${@:2}" --json --api "$MIXIN_API" --keystore "$keystore" --pin-stdin
}

tip() { # COMMAND…
  "$MIXIN_PIN" "$1" --json --api "$MIXIN_API" --keystore "$keystore" "${@:2}" --spend-key-stdin <spend.key
}

"$MIXIN_PIN" tip new-key --out spend.key >/dev/null
id=06aed1e3-bd77-4a59-991a-5bb5ae6fbb09
for kind in rsa1024 rsa2048 ed25519; do
  keystore=command-$kind.json
  step "$kind: registers a user" \
    "$MIXIN_PIN" keystore new --kind $kind --app-keystore app.json --name Command --out "$keystore" --api "$MIXIN_API"
  step "$kind: creates the PIN" pin 123456 update --new-user
  step "$kind: verifies it" pin 123456 verify
  step "$kind: changes it" pin $'123456\n654321' update
  step "$kind: the old one is refused" refused 20119 pin 123456 verify
  # The first line is the old PIN, the second line the key.
  step "$kind: replaces it with a TIP key" bash -c \
    '{ echo 654321; cat spend.key; } | "$MIXIN_PIN" update --api "$MIXIN_API" --keystore "$0" --pin-stdin --spend-key-stdin' \
    "$keystore"
  step "$kind: verifies the key" tip verify
  step "$kind: makes a call that a TIP signature permits" bash -c \
    '"$MIXIN_PIN" call POST "/addresses/$1/delete" --api "$MIXIN_API" --keystore "$0" --spend-key-stdin \
      --tip remove-address --address-id "$1" <spend.key' "$keystore" "$id"
  step "$kind: no call has an unknown outcome" nothing_pending
done
echo "$passed passed, 0 failed"
