package face

import (
	"context"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/models"
	"onsite/pipeline"
	"onsite/pipeline/media"
)

// verdict runs Find and Match on a clip against person 1.
func verdict(t *testing.T, fake *fakeModels, clip *media.Clip) (pipeline.Check, Result, Found) {
	t.Helper()
	return verdictUnder(t, DefaultConfig(), fake, clip)
}

func verdictUnder(t *testing.T, c Config, fake *fakeModels, clip *media.Clip) (pipeline.Check, Result, Found) {
	t.Helper()
	m := New(fake, c)
	ctx := context.Background()
	found, err := m.Find(ctx, clip)
	require.NoError(t, err)
	check, result, err := m.Match(ctx, clip, found, enrolled(t, New(&fakeModels{}, DefaultConfig()), 1))
	require.NoError(t, err)
	return check, result, found
}

func codes(c pipeline.Check) []pipeline.Code {
	var out []pipeline.Code
	for _, f := range c.Findings {
		out = append(out, f.Code)
	}
	return out
}

func TestMatchOutcomes(t *testing.T) {
	front := at(320, 240, 200)
	me, other := person{who: 1, at: front}, person{who: 2, at: front}
	left, right := at(180, 240, 180), at(470, 240, 170)
	then := func(a, b [][]person) [][]person { return append(append([][]person{}, a...), b...) }
	tests := []struct {
		name    string
		frames  [][]person
		vectors map[int][]float32
		outcome pipeline.Outcome
		codes   []pipeline.Code
	}{
		{"the enrolled person", still(6, me), nil, pipeline.Pass, nil},
		{"a photo of the enrolled person", still(1, me), nil, pipeline.Pass, nil},
		{"somebody else", still(6, other), nil, pipeline.Fail, []pipeline.Code{pipeline.FaceMismatch}},
		{"between the thresholds", still(6, other), map[int][]float32{2: mixed(0.27)}, pipeline.Uncertain, []pipeline.Code{pipeline.FaceUncertain}},
		{"nobody", still(4), nil, pipeline.Fail, []pipeline.Code{pipeline.NoFace}},
		{"nobody in a photo", still(1), nil, pipeline.Fail, []pipeline.Code{pipeline.NoFace}},
		{"a colleague far behind", still(6, me, person{who: 2, at: at(560, 100, 60)}), nil, pipeline.Pass, nil},
		{"two in front", still(6, person{who: 1, at: left}, person{who: 2, at: right}), nil, pipeline.Uncertain, []pipeline.Code{pipeline.SeveralPeople}},
		{"two in front, the enrolled one the smaller", still(6, person{who: 2, at: left}, person{who: 1, at: right}), nil, pipeline.Uncertain, []pipeline.Code{pipeline.SeveralPeople}},
		{"two strangers in front", still(6, person{who: 2, at: left}, person{who: 3, at: right}), nil, pipeline.Fail, []pipeline.Code{pipeline.FaceMismatch, pipeline.SeveralPeople}},
		{"somebody passes by for a moment", then(still(1, person{who: 1, at: left}, person{who: 2, at: right}), still(8, person{who: 1, at: left})), nil, pipeline.Pass, nil},
		{"another person takes the same place", then(still(6, me), still(6, other)), nil, pipeline.Fail, []pipeline.Code{pipeline.FaceChanged}},
		{"another person takes over at once elsewhere", then(still(6, person{who: 1, at: at(120, 120, 160)}), still(4, person{who: 2, at: at(520, 360, 160)})), nil, pipeline.Fail, []pipeline.Code{pipeline.FaceChanged}},
		{"the same person elsewhere", then(still(6, person{who: 1, at: at(120, 120, 160)}), still(4, person{who: 1, at: at(520, 360, 160)})), nil, pipeline.Pass, nil},
		{"blurred", still(6, person{who: 1, at: front, blurred: true}), nil, pipeline.Uncertain, []pipeline.Code{pipeline.FaceLowQuality}},
		{"small", still(6, person{who: 1, at: at(320, 240, 34)}), nil, pipeline.Uncertain, []pipeline.Code{pipeline.FaceLowQuality}},
		{"one good frame of a clip does not decide", then(still(1, me), still(5)), nil, pipeline.Uncertain, []pipeline.Code{pipeline.FaceLowQuality}},
		{"one good frame among blurred ones does not decide", then(still(1, me), still(5, person{who: 1, at: front, blurred: true})), nil, pipeline.Uncertain, []pipeline.Code{pipeline.FaceLowQuality}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			check, result, found := verdict(t, &fakeModels{vectors: tt.vectors}, fakeClip(t, tt.frames...))
			require.Equal(t, tt.codes, codes(check))
			require.Equal(t, tt.outcome, check.Outcome)
			require.Equal(t, len(tt.frames), check.Frames)
			for _, f := range check.Findings {
				require.NotEmpty(t, f.Evidence, f.Code)
				for _, e := range f.Evidence {
					require.NotNil(t, e.Keyframe)
				}
			}
			if found.Subject() < 0 {
				require.Equal(t, -1, result.Subject)
				require.Nil(t, check.Score)
			}
		})
	}
}

func TestChangedPersonIsProvenByFramesOfBoth(t *testing.T) {
	front := at(320, 240, 200)
	frames := append(still(6, person{who: 1, at: front}), still(6, person{who: 2, at: front})...)
	check, result, _ := verdict(t, &fakeModels{}, fakeClip(t, frames...))
	require.InDelta(t, 0, result.Agreement, 1e-6)
	evidence := check.Findings[0].Evidence
	require.Len(t, evidence, 2)
	require.Less(t, *evidence[0].Keyframe, 6)
	require.GreaterOrEqual(t, *evidence[1].Keyframe, 6)
	require.NotEmpty(t, check.Findings[0].Args["from_ms"])
}

func TestMatchChoosesSharpFramesSpreadInTime(t *testing.T) {
	front := at(320, 240, 200)
	var frames [][]person
	for i := range 15 {
		frames = append(frames, []person{{who: 1, at: front, blurred: i%3 != 1}})
	}
	c := DefaultConfig()
	index := func(early bool, score float64) (out []int, embeds int) {
		c.EarlyExit = early
		fake := &fakeModels{vectors: map[int][]float32{1: mixed(score)}}
		check, result, _ := verdictUnder(t, c, fake, fakeClip(t, frames...))
		require.Equal(t, len(result.Compared) < c.MaxFrames, check.Detail["stopped_early"] != nil, "what was not compared is said")
		for _, c := range result.Compared {
			out = append(out, c.Index)
		}
		return out, fake.embeds
	}
	sure, _ := index(true, c.Threshold+c.Sure+0.01)
	require.Equal(t, []int{1, 7, 13}, sure, "the first, the middle and the last leave no doubt")
	all, _ := index(false, 1)
	require.Equal(t, []int{1, 4, 7, 10, 13}, all, "unless the policy asks for it, all are compared")
	for _, score := range []float64{c.Threshold + c.Sure - 0.01, c.Threshold - 0.01, c.Reject - c.Sure - 0.01} {
		all, embeds := index(true, score)
		require.Equal(t, []int{1, 4, 7, 10, 13}, all, "score %v", score)
		require.LessOrEqual(t, embeds, c.MaxFrames, "none is embedded twice")
	}
}

// Somebody who comes after the first and leaves before the last frame is seen, however little unlike the two are.
func TestAnotherPersonInTheMiddle(t *testing.T) {
	front := at(320, 240, 200)
	me, other := person{who: 1, at: front}, person{who: 2, at: front}
	for _, cos := range []float64{0, 0.1, 0.2} {
		for _, two := range [][2]int{{3, 9}, {6, 6}} {
			frames := slices.Concat(still(3, me), still(two[1], other), still(15-3-two[1], me))
			check, result, _ := verdict(t, &fakeModels{vectors: map[int][]float32{2: mixed(cos)}}, fakeClip(t, frames...))
			require.Equal(t, []pipeline.Code{pipeline.FaceChanged}, codes(check), "cosine %v", cos)
			require.Equal(t, pipeline.Fail, check.Outcome)
			require.InDelta(t, cos, result.Agreement, 1e-5)
		}
	}
	// One frame alone that the model took for somebody else is no other person.
	check, _, _ := verdict(t, &fakeModels{}, fakeClip(t, slices.Concat(still(6, me), still(3, other), still(6, me))...))
	require.Equal(t, pipeline.Pass, check.Outcome)
}

func TestMatchWeighsFramesByQuality(t *testing.T) {
	// Two sharp frames of the enrolled person and one small face that the model took for somebody else: the large ones count more.
	clip := fakeClip(t,
		[]person{{who: 1, at: at(320, 240, 200)}}, []person{{who: 1, at: at(320, 240, 200)}}, []person{{who: 2, at: at(320, 240, 60)}})
	m := New(&fakeModels{}, DefaultConfig())
	found, err := m.Find(context.Background(), clip)
	require.NoError(t, err)
	weights := []float64{}
	for i := range found.Frames {
		weights = append(weights, found.Frames[i].Faces[0].Quality.Weight)
	}
	require.Greater(t, weights[0], weights[2])
}

func TestScoreNearTheThresholdSaysSo(t *testing.T) {
	c := DefaultConfig()
	for _, tt := range []struct {
		score float64
		near  bool
	}{{c.Threshold + c.Near/2, true}, {c.Threshold + 2*c.Near, false}, {c.Reject - c.Near/2, true}, {c.Reject - 2*c.Near, false}} {
		check, _, _ := verdict(t, &fakeModels{vectors: map[int][]float32{2: mixed(tt.score)}}, fakeClip(t, still(4, person{who: 2, at: at(320, 240, 200)})...))
		require.Equal(t, tt.near, check.Near, "score %v", tt.score)
		require.InDelta(t, tt.score, *check.Score, 1e-5)
	}
}

func TestMatchRefusesVectorsOfAnotherModel(t *testing.T) {
	clip := fakeClip(t, still(3, person{who: 1, at: at(320, 240, 200)})...)
	m := New(&fakeModels{model: "new"}, DefaultConfig())
	found, err := m.Find(context.Background(), clip)
	require.NoError(t, err)
	_, _, err = m.Match(context.Background(), clip, found, enrolled(t, New(&fakeModels{}, DefaultConfig()), 1))
	var other *OtherModelError
	require.ErrorAs(t, err, &other)
	require.Equal(t, "photo.jpg", other.Name)
	require.Equal(t, "fake", other.Have)
}

func TestMatchNeedsTemplatesAndTheClipOfFound(t *testing.T) {
	m := New(&fakeModels{}, DefaultConfig())
	clip := fakeClip(t, still(3, person{who: 1, at: at(320, 240, 200)})...)
	found, err := m.Find(context.Background(), clip)
	require.NoError(t, err)
	_, _, err = m.Match(context.Background(), clip, found, nil)
	require.ErrorContains(t, err, "no enrolled photo")
	_, _, err = m.Match(context.Background(), clip, Found{}, enrolled(t, m, 1))
	require.ErrorContains(t, err, "0 frames")
	_, err = m.Find(context.Background(), &media.Clip{})
	require.ErrorContains(t, err, "no frames")
}

func TestMatchOnlyReadsFound(t *testing.T) {
	m := New(&fakeModels{}, DefaultConfig())
	clip := fakeClip(t, still(6, person{who: 1, at: at(180, 240, 180)}, person{who: 2, at: at(470, 240, 170)})...)
	found, err := m.Find(context.Background(), clip)
	require.NoError(t, err)
	again, err := m.Find(context.Background(), clip)
	require.NoError(t, err)
	require.Equal(t, again, found, "Find is deterministic")
	_, _, err = m.Match(context.Background(), clip, found, enrolled(t, m, 1))
	require.NoError(t, err)
	require.Equal(t, again, found)
}

func TestSeveralReferences(t *testing.T) {
	m := New(&fakeModels{vectors: map[int][]float32{2: mixed(0.5)}}, DefaultConfig())
	clip := fakeClip(t, still(4, person{who: 1, at: at(320, 240, 200)})...)
	found, err := m.Find(context.Background(), clip)
	require.NoError(t, err)
	templates := enrolled(t, m, 2, 1)
	templates[1].Name = "best.jpg"
	_, result, err := m.Match(context.Background(), clip, found, templates)
	require.NoError(t, err)
	require.Equal(t, "best.jpg", result.Best)
	require.InDelta(t, 0.5, result.References[0].Score, 1e-5)
	require.InDelta(t, 1, result.References[1].Score, 1e-5)
	// cos with the normalised mean of vectors 60 degrees apart: cos 30 degrees.
	require.InDelta(t, 0.8660, result.Score, 1e-4)
}

func TestEnrollSaysWhatIsWrong(t *testing.T) {
	front := at(320, 240, 200)
	tests := []struct {
		name   string
		frames [][]person
		kind   error
		fault  Fault
	}{
		{"a video", still(3, person{who: 1, at: front}), ErrNotAPhoto, ""},
		{"nobody", still(1), ErrNoFace, ""},
		{"two", still(1, person{who: 1, at: at(180, 240, 180)}, person{who: 2, at: at(470, 240, 170)}), ErrSeveralFaces, ""},
		{"blurred", still(1, person{who: 1, at: front, blurred: true}), ErrLowQuality, FaultBlurred},
		{"small", still(1, person{who: 1, at: at(320, 240, 50)}), ErrLowQuality, FaultSmall},
	}
	m := New(&fakeModels{}, DefaultConfig())
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := m.Enroll(context.Background(), fakeClip(t, tt.frames...), "anna.jpg")
			require.ErrorIs(t, err, tt.kind)
			var photo *PhotoError
			require.ErrorAs(t, err, &photo)
			require.Equal(t, "anna.jpg", photo.Photo)
			require.Equal(t, tt.fault, photo.Fault)
			require.Contains(t, photo.Text.EN, "anna.jpg")
			require.Contains(t, photo.Text.ZH, "anna.jpg")
			plain := strings.NewReplacer("anna.jpg", "", "JPEG", "", "PNG", "", "WebP", "", "HEIC", "").Replace(photo.Text.ZH)
			require.NotRegexp(t, "[A-Za-z]", plain, "no English words but names")
			require.Equal(t, photo.Text.EN, err.Error())
		})
	}
}

func TestSamePersonFindsTheStranger(t *testing.T) {
	m := New(&fakeModels{}, DefaultConfig())
	same := enrolled(t, m, 1, 1, 1)
	require.NoError(t, m.SamePerson(same))
	mixedUp := enrolled(t, m, 1, 2, 1)
	mixedUp[1].Name = "stranger.jpg"
	err := m.SamePerson(mixedUp)
	require.ErrorIs(t, err, ErrOtherPerson)
	require.ErrorContains(t, err, "stranger.jpg")
}

func TestLandmarksThatFormNoFaceAreNotCompared(t *testing.T) {
	nan := float32(math.NaN())
	for name, points := range map[string]func(int) models.Point{
		"one point":  func(int) models.Point { return models.Point{X: 0.3, Y: 0.3} },
		"no numbers": func(int) models.Point { return models.Point{X: nan, Y: nan} },
		"far away":   func(i int) models.Point { return models.Point{X: 1e6 + float32(i), Y: -1e6} },
		"a line":     func(i int) models.Point { return models.Point{X: float32(i) / 68, Y: 0.5} },
		"upside down": func(i int) models.Point {
			l := landmarksOf(1, 0, 0, 0)
			return models.Point{X: l[i].X / alignedSize, Y: 1 - l[i].Y/alignedSize}
		},
	} {
		t.Run(name, func(t *testing.T) {
			check, result, _ := verdict(t, &fakeModels{points: points}, fakeClip(t, still(4, person{who: 1, at: at(320, 240, 200)})...))
			require.Equal(t, []pipeline.Code{pipeline.FaceLowQuality}, codes(check))
			require.Empty(t, result.Compared)
			require.Equal(t, "misaligned", check.Findings[0].Args["fault"])
		})
	}
}
