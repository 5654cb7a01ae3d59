package webhook

import (
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

// schedule is the specification's: the time from one attempt to the next, after the first one at once. Together about three days.
var schedule = []time.Duration{
	5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
}

// jitterShare spreads attempts that failed together, so that a receiver that comes back is not met by all of them at once.
const jitterShare = 0.2

// next is how long to wait after the given number of attempts; false: give up.
func next(attempts int, asked time.Duration) (time.Duration, bool) {
	if attempts < 1 || attempts > len(schedule) {
		return 0, attempts < 1
	}
	wait := schedule[attempts-1]
	wait += time.Duration(rand.Float64() * jitterShare * float64(wait)) //nolint:gosec // spreading needs no secret
	return max(wait, asked), true
}

// longestAsked bounds what a receiver may ask for.
const longestAsked = 24 * time.Hour

// retryAfter reads the header of a receiver that asks for time; 0 where it does not.
func retryAfter(h http.Header, now time.Time) time.Duration {
	text := h.Get("Retry-After")
	var wait time.Duration
	if s, err := strconv.Atoi(text); err == nil {
		wait = time.Duration(min(max(s, 0), int(longestAsked/time.Second))) * time.Second
	} else if at, err := http.ParseTime(text); err == nil {
		wait = at.Sub(now)
	}
	return min(max(wait, 0), longestAsked)
}
