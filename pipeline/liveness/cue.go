package liveness

import (
	"math"

	"onsite/pipeline/face"
	"onsite/pipeline/media"
)

// cues are what was measured over time and on surfaces, by name; what could not be measured is not in it.
type cues map[string]float64

// The cues. cueTable says which way each of them points.
const (
	cueFlat    = "flat"     // how much of the face a homography does not explain from one time to the next, natural logarithm
	cueThird   = "parallax" // how far the movement of the stiff points goes beyond a plane's, in its noise
	cueDeform  = "deform"   // how much the 68 points move beyond an affine map, per cent of the distance of the eyes
	cueEyes    = "eyes"     // range of the height of the eyes over their width
	cueMouth   = "mouth"    // range of the mouth's opening
	cueBlinks  = "blinks"   // how many
	cueSlip    = "slip"     // movement beside the head against the far background, per cent of the face
	cuePattern = "pattern"  // moire and pixel grid
	cueFringe  = "fringe"   // coloured stripes
	cueWide    = "wide"     // a pattern of fine lines all over the picture
	cueStained = "stained"  // coloured stripes all over it
	cueBlack   = "black"    // grey level of the darkest parts
	cueWhite   = "white"    // grey level of the brightest parts
	cueGlare   = "glare"    // share of face and surroundings that is burnt out
	cueFocus   = "focus"    // sharpness of the face over that of its surroundings
	cueRim     = "rim"      // outline around the face
	cueBezel   = "bezel"    // dark strip along it
	cueSides   = "sides"    // sides of a screen near the picture's borders
)

// measure takes all cues that a clip or photo allows. The patterns are those of the most screen-like of the prominent faces: in a replay the live person
// may stand beside the phone, and be the one in front. An outline around another face than the subject's counts where it is held (heldBeside).
func measure(clip *media.Clip, found *face.Found, tracks []int, track *Track, c *Config) (cues, rim, error) {
	out := cues{}
	var outline rim
	r, ok, err := rimOf(clip, found, tracks[0], c)
	if err != nil {
		return nil, rim{}, err
	}
	if ok {
		out[cueRim], out[cueBezel], out[cueSides], outline = r.score, r.dark, r.sides, r
	}
	for _, t := range tracks {
		s, ok, err := surfaceOf(clip, found, t, c)
		if err != nil {
			return nil, rim{}, err
		}
		if ok {
			if old, there := out[cuePattern]; !there || s.peak > old {
				out[cuePattern] = s.peak
			}
			if old, there := out[cueFringe]; !there || s.fringe > old {
				out[cueFringe] = s.fringe
			}
		}
		if t == tracks[0] && s != (surface{}) {
			out[cueBlack], out[cueWhite], out[cueGlare], out[cueFocus] = s.black, s.white, s.glare, s.focus
		}
	}
	heldRim, heldSlip, held, err := heldBeside(clip, found, tracks[0])
	if err != nil {
		return nil, rim{}, err
	}
	if held && heldRim.score > out[cueRim] {
		out[cueRim], out[cueBezel], outline = heldRim.score, heldRim.dark, heldRim
	}
	if held {
		out[cueSlip] = heldSlip
	}
	if clip.Info.Kind == media.Video {
		light, colour, ok, err := widePattern(clip)
		if err != nil {
			return nil, rim{}, err
		}
		if ok {
			out[cueWide], out[cueStained] = light, colour
		}
	}
	track = track.usable()
	if len(track.Moments) < minMoments {
		return finite(out), outline, nil
	}
	if v, ok, err := track.flat(clip); err != nil {
		return nil, rim{}, err
	} else if ok {
		out[cueFlat] = math.Log(math.Max(v, 0.1))
	}
	if v, ok, err := track.slip(clip); err != nil {
		return nil, rim{}, err
	} else if ok {
		out[cueSlip] = math.Max(v, out[cueSlip])
	}
	if b, ok := track.body(); ok {
		out[cueThird] = b.third / math.Max(b.noise, 1e-4)
		out[cueDeform] = b.deform * 100
		out[cueEyes] = track.spreadOf(func(m *Moment) float64 { return m.EyeRatio })
		out[cueMouth] = track.spreadOf(func(m *Moment) float64 { return m.Mouth })
		out[cueBlinks] = float64(track.blinks())
	}
	return finite(out), outline, nil
}

// usable is the track without the moments whose landmarks fell together, or are no numbers: what is divided by the distance of the eyes needs one.
func (t *Track) usable() *Track {
	out := &Track{W: t.W, H: t.H, Frames: t.Frames}
	for i := range t.Moments {
		m := &t.Moments[i]
		if eyes := eyeDistance(&m.Landmarks); eyes >= leastEyes && !math.IsInf(eyes, 0) && m.Box.Dy() > 0 {
			out.Moments = append(out.Moments, *m)
		}
	}
	return out
}

// leastEyes is the least distance of the eyes, pixels, of a moment that is looked at.
const leastEyes = 1.0

// finite leaves out what is no number: it would say nothing, and JSON has no word for it.
func finite(c cues) cues {
	for name, v := range c {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			delete(c, name)
		}
	}
	return c
}

// overTime tells whether some of them needed more than single frames.
func (c cues) overTime() bool {
	_, body := c[cueDeform]
	_, flat := c[cueFlat]
	return body || flat
}

// minMoments is how many moments of a face time needs to show anything.
const minMoments = 8
