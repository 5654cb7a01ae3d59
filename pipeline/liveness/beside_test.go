package liveness

import (
	"image"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gocv.io/x/gocv"

	"onsite/pipeline/face"
	"onsite/pipeline/media"
)

// besideScene is a clip of a room with the subject on the left and a small face on the right, in a picture with a dark rim or without one. The picture
// jumps about by hold pixels, the camera by shake.
func besideScene(t *testing.T, framed, plain bool, hold, shake int) (*media.Clip, *face.Found) {
	t.Helper()
	const w, h, margin = 320, 240, 20
	clip := &media.Clip{Bursts: make([]media.Burst, 1)}
	clip.Info.Kind = media.Video
	t.Cleanup(clip.Close)
	found := &face.Found{Tracks: make([]face.Track, 2)}
	room := wall(w+2*margin, h+2*margin, 1, func(int, int) (byte, bool) { return 150, plain })
	self := wall(w+2*margin, h+2*margin, 2, func(int, int) (byte, bool) { return 0, false })
	shown := wall(w+2*margin, h+2*margin, 3, func(int, int) (byte, bool) { return 0, false })
	subject, small := image.Rect(40, 60, 120, 180), image.Rect(220, 90, 256, 130)
	thing := image.Rect(196, 66, 280, 170)
	steps := [][2]int{{0, 0}, {1, 0}, {1, 1}, {0, 1}} // four in turn, so that pictures slipStep apart always differ
	for i := range 24 {
		s := steps[i%4]
		cx, cy, dx, dy := shake*s[0], shake*s[1], hold*s[0], hold*s[1]
		m := gocv.NewMatWithSize(h, w, gocv.MatTypeCV8UC3)
		pix, err := m.DataPtrUint8()
		require.NoError(t, err)
		for y := range h {
			for x := range w {
				at := image.Pt(x-cx, y-cy)
				v := room[(at.Y+margin)*(w+2*margin)+at.X+margin]
				if at.In(subject.Inset(-6)) {
					v = self[(at.Y+margin)*(w+2*margin)+at.X+margin]
				}
				if on := at.Sub(image.Pt(dx, dy)); on.In(thing) && (framed || on.In(small)) {
					v = 10
					if on.In(thing.Inset(6)) {
						v = shown[(on.Y+margin)*(w+2*margin)+on.X+margin]/2 + 90
					}
				}
				for k := range 3 {
					pix[3*(y*w+x)+k] = v
				}
			}
		}
		frame := media.Frame{Index: i, PTS: time.Duration(i) * 100 * time.Millisecond, Image: m}
		if i%8 != 0 {
			clip.Bursts[0].Frames = append(clip.Bursts[0].Frames, frame)
			continue
		}
		clip.Bursts[0].Frames = append(clip.Bursts[0].Frames, media.Frame{Index: i, PTS: frame.PTS, Image: m.Clone()})
		for k := range found.Tracks {
			found.Tracks[k].Spots = append(found.Tracks[k].Spots, face.Spot{Frame: len(clip.Frames), Face: k})
		}
		found.Frames = append(found.Frames, face.FrameFaces{
			Index: i, PTS: frame.PTS, W: w, H: h,
			Faces: []face.Face{{Box: subject.Add(image.Pt(cx, cy))}, {Box: small.Add(image.Pt(cx+dx, cy+dy)), Track: 1}},
		})
		clip.Frames = append(clip.Frames, frame)
	}
	return clip, found
}

func TestAPictureHeldBeside(t *testing.T) {
	for name, c := range map[string]struct {
		framed, plain bool
		hold, shake   int
		held          bool
	}{
		"held":                                    {true, false, 4, 0, true},
		"held, the camera too":                    {true, false, 4, 2, true},
		"held before a plain wall":                {true, true, 4, 0, true},
		"a portrait on the wall":                  {true, false, 0, 0, false},
		"a portrait, the camera held":             {true, false, 0, 4, false},
		"a portrait, a plain wall, a held camera": {true, true, 0, 4, false},
		"somebody who moves, without an outline":  {false, false, 4, 0, false},
	} {
		clip, found := besideScene(t, c.framed, c.plain, c.hold, c.shake)
		outline, slip, ok, err := heldBeside(clip, found, 0)
		require.NoError(t, err, name)
		require.Equal(t, c.held, ok, "%s: outline %.2f, slip %.1f", name, outline.score, slip)
		if ok {
			require.Greater(t, outline.score, rimSpeaks, name)
			require.Greater(t, slip, 3.0, name)
			require.True(t, found.At(found.Tracks[1].Spots[0]).Box.In(outline.box), "%s: around the face: %v", name, outline.box)
		}
	}
}

// A badge on a shirt is too small, a photo shows no movement, and a face that was seen once may be a mistake.
func TestNothingIsHeldBeside(t *testing.T) {
	for name, change := range map[string]func(*media.Clip, *face.Found){
		"a photo":       func(c *media.Clip, _ *face.Found) { c.Info.Kind = media.Photo },
		"nobody else":   func(_ *media.Clip, f *face.Found) { f.Tracks = f.Tracks[:1] },
		"seen once":     func(_ *media.Clip, f *face.Found) { f.Tracks[1].Spots = f.Tracks[1].Spots[:1] },
		"no bursts":     func(c *media.Clip, _ *face.Found) { c.Frames, c.Bursts = append(c.Frames, c.Bursts[0].Frames...), nil },
		"a small badge": func(_ *media.Clip, f *face.Found) { shrink(f, 14) },
	} {
		clip, found := besideScene(t, true, false, 4, 0)
		change(clip, found)
		_, _, ok, err := heldBeside(clip, found, 0)
		require.NoError(t, err, name)
		require.False(t, ok, name)
	}
}

// shrink makes the second face so many pixels high.
func shrink(f *face.Found, height int) {
	for i := range f.Frames {
		b := &f.Frames[i].Faces[1].Box
		b.Max.Y = b.Min.Y + height
	}
}
