package queue_test

import (
	"crypto/tls"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"onsite/workers/queue"
)

func TestOptions(t *testing.T) {
	for name, o := range map[string]queue.Options{
		"plain":    {URL: "redis://localhost:6379/2"},
		"password": {URL: "redis://user:secret@localhost:6379"},
		"TLS":      {URL: "rediss://localhost:6379", TLS: &tls.Config{MinVersion: tls.VersionTLS12}},
		"unix":     {URL: "unix:///run/redis.sock?db=1"},
		"sentinel": {Sentinel: queue.Sentinel{Master: "m", Addrs: []string{"a:1"}}},
		"cluster":  {Cluster: []string{"a:1", "b:2"}},
	} {
		require.NoError(t, o.Validate(), name)
	}
	for name, o := range map[string]queue.Options{
		"nothing":          {},
		"two ways":         {URL: "redis://a", Cluster: []string{"b:1"}},
		"no master":        {Sentinel: queue.Sentinel{Addrs: []string{"a:1"}}},
		"no sentinels":     {Sentinel: queue.Sentinel{Master: "m"}},
		"other scheme":     {URL: "http://user:topsecret@a"},
		"no number":        {URL: "redis://:topsecret@a/x"},
		"no address":       {URL: "unix://"},
		"broken":           {URL: "redis://user:topsecret@[::1"},
		"no scheme at all": {URL: "topsecret"},
	} {
		err := o.Validate()
		var p *queue.Problem
		require.ErrorAs(t, err, &p, name)
		require.NotEmpty(t, p.Text.ZH, name)
		require.NotContains(t, p.Text.EN+p.Text.ZH, "topsecret", name)
		require.NoError(t, p.Err, "the parser's error has the password")
	}
}

func TestOptionsMakeClients(t *testing.T) {
	for _, o := range []queue.Options{
		{URL: "redis://localhost:6379"},
		{Sentinel: queue.Sentinel{Master: "m", Addrs: []string{"localhost:1"}}},
		{Cluster: []string{"localhost:1"}},
	} {
		c, ok := o.MakeRedisClient().(redis.UniversalClient)
		require.True(t, ok)
		require.NoError(t, c.Close())
	}
	require.Panics(t, func() { queue.Options{}.MakeRedisClient() })
}
