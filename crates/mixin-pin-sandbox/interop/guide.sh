# The official guide's request with curl, without an X-Request-Id, and a token made as the guide says, with OpenSSL
# (MixinNetwork/developers.mixin.one: api/guide.md, app/guide/generate-jwt-token.md). Started by `run`.
set -euo pipefail

passed=0
ok() {
  passed=$((passed + 1))
  echo "ok $1"
}

field() { sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p" app.json; }
uuid() { cat /proc/sys/kernel/random/uuid; }
from_hex() { printf '%b' "$(sed 's/../\\x&/g')"; }
base64url() { base64 -w 0 | tr '+/' '-_' | tr -d '='; }

user_id=$(field app_id)
# RFC 8410: an Ed25519 seed as PKCS#8.
{
  echo "-----BEGIN PRIVATE KEY-----"
  printf '302e020100300506032b657004220420%s' "$(field session_private_key)" | from_hex | base64
  echo "-----END PRIVATE KEY-----"
} >app.pem

token() { # METHOD PATH
  local now hash
  now=$(date +%s)
  hash=$(printf '%s%s' "$1" "$2" | sha256sum | cut -d ' ' -f 1)
  {
    printf '{"alg":"EdDSA","typ":"JWT"}' | base64url
    printf .
    printf '{"exp":%s,"iat":%s,"jti":"%s","scp":"FULL","sid":"%s","sig":"%s","uid":"%s"}' \
      $((now + 90 * 24 * 3600)) "$now" "$(uuid)" "$(field session_id)" "$hash" "$user_id" | base64url
  } >token.input
  printf '%s.%s' "$(cat token.input)" "$(openssl pkeyutl -sign -inkey app.pem -rawin -in token.input | base64url)"
}

me() { # TOKEN [CURL OPTION]…
  curl -sS -i --noproxy '*' -H "Content-Type: application/json" \
        -H "Authorization: Bearer $1" \
        "${@:2}" "$MIXIN_API/me"
}

answer=$(me "$(token GET /me)")
[[ $answer == *"\"user_id\":\"$user_id\""* ]] || { echo "refused: $answer" >&2; exit 1; }
ok "the guide's curl line reads the profile"

id=$(uuid)
answer=$(me "$(token GET /me)" -H "X-Request-Id: $id")
[[ $answer == *"\"user_id\":\"$user_id\""* && ${answer,,} == *"x-request-id: $id"* ]] ||
  { echo "refused, or the id does not return: $answer" >&2; exit 1; }
ok "an X-Request-Id that is not the token's jti returns with the answer"

answer=$(me "$(token POST /me)")
[[ $answer == *'"code":401'* ]] || { echo "not refused: $answer" >&2; exit 1; }
ok "the token of the guide's Go program, which signs POST and sends GET, is refused"

once=$(token GET /me)
me "$once" >/dev/null
answer=$(me "$once")
[[ $answer == *'"code":401'* ]] || { echo "not refused: $answer" >&2; exit 1; }
ok "a token that was used is refused, as the guide says"
echo "$passed passed, 0 failed"
