package queue

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFitting(t *testing.T) {
	const good = "# Memory\r\nmaxmemory_policy:noeviction\r\n"
	for version, fits := range map[string]bool{
		"7.0.15": true, "6.2.0": true, "8.1.2": true, "10.0": true,
		"6.0.16": false, "5.0.3": false, "": false, "unknown": false,
	} {
		err := fitting("# Server\r\nredis_version:"+version+"\r\nredis_mode:standalone\r\n", good)
		if fits {
			require.NoError(t, err, version)
			continue
		}
		var p *Problem
		require.ErrorAs(t, err, &p, version)
		require.Contains(t, p.Text.EN, "6.2")
		require.Contains(t, p.Text.ZH, "6.2")
	}
	require.Error(t, fitting("redis_version:7.0.1\r\n", ""), "a server that does not say its policy is not trusted")
}
