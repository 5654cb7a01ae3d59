package service

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"onsite/cmd/onsite/config"
	"onsite/pipeline/reuse/index"
	"onsite/results"
	"onsite/results/storetest"
	"onsite/results/vault"
	"onsite/workers/queue"
)

// free gives an address that nobody listens on.
func free(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return l.Addr().String()
}

// Two workers hold a shard each and answer for it at worker.index_listen; together they have every clip once.
func TestWorkersAnswerForTheirShards(t *testing.T) {
	dir := t.TempDir()
	private, err := queue.StartPrivate(t.Context(), filepath.Join(dir, "redis"), nil)
	require.NoError(t, err)
	defer private.Close()
	c := quick(t)
	c.Store.SQLite, c.Objects.Dir, c.KEK.File = filepath.Join(dir, "onsite.db"), filepath.Join(dir, "objects"), filepath.Join(dir, "kek")
	c.Redis.URL = config.NewSecret(private.Options().URL)
	_, err = vault.NewKEK(c.KEK.File)
	require.NoError(t, err)
	s, err := OpenStore(t.Context(), c, slog.New(slog.DiscardHandler), MoveTables)
	require.NoError(t, err)
	defer s.Close()
	tenant := storetest.NewTenant(t, s)
	for range 12 {
		storetest.Finish(t, s, storetest.Claim(t, s, storetest.Accept(t, s, tenant, "e1").ID), func(f *results.Finish) {
			f.Frames = []results.FrameHash{{AtMS: 500, Hash: index.Hash{1, 2, 3, 4}}}
		})
	}
	storetest.Sequenced(t, s)
	at, err := s.Position(t.Context(), tenant)
	require.NoError(t, err)

	const token = "the workers' own token"
	addresses := []string{free(t), free(t)}
	c.Worker.IndexPeers = []string{"http://" + addresses[0], "http://" + addresses[1]}
	c.Worker.IndexToken = config.NewSecret(token)
	var all []*running
	for k, address := range addresses {
		c.Worker.IndexShard, c.Worker.IndexListen = fmt.Sprintf("%d/2", k+1), address
		c.Worker.IndexDir = filepath.Join(dir, fmt.Sprintf("index%d", k))
		c.Worker.Listen = ""
		if k == 1 {
			c.Worker.Listen = "127.0.0.1:0"
		}
		all = append(all, begin(t, config.RoleWorker, c))
	}
	c.Worker.IndexDir = ""
	require.Contains(t, refused(t, config.RoleWorker, c).Text.EN, "choose another with worker.index_listen", "the address is taken")

	q := index.Query{Tenant: tenant, Frames: []index.Asked{{AtMS: 1, Forms: []index.Hash{{1, 2, 3, 5}}}}, Radius: 31, AsOf: at}
	ask := func(k int, token string) (status int, body []byte) {
		raw, err := index.AppendQuery(nil, q, index.Shard{K: k, N: 2})
		require.NoError(t, err)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.Worker.IndexPeers[k-1]+"/index/part", bytes.NewReader(raw))
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer "+token)
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer res.Body.Close()
		body, err = io.ReadAll(res.Body)
		require.NoError(t, err)
		return res.StatusCode, body
	}
	var parts []index.Part
	for k := 1; k <= 2; k++ {
		status, _ := ask(k, "somebody else's")
		require.Equal(t, http.StatusUnauthorized, status)
		require.EventuallyWithT(t, func(e *assert.CollectT) {
			status, body := ask(k, token)
			require.Equal(e, http.StatusOK, status, string(body))
			p, err := index.DecodePart(body, q, index.Shard{K: k, N: 2})
			require.NoError(e, err)
			parts = append(parts, p)
		}, 20*time.Second, 10*time.Millisecond)
	}
	found, err := index.Merge(q, parts...)
	require.NoError(t, err)
	require.Len(t, found.Matches, 12)
	require.Equal(t, http.StatusOK, call(t, http.MethodGet, all[1].URL+"/metrics", "", "", "", nil))
	for _, r := range all {
		r.end()
	}
}
