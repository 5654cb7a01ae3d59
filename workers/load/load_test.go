package load

import (
	"bytes"
	"context"
	"errors"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func at(t *testing.T, clock string) time.Duration {
	t.Helper()
	d, err := Clock(clock)
	require.NoError(t, err)
	return d
}

func TestBellPeaksWhereItShould(t *testing.T) {
	c, err := Bell(at(t, "08:30"), at(t, "09:15"), at(t, "08:55"), 8*time.Minute)
	require.NoError(t, err)
	require.Equal(t, 45*time.Minute, c.Span())
	times := c.Times(20_000, 45*time.Minute, 1)
	require.True(t, slices.IsSorted(times))
	require.Less(t, times[len(times)-1], 45*time.Minute)
	near := 0
	for _, d := range times {
		if d > 24*time.Minute && d < 26*time.Minute {
			near++
		}
	}
	// Within a minute of the peak comes 2 x 60 s x the peak's rate.
	require.InEpsilon(t, 120*c.Peak(20_000), float64(near), 0.1)
	require.Equal(t, times, c.Times(20_000, 45*time.Minute, 1), "one seed, one morning")
	require.NotEqual(t, times, c.Times(20_000, 45*time.Minute, 2))
	fast := c.Times(20_000, 45*time.Second, 1)
	require.InDelta(t, times[7000].Seconds()/60, fast[7000].Seconds(), 0.001)
	_, err = Bell(2, 1, 1, 1)
	require.Error(t, err)
}

func TestCurveFromAFile(t *testing.T) {
	c, err := ReadCurve(strings.NewReader("time,rate\n# comment\n08:00,0\n08:30, 30\n09:00:00,0\n"))
	require.NoError(t, err)
	require.Equal(t, time.Hour, c.Span())
	times := c.Times(10_000, time.Hour, 3)
	first := 0
	for _, d := range times {
		if d < 15*time.Minute {
			first++
		}
	}
	require.InDelta(t, 0.125, float64(first)/10_000, 0.015, "a quarter of the time, an eighth of the people")
	for text, want := range map[string]string{
		"08:00,1\n07:00,1": "does not come after", "08:00,1": "two points", "08:00,0\n09:00,0": "nobody comes", "8 o'clock,1\n9,2": "no time of day",
		"08:00,x\n09:00,1": "is no number", "08:00,-1\n09:00,1": "not between", "08:00\n": "08:55,120",
	} {
		_, err := ReadCurve(strings.NewReader(text))
		require.ErrorContains(t, err, want, text)
	}
}

func FuzzReadCurve(f *testing.F) {
	f.Add("08:00,0\n08:30,30\n09:00,0\n", uint64(1))
	f.Add("time,rate\n08:00,1e11\n08:00:01,0", uint64(2))
	f.Fuzz(func(t *testing.T, text string, seed uint64) {
		c, err := ReadCurve(strings.NewReader(text))
		if err != nil {
			return
		}
		times := c.Times(100, time.Minute, seed)
		require.True(t, slices.IsSorted(times))
		require.GreaterOrEqual(t, times[0], time.Duration(0))
		require.LessOrEqual(t, times[99], time.Minute)
		require.False(t, math.IsNaN(c.Peak(10)))
	})
}

// shop is a service with some desks, each of which needs a time for a job.
type shop struct {
	desks    chan struct{}
	each     time.Duration
	stall    time.Duration // accepting hangs this long for the first submission
	refuse   func(n int) bool
	never    func(n int) bool // a job that ends without a verdict
	mu       sync.Mutex
	done     []string
	dead     map[string]bool
	news     chan struct{}
	wait     sync.WaitGroup
	stalling sync.Mutex
}

func newShop(desks int, each time.Duration) *shop {
	return &shop{desks: make(chan struct{}, desks), each: each, news: make(chan struct{}, 1), dead: map[string]bool{}, refuse: func(int) bool { return false }, never: func(int) bool { return false }}
}

func (s *shop) Submit(ctx context.Context, n int) (string, error) {
	if s.refuse(n) {
		return "", &Refusal{Code: "429", Err: errors.New("too many")}
	}
	if s.stall > 0 {
		s.stalling.Lock() // everybody waits behind the first
		if n == 0 {
			time.Sleep(s.stall)
		}
		s.stalling.Unlock()
	}
	job := "j" + strconv.Itoa(n)
	s.wait.Go(func() {
		s.desks <- struct{}{}
		time.Sleep(s.each)
		<-s.desks
		s.mu.Lock()
		if s.never(n) {
			s.dead[job] = true
		} else {
			s.done = append(s.done, job)
		}
		s.mu.Unlock()
		select {
		case s.news <- struct{}{}:
		default:
		}
	})
	return job, nil
}

func (s *shop) Finished(ctx context.Context, after int64) ([]string, int64, error) {
	for range 2 {
		s.mu.Lock()
		if int(after) < len(s.done) {
			out := slices.Clone(s.done[after:])
			s.mu.Unlock()
			return out, after + int64(len(out)), nil
		}
		s.mu.Unlock()
		select {
		case <-s.news:
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return nil, after, ctx.Err()
		}
	}
	return nil, after, nil
}

func (s *shop) Final(_ context.Context, job string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dead[job] {
		return "dead", nil
	}
	return "", nil
}

func TestMorning(t *testing.T) {
	s := newShop(4, 2*time.Millisecond)
	s.done = []string{"of yesterday"}
	s.refuse = func(n int) bool { return n%10 == 7 }
	r, err := Run(t.Context(), s, Options{Times: Flat(time.Minute).Times(100, 400*time.Millisecond, 1), Every: 20 * time.Millisecond})
	s.wait.Wait()
	require.NoError(t, err)
	require.Equal(t, 100, r.Offered)
	require.Equal(t, 90, r.Accepted)
	require.Equal(t, map[string]int{"429": 10}, r.Refused)
	require.Equal(t, 90, r.Finished, "what was finished before is not ours")
	require.Zero(t, r.Open)
	require.GreaterOrEqual(t, r.EndToEnd.P50MS, 2.0)
	require.NotEmpty(t, r.Series)
	require.Positive(t, r.Peak)
	var page bytes.Buffer
	require.NoError(t, WritePage(&page, "en", "A <morning>", []Result{r}))
	require.Contains(t, page.String(), "A &lt;morning&gt;")
	require.Contains(t, page.String(), "<polyline")
	require.Contains(t, page.String(), "Not accepted (429): 10")
	page.Reset()
	require.NoError(t, WritePage(&page, "zh", "早高峰", []Result{r}))
	require.Contains(t, page.String(), "未受理 (429): 10")
	words := regexp.MustCompile(`(?s)<style>.*</style>|<[^>]*>|p50|p99`).ReplaceAllString(page.String(), "")
	require.NotRegexp(t, "[A-Za-z]{3}", words, "English words in the Chinese page")
}

// A stall of the service is in the latency of everybody who was due meanwhile, not only of the one whose request hung.
func TestStallIsNotHidden(t *testing.T) {
	s := newShop(100, 0)
	s.stall = 300 * time.Millisecond
	times := make([]time.Duration, 50)
	for i := range times {
		times[i] = time.Duration(i) * 4 * time.Millisecond
	}
	r, err := Run(t.Context(), s, Options{Times: times})
	s.wait.Wait()
	require.NoError(t, err)
	require.Greater(t, r.Accept.P50MS, 150.0)
	require.GreaterOrEqual(t, r.Accept.MaxMS, 299.0)
}

// More comes than can be done: the queue's age shows when, and what became of jobs without a verdict is told.
func TestBend(t *testing.T) {
	s := newShop(1, 5*time.Millisecond)
	s.never = func(n int) bool { return n == 3 }
	r, err := Run(t.Context(), s, Options{Times: Flat(time.Minute).Times(60, 60*time.Millisecond, 1), Every: 5 * time.Millisecond, Old: 50 * time.Millisecond, Ask: 50 * time.Millisecond})
	s.wait.Wait()
	require.NoError(t, err)
	require.Equal(t, 59, r.Finished)
	require.Equal(t, map[string]int{"dead": 1}, r.Ended)
	require.Positive(t, r.BendS)
	require.Positive(t, r.BendPerS, "what came when the job came that is late, not what comes when it is")
	require.Greater(t, r.MaxAgeS, 0.1)
	require.Greater(t, r.MaxWait, 20)
}

func TestLoadThatCannotBeOffered(t *testing.T) {
	s := newShop(1, 0)
	s.stall = 200 * time.Millisecond
	_, err := Run(t.Context(), s, Options{Times: make([]time.Duration, 20), Flying: 5})
	s.wait.Wait()
	require.ErrorIs(t, err, ErrFull)
	_, err = Run(t.Context(), s, Options{})
	require.ErrorContains(t, err, "nobody comes")
	ctx, stop := context.WithCancel(t.Context())
	stop()
	_, err = Run(ctx, newShop(1, 0), Options{Times: []time.Duration{0}})
	require.ErrorIs(t, err, context.Canceled)
}

// Verdicts that are heard of in bunches are no peak.
func TestSmooth(t *testing.T) {
	var series []Sample
	for i := range 200 {
		n := 10 * (i / 10) // ten at once, every ten samples: one a sample
		series = append(series, Sample{AtS: float64(i+1) / 5, Offered: i + 1, Finished: n, OfferedPerS: 5})
	}
	for _, s := range smooth(series) {
		require.InDelta(t, 5, s.OfferedPerS, 1e-9)
		require.InDelta(t, 5, s.FinishedPerS, 2.1)
	}
	for _, s := range smooth(series[:10]) {
		require.InDelta(t, 5, s.OfferedPerS, 1e-9, "shorter than a window: the mean")
	}
	require.Empty(t, smooth(nil))
}
