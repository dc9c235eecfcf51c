package golangjwt

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/time/rate"
)

var shape = regexp.MustCompile(`^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$`)

// NewVerifier is called once, at the start: it keeps the keys until ctx ends. What it returns gives the claims of a token.
func NewVerifier(ctx context.Context, issuer, audience string) (func(string) (jwt.MapClaims, error), error) {
	keys, err := readKeys(ctx, issuer)
	if err != nil {
		return nil, err
	}
	parser := jwt.NewParser(
		jwt.WithValidMethods([]string{"RS256"}),
		jwt.WithIssuer(issuer),
		jwt.WithAudience(audience),
		jwt.WithExpirationRequired(),
		jwt.WithIssuedAt(),
		jwt.WithLeeway(30*time.Second),
		jwt.WithStrictDecoding(),
	)

	return func(text string) (jwt.MapClaims, error) {
		// Go's base64 passes over line breaks.
		if len(text) > 8192 || !shape.MatchString(text) {
			return nil, jwt.ErrTokenMalformed
		}
		claims := jwt.MapClaims{}
		token, err := parser.ParseWithClaims(text, claims, keys.Keyfunc)
		if err != nil {
			return nil, err
		}
		// Else any other JWT of this issuer would pass for an access token.
		typ, _ := token.Header["typ"].(string)
		if !strings.EqualFold(typ, "at+jwt") && !strings.EqualFold(typ, "application/at+jwt") {
			return nil, errors.New("not an access token")
		}
		// It asks for something that has to be understood, and golang-jwt does not look at it.
		if _, present := token.Header["crit"]; present {
			return nil, errors.New("an unknown extension")
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
		if _, isNumber := claims["iat"].(float64); !isNumber {
			return nil, errors.New("no iat")
		}
		return claims, nil
	}, nil
}

func readKeys(ctx context.Context, issuer string) (keyfunc.Keyfunc, error) {
	address, err := discover(issuer)
	if err != nil {
		return nil, err
	}
	return keyfunc.NewDefaultOverrideCtx(ctx, []string{address}, keyfunc.Override{
		HTTPTimeout:     5 * time.Second,
		RefreshInterval: 5 * time.Minute,
		// An unknown "kid" has the keys fetched, at most once in 30 s. Who comes meanwhile does not wait a minute for it.
		RefreshUnknownKID: rate.NewLimiter(rate.Every(30*time.Second), 1),
		RateLimitWaitMax:  time.Second,
	})
}

// discover returns the address of the keys, for which golang-jwt and keyfunc do not ask the issuer themselves.
func discover(issuer string) (string, error) {
	client := http.Client{Timeout: 5 * time.Second}
	answer, err := client.Get(issuer + "/.well-known/oauth-authorization-server")
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	var metadata struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&metadata); err != nil {
		return "", err
	}
	if metadata.Issuer != issuer {
		return "", errors.New("these are the metadata of another issuer")
	}
	return metadata.JWKSURI, nil
}
