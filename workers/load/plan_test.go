package load

import (
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the plan into docs/scale.md")

func TestPlan(t *testing.T) {
	f := Figures{ClipCPUS: 1.9, ServiceMS: 100, StoreMS: 10, IdleMS: 5, ClipMB: 2, Use: 0.5, Cores: 8, MachineHour: 0.4, GBMonth: 0.02, KeepDays: 30, Days: 20, PerDay: 2}
	flat := Flat(1000 * time.Second)
	r := Plan(1000, flat, f, 1000*time.Second)
	require.InDelta(t, 1, r.PeakPerS, 1e-9)
	require.Equal(t, 1, r.AtOnce, "4 of 8 cores")
	require.InDelta(t, 1000*40*4.0/8/3600, r.Hours, 1e-6)
	require.InDelta(t, 0.015, r.Store, 1e-9)
	require.InDelta(t, r.Hours*0.4+40_000*0.002*0.02, r.Money, 1e-6)

	// 1000 come in 1000 s and all may wait 1000 s: half the rate does, since the last then waits as long as coming took.
	require.InDelta(t, 0.5, flat.Capacity(1000, 1000*time.Second), 0.01)
	require.InDelta(t, 1, flat.Capacity(1000, 0), 0.01)
	bell, err := Bell(8*time.Hour, 10*time.Hour, 9*time.Hour, 10*time.Minute)
	require.NoError(t, err)
	require.Less(t, bell.Capacity(1000, 10*time.Minute), 0.8*bell.Peak(1000))
	big := Plan(1_000_000, bell, f, time.Minute)
	require.Greater(t, big.AtOnce, big.Within)
	require.Equal(t, "1,234,567", thousands(1234567))
}

func TestReadCore(t *testing.T) {
	c, err := readCore([]byte(`{"clips": 2, "cpu_s_per_clip": 1.5, "stages": {"face": 160}, "table": [{"name": "face", "cpu_ms": 160, "low_ms": 150, "high_ms": 170}]}`))
	require.NoError(t, err)
	require.Equal(t, coreCost{ClipCPUS: 1.5, Stages: []Stage{{"face", 160}}}, c)
	for _, bad := range []string{"", "{}", `{"cpu_s_per_clip": 1}`, `{"cpu_s_per_clip": -1, "table": [{"name": "face", "cpu_ms": 1}]}`} {
		_, err := readCore([]byte(bad))
		require.ErrorContains(t, err, "onsite bench core --json", bad)
	}
}

const (
	scalePage = "../../docs/scale.md"
	begin     = "<!-- plan: made from workers/load, checked by its test -->\n"
	end       = "<!-- end of plan -->"
)

// The plan that the page shows is what the figures beside it give.
func TestDocumentedPlan(t *testing.T) {
	raw, err := os.ReadFile(scalePage)
	require.NoError(t, err)
	before, rest, ok := strings.Cut(string(raw), begin)
	require.True(t, ok)
	table, after, ok := strings.Cut(rest, end)
	require.True(t, ok)
	want, err := Documented()
	require.NoError(t, err)
	if *update {
		require.NoError(t, os.WriteFile(scalePage, []byte(before+begin+want+end+after), 0o600))
		return
	}
	require.Equal(t, want, table, "run: go test ./workers/load -run TestDocumentedPlan -update")
}
