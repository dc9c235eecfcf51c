package oidc

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

var shape = regexp.MustCompile(`^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$`)

// NewVerifier is called once, at the start: it keeps the keys. What it returns gives the claims of a token.
func NewVerifier(issuer, audience string) (func(context.Context, string) (map[string]any, error), error) {
	ctx := oidc.ClientContext(context.Background(), &http.Client{Timeout: 5 * time.Second})
	provider, err := oidc.NewProvider(ctx, issuer)
	if err != nil {
		return nil, err
	}
	verifier := provider.VerifierContext(ctx, &oidc.Config{
		ClientID:             audience, // compared with "aud"
		SupportedSigningAlgs: []string{oidc.RS256},
		// There is no setting for a leeway. That for "nbf" is five minutes, always.
		Now: func() time.Time { return time.Now().Add(-30 * time.Second) },
	})

	return func(ctx context.Context, token string) (map[string]any, error) {
		// Else the JSON serialisation of a signature would do too.
		if len(token) > 8192 || !shape.MatchString(token) {
			return nil, errors.New("not three parts in base64url")
		}
		// go-oidc is made for ID tokens and does not look at "typ", which tells an access token from them.
		if !isAccessToken(token) {
			return nil, errors.New("not an access token, or one with an extension")
		}
		verified, err := verifier.Verify(ctx, token)
		if err != nil {
			return nil, err
		}
		var claims map[string]any
		if err := verified.Claims(&claims); err != nil {
			return nil, err
		}
		// Bound to a key (RFC 9449): without a proof of it, which is not looked at here, it may be stolen.
		if _, bound := claims["cnf"]; bound {
			return nil, errors.New("bound to a key")
		}
		for _, name := range []string{"sub", "client_id", "jti"} {
			if text, _ := claims[name].(string); text == "" {
				return nil, errors.New("no " + name)
			}
		}
		// go-oidc takes a time that is a text for a number.
		for _, name := range []string{"iat", "exp", "nbf"} {
			_, isNumber := claims[name].(float64)
			if _, present := claims[name]; !isNumber && (present || name != "nbf") {
				return nil, errors.New(name + " is no time")
			}
		}
		return claims, nil
	}, nil
}

func isAccessToken(token string) bool {
	first, _, _ := strings.Cut(token, ".")
	text, err := base64.RawURLEncoding.Strict().DecodeString(first)
	var header map[string]any
	if err != nil || json.Unmarshal(text, &header) != nil {
		return false
	}
	typ, _ := header["typ"].(string)
	_, extended := header["crit"]
	return !extended && (strings.EqualFold(typ, "at+jwt") || strings.EqualFold(typ, "application/at+jwt"))
}
