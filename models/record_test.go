package models

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestRecordingReplaysWhatTheModelsWereGiven(t *testing.T) {
	s := open(t, FaceDetect, EyeState)
	w, h := s.InputSize(FaceDetect)
	first := Pattern(w, h, 3, 1)
	_, err := s.DetectFaces(context.Background(), first)
	require.NoError(t, err)

	r := s.Record()
	_, err = s.DetectFaces(context.Background(), first)
	require.NoError(t, err)
	ew, eh := s.InputSize(EyeState)
	_, err = s.EyeOpen(context.Background(), Pattern(ew, eh, 3, 2))
	require.NoError(t, err)
	r.Stop()
	_, err = s.DetectFaces(context.Background(), Pattern(w, h, 3, 3))
	require.NoError(t, err)
	require.Equal(t, map[Task]int{FaceDetect: 1, EyeState: 1}, r.Calls(), "neither what was before nor what came after")

	// The tensor that a session is run on again is the first picture's, whatever the slots were used for since.
	m := s.models[FaceDetect]
	want := make([]float32, len(r.calls[0].in))
	m.fill(want, first, w)
	require.Equal(t, want, r.calls[0].in)
	took, err := r.Replay(context.Background())
	require.NoError(t, err)
	require.Positive(t, took)
	require.Equal(t, map[Task]int{FaceDetect: 1, EyeState: 1}, r.Calls(), "a replay is not recorded")

	ended, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = r.Replay(ended)
	require.ErrorIs(t, err, context.Canceled)
}

// A measurement must know what it leaves out, and a clock that cannot be read is no cost of 0.
func TestRecordingSaysWhatItDoesNotHold(t *testing.T) {
	s := open(t, EyeState, VoiceActivity)
	r := s.Record()
	windows, err := s.VoiceActivity(t.Context(), PatternSound(1600, 1))
	require.NoError(t, err)
	w, h := s.InputSize(EyeState)
	_, err = s.EyeOpen(t.Context(), Pattern(w, h, 3, 2))
	require.NoError(t, err)
	r.Stop()
	_, err = s.VoiceActivity(t.Context(), PatternSound(1600, 1))
	require.NoError(t, err)
	require.Equal(t, map[Task]int{VoiceActivity: len(windows)}, r.Other())
	require.Equal(t, map[Task]int{EyeState: 1}, r.Calls())

	t.Cleanup(func() { clock = unix.ClockGettime })
	clock = func(int32, *unix.Timespec) error { return unix.EINVAL }
	_, err = r.Replay(t.Context())
	require.ErrorIs(t, err, unix.EINVAL)
	require.ErrorContains(t, err, "CLOCK_THREAD_CPUTIME_ID")
}
