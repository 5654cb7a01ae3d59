package liveness

import (
	"image"
	"image/color"
	"maps"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gocv.io/x/gocv"

	"onsite/pipeline"
	"onsite/pipeline/face"
	"onsite/pipeline/media"
)

// head is a made-up 3-D head: 68 points, of which the stiff ones lie at different depths.
func head() (out [68][3]float64) {
	r := rand.New(rand.NewPCG(5, 6))
	for i := range out {
		out[i] = [3]float64{r.Float64()*120 - 60, r.Float64()*140 - 70, r.Float64()*80 - 40}
	}
	for i := range 6 { // eyes 60 apart, 16 wide
		a := float64(i) * math.Pi / 3
		out[36+i] = [3]float64{-30 - 8*math.Cos(a), -20 + 3*math.Sin(a), 20}
		out[42+i] = [3]float64{30 - 8*math.Cos(a), -20 + 3*math.Sin(a), 20}
	}
	return out
}

// turning is a track of the head, flat or not, that turns and shakes, with a little noise.
func turning(flat bool, n int) *Track {
	r := rand.New(rand.NewPCG(7, 8))
	points := head()
	t := &Track{W: 640, H: 480, Frames: n}
	for i := range n {
		yaw, pitch := 0.35*math.Sin(float64(i)*0.4), 0.2*math.Sin(float64(i)*0.27)
		m := Moment{PTS: time.Duration(i) * 100 * time.Millisecond, Box: image.Rect(220, 140, 420, 340)}
		for k, p := range points {
			x, y, z := p[0], p[1], p[2]
			if flat {
				z = 0
			}
			x, z = x*math.Cos(yaw)+z*math.Sin(yaw), -x*math.Sin(yaw)+z*math.Cos(yaw)
			y = y*math.Cos(pitch) - z*math.Sin(pitch)
			m.Landmarks[k] = face.Point{X: float32(320 + x + r.NormFloat64()*0.2), Y: float32(240 + y + r.NormFloat64()*0.2)}
		}
		t.Moments = append(t.Moments, m)
	}
	return t
}

func TestAPhotoTurnsAsAPlane(t *testing.T) {
	round, ok := turning(false, 20).body()
	require.True(t, ok)
	plane, ok := turning(true, 20).body()
	require.True(t, ok)
	require.Greater(t, round.third/round.noise, 4.0)
	require.Less(t, plane.third/plane.noise, 1.0)
	require.Greater(t, round.deform, 5*plane.deform)
	_, ok = turning(false, 7).body()
	require.False(t, ok, "too short to say")
}

// The points of a print that is bent to and fro move in themselves, and its face stays the same none the less.
func TestABentPrint(t *testing.T) {
	track := turning(true, 20)
	points := head()
	for i := range track.Moments {
		bend := 0.008 * math.Sin(float64(i)*0.5) // at most a part of a tube two faces wide, seen from five eye distances away
		yaw := 0.35 * math.Sin(float64(i)*0.4)
		for k, p := range points {
			x, z := p[0], bend*p[0]*p[0]/2
			x, z = x*math.Cos(yaw)+z*math.Sin(yaw), -x*math.Sin(yaw)+z*math.Cos(yaw)
			near := 300 / (300 - z)
			track.Moments[i].Landmarks[k] = face.Point{X: float32(320 + x*near), Y: float32(240 + p[1]*near)}
		}
	}
	bent, ok := track.body()
	require.True(t, ok)
	require.Greater(t, bent.deform*100, 1.5, "more than any flat print")
	print := cues{cueFlat: 0.7, cueDeform: 100 * bent.deform, cueMouth: 0.005, cueEyes: 0.01, cueBlinks: 0}
	cfg := DefaultConfig()
	require.NotEqual(t, pipeline.Pass, bySigns(&fitted, print, false, &cfg))
	print[cueDeform] = 5
	require.Equal(t, pipeline.Uncertain, bySigns(&fitted, print, false, &cfg))
	print[cueDeform] = 2
	require.Equal(t, pipeline.Fail, bySigns(&fitted, print, true, &cfg), "and the model hesitates")
}

func TestBlinks(t *testing.T) {
	track := turning(false, 20)
	for i := range track.Moments {
		track.Moments[i].EyesOpen, track.Moments[i].EyeRatio = 0.9, 0.3
	}
	require.Zero(t, track.blinks())
	for _, i := range []int{5, 6, 12} {
		track.Moments[i].EyesOpen, track.Moments[i].EyeRatio = 0.1, 0.15
	}
	require.Equal(t, 2, track.blinks())
	track.Moments[15].EyesOpen = 0.1 // the model alone: glasses
	track.Moments[17].EyeRatio = 0.1 // the landmarks alone: a nod
	require.Equal(t, 2, track.blinks())
}

// wall is a grey picture with soft random texture and, where paint says so, something else.
func wall(w, h int, seed uint64, paint func(x, y int) (byte, bool)) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	coarse := make([]float64, (w/8+2)*(h/8+2))
	for i := range coarse {
		coarse[i] = 90 + 60*r.Float64()
	}
	out := make([]byte, w*h)
	for y := range h {
		for x := range w {
			if v, ok := paint(x, y); ok {
				out[y*w+x] = v
				continue
			}
			cw := w/8 + 2
			fx, fy := float64(x%8)/8, float64(y%8)/8
			at := y/8*cw + x/8
			top := coarse[at]*(1-fx) + coarse[at+1]*fx
			low := coarse[at+cw]*(1-fx) + coarse[at+cw+1]*fx
			out[y*w+x] = byte(top*(1-fy) + low*fy)
		}
	}
	return out
}

func TestWhatIsShownOnAPhoneSlips(t *testing.T) {
	const w, h = 320, 240
	box := image.Rect(130, 80, 190, 150)
	screen := image.Rect(85, 25, 235, 220)
	room := wall(w+40, h+40, 1, func(int, int) (byte, bool) { return 0, false })
	shown := wall(w+40, h+40, 2, func(int, int) (byte, bool) { return 0, false })
	view := func(dx, dy int, phone bool) []byte { // the phone moves by dx, dy; the camera by 2, 1 with dx above 0
		cam := 0
		if dx != 0 {
			cam = 2
		}
		out := make([]byte, w*h)
		for y := range h {
			for x := range w {
				out[y*w+x] = room[(y+20-cam/2)*(w+40)+x+20-cam]
				if phone && image.Pt(x-dx, y-dy).In(screen) {
					out[y*w+x] = shown[(y+20-dy)*(w+40)+x+20-dx]
				}
			}
		}
		return out
	}
	held, ok := slipOf(view(0, 0, true), view(5, 2, true), w, h, box)
	require.True(t, ok)
	require.InDelta(t, math.Hypot(3, 1), held, 0.5)
	live, ok := slipOf(view(0, 0, false), view(5, 2, false), w, h, box)
	require.True(t, ok)
	require.Less(t, live, 0.3)
	_, ok = slipOf(make([]byte, w*h), make([]byte, w*h), w, h, box)
	require.False(t, ok, "a plain wall has nothing to be followed by")
}

func TestOutlineOfAPhone(t *testing.T) {
	const w, h = 320, 240
	face := image.Rect(130, 90, 190, 160)
	phone := func(x0, y0, x1, y1 int) []byte {
		rim, in := image.Rect(x0, y0, x1, y1), image.Rect(x0+5, y0+5, x1-5, y1-5)
		return wall(w, h, 3, func(x, y int) (byte, bool) {
			p := image.Pt(x, y)
			if p.In(in) {
				return byte(170 + (x+y)%3), true
			}
			return 20, p.In(rim)
		})
	}
	whole := outline(phone(100, 40, 220, 220), w, h, face)
	require.Greater(t, whole.score, 0.85)
	require.Greater(t, whole.dark, 0.8, "%+v", whole)
	require.InDelta(t, 100, whole.box.Min.X, 7)
	require.InDelta(t, 220, whole.box.Max.X, 7)
	cut := outline(phone(100, 40, 220, 300), w, h, face)
	require.Greater(t, cut.score, 0.65, "its lower side is outside the picture")
	require.Less(t, outline(wall(w, h, 3, func(int, int) (byte, bool) { return 0, false }), w, h, face).score, 0.5)
	door := wall(w, h, 3, func(x, _ int) (byte, bool) { return 200, x > 110 && x < 210 })
	require.Less(t, outline(door, w, h, face).score, 0.62, "two lines that go on are a door")
}

// Light is measured at the beginning, in the middle and at the end, not in what comes first.
func TestLightIsMeasuredOverTheWholeTime(t *testing.T) {
	clip, found := painted(t, media.Video, 5, person{live: same(0.5, 5), size: 120, x: 240, light: 120})
	for _, i := range []int{2, 4} { // two of the three that are looked at
		require.NoError(t, gocv.Rectangle(&clip.Frames[i].Image, image.Rect(0, 0, 640, 480), color.RGBA{R: 255, G: 255, B: 255}, -1))
	}
	cfg := DefaultConfig()
	s, _, err := surfaceOf(clip, &found, 0, &cfg)
	require.NoError(t, err)
	require.InDelta(t, 1, s.glare, 1e-9)
	require.InDelta(t, 255, s.black, 1e-9)
}

func TestMoireIsAPeakUnraced(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 9))
	picture := func(light, colour float64) gocv.Mat {
		m := gocv.NewMatWithSize(300, 400, gocv.MatTypeCV8UC3)
		t.Cleanup(func() { _ = m.Close() })
		pix, err := m.DataPtrUint8()
		require.NoError(t, err)
		for y := range 300 {
			for x := range 400 {
				base := 120 + 30*math.Sin(float64(x)*0.05) + r.NormFloat64()*4
				fine, stripes := light*math.Sin(float64(x)*1.3+float64(y)*0.7), colour*math.Sin(float64(x)*0.6+float64(y)*0.45)
				for k, v := range [3]float64{base + fine + stripes, base + fine - stripes, base + fine + stripes} {
					pix[(y*400+x)*3+k] = byte(math.Max(0, math.Min(255, v)))
				}
			}
		}
		return m
	}
	measure := func(light, colour float64) (float64, float64) {
		var frames []gocv.Mat
		var boxes []image.Rectangle
		for range 4 {
			frames, boxes = append(frames, picture(light, colour)), append(boxes, image.Rect(130, 80, 250, 210))
		}
		a, b, ok, err := finePattern(frames, boxes)
		require.NoError(t, err)
		require.True(t, ok)
		return a, b
	}
	none, noneColour := measure(0, 0)
	require.Less(t, none, 1.65)
	require.Less(t, noneColour, 1.4)
	fine, _ := measure(3, 0)
	require.Greater(t, fine, 2.6)
	_, stripes := measure(0, 4)
	require.Greater(t, stripes, 2.3)
	_, _, ok, err := finePattern([]gocv.Mat{picture(0, 0)}, []image.Rectangle{image.Rect(0, 0, 20, 20)})
	require.NoError(t, err)
	require.False(t, ok, "a small face shows none")
}

func TestWeightsOfTheSigns(t *testing.T) {
	live := cues{cueFlat: 2.2, cueDeform: 3, cueMouth: 0.15, cueEyes: 0.06, cueBlinks: 1, cuePattern: 1.1, cueFringe: 0.9, cueRim: 0, cueBlack: 25, cueWhite: 200}
	cfg := DefaultConfig()
	require.Equal(t, pipeline.Pass, bySigns(&fitted, live, false, &cfg))
	poor := maps.Clone(live)
	poor[cueFlat] = 0.7
	require.Equal(t, pipeline.Pass, bySigns(&fitted, poor, false, &cfg), "a camera that smooths everything away, of a face that talks")
	require.Equal(t, pipeline.Pass, bySigns(&fitted, cues{}, false, &cfg))
	for name, c := range map[string]cues{
		"a print": {cueFlat: 0.7, cueDeform: 0.5, cueMouth: 0.005, cueEyes: 0.01, cueBlinks: 0},
		"a phone": {cueFlat: 2.2, cueDeform: 3, cueRim: 0.9, cueBezel: 0.7, cueSlip: 8},
		"moire":   {cuePattern: 3.5, cueFringe: 2.5, cueSlip: 8},
	} {
		require.Equal(t, pipeline.Fail, bySigns(&fitted, c, false, &cfg), name)
	}
	require.NotEqual(t, pipeline.Fail, bySigns(&fitted, cues{cueBlack: 90, cueWhite: 100, cueGlare: 1, cueFocus: 1, cueBlinks: 0, cueThird: 0}, true, &cfg),
		"what honest people have too never convicts")
	for name, c := range map[string]cues{
		"a whiteboard behind the head": {cueFlat: 2.2, cueDeform: 3, cueRim: 0.95},
		"a dark window frame":          {cueFlat: 2.2, cueDeform: 3, cueRim: 0.95, cueBezel: 1},
		"a striped shirt":              {cueFlat: 2.2, cueDeform: 3, cuePattern: 3.5, cueFringe: 2.5},
		"... of somebody calm":         {cueFlat: 2.2, cueDeform: 3, cueMouth: 0.005, cueEyes: 0.005, cueBlinks: 0, cuePattern: 3.5},
	} {
		require.Equal(t, pipeline.Uncertain, bySigns(&fitted, c, false, &cfg), name)
		require.Equal(t, pipeline.Fail, bySigns(&fitted, c, true, &cfg), "%s, and the model hesitates", name)
	}
	for _, raw := range []string{"{", `{"signs": {"unheard": 1}}`, `{"signs": {"outline": -1}}`} {
		_, err := readWeights([]byte(raw))
		require.Error(t, err, raw)
	}
}

func TestFitAndHeldOutUnraced(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	var items []BenchItem
	for p := range 6 {
		person := string(rune('a' + p))
		for range 3 {
			items = append(items, BenchItem{Species: realSpecies, Person: person, Votes: pipeline.Pass, Authenticity: pipeline.Pass, Cues: cues{cueFlat: 2 + r.Float64(), cueDeform: 3, cueMouth: 0.1, cueRim: 0.3 * r.Float64()}})
			items = append(items, BenchItem{Species: "print_held", Group: "print", Person: person, Votes: pipeline.Pass, Authenticity: pipeline.Pass, Cues: cues{cueFlat: 0.5 + 0.4*r.Float64(), cueDeform: 0.5, cueMouth: 0.005, cueRim: 0.3}})
			items = append(items, BenchItem{Species: "phone_held", Group: "screen", Person: person, Votes: pipeline.Pass, Authenticity: pipeline.Pass, Cues: cues{cueFlat: 2 + r.Float64(), cueDeform: 3, cueMouth: 0.1, cueRim: 0.9, cueBezel: 0.6}})
		}
	}
	cfg := DefaultConfig()
	heldOut(items, &cfg)
	for _, it := range items {
		if it.Species != "phone_held" { // without it nothing says how much an outline counts but its prior
			require.Equal(t, it.Species == realSpecies, it.HeldOut == pipeline.Pass, "%+v", it)
		}
	}
	raw, err := Refit(items, "a test")
	require.NoError(t, err)
	w, err := readWeights(raw)
	require.NoError(t, err)
	require.Greater(t, w.Signs["outline"], 2.0)
	require.Equal(t, "a test", w.Fitted)
	_, err = Refit(items[:1], "")
	require.Error(t, err)
}

func TestAFaceThatChangesItsPatchSize(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	var frames []gocv.Mat
	for range 5 {
		m := gocv.NewMatWithSize(300, 400, gocv.MatTypeCV8UC3)
		t.Cleanup(func() { _ = m.Close() })
		pix, err := m.DataPtrUint8()
		require.NoError(t, err)
		for i := range pix {
			pix[i] = byte(120 + r.NormFloat64()*4)
		}
		frames = append(frames, m)
	}
	near, far := image.Rect(130, 80, 250, 210), image.Rect(160, 100, 220, 170)
	require.Equal(t, 128, patchSize(frames, []image.Rectangle{far, near, near, near, far}))
	require.Equal(t, 64, patchSize(frames, []image.Rectangle{near, far, far, far, {}}))
	want := func(frames []gocv.Mat, boxes ...image.Rectangle) [2]float64 {
		light, colour, ok, err := finePattern(frames, boxes)
		require.NoError(t, err)
		require.True(t, ok)
		return [2]float64{light, colour}
	}
	require.Equal(t, want(frames[1:4], near, near, near), want(frames, far, near, near, near, far), "the rest does not count")
	tiny := image.Rect(0, 0, 20, 20)
	require.Equal(t, want(frames[:1], near), want(frames, near, tiny, tiny, tiny, tiny), "one frame that counts is a single frame")
}

// Whatever a landmark model says, what is measured is a number or is not there.
func FuzzCuesAreNumbers(f *testing.F) {
	f.Add(uint64(1), uint8(0), uint8(0))
	f.Add(uint64(2), uint8(3), uint8(1))
	f.Add(uint64(3), uint8(255), uint8(2))
	f.Fuzz(func(t *testing.T, seed uint64, broken, how uint8) {
		r := rand.New(rand.NewPCG(seed, 4))
		track := turning(false, 10)
		burst := media.Burst{}
		defer func() {
			for i := range burst.Frames {
				_ = burst.Frames[i].Image.Close()
			}
		}()
		for i := range track.Moments {
			m := &track.Moments[i]
			m.Frame = i
			pix := wall(160, 120, seed+uint64(i/4), func(int, int) (byte, bool) { return 0, false })
			grey, err := gocv.NewMatFromBytes(120, 160, gocv.MatTypeCV8UC1, pix)
			require.NoError(t, err)
			bgr := gocv.NewMat()
			require.NoError(t, gocv.CvtColor(grey, &bgr, gocv.ColorGrayToBGR))
			_ = grey.Close()
			burst.Frames = append(burst.Frames, media.Frame{Image: bgr})
			if uint8(r.UintN(256)) > broken {
				continue
			}
			switch how % 4 {
			case 0: // all in one place
				m.Landmarks, m.Box = [68]face.Point{}, image.Rectangle{}
			case 1:
				m.Landmarks[36].X = float32(math.NaN())
			case 2:
				m.Landmarks[40].Y = float32(math.Inf(1))
			case 3:
				m.Box = image.Rect(80, 60, 81, 61)
			}
		}
		clip := &media.Clip{Bursts: []media.Burst{burst}}
		cfg := DefaultConfig()
		c, _, err := measure(clip, &face.Found{Tracks: []face.Track{{}}}, []int{0}, track, &cfg)
		require.NoError(t, err)
		for name, v := range c {
			require.False(t, math.IsNaN(v) || math.IsInf(v, 0), "%s is %v", name, v)
		}
	})
}

// Somebody who keeps very still has a face that stays the same and points that hardly move: one thing, until hardly is not at all.
func TestStillnessIsOneSign(t *testing.T) {
	require.Equal(t, 1, independent(map[string]float64{"still_face": 3, "stiff_face": 1.7}))
	require.Equal(t, 2, independent(map[string]float64{"still_face": 3, "stiff_face": 2.6}))
	require.Equal(t, 1, independent(map[string]float64{"stiff_face": 2.6}))
	require.Equal(t, 1, independent(map[string]float64{"outline": 3, "bezel": 2}))
}
