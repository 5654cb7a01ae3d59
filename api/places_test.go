package api

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestPlacesAreShared(t *testing.T) {
	p := newPlaces(4)
	var leave []func()
	enter := func(tenant string, want error) {
		t.Helper()
		out, err := p.enter(t.Context(), tenant, 0)
		require.Equal(t, want, err)
		if err == nil {
			leave = append(leave, out)
		}
	}
	enter("acme", nil)
	enter("acme", nil)
	enter("acme", errShareFull)
	enter("other", nil)
	enter("third", nil)
	enter("other", errFull)
	enter("other", errFull) // and what was refused took nothing
	leave[0]()
	enter("other", nil)
	for _, out := range leave[1:] {
		out()
	}
	require.Zero(t, p.taken(), "no tenant is remembered")
	enter("acme", nil)

	waited := make(chan error)
	require.EqualValues(t, 1, newPlaces(1).share)
	one := newPlaces(1)
	out, err := one.enter(t.Context(), "acme", 0)
	require.NoError(t, err)
	go func() {
		out, err := one.enter(t.Context(), "acme", time.Minute)
		if err == nil {
			out()
		}
		waited <- err
	}()
	out()
	require.NoError(t, <-waited, "who waits gets the place that becomes free")
	require.Zero(t, one.taken())
}

// stalled asks for a file and takes no more of it than its head.
func (s *stage) stalled(path, key string) net.Conn {
	s.t.Helper()
	c, err := (&net.Dialer{}).DialContext(s.t.Context(), "tcp", strings.TrimPrefix(s.http.URL, "http://"))
	require.NoError(s.t, err)
	s.t.Cleanup(func() { _ = c.Close() })
	require.NoError(s.t, c.(*net.TCPConn).SetReadBuffer(4096))
	_, err = fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", path, key)
	require.NoError(s.t, err)
	line, err := bufio.NewReaderSize(c, 16).ReadString('\n')
	require.NoError(s.t, err)
	require.Contains(s.t, line, "200")
	return c
}

// big is an upload that no socket's buffers hold.
func (s *stage) big(tenant string) string {
	a := s.submit(s.key(tenant, submit), nil, "subject", "e1", "@media", strings.Repeat("footage ", 2<<20))
	require.Equal(s.t, http.StatusAccepted, a.status, string(a.body))
	var j AcceptedJob
	a.into(&j)
	return "/v1/submissions/" + j.Job + "/media"
}

// Eight readers that take nothing held all downloads of everybody once.
func TestSlowReadersHoldTheirTenantsShareOnly(t *testing.T) {
	s := newStage(t, func(s *Server) { s.Limits.OpenMedia, s.patience = 4, 10*time.Millisecond })
	path, key := s.big("acme"), s.key("acme", investigate)
	first, second := s.stalled(path, key), s.stalled(path, key)
	a := s.do(http.MethodGet, path, key, nil, "Accept-Language", "zh")
	require.Contains(t, a.problem(429, codeBusyTenant).Detail, "2 个文件")
	require.Equal(t, "1", a.header.Get("Retry-After"))
	theirs, other := s.big("other"), s.key("other", investigate)
	require.Len(t, s.do(http.MethodGet, theirs, other, nil).body, 16<<20)
	s.stalled(theirs, other)
	s.stalled(theirs, other)
	third := s.key("acme", admin)
	require.NoError(t, first.Close())
	require.NoError(t, second.Close())
	require.Eventually(t, func() bool { return s.do(http.MethodGet, path, third, nil).status == http.StatusOK }, time.Minute, time.Millisecond, "the places are free again")
}

func TestAllPlacesTaken(t *testing.T) {
	s := newStage(t, func(s *Server) { s.Limits.OpenMedia, s.patience = 1, time.Millisecond })
	s.stalled(s.big("acme"), s.key("acme", investigate))
	a := s.do(http.MethodGet, s.big("other"), s.key("other", investigate), nil)
	a.problem(503, codeBusyStreams)
	require.Equal(t, "1", a.header.Get("Retry-After"))
}

func TestWhoTakesNothingIsLetGo(t *testing.T) {
	s := newStage(t, func(s *Server) { s.Limits.ReadIdle = 2 * time.Second }) // a busy machine may halt a reader for a part of that
	path := s.big("acme")
	s.stalled(path, s.key("acme", investigate))
	require.Equal(t, 1, s.server.plain.taken())
	require.Eventually(t, func() bool { return s.server.plain.taken() == 0 }, time.Minute, time.Millisecond, "while its connection is open")
	require.Len(t, s.do(http.MethodGet, path, s.key("acme", investigate), nil).body, 16<<20, "who takes it gets it all")
}
