package golangjwt

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/time/rate"
)

const (
	silence    = 5 * time.Second // The stream has a heartbeat every two.
	clocksDiff = 30 * time.Second
	memory     = 2 * time.Minute // What is known of how quick messages are.
)

var (
	// ErrRevoked is answered 401, as any other bad token is.
	ErrRevoked = errors.New("revoked")
	// ErrStale says nothing about the token: the issuer has not been heard for too long. Answer 503, Retry-After: 1.
	ErrStale = errors.New("stale: what was revoked is not known")
)

// Client is a service client of the issuer, which has places of its own among the streams. Empty: none.
type Client struct{ ID, Secret string }

// Revocations follows in the background what the issuer revokes.
type Revocations struct {
	url          string
	client       Client
	maxStaleness time.Duration
	keys         keyfunc.Keyfunc
	parser       *jwt.Parser
	// Ends a stream that says nothing new.
	alarm *time.Timer
	// Closed when there is a first view.
	ready chan struct{}
	// All that the issuer had numbered so far, at the time iat.
	epoch   string
	seq     int64
	offsets []offset

	mutex   sync.RWMutex
	entries map[string]span
	iat     time.Time
	heard   time.Time
	delay   time.Duration
}

// span says up to which "iat" of tokens something was revoked, and how long that has to be remembered.
type span struct{ until, end float64 }

// Only differences to it count.
var start = time.Now()

type offset struct {
	at    time.Time
	value time.Duration
}

// message is a list, a heartbeat or a Security Event Token.
type message struct {
	jwt.RegisteredClaims
	Epoch       string
	Seq         int64
	After       *int64
	Revocation  *entry
	Revocations []entry
}

type entry struct {
	Seq           int64
	Sid, Sub, Kid string
	All           bool
	RevokedAt     float64 `json:"revoked_at"`
	ExpiresAt     float64 `json:"expires_at"`
}

// Follow is called once, at the start, and follows the issuer until ctx ends. It waits for a first view, for five seconds at
// most: without one, Check returns ErrStale until there is.
func Follow(ctx context.Context, issuer string, client Client, maxStaleness time.Duration) (*Revocations, error) {
	keys, err := keyfunc.NewDefaultOverrideCtx(ctx, []string{issuer + "/.well-known/jwks.json"}, keyfunc.Override{
		HTTPTimeout:     silence,
		RefreshInterval: 5 * time.Minute,
		// An unknown "kid" has the keys fetched. No message waits long for it.
		RefreshUnknownKID: rate.NewLimiter(rate.Every(10*time.Second), 1),
		RateLimitWaitMax:  time.Second,
	})
	if err != nil {
		return nil, err
	}
	r := &Revocations{
		url:          issuer + "/.well-known/revocations",
		client:       client,
		maxStaleness: maxStaleness,
		keys:         keys,
		ready:        make(chan struct{}),
		entries:      map[string]span{},
		parser: jwt.NewParser(
			jwt.WithValidMethods([]string{"RS256"}),
			jwt.WithIssuer(issuer),
			jwt.WithIssuedAt(),
			jwt.WithLeeway(clocksDiff),
		),
	}
	go r.run(ctx)
	select {
	case <-r.ready:
	case <-time.After(silence):
	case <-ctx.Done():
	}
	return r, nil
}

// Check is for a token that has been verified. It returns ErrRevoked, or ErrStale where nobody can tell.
func (r *Revocations) Check(token string, claims jwt.MapClaims) error {
	parsed, _, err := r.parser.ParseUnverified(token, jwt.MapClaims{})
	if err != nil {
		return err
	}
	iat, _ := claims["iat"].(float64)
	sid, _ := claims["sid"].(string)
	sub, _ := claims["sub"].(string)
	kid, _ := parsed.Header["kid"].(string)
	r.mutex.RLock()
	defer r.mutex.RUnlock()
	for _, key := range []string{"sid " + sid, "sub " + sub, "kid " + kid, "all"} {
		if span, present := r.entries[key]; present && iat <= span.until {
			return ErrRevoked
		}
	}
	if r.age() > r.maxStaleness {
		return ErrStale
	}
	return nil
}

// age is that of the view.
func (r *Revocations) age() time.Duration {
	now := time.Now()
	// The monotonic clock stands still while the machine sleeps. The other, which Round(0) leaves, may be set back.
	since := max(now.Sub(r.heard), now.Round(0).Sub(r.heard.Round(0)))
	// Where everything has been held back from the first message on, only the clocks tell.
	return max(since+r.delay, now.Sub(r.iat)-clocksDiff)
}

func (r *Revocations) run(ctx context.Context) {
	pause := 3 * time.Second
	for ctx.Err() == nil {
		log.Print("the stream has ended: ", r.follow(ctx))
		// Where a proxy lets no stream through, this is what keeps the view fresh.
		if err := r.catchUp(ctx); err != nil {
			log.Print("the list could not be read: ", err)
			pause = min(2*pause, 10*time.Second)
		} else {
			pause = 3 * time.Second
		}
		select {
		case <-ctx.Done():
		case <-time.After(200*time.Millisecond + rand.N(pause)):
		}
	}
}

func (r *Revocations) follow(ctx context.Context) error {
	streaming, cancel := context.WithCancel(ctx)
	defer cancel()
	r.alarm = time.AfterFunc(silence, cancel)
	asked := time.Now()
	stream, err := get(streaming, r.url+"/stream", r.client)
	if err != nil {
		return err
	}
	defer stream.Close()
	// The stream begins with the present. What comes while the list is read waits in it.
	if err := r.catchUp(ctx); err != nil {
		return err
	}
	fields := map[string]string{}
	lines := bufio.NewScanner(stream)
	for lines.Scan() {
		if name, value, _ := strings.Cut(lines.Text(), ": "); lines.Text() != "" {
			fields[name] = value
			continue
		}
		if err := r.receive(ctx, fields["event"], fields["data"], asked); err != nil {
			return err
		}
		clear(fields)
	}
	return lines.Err()
}

func (r *Revocations) receive(ctx context.Context, event, data string, asked time.Time) error {
	switch event {
	case "revocation":
		set, err := r.open(data, "secevent+jwt")
		if err != nil {
			return err
		}
		seq := set.Seq // A changed password has a number, but ends nothing by itself.
		if set.Revocation != nil {
			seq = set.Revocation.Seq
			if err := r.hold(*set.Revocation); err != nil {
				return err
			}
		}
		// After a gap the next heartbeat is ahead.
		if set.Epoch == r.epoch && seq == r.seq+1 {
			r.seq = seq
		}
	case "heartbeat":
		heartbeat, err := r.open(data, "revocations+jwt")
		if err != nil {
			return err
		}
		if heartbeat.Epoch == r.epoch && heartbeat.Seq <= r.seq {
			return r.reached(heartbeat, asked)
		}
		return r.catchUp(ctx)
	case "reset":
		return r.catchUp(ctx)
	}
	return nil
}

// catchUp reads from the list what is not held yet, page by page.
func (r *Revocations) catchUp(ctx context.Context) error {
	for epoch, seq := r.epoch, r.seq; ; {
		url := r.url
		if epoch != "" {
			url += fmt.Sprintf("?since=%s.%d", epoch, seq)
		}
		asked := time.Now()
		page, err := r.read(ctx, url)
		if err != nil {
			return err
		}
		if page.Epoch != epoch {
			epoch, seq = page.Epoch, 0
		}
		// A heartbeat, or another part, is signed as well. It leaves out what has come since.
		if page.After == nil || *page.After > seq {
			return errors.New("not what was asked for")
		}
		last := int64(0)
		for _, entry := range page.Revocations {
			last = max(last, entry.Seq)
		}
		if err := r.hold(page.Revocations...); err != nil {
			return err
		}
		if len(page.Revocations) == 0 || last == page.Seq {
			return r.reached(page, asked)
		}
		// A copy of a part that is known says nothing new. The next heartbeat has it asked for again.
		if last <= seq {
			return nil
		}
		seq = last
	}
}

func (r *Revocations) read(ctx context.Context, url string) (*message, error) {
	ctx, cancel := context.WithTimeout(ctx, silence)
	defer cancel()
	body, err := get(ctx, url, Client{})
	if err != nil {
		return nil, err
	}
	defer body.Close()
	text, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	return r.open(string(text), "revocations+jwt")
}

func get(ctx context.Context, url string, client Client) (io.ReadCloser, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	if client.ID != "" {
		request.SetBasicAuth(client.ID, client.Secret)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		answer.Body.Close()
		return nil, errors.New(answer.Status)
	}
	return answer.Body, nil
}

func (r *Revocations) open(text, typ string) (*message, error) {
	opened := &message{}
	_, err := r.parser.ParseWithClaims(text, opened, func(token *jwt.Token) (any, error) {
		kid, _ := token.Header["kid"].(string)
		// What is not meant for us might have been signed for anything. A key that was revoked says nothing more.
		if _, isRevoked := r.entries["kid "+kid]; isRevoked || token.Header["typ"] != typ {
			return nil, errors.New("another kind of message, or signed by a key that was revoked")
		}
		return r.keys.Keyfunc(token)
	})
	if err == nil && opened.IssuedAt == nil {
		err = errors.New("no iat")
	}
	return opened, err
}

func (r *Revocations) hold(entries ...entry) error {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	for _, each := range entries {
		// A session and a key have no life after this. Users may be enabled again, and sign in.
		key, until := "all", each.RevokedAt
		switch {
		case each.Sid != "":
			key, until = "sid "+each.Sid, math.Inf(1)
		case each.Kid != "":
			key, until = "kid "+each.Kid, math.Inf(1)
		case each.Sub != "":
			key = "sub " + each.Sub
		case !each.All:
			return errors.New("a revocation of a kind that is not known here")
		}
		before := r.entries[key]
		r.entries[key] = span{max(until, before.until), max(each.ExpiresAt, before.end)}
	}
	return nil
}

// reached is told that all that had been revoked when this was signed is held.
func (r *Revocations) reached(signed *message, asked time.Time) error {
	now, iat := time.Now(), signed.IssuedAt.Time
	// The monotonic clock stands still while the machine sleeps, and what lay in a buffer would look new.
	if now.Round(0).Sub(asked.Round(0))-now.Sub(asked) > 2*time.Second {
		return errors.New("this machine slept, or its clock was set")
	}
	// Replays and old copies do not make the view any fresher.
	if !iat.After(r.iat) {
		return nil
	}
	r.alarm.Reset(silence)
	if signed.Epoch != r.epoch {
		r.offsets = nil // Another database may have another clock.
	}
	// How much later it came than the second quickest, as the quickest may have been signed by a clock that was ahead.
	// The rest is the difference between two clocks.
	value := now.Sub(start) - time.Duration(iat.UnixNano())
	r.offsets = append(slices.DeleteFunc(r.offsets, func(old offset) bool {
		return now.Sub(old.at) > memory
	}), offset{now, value})
	quickest := slices.SortedFunc(slices.Values(r.offsets), func(a, b offset) int { return cmp.Compare(a.value, b.value) })
	second := quickest[min(1, len(quickest)-1)]
	// By both clocks: ours may have been set for a moment, and tokens are judged by it.
	past := float64(min(now.Unix(), iat.Unix()))
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.epoch == "" {
		close(r.ready)
	}
	r.epoch, r.seq, r.iat = signed.Epoch, signed.Seq, iat
	r.heard, r.delay = now, max(0, value-second.value)
	// A key is never forgotten: whoever has it chooses how long its tokens live.
	maps.DeleteFunc(r.entries, func(key string, each span) bool {
		return each.end <= past && !strings.HasPrefix(key, "kid ")
	})
	return nil
}
