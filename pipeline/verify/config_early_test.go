package verify

import (
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/pipeline/policy"
)

func TestEarlyExitIsThePolicysChoice(t *testing.T) {
	for _, kind := range []string{"video", "photo"} {
		p, err := DefaultPolicy(kind)
		require.NoError(t, err)
		require.False(t, livenessConfig(p).EarlyExit || reuseConfig(p).EarlyExit || faceConfig(nil, p).EarlyExit, "off unless asked for")
	}
	p := policy.Policy{EarlyExit: true}
	require.True(t, livenessConfig(p).EarlyExit && reuseConfig(p).EarlyExit && faceConfig(nil, p).EarlyExit)
}
