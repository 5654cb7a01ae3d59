package report

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/pipeline"
	"onsite/pipeline/policy"
)

func ptr[T any](v T) *T { return &v }

// painted keeps the pictures: every page of the tests has the same ones. They are only read.
var painted sync.Map

// frame gives a small picture: a room-like gradient with a bright disc that moves with n.
func frame(t testing.TB, w, h, n int) []byte {
	t.Helper()
	key := [3]int{w, h, n}
	if was, ok := painted.Load(key); ok {
		return was.([]byte)
	}
	m := image.NewRGBA(image.Rect(0, 0, w, h))
	cx, cy, r := float64(w)*(0.35+0.02*float64(n%12)), float64(h)*0.42, float64(h)*0.2
	for y := range h {
		for x := range w {
			c := color.RGBA{uint8(70 + 90*x/w), uint8(90 + 70*y/h), uint8(120 + 40*(x+y)/(w+h)), 255}
			if math.Hypot(float64(x)-cx, float64(y)-cy) < r {
				c = color.RGBA{225, 185, 160, 255}
			}
			m.Set(x, y, c)
		}
	}
	var buf bytes.Buffer
	require.NoError(t, jpeg.Encode(&buf, m, &jpeg.Options{Quality: 70}))
	painted.Store(key, buf.Bytes())
	return buf.Bytes()
}

// sample is a realistic page. Kinds: pass, abnormal, reused, place, review, photo.
func sample(t testing.TB, kind string) Input {
	t.Helper()
	const w, h = 1280, 720
	v := pipeline.Verdict{
		Schema: pipeline.Schema, Job: "01JD2Z4T7QK8N5R6V3W9X0Y1ZA", Subject: "e1042", Site: "store-17",
		Media: pipeline.MediaInfo{SHA256: "5d1f0c3a9be24c7c8d51a4d94c0f6f0f0b7d2a3e6c1b8a9f7e5d4c3b2a190817", Kind: "video", Bytes: 4_213_998,
			Container: "mp4", Codec: "h264", Width: w, Height: h, DurationMS: 15000, FPS: 29.97},
		Checks: map[pipeline.CheckName]pipeline.Check{
			pipeline.CheckFace:         {Outcome: pipeline.Pass, Score: ptr(0.712), Threshold: ptr(0.42), Frames: 12},
			pipeline.CheckLiveness:     {Outcome: pipeline.Pass, Score: ptr(0.94), Threshold: ptr(0.5), Frames: 15},
			pipeline.CheckScene:        {Outcome: pipeline.Pass, Score: ptr(1.0), Threshold: ptr(1.0), Frames: 6},
			pipeline.CheckReuse:        {Outcome: pipeline.Pass, Score: ptr(0.12), Threshold: ptr(0.6), Frames: 15},
			pipeline.CheckAuthenticity: {Outcome: pipeline.Pass, Score: ptr(0.21), Threshold: ptr(1.0), Frames: 150},
			pipeline.CheckPlace:        {Outcome: pipeline.NotChecked, Why: policy.WhyNotWanted},
			pipeline.CheckSpeech:       {Outcome: pipeline.NotChecked, Why: policy.WhyNotWanted},
		},
		Models: []pipeline.ModelRef{
			{Task: "face_detect", Name: "fr_detect", Version: "0.0.1", SHA256: "6c0256ccd3164f844736a401faf936ec2930764a87ae39442180887d0c5c8854"},
			{Task: "face_embed", Name: "fr_feature", Version: "0.0.1", SHA256: "87aacdfe57510db2af90c0251df680e8eec88f122ee94712121d09bcaaaf3581"},
			{Task: "text_recognize", Name: "ch_PP-OCRv4_rec", Version: "4", SHA256: "06b3e6af6c59a1ba5d53790ed8c2e4b2de389870b6cf5a97f349f3412cb269c0"},
		},
		Recipe: "sha256:9a0d6f6c1f1f0a9a3fcaa0e7b9d8bb64d86dd6d0e6b6b2dc1f0a5a1e4c9b7d21", Policy: "sha256:30bafc11c9a1e2f7f0b1d2c3a4958677e8d9c0b1a2f3e4d5c6b7a8990a1b2c3d", Onsite: "0.1.0",
		Runtime: pipeline.Runtime{Provider: "cpu", ONNXRuntime: "1.30.0", Libav: "libavcodec 59.37.100", OpenCV: "4.6.0", CPU: "AMD EPYC 9B14",
			Sandbox: []string{"seccomp", "landlock", "no_new_privs", "rlimits"}},
		Inputs:   pipeline.Inputs{Claim: "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", EnrolmentRev: 2, SiteRev: 5, HistoryAsOf: 218},
		Revision: 1, TimingsMS: map[string]float64{"decode": 312.4, "face": 148.2, "liveness": 171, "scene": 333.1, "fingerprint": 201.7, "reuse": 12.3, "authenticity": 35.5, "pictures": 88, "total": 1021.9},
		CreatedAt: time.Date(2026, 11, 21, 9, 14, 3, 0, time.UTC),
	}
	in := Input{Lang: English, Name: "clip_0921.mp4", PolicyName: "video15"}
	for i := range 15 {
		v.Media.Keyframes = append(v.Media.Keyframes, pipeline.Keyframe{Index: i, PTSMS: int64(i) * 1000, PHash: fmt.Sprintf("%064x", i)})
		in.Pictures = append(in.Pictures, Picture{Keyframe: i, JPEG: frame(t, 160, 90, i), W: w, H: h})
		in.Marks = append(in.Marks, Mark{Keyframe: i, Box: &pipeline.Box{X: 330 + 25*(i%12), Y: 150, W: 290, H: 300}, Label: pipeline.Text{EN: "face", ZH: "人脸"}, Good: true})
	}
	in.References = []Reference{
		{Kind: RefFace, Name: "enrolled-1.jpg", JPEG: frame(t, 120, 120, 3), W: 120, H: 120},
		{Kind: RefFace, Name: "enrolled-2.jpg", JPEG: frame(t, 120, 120, 5), W: 120, H: 120},
		{Kind: RefFace, Name: "enrolled-3.jpg", JPEG: frame(t, 120, 120, 8), W: 120, H: 120},
		{Kind: "poster", Name: "spring-poster", JPEG: frame(t, 150, 200, 1), W: 150, H: 200},
	}
	in.Timeline = Timeline{People: []Span{{FromMS: 0, ToMS: 14600, Label: pipeline.Text{EN: "the person in front", ZH: "镜头前的人"}, Good: true}}, SceneChanges: []int64{7200}}
	for ms := int64(0); ms < 15000; ms += 100 {
		in.Timeline.Motion = append(in.Timeline.Motion, Level{AtMS: ms, Value: 0.35 + 0.3*math.Sin(float64(ms)/700) + 0.1*math.Sin(float64(ms)/130)})
	}
	in.Elements = []Element{
		{Kind: pipeline.RefPoster, Name: "spring-poster", Outcome: pipeline.Pass, Reference: "spring-poster", Keyframe: ptr(4),
			Outline: []pipeline.Point{{X: 900, Y: 80}, {X: 1130, Y: 100}, {X: 1120, Y: 430}, {X: 890, Y: 400}}, Score: ptr(34.0), Threshold: ptr(9.0)},
		{Kind: ElementSign, Name: "", Outcome: pipeline.Pass, Keyframe: ptr(2), Box: &pipeline.Box{X: 60, Y: 40, W: 420, H: 90}, Wanted: []string{"晨光便利店", "Morning Light"}, Read: "晨光便利店", Score: ptr(1.0), Threshold: ptr(0.75)},
	}
	in.Verdict = v
	apply(t, &in, kind)
	p, err := policy.Default("video15")
	require.NoError(t, err)
	in.Verdict.Decision, in.Verdict.Reasons = p.Decide(in.Verdict.Checks)
	if kind == "photo" {
		in.Verdict.Decision, in.Verdict.Reasons = pipeline.DecisionPass, nil
	}
	return in
}

func apply(t testing.TB, in *Input, kind string) {
	t.Helper()
	v := &in.Verdict
	switch kind {
	case "pass":
	case "abnormal":
		f := pipeline.Finding{Code: pipeline.FaceMismatch, Outcome: pipeline.Fail}
		for i := 0; i < 12; i += 3 {
			f.Evidence = append(f.Evidence, pipeline.Evidence{Kind: "keyframe", Keyframe: ptr(i), Box: in.Marks[i].Box, Label: "face", Reference: "enrolled-1.jpg", Score: ptr(0.08 + float64(i)/100), Threshold: ptr(0.42)})
		}
		v.Checks[pipeline.CheckFace] = pipeline.Check{Outcome: pipeline.Fail, Score: ptr(0.094), Threshold: ptr(0.42), Frames: 12, Findings: []pipeline.Finding{f}}
		v.Checks[pipeline.CheckScene] = pipeline.Check{Outcome: pipeline.NotChecked, Why: policy.WhyNoSite}
		v.Site, in.Elements = "", nil
		for i := range in.Marks {
			in.Marks[i].Good = false
		}
		in.Timeline.People[0].Good = false
	case "reused":
		v.Checks[pipeline.CheckReuse] = pipeline.Check{Outcome: pipeline.Fail, Score: ptr(0.93), Threshold: ptr(0.6), Frames: 15, Findings: []pipeline.Finding{{
			Code: pipeline.FootageReused, Outcome: pipeline.Fail, Args: map[string]string{"job": "monday-morning.mp4"},
			Evidence: []pipeline.Evidence{{Kind: "segment", Job: "monday-morning.mp4", FromMS: ptr(int64(400)), ToMS: ptr(int64(13900)), TheirFromMS: ptr(int64(5400)), TheirToMS: ptr(int64(18900)), Transform: "mirrored"}},
		}}}
		s := Segment{Job: "monday-morning.mp4", FromMS: 400, ToMS: 13900, TheirFromMS: 5400, TheirToMS: 18900, TheirDurationMS: 31000, Transform: "mirrored", Score: ptr(0.93), Threshold: ptr(0.6)}
		for i := range 4 {
			s.Pairs = append(s.Pairs, Pair{OurMS: int64(1000 + 4000*i), TheirMS: int64(6000 + 4000*i), TheirJPEG: frame(t, 160, 90, 4*i+1)})
		}
		s.Pairs[3].TheirJPEG = nil
		in.Segments = []Segment{s}
		in.Timeline.Spans = []Span{{FromMS: 400, ToMS: 13900, Label: pipeline.Text{EN: "same footage as monday-morning.mp4", ZH: "与 monday-morning.mp4 相同的画面"}}}
		in.Notes = []pipeline.Text{{EN: "Demonstration. The earlier footage was re-encoded, trimmed and mirrored with ffmpeg.", ZH: "演示。历史录像经过 ffmpeg 重新编码、裁剪时长并镜像。"}}
	case "place":
		v.Checks[pipeline.CheckScene] = pipeline.Check{Outcome: pipeline.Fail, Score: ptr(0.0), Threshold: ptr(1.0), Frames: 6, Findings: []pipeline.Finding{
			{Code: pipeline.SignNotRead, Outcome: pipeline.Fail, Args: map[string]string{"wanted": "晨光便利店", "read": "東方書局"}, Evidence: []pipeline.Evidence{{Kind: "text", Keyframe: ptr(2), Box: &pipeline.Box{X: 60, Y: 40, W: 420, H: 90}, Label: "sign", Read: "東方書局"}}},
			{Code: pipeline.PosterMissing, Outcome: pipeline.Fail, Args: map[string]string{"name": "spring-poster"}, Evidence: []pipeline.Evidence{{Kind: "keyframe", Keyframe: ptr(6), Label: "poster"}}},
		}}
		in.Elements[0] = Element{Kind: pipeline.RefPoster, Outcome: pipeline.Fail, Score: ptr(3.0), Threshold: ptr(9.0)}
		in.Elements[1].Outcome, in.Elements[1].Read, in.Elements[1].Score = pipeline.Fail, "東方書局", ptr(0.0)
		in.Notes = []pipeline.Text{{EN: "Composed footage: the sign was drawn into the recording for this demonstration.", ZH: "合成画面：招牌为演示目的绘入录像。"}}
	case "review":
		v.Checks[pipeline.CheckLiveness] = pipeline.Check{Outcome: pipeline.Fail, Score: ptr(0.4962), Threshold: ptr(0.5), Near: true, Frames: 15, Findings: []pipeline.Finding{
			{Code: pipeline.SpoofSuspected, Outcome: pipeline.Fail, Evidence: []pipeline.Evidence{{Kind: "keyframe", Keyframe: ptr(3), Box: in.Marks[3].Box, Label: "face", Score: ptr(0.31)}, {Kind: "keyframe", Keyframe: ptr(9), Box: in.Marks[9].Box, Label: "face", Score: ptr(0.44)}}}}}
		v.Checks[pipeline.CheckFace] = pipeline.Check{Outcome: pipeline.Pass, Score: ptr(0.61), Threshold: ptr(0.42), Frames: 12, Findings: []pipeline.Finding{{Code: pipeline.SeveralPeople, Outcome: pipeline.Uncertain, Args: map[string]string{"people": "2"},
			Evidence: []pipeline.Evidence{{Kind: "keyframe", Keyframe: ptr(5), Box: in.Marks[5].Box, Label: "face"}, {Kind: "keyframe", Keyframe: ptr(5), Box: &pipeline.Box{X: 960, Y: 200, W: 140, H: 150}, Label: "other_face"}}}}}
		v.Checks[pipeline.CheckReuse] = pipeline.Check{Outcome: pipeline.NotChecked, Why: policy.WhyNoHistory}
		v.Checks[pipeline.CheckAuthenticity] = pipeline.Check{Outcome: pipeline.Error, Why: "compare 150 frames: out of memory"}
	case "photo":
		v.Media.Kind, v.Media.DurationMS, v.Media.FPS, v.Media.Container, v.Media.Codec = "photo", 0, 0, "jpeg", "jpeg"
		v.Media.Keyframes, in.Pictures, in.Marks = v.Media.Keyframes[:1], in.Pictures[:1], in.Marks[:1]
		in.Timeline, in.Elements = Timeline{}, nil
		delete(v.Checks, pipeline.CheckAuthenticity)
	default:
		t.Fatalf("no sample %q", kind)
	}
}

var kinds = []string{"pass", "abnormal", "reused", "place", "review", "photo"}
