package report

import (
	"bytes"
	"strings"
	"testing"

	"github.com/rivo/uniseg"
	"github.com/stretchr/testify/require"

	"onsite/pipeline"
)

func table80(t testing.TB, v pipeline.Verdict, name, lang string, width int, colour bool) string {
	t.Helper()
	var buf bytes.Buffer
	require.NoError(t, Table(&buf, v, name, lang, width, colour))
	return buf.String()
}

func TestTableLooks(t *testing.T) {
	require.Equal(t, `✗ ABNORMAL
  Something does not fit. This is a finding for a person to look at; it has no
  consequence by itself.
  clip_0921.mp4 · video 15.0 s · 1280 × 720 · 30 fps · mp4/h264 · 4.2 MB

Reasons
  • The face shown does not match the enrolled photos of this person.
    face_mismatch · 0:00.0 0:03.0 0:06.0 ...

Checks
  ✗ Person         Failed       0.09 (needs ≥ 0.42)  12 frames
  ✓ Live person    Passed       0.94 (needs ≥ 0.50)  15 frames
  - Place in view  Not checked  no site, or nothing enrolled for it
  ✓ New footage    Passed       0.12 (needs < 0.60)  15 frames
  ✓ Authenticity   Passed       0.21 (needs < 1)     150 frames
  Not asked for by the policy: Location · Speech

Time per step
  decode 312 ms · person 148 ms · live person 171 ms · place in view 333 ms ·
  fingerprint 202 ms · new footage 12 ms · authenticity 36 ms · pictures 88 ms ·
  total 1.02 s

  Job     01JD2Z4T7QK8N5R6V3W9X0Y1ZA
  Policy  sha256:30bafc11c9a1e2f7f0b1d2c3a4958677e8d9c0b1a2f3e4d5c6b7a8990a1b2c3d
  Recipe  sha256:9a0d6f6c1f1f0a9a3fcaa0e7b9d8bb64d86dd6d0e6b6b2dc1f0a5a1e4c9b7d21
`, table80(t, sample(t, "abnormal").Verdict, "clip_0921.mp4", English, 80, false))
}

func TestTableFitsAndAligns(t *testing.T) {
	for _, kind := range kinds {
		for _, lang := range []string{English, Chinese} {
			for _, width := range []int{0, 60, 120} {
				text := table80(t, sample(t, kind).Verdict, "clip_0921.mp4", lang, width, false)
				require.NotContains(t, text, "\x1b")
				require.NotContains(t, text, noBreak)
				limit := width
				if width == 0 {
					limit = 80
				}
				for _, line := range strings.Split(text, "\n") {
					if strings.Contains(line, "sha256:") { // a digest is never broken: it is there to be copied
						continue
					}
					require.LessOrEqual(t, uniseg.StringWidth(line), limit, line)
					require.Equal(t, strings.TrimRight(line, " "), line)
				}
			}
		}
	}
}

// The outcome of every check begins in the same column, Chinese characters counted twice.
func TestTableColumnsInChinese(t *testing.T) {
	text := table80(t, sample(t, "pass").Verdict, "", Chinese, 80, false)
	columns := map[int]bool{}
	rows := 0
	for _, line := range strings.Split(text, "\n") {
		if head, _, ok := strings.Cut(line, "通过"); ok && strings.HasPrefix(line, "  ✓") {
			columns[uniseg.StringWidth(head)] = true
			rows++
		}
	}
	require.Equal(t, 5, rows)
	require.Len(t, columns, 1)
}

func TestTableColour(t *testing.T) {
	text := table80(t, sample(t, "review").Verdict, "a.mp4", English, 80, true)
	require.Contains(t, text, "\x1b[1;33m? REVIEW\x1b[0m")
	require.Equal(t, strings.Count(text, "\x1b["), 2*strings.Count(text, "\x1b[0m"), "every colour ends")
}

func TestTableIsSafeOnTerminals(t *testing.T) {
	for i, attack := range attacks {
		in := hostile(t, hostileKinds[i%len(hostileKinds)], attack)
		text := table80(t, in.Verdict, in.Name, Chinese, 80, false)
		for _, r := range text {
			require.False(t, r != '\n' && (r < 0x20 || r == 0x7f || r == 0x202e), "%q in %q", r, text)
		}
	}
	require.Error(t, Table(brokenWriter{}, sample(t, "pass").Verdict, "", English, 80, false))
}

func TestTableBreaksLongWords(t *testing.T) {
	v := sample(t, "pass").Verdict
	text := table80(t, v, strings.Repeat("长", 200)+".mp4", English, 40, false) // 60 at least
	for _, line := range strings.Split(text, "\n") {
		if !strings.Contains(line, "sha256:") {
			require.LessOrEqual(t, uniseg.StringWidth(line), 60, line)
		}
	}
	require.Equal(t, 200, strings.Count(text, "长"))
}
