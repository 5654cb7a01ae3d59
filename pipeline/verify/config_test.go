package verify

import (
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/pipeline/policy"
	"onsite/pipeline/scene"
)

// Whatever threshold a policy may name, the check's settings stay valid.
func TestPolicyThresholdsKeepSettingsValid(t *testing.T) {
	for _, v := range []float64{0.05, 0.2, 0.5, 0.95} {
		p, err := policy.Default("video15")
		require.NoError(t, err)
		inliers := int(v * 100)
		p.Thresholds = policy.Thresholds{
			Face: policy.FaceThresholds{Threshold: &v}, Liveness: policy.LivenessThresholds{Threshold: &v}, Reuse: policy.ReuseThresholds{Threshold: &v},
			Scene: policy.SceneThresholds{Inliers: &inliers, Sign: &v},
		}
		f, l, r, s := faceConfig(nil, p), livenessConfig(p), reuseConfig(p), SceneConfig(p)
		require.NoError(t, f.Validate(), v)
		require.NoError(t, l.Validate(), v)
		require.NoError(t, r.Validate(), v)
		require.NoError(t, s.Validate(), v)
		require.InDelta(t, v, f.Threshold, 0)
		require.InDelta(t, v, l.Threshold, 0)
		require.InDelta(t, v, r.Threshold, 0)
	}
}

// A policy names elements as the scene check has them.
func TestPoliciesNameTheElementsOfTheScene(t *testing.T) {
	var have []string
	for _, e := range scene.Elements {
		have = append(have, string(e))
	}
	require.Equal(t, policy.SceneElements, have)
	for _, name := range policy.Names {
		p, err := policy.Default(name)
		require.NoError(t, err)
		require.NoError(t, SceneConfig(p).Validate())
	}
}
