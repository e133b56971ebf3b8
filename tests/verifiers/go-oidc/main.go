// go-oidc, as its example has it: the provider by its issuer, and a verifier for a client ID.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"

	oidc "github.com/coreos/go-oidc"
)

type question struct{ Issuer, Jwks, Audience, Token string }

func verified(verifiers map[question]*oidc.IDTokenVerifier, q question) error {
	ctx, address := context.Background(), question{Issuer: q.Issuer, Audience: q.Audience}
	if verifiers[address] == nil {
		provider, err := oidc.NewProvider(ctx, q.Issuer)
		if err != nil {
			return err
		}
		verifiers[address] = provider.Verifier(&oidc.Config{ClientID: q.Audience})
	}
	_, err := verifiers[address].Verify(ctx, q.Token)
	return err
}

func main() {
	if len(os.Args) > 1 {
		fmt.Println("go-oidc", os.Getenv("VERIFIER_VERSION"))
		return
	}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	verifiers := map[question]*oidc.IDTokenVerifier{}
	for lines.Scan() {
		var q question
		if err := json.Unmarshal(lines.Bytes(), &q); err != nil {
			panic(err)
		}
		answer := map[string]any{"accepted": true, "message": ""}
		if err := verified(verifiers, q); err != nil {
			answer = map[string]any{"accepted": false, "message": err.Error()}
		}
		line, _ := json.Marshal(answer)
		fmt.Println(string(line))
	}
}
