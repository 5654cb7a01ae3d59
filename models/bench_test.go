package models

import (
	"context"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkTask is one call of each task on one goroutine; cpu-ms is the process's CPU time, which a busy machine disturbs less; run-% is the share that ONNX Runtime itself takes.
func BenchmarkTask(b *testing.B) {
	s := open(b)
	ctx := context.Background()
	grey, scene, second := Pattern(64, 64, 1, 1), Pattern(512, 512, 3, 1), PatternSound(16000, 1)
	cases := []struct {
		name string
		task Task
		run  func() error
	}{
		{"face_detect", FaceDetect, on(ctx, s.DetectFaces, Pattern(320, 240, 3, 1))},
		{"face_landmark", FaceLandmark, on(ctx, s.Landmarks, grey)},
		{"face_embed", FaceEmbed, on(ctx, s.Embed, Pattern(112, 112, 3, 1))},
		{"liveness", Liveness, on(ctx, s.LiveScore, Pattern(128, 128, 3, 1))},
		{"head_pose", HeadPose, on(ctx, s.HeadPose, Pattern(224, 224, 3, 1))},
		{"eye_state", EyeState, on(ctx, s.EyeOpen, Pattern(24, 24, 1, 1))},
		{"text_detect_640x384", TextDetect, on(ctx, s.TextMap, Pattern(640, 384, 3, 1))},
		{"text_recognize_320", TextRecognize, on(ctx, s.ReadText, Pattern(320, 48, 3, 1))},
		{"object_detect", ObjectDetect, on(ctx, s.DetectObjects, Pattern(300, 300, 3, 1))},
		{"scene_embed", SceneEmbed, func() error { _, _, err := s.EmbedScene(ctx, scene); return err }},
		{"voice_activity_1s", VoiceActivity, func() error { _, err := s.VoiceActivity(ctx, second); return err }},
	}
	for _, c := range cases {
		b.Run(c.name, func(b *testing.B) {
			require.NoError(b, c.run())
			s.ResetStats()
			b.ReportAllocs()
			before := cpuSeconds(b)
			for b.Loop() {
				if err := c.run(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(1000*(cpuSeconds(b)-before)/float64(b.N), "cpu-ms/op")
			st := s.Stats()[c.task]
			b.ReportMetric(100*float64(st.RunNS)/float64(st.PreNS+st.RunNS+st.DecodeNS), "run-%")
		})
	}
}

func on[T any](ctx context.Context, f func(context.Context, Image) (T, error), img Image) func() error {
	return func() error { _, err := f(ctx, img); return err }
}

// BenchmarkOpenWarm is the price of a process start: checksums, sessions and one run of every model.
func BenchmarkOpenWarm(b *testing.B) {
	for b.Loop() {
		s, err := Open(DefaultOptions())
		require.NoError(b, err)
		require.NoError(b, s.Warm(context.Background()))
		require.NoError(b, s.Close())
	}
}

// cpuSeconds is the CPU time of this process, user and system.
func cpuSeconds(b *testing.B) float64 {
	b.Helper()
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}
