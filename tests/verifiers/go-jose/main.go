// go-jose's jwt package with the key that `kid` names. It fetches nothing: the program does, for each
// token.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	jose "gopkg.in/square/go-jose.v2"
	"gopkg.in/square/go-jose.v2/jwt"
)

type question struct{ Issuer, Jwks, Audience, Token string }

func verified(q question) error {
	response, err := http.Get(q.Jwks)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	var set jose.JSONWebKeySet
	if err := json.NewDecoder(response.Body).Decode(&set); err != nil {
		return err
	}
	token, err := jwt.ParseSigned(q.Token)
	if err != nil {
		return err
	}
	keys := set.Key(token.Headers[0].KeyID)
	if len(keys) == 0 {
		return errors.New("no key of this kid")
	}
	var claims jwt.Claims
	if err := token.Claims(keys[0], &claims); err != nil {
		return err
	}
	return claims.Validate(jwt.Expected{Issuer: q.Issuer, Audience: jwt.Audience{q.Audience}, Time: time.Now()})
}

func main() {
	if len(os.Args) > 1 {
		fmt.Println("go-jose", os.Getenv("VERIFIER_VERSION"))
		return
	}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var q question
		if err := json.Unmarshal(lines.Bytes(), &q); err != nil {
			panic(err)
		}
		answer := map[string]any{"accepted": true, "message": ""}
		if err := verified(q); err != nil {
			answer = map[string]any{"accepted": false, "message": err.Error()}
		}
		line, _ := json.Marshal(answer)
		fmt.Println(string(line))
	}
}
