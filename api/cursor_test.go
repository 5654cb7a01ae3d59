package api

import (
	"context"
	"encoding/base64"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func as(t testing.TB, tenant string) context.Context {
	return context.WithValue(t.Context(), principalKey{}, Principal{Tenant: tenant, Key: "k"})
}

func TestCursorHoldsForItsListFilterAndTenantOnly(t *testing.T) {
	s, _ := bare(t, away{})
	s.Handler()
	filter := VerdictQuery{Subject: "e1", From: time.Unix(1_700_000_000, 0)}
	cursor := s.cursor(as(t, "a"), "list", filter, "01ABC.2")
	require.NotContains(t, cursor, "01ABC")
	p, err := s.page(as(t, "a"), "list", filter, PageInput{Cursor: cursor, Limit: 7})
	require.NoError(t, err)
	require.Equal(t, "01ABC.2", p.After)
	require.Equal(t, 7, p.Limit)
	wrong := func(ctx context.Context, list string, f any, c string) {
		t.Helper()
		p, err := s.page(ctx, list, f, PageInput{Cursor: c})
		require.Error(t, err)
		require.Equal(t, 400, fault(err).Status)
		require.Equal(t, string(codeCursor), fault(err).Code)
		require.Empty(t, p.After)
	}
	wrong(as(t, "b"), "list", filter, cursor)
	wrong(as(t, "a"), "other", filter, cursor)
	wrong(as(t, "a"), "list", VerdictQuery{Subject: "e2", From: filter.From}, cursor)
	wrong(as(t, "a"), "list", filter, cursor[:len(cursor)-2])
	wrong(as(t, "a"), "list", filter, "AAAA")
	wrong(as(t, "a"), "list", filter, "!!")
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	require.NoError(t, err)
	for i := range raw {
		changed := append([]byte(nil), raw...)
		changed[i] ^= 1
		wrong(as(t, "a"), "list", filter, base64.RawURLEncoding.EncodeToString(changed))
	}
	stranger, _ := bare(t, away{})
	stranger.Secret[0] ^= 1
	stranger.Handler()
	wrong(as(t, "a"), "list", filter, stranger.cursor(as(t, "a"), "list", filter, "01ABC.2"))
}

func FuzzCursor(f *testing.F) {
	s, _ := bare(f, away{})
	s.Handler()
	f.Add(s.cursor(as(f, "a"), "list", nil, "x"), "x")
	f.Add("", "")
	f.Fuzz(func(t *testing.T, cursor, after string) {
		if p, err := s.page(as(t, "a"), "list", nil, PageInput{Cursor: cursor}); err == nil && cursor != "" {
			require.Equal(t, cursor, s.cursor(as(t, "a"), "list", nil, p.After), "only what we made is taken")
		}
		if after == "" {
			return
		}
		p, err := s.page(as(t, "a"), "list", nil, PageInput{Cursor: s.cursor(as(t, "a"), "list", nil, after)})
		require.NoError(t, err)
		require.Equal(t, after, p.After)
	})
}

func TestConditions(t *testing.T) {
	for _, c := range []struct {
		in   Condition
		rev  int
		code code
	}{
		{Condition{IfMatch: `"3"`}, 3, ""},
		{Condition{IfMatch: "*"}, -1, ""},
		{Condition{IfNoneMatch: "*"}, 0, ""},
		{Condition{}, 0, codeIfMatch},
		{Condition{IfMatch: `"3"`, IfNoneMatch: "*"}, 0, codeInvalid},
		{Condition{IfNoneMatch: `"3"`}, 0, codeInvalid},
		{Condition{IfMatch: `W/"3"`}, 0, codeChanged},
		{Condition{IfMatch: `3`}, 0, codeChanged},
		{Condition{IfMatch: `"0"`}, 0, codeChanged},
		{Condition{IfMatch: `"-1"`}, 0, codeChanged},
		{Condition{IfMatch: `"1", "2"`}, 0, codeChanged},
	} {
		rev, err := c.in.rev()
		if c.code == "" {
			require.NoError(t, err, c.in)
			require.Equal(t, c.rev, rev)
			continue
		}
		require.Error(t, err, c.in)
		require.Equal(t, string(c.code), fault(err).Code, c.in)
	}
	rev, err := Condition{IfMatch: etag(12)}.rev()
	require.NoError(t, err)
	require.Equal(t, 12, rev)
}
