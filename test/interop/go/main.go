// Lets a snippet judge the tokens on standard input. See ../README.md.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"os"
	"time"

	"claviger.example/interop/golangjwt"
	"claviger.example/interop/oidc"
)

type verdict struct {
	Name     string `json:"name"`
	Accepted bool   `json:"accepted"`
	Error    string `json:"error,omitempty"`
}

func main() {
	verify := create(os.Args[1], os.Getenv("ISSUER"), os.Getenv("AUDIENCE"))
	output := bufio.NewWriter(os.Stdout)
	input, verdicts := json.NewDecoder(os.Stdin), json.NewEncoder(output)
	for {
		var given struct{ Name, Token string }
		if err := input.Decode(&given); err == io.EOF {
			break
		} else if err != nil {
			log.Fatal(err)
		}
		judged := verdict{Name: given.Name, Accepted: true}
		if err := verify(given.Token); err != nil {
			judged = verdict{Name: given.Name, Error: err.Error()}
		}
		if err := errors.Join(verdicts.Encode(judged), output.Flush()); err != nil {
			log.Fatal(err)
		}
	}
}

func create(snippet, issuer, audience string) func(string) error {
	ctx := context.Background()
	switch snippet {
	case "oidc":
		verify, err := oidc.NewVerifier(issuer, audience)
		if err != nil {
			log.Fatal(err)
		}
		return func(token string) error {
			_, err := verify(ctx, token)
			return err
		}
	case "golangjwt":
		verify, err := golangjwt.NewVerifier(ctx, issuer, audience)
		if err != nil {
			log.Fatal(err)
		}
		return func(token string) error {
			_, err := verify(token)
			return err
		}
	case "revocations":
		verify, err := golangjwt.NewVerifier(ctx, issuer, audience)
		if err != nil {
			log.Fatal(err)
		}
		maxStaleness, err := time.ParseDuration(os.Getenv("MAX_STALENESS") + "s")
		if err != nil {
			log.Fatal(err)
		}
		client := golangjwt.Client{ID: os.Getenv("CLIENT_ID"), Secret: os.Getenv("CLIENT_SECRET")}
		revocations, err := golangjwt.Follow(ctx, issuer, client, maxStaleness)
		if err != nil {
			log.Fatal(err)
		}
		return func(token string) error {
			claims, err := verify(token)
			if err != nil {
				return err
			}
			return revocations.Check(token, claims)
		}
	default:
		log.Fatal("oidc, golangjwt or revocations?")
		return nil
	}
}
