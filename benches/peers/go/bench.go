package main

// Times fox-one's client: nanoseconds of each work, as one JSON object on stdout.

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	user    = "00000000-0000-4000-8000-000000000001"
	session = "00000000-0000-4000-8000-000000000002"
	request = "00000000-0000-4000-8000-000000000003"
)

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func random(count int) []byte {
	bytes := make([]byte, count)
	_, err := rand.Read(bytes)
	must(err)
	return bytes
}

func edKeystore() *Keystore {
	server := ed25519.NewKeyFromSeed(random(32)).Public().(ed25519.PublicKey)
	return &Keystore{
		ClientID:          user,
		SessionID:         session,
		SessionPrivateKey: hex.EncodeToString(random(32)),
		ServerPublicKey:   hex.EncodeToString(server),
	}
}

func rsaKeystore(bits int) *Keystore {
	key, err := rsa.GenerateKey(rand.Reader, bits)
	must(err)
	token, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, &key.PublicKey, random(32), []byte(session))
	must(err)
	block := pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}
	return &Keystore{
		ClientID:   user,
		SessionID:  session,
		PinToken:   base64.StdEncoding.EncodeToString(token),
		PrivateKey: string(pem.EncodeToMemory(&block)),
	}
}

// The median of five rounds.
func time5(work func()) int64 {
	var took []int64
	for range 5 {
		result := testing.Benchmark(func(b *testing.B) {
			for range b.N {
				work()
			}
		})
		took = append(took, result.NsPerOp())
	}
	slices.Sort(took)
	return took[2]
}

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func main() {
	testing.Init()
	figures := map[string]int64{}
	load := func(name string, store *Keystore) {
		figures[name] = time5(func() {
			copied := *store
			_, err := AuthFromKeystore(&copied)
			must(err)
		})
	}
	token := func(name string, store *Keystore) {
		auth, err := AuthFromKeystore(store)
		must(err)
		figures[name] = time5(func() { auth.SignToken(hash("POST/pin/verify{}"), request, time.Minute) })
	}

	load("load-ed25519", edKeystore())
	load("load-rsa-2048", rsaKeystore(2048))
	token("token-eddsa", edKeystore())
	token("token-rs512-1024", rsaKeystore(1024))
	token("token-rs512-2048", rsaKeystore(2048))

	auth, err := AuthFromKeystore(edKeystore())
	must(err)
	signature := strings.Repeat("ab", 64)
	figures["encrypt-digits"] = time5(func() { auth.EncryptPin("314159") })
	figures["encrypt-tip"] = time5(func() { auth.EncryptPin(signature) })
	figures["call-ed25519-tip"] = time5(func() {
		body, err := json.Marshal(map[string]any{"pin_base64": auth.EncryptPin(signature), "timestamp": 1})
		must(err)
		auth.SignToken(hash("POST/pin/verify"+string(body)), request, time.Minute)
	})
	must(json.NewEncoder(os.Stdout).Encode(figures))
}
