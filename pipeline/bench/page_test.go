package bench

import (
	"bytes"
	"context"
	"errors"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/pipeline"
	"onsite/pipeline/media"
	"onsite/pipeline/verify"
)

func TestPage(t *testing.T) {
	r := Result{
		Clips: 2, Runs: 3, CPUSPerClip: 2.5, DecodeRatio: 1.2, Table: []Stage{{Name: verify.StageFace, CPUMS: 170, LowMS: 150, HighMS: 200, BudgetMS: 160}},
		Detail: &Efficiency{Ratio: .81, DecodeMS: 500, ChildMS: 600, PipelineMS: 900, Samples: 77, Outside: map[string]float64{"a.<b>": 12}},
		Checks: map[pipeline.CheckName]map[string]int{pipeline.CheckFace: {"pass": 2}}, Scaling: []Scale{{1, .4}, {2, .7}},
		Baseline: &Baseline{CPUSPerClip: 9, SameDecisions: .5, Clips: 2, Stages: map[string]float64{"scene": 8000}, Differ: []string{"x.mp4: face pass, naive fail"}},
		Compared: &Compared{With: "old.json", Total: .9}, EarlyExit: &EarlyExit{CPUSPerClip: 2.2, SameOutcomes: 1}, Apart: &Apart{CPUSPerClip: 1.7, Clips: 2}, Kept: &Kept{CPUMS: 600, Pictures: 12, EachMS: 50}, Photo: &PhotoCost{CPUMS: 333, Pixels: 9000000}, Loaded: &Loaded{Share: .7, P50MS: 1000, P99MS: 2400, P99ToMedian: 2.4},
	}
	var out bytes.Buffer
	require.NoError(t, r.Page(&out, "en"))
	for _, want := range []string{"2.50 s", "0.81", "class=\"over\"", "x.mp4: face pass", "At 70 % load", "With early exit", "12.0 of a clip, 50 ms each", "Throughput by workers", "a.&lt;b&gt;", "old.json", "limit 400"} {
		require.Contains(t, out.String(), want)
	}
	require.NotRegexp(t, `\p{Han}|%!`, out.String())
	require.NotContains(t, out.String(), "http", "the page needs no network")
	out.Reset()
	require.NoError(t, r.Page(&out, "zh"))
	for _, want := range []string{"2.50 秒", "负载 70 % 时", "中位数 1000 毫秒的 2.40 倍", "2 段视频中 50 % 结论相同", "12.0 张，每张 50 毫秒", "170 毫秒（150 至 200），预算 160", "与 old.json 相比"} {
		require.Contains(t, out.String(), want)
	}
	require.NotRegexp(t, `%!| ms\b|clips`, out.String())
	out.Reset()
	require.NoError(t, Result{}.Page(&out, "en"), "a result without its options is one, too")
}

// nobody has no decoder behind it: what is tested is who is told.
func TestLoadOfClipsThatCannotBeRead(t *testing.T) {
	program := t.TempDir() + "/onsite-decode"
	require.NoError(t, os.WriteFile(program, []byte("#!/bin/sh\nexit 1\n"), 0o755))
	d, err := media.NewDecoder(media.Options{Path: program})
	require.NoError(t, err)
	v := &verify.Verifier{Decoder: d}
	jobs := []*prepared{{job: verify.Job{Media: pipeline.File("nowhere.mp4")}}}
	l, err := underLoad(t.Context(), v, Options{Workers: 2, Load: .7, Arrivals: 5}, jobs, 1000)
	require.ErrorContains(t, err, "nowhere.mp4")
	require.Nil(t, l)
	l, err = underLoad(t.Context(), v, Options{}, jobs, 1000)
	require.NoError(t, err)
	require.Nil(t, l, "not asked for")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("enough"))
	_, err = underLoad(ctx, v, Options{Load: .1, Arrivals: 5}, jobs, .001)
	require.ErrorContains(t, err, "enough")
}
