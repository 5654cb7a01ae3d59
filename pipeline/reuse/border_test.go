package reuse

import (
	"image"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/pipeline"
)

// roomPlane is the brightness of a made-up room.
func roomPlane(t testing.TB, room uint64, at float64, h int) luma {
	t.Helper()
	const w = 384
	l := luma{w: w, h: h, k: 1, fullW: w, fullH: h}
	for _, v := range newStage(room, room+7, w, h).grey(at) {
		l.p = append(l.p, float32(v))
	}
	return l
}

// put draws a picture over another one, in the rectangle.
func put(dst, src luma, r image.Rectangle) luma {
	out := dst
	out.p = append([]float32{}, dst.p...)
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			out.p[y*out.w+x] = src.p[(y-r.Min.Y)*src.h/r.Dy()*src.w+(x-r.Min.X)*src.w/r.Dx()]
		}
	}
	return out
}

// filled is a picture of one grey with a little noise, as codecs leave it.
func filled(level float32, h int) luma {
	const w = 384
	r := rand.New(rand.NewPCG(3, 4))
	l := luma{p: make([]float32, w*h), w: w, h: h, k: 1, fullW: w, fullH: h}
	for i := range l.p {
		l.p[i] = level + float32(r.IntN(5)) - 2
	}
	return l
}

// unsharp blurs with a box of 2n+1 pixels, twice in each direction.
func unsharp(l luma, n int) luma {
	pass := func(l luma, step, length int) luma {
		out := put(l, l, image.Rectangle{})
		for i := range l.p {
			at := i / step % length
			from, to := max(0, at-n), min(length-1, at+n)
			var s float32
			for k := from; k <= to; k++ {
				s += l.p[i+(k-at)*step]
			}
			out.p[i] = s / float32(to-from+1)
		}
		return out
	}
	for range 2 {
		l = pass(pass(l, 1, l.w), l.w, l.h)
	}
	return l
}

func requireRect(t *testing.T, want, got image.Rectangle) {
	t.Helper()
	for _, d := range []int{want.Min.X - got.Min.X, want.Min.Y - got.Min.Y, want.Max.X - got.Max.X, want.Max.Y - got.Max.Y} {
		require.LessOrEqual(t, max(d, -d), 4, "want %v, got %v", want, got)
	}
}

func TestContentInsideOfBordersUnraced(t *testing.T) {
	const w, h = 384, 256
	in := image.Rect(64, 32, 352, 224)
	units := func(r image.Rectangle) image.Rectangle {
		return image.Rect(r.Min.X*areaUnit/w, r.Min.Y*areaUnit/h, r.Max.X*areaUnit/w, r.Max.Y*areaUnit/h)
	}
	film := func(make func(at float64) luma) []luma { return []luma{make(0), make(0.7), make(1.9), make(3)} }
	for name, c := range map[string]struct {
		stills  []luma
		content image.Rectangle
	}{
		"nothing to cut off": {film(func(at float64) luma { return roomPlane(t, 1, at, h) }), wholePicture},
		"black letterbox": {film(func(at float64) luma {
			return put(filled(2, h), roomPlane(t, 1, at, h), image.Rect(0, 40, w, h-40))
		}), units(image.Rect(0, 40, w, h-40))},
		"grey all around, uneven": {film(func(at float64) luma { return put(filled(120, h), roomPlane(t, 1, at, h), in) }), units(in)},
		"blurred fill": {film(func(at float64) luma {
			room := roomPlane(t, 1, at, h)
			return put(unsharp(room, 12), room, image.Rect(80, 0, w-80, h))
		}), units(image.Rect(80, 0, w-80, h))},
		"bars of one still only": {[]luma{put(filled(2, h), roomPlane(t, 1, 0, h), in), roomPlane(t, 1, 1, h), roomPlane(t, 1, 2, h)}, wholePicture},
		"one colour":             {film(func(float64) luma { return filled(90, h) }), wholePicture},
	} {
		t.Run(name, func(t *testing.T) {
			content, _ := contentAreas(c.stills)
			requireRect(t, c.content, content)
		})
	}
	t.Run("filmed screen", func(t *testing.T) {
		bezel := in.Inset(-10)
		_, framed := contentAreas(film(func(at float64) luma {
			return put(put(roomPlane(t, 5, 0, h), filled(15, h), bezel), roomPlane(t, 1, at, h), in)
		}))
		require.NotEmpty(t, framed)
		requireRect(t, units(in), framed[len(framed)-1])
	})
}

// What was cut, framed or laid into another picture must be found by its parts where the whole pictures say nothing, and lie where it was.
func TestPartsFindWhatWholePicturesDoNotUnraced(t *testing.T) {
	const w, h = 384, 256
	of := func(stills ...luma) *Fingerprint {
		f := &Fingerprint{}
		at := make([]int, len(stills))
		for i, l := range stills {
			var s Still
			s.PDQ, s.Quality = pdqVariants(l)
			f.Stills, at[i] = append(f.Stills, s), i
		}
		f.Areas = hashAreas(stills, at)
		require.NoError(t, f.checkAreas())
		return f
	}
	mirrored := func(l luma) luma {
		out := put(l, l, image.Rect(0, 0, l.w, l.h))
		for i := range out.p {
			out.p[i] = l.p[i/l.w*l.w+l.w-1-i%l.w]
		}
		return out
	}
	room := func(at float64) luma { return roomPlane(t, 1, at, h) }
	cut := func(l luma, r image.Rectangle) luma {
		out := luma{w: r.Dx(), h: r.Dy(), k: 1, fullW: r.Dx(), fullH: r.Dy(), known: l.known}
		for y := r.Min.Y; y < r.Max.Y; y++ {
			out.p = append(out.p, l.p[y*l.w+r.Min.X:y*l.w+r.Max.X]...)
		}
		return out
	}
	in := image.Rect(100, 40, 340, 200)
	o := newHashes(of(room(0), room(1), room(2)), false)
	for name, c := range map[string]struct {
		change func(luma) luma
		corner [2]float64 // where the query's upper left corner lies in the earlier picture
	}{
		"middle 80 %":         {func(l luma) luma { return cut(l, image.Rect(38, 26, 346, 230)) }, [2]float64{0.1, 0.1}},
		"a corner":            {func(l luma) luma { return cut(l, image.Rect(77, 51, w, h)) }, [2]float64{0.2, 0.2}},
		"middle 80 %, turned": {func(l luma) luma { return mirrored(cut(l, image.Rect(38, 26, 346, 230))) }, [2]float64{0.9, 0.1}},
		"letterbox":           {func(l luma) luma { return put(filled(0, h), l, image.Rect(0, 51, w, h-51)) }, [2]float64{0, -0.33}},
		"in another picture":  {func(l luma) luma { return put(roomPlane(t, 9, 0, h), l, in) }, [2]float64{-100.0 / 240, -40.0 / 160}},
	} {
		t.Run(name, func(t *testing.T) {
			q := newHashes(of(c.change(room(0)), c.change(room(1))), true)
			s := q.nearest(o)
			require.Greater(t, s.whole, halfDistance)
			require.LessOrEqual(t, s.distance, halfDistance)
			require.True(t, s.inPart())
			x, y := s.turns()[0].apply(0, 0)
			require.InDelta(t, c.corner[0], x, 0.06)
			require.InDelta(t, c.corner[1], y, 0.06)
		})
	}
	t.Run("another room", func(t *testing.T) {
		for other := uint64(2); other < 8; other++ {
			q := newHashes(of(roomPlane(t, other, 0, h), roomPlane(t, other, 1, h)), true)
			s := q.nearest(o)
			require.Greater(t, s.distance, halfDistance)
			require.False(t, s.inPart())
		}
	})
	t.Run("the same picture", func(t *testing.T) {
		q := newHashes(of(room(0)), true)
		s := q.nearest(o)
		require.Zero(t, s.distance)
		require.False(t, s.inPart())
		require.Equal(t, []Transform{identity}, s.turns())
	})
	t.Run("nothing to compare", func(t *testing.T) {
		q := newHashes(of(filled(90, h)), true)
		s := q.nearest(o)
		require.Equal(t, 257, s.distance)
		require.Empty(t, s.turns())
	})
}

func TestCropsAreToldFromOtherAreas(t *testing.T) {
	l := roomPlane(t, 1, 0, 240)
	f := Fingerprint{Stills: make([]Still, 2), Areas: hashAreas([]luma{put(filled(0, 240), l, image.Rect(60, 40, 320, 220))}, []int{1})}
	require.NoError(t, f.checkAreas())
	for i := range f.Areas {
		f.Areas[i].Quality = 100
	}
	h := newHashes(&f, false)
	require.Len(t, h.crops, len(areaCrops))
	require.NotEmpty(t, h.inner)
	require.Empty(t, h.full, "stills without quality say nothing")
}

// Strips of a few pixels have no plane to look for areas in; they are hashed without.
func TestStripsHaveNoAreas(t *testing.T) {
	for _, size := range [][2]int{{1920, 6}, {6, 1920}, {1920, 5}, {5, 1920}} {
		f := fingerprint(t, photo(t, newStage(1, 7, size[0], size[1]), 1, asIs))
		require.Len(t, f.Stills, 1, "%v", size)
		require.NoError(t, f.checkAreas())
		require.Empty(t, f.Areas)
		check, _, err := Check(t.Context(), f, []Candidate{{Job: "a", Fingerprint: stored(t, f)}}, 0, DefaultConfig())
		require.NoError(t, err)
		require.Equal(t, pipeline.Fail, check.Outcome, "the same bytes")
	}
}

func FuzzContentAreas(f *testing.F) {
	f.Add(uint8(5), uint8(5), []byte{0, 255})
	f.Add(uint8(40), uint8(12), []byte("frame"))
	f.Add(uint8(255), uint8(5), []byte{0, 0, 0, 0, 0, 0, 0, 200, 200})
	f.Fuzz(func(t *testing.T, w, h uint8, pix []byte) {
		if w < minHashSide || h < minHashSide || len(pix) == 0 {
			t.Skip()
		}
		l := luma{w: int(w), h: int(h), k: 1, fullW: int(w), fullH: int(h), p: make([]float32, int(w)*int(h))}
		for i := range l.p { // rows and columns of one grey, so that there are bars and frames
			l.p[i] = float32(pix[i%l.w%len(pix)] ^ pix[i/l.w*7%len(pix)])
		}
		content, framed := contentAreas([]luma{l})
		for _, r := range append(framed, content) {
			require.False(t, r.Empty())
			require.True(t, r.In(wholePicture), "%v", r)
		}
		print := Fingerprint{Stills: make([]Still, 1), Areas: hashAreas([]luma{l}, []int{0})}
		require.NoError(t, print.checkAreas())
	})
}
