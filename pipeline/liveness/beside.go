package liveness

import (
	"image"
	"math"
	"sort"
	"time"

	"onsite/pipeline/face"
	"onsite/pipeline/media"
)

const (
	// besideLeast is the least part of the subject's height of another face that is looked at for a picture held up beside the subject. The face on a
	// phone in somebody's hand has a sixth of theirs and more; the one on a badge about a tenth.
	besideLeast = 0.15
	// besideFaces is how many other faces are looked at, the largest first: each costs up to 10 ms.
	besideFaces = 2
	// besideLooks is how often a face is looked at, besideSeen in how many of them there must be an outline whose corners can be followed.
	besideLooks, besideSeen = 6, 2
	// besidePatch is the side, in pixels of the reduced picture, of what is followed; besideRoom how many places of the room must be found again.
	besidePatch, besideRoom = 20, 3
)

// heldBeside looks for a picture of a face that is held up beside the subject: a rectangle around another face, the corners of which move against the room.
// A portrait on a wall does not move, a colleague who walks past has no outline: both must be there, and are given only together. slip is the movement
// in 0.3 s, in hundredths of that face's height.
func heldBeside(clip *media.Clip, found *face.Found, subject int) (outline rim, slip float64, ok bool, err error) {
	if clip.Info.Kind != media.Video || len(found.Tracks) < 2 {
		return rim{}, 0, false, nil
	}
	least := besideLeast * height(found, subject)
	var others []int
	for t := range found.Tracks {
		if t != subject && len(found.Tracks[t].Spots) >= 2 && height(found, t) >= least {
			others = append(others, t)
		}
	}
	sort.SliceStable(others, func(i, k int) bool { return height(found, others[i]) > height(found, others[k]) })
	for _, t := range others[:min(len(others), besideFaces)] {
		r, v, there, err := besideTrack(clip, found, subject, t)
		if err != nil {
			return rim{}, 0, false, err
		}
		if there && v > slipSpeaks && r.score > outline.score {
			outline, slip, ok = r, v, true
		}
	}
	return outline, slip, ok, nil
}

// besideTrack is heldBeside of one track: the clearest outline with the middle score and bezel of those that were seen, and the middle movement.
func besideTrack(clip *media.Clip, found *face.Found, subject, track int) (out rim, slip float64, ok bool, err error) {
	var scores, dark, slips []float64
	pairs := besidePairs(clip, found, track)
	looks := spread(len(pairs), besideLooks)
	for n, k := range looks {
		if len(slips)+len(looks)-n < besideSeen {
			break
		}
		p := &pairs[k]
		frames := clip.Bursts[p.burst].Frames
		a, w, h, scale, err := reduced(frames[p.from].Image)
		if err != nil {
			return rim{}, 0, false, err
		}
		box := enlarged(p.box, scale)
		r := outline(a, w, h, box)
		if r.score <= rimSpeaks {
			continue
		}
		b, _, _, _, err := reduced(frames[p.to].Image)
		if err != nil {
			return rim{}, 0, false, err
		}
		person, _ := nearestSpot(found, subject, frames[p.from].PTS, w)
		v, there := cornersAgainst(a, b, w, h, &r, person)
		if !there {
			continue
		}
		scores, dark, slips = append(scores, r.score), append(dark, r.dark), append(slips, v/float64(box.Dy())*100)
		if r.score > out.score {
			out = r
			near := nearestSampled(found, track, frames[p.from].PTS)
			out.frame, out.box = clip.Frames[near].Index, enlarged(r.box, float64(clip.Frames[near].Image.Cols())/float64(w))
		}
	}
	out.score, out.dark = quantile(scores, 0.5), quantile(dark, 0.5)
	return out, quantile(slips, 0.5), len(slips) >= besideSeen, nil
}

// besidePairs are the pairs of burst frames near in time to where a track's face was seen; it is taken to be where it was then.
func besidePairs(clip *media.Clip, found *face.Found, track int) []slipPair {
	var out []slipPair
	for b := range clip.Bursts {
		frames := clip.Bursts[b].Frames
		for i := range max(len(frames)-slipStep, 0) {
			if box, away := nearestSpot(found, track, frames[i].PTS, frames[i].Image.Cols()); away <= handover {
				out = append(out, slipPair{b, i, i + slipStep, box})
			}
		}
	}
	return out
}

// nearestSpot is where a track's face is in the sampled frame nearest in time, in pixels of a picture w wide, and how far away in time that is.
func nearestSpot(found *face.Found, track int, at time.Duration, w int) (near image.Rectangle, away time.Duration) {
	away = time.Duration(math.MaxInt64)
	for _, s := range found.Tracks[track].Spots {
		if gap := (found.Frames[s.Frame].PTS - at).Abs(); gap < away && found.Frames[s.Frame].W > 0 {
			away = gap
			near = enlarged(found.At(s).Box, float64(w)/float64(found.Frames[s.Frame].W))
		}
	}
	return near, away
}

// nearestSampled is the place among the sampled frames of the one nearest in time that has the track's face.
func nearestSampled(found *face.Found, track int, at time.Duration) int {
	best, away := 0, time.Duration(math.MaxInt64)
	for _, s := range found.Tracks[track].Spots {
		if gap := (found.Frames[s.Frame].PTS - at).Abs(); gap < away {
			best, away = s.Frame, gap
		}
	}
	return best
}

// cornersAgainst is the middle movement, in pixels, of an outline's corners against the room: what is neither in it nor the person. Before a plain wall,
// where nothing of the room can be followed, it is half of the smaller of what it is in the picture, where a camera that stands moves nothing, and what
// it is against the person's face, which moves with a camera that is held, and by itself. ok is false with fewer than two corners.
func cornersAgainst(a, b []byte, w, h int, r *rim, person image.Rectangle) (float64, bool) {
	var near []shift
	for _, p := range r.corners {
		if s, ok := follow(a, b, w, h, p, besidePatch); ok {
			near = append(near, s)
		}
	}
	if len(near) < 2 {
		return 0, false
	}
	body := person.Inset(-person.Dy() / 3)
	body.Max.Y = h
	thing := r.box.Inset(-besidePatch)
	room := followed(a, b, w, h, image.Rect(0, 0, w, h), func(p image.Point) bool { return !p.In(thing) && !p.In(body) })
	if len(room) >= besideRoom {
		return against(near, middle(room)), true
	}
	own := followed(a, b, w, h, person, func(p image.Point) bool { return !p.In(thing) })
	if len(own) < besideRoom {
		return 0, false
	}
	return math.Min(against(near, shift{}), against(near, middle(own))) / 2, true
}

// followed are the movements of the patches of a part of the picture that wanted lets by.
func followed(a, b []byte, w, h int, part image.Rectangle, wanted func(image.Point) bool) (out []shift) {
	const half = besidePatch/2 + slipReach + 1
	part = part.Intersect(image.Rect(half, half, w-half, h-half))
	for y := part.Min.Y; y < part.Max.Y; y += besidePatch {
		for x := part.Min.X; x < part.Max.X; x += besidePatch {
			if p := image.Pt(x, y); wanted(p) {
				if s, ok := follow(a, b, w, h, p, besidePatch); ok {
					out = append(out, s)
				}
			}
		}
	}
	return out
}

// middle is the median of each direction.
func middle(all []shift) shift {
	var x, y []float64
	for _, s := range all {
		x, y = append(x, s.x), append(y, s.y)
	}
	return shift{quantile(x, 0.5), quantile(y, 0.5)}
}

// against is the lower middle distance of movements from another.
func against(all []shift, o shift) float64 {
	var away []float64
	for _, s := range all {
		away = append(away, math.Hypot(s.x-o.x, s.y-o.y))
	}
	return quantile(away, 0.4)
}
