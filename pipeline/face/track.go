package face

import (
	"context"
	"math"
	"slices"
	"sort"

	"onsite/pipeline/media"
)

// link follows faces over the frames. Boxes that overlap from one frame to the next are one person; so are the only two left over, when
// they have about the same size and are not far apart (stills lie a second apart, and a phone moves). Tracks of people in front that are
// never in view together are compared by their best faces: the same person who left and came back is one track.
func (m *Matcher) link(ctx context.Context, clip *media.Clip, found *Found) error {
	var tracks []Track
	for i := range found.Frames {
		m.extend(found, &tracks, i)
	}
	found.Tracks = tracks
	m.order(found)
	return m.rejoin(ctx, clip, found)
}

// extend gives the faces of one frame to the tracks that go on, and starts new ones for the rest.
func (m *Matcher) extend(found *Found, tracks *[]Track, frame int) {
	faces := found.Frames[frame].Faces
	type pair struct {
		track, face int
		fit         float64
	}
	var pairs []pair
	for t := range *tracks {
		last := (*tracks)[t].Spots[len((*tracks)[t].Spots)-1]
		if frame-last.Frame > m.config.LinkGap {
			continue
		}
		before := found.At(last)
		for f := range faces {
			if overlap := iou(before.Box, faces[f].Box); overlap >= m.config.LinkIoU {
				pairs = append(pairs, pair{t, f, 1 + overlap})
			} else if near := nearness(before, &faces[f]); near > 0 {
				pairs = append(pairs, pair{t, f, near})
			}
		}
	}
	sort.SliceStable(pairs, func(i, j int) bool { return pairs[i].fit > pairs[j].fit })
	taken := map[int]bool{}
	for _, p := range pairs {
		if faces[p.face].Track >= 0 || taken[p.track] {
			continue
		}
		taken[p.track] = true
		faces[p.face].Track = p.track
		(*tracks)[p.track].Spots = append((*tracks)[p.track].Spots, Spot{frame, p.face})
	}
	for f := range faces {
		if faces[f].Track < 0 {
			faces[f].Track = len(*tracks)
			*tracks = append(*tracks, Track{Spots: []Spot{{frame, f}}})
		}
	}
}

// nearness is above 0 (and below 1) when two boxes that do not overlap enough may still be one person a second later: sizes within a
// factor of 1.6 and centres at most 1.5 heights apart.
func nearness(a, b *Face) float64 {
	ha, hb := float64(a.Box.Dy()), float64(b.Box.Dy())
	if ratio := ha / hb; ratio > 1.6 || ratio < 1/1.6 {
		return 0
	}
	ca, cb := a.Box.Min.Add(a.Box.Max), b.Box.Min.Add(b.Box.Max)
	d := math.Hypot(float64(ca.X-cb.X)/2, float64(ca.Y-cb.Y)/2) / math.Max(ha, hb)
	return math.Max(0, 1-d/1.5)
}

// order sorts the tracks by prominence and writes their new numbers into the faces.
func (m *Matcher) order(found *Found) {
	for t := range found.Tracks {
		found.Tracks[t].Prominence = found.prominence(found.Tracks[t].Spots)
	}
	sort.SliceStable(found.Tracks, func(i, j int) bool { return found.Tracks[i].Prominence > found.Tracks[j].Prominence })
	for t := range found.Tracks {
		for _, s := range found.Tracks[t].Spots {
			found.At(s).Track = t
		}
	}
}

// prominence is the mean over all frames of the clip of height (of the face, over the frame's short side) x centrality (1 in the middle
// of the frame, 0.5 in a corner); a frame without the track counts 0. So the person in front is the large, central, long-seen one.
func (f *Found) prominence(spots []Spot) float64 {
	var sum float64
	for _, s := range spots {
		frame, face := &f.Frames[s.Frame], f.At(s)
		w, h := float64(frame.W), float64(frame.H)
		c := face.Box.Min.Add(face.Box.Max)
		off := math.Hypot(float64(c.X)/2-w/2, float64(c.Y)/2-h/2) / (math.Hypot(w, h) / 2)
		sum += float64(face.Box.Dy()) / math.Min(w, h) * (1 - off/2)
	}
	return sum / float64(len(f.Frames))
}

// maxRejoin is how many tracks are compared for being one person: more than a few people in front of one camera are several_people anyway.
const maxRejoin = 4

// rejoin compares the most prominent tracks that are never in view together by one embedding each, and makes those of one person one.
func (m *Matcher) rejoin(ctx context.Context, clip *media.Clip, found *Found) error {
	for a := 0; a < len(found.Tracks) && a < maxRejoin; a++ {
		for b := a + 1; b < len(found.Tracks) && b < maxRejoin; b++ {
			if found.together(a, b) > 0 || !m.prominent(found, a) || !m.prominent(found, b) {
				continue
			}
			same, err := m.samePerson(ctx, clip, found, a, b)
			if err != nil {
				return err
			}
			if !same {
				continue
			}
			spots := slices.Concat(found.Tracks[a].Spots, found.Tracks[b].Spots)
			sort.Slice(spots, func(i, j int) bool { return spots[i].Frame < spots[j].Frame })
			found.Tracks[a].Spots = spots
			found.Tracks = append(found.Tracks[:b], found.Tracks[b+1:]...)
			m.order(found)
			return m.rejoin(ctx, clip, found)
		}
	}
	return nil
}

// samePerson compares the best usable face of two tracks; a track without one stays apart.
func (m *Matcher) samePerson(ctx context.Context, clip *media.Clip, found *Found, a, b int) (bool, error) {
	sa, oka := found.best(a)
	sb, okb := found.best(b)
	if !oka || !okb {
		return false, nil
	}
	va, err := m.embed(ctx, clip, found, sa, false)
	if err != nil {
		return false, err
	}
	vb, err := m.embed(ctx, clip, found, sb, false)
	if err != nil {
		return false, err
	}
	found.At(sa).vector, found.At(sb).vector = va, vb
	score, err := cosine(va, vb)
	return score >= m.config.Threshold, err
}

// best is the spot of a track with the highest weight.
func (f *Found) best(track int) (Spot, bool) {
	var best Spot
	weight := 0.0
	for _, s := range f.Tracks[track].Spots {
		if w := f.At(s).Quality.Weight; w > weight {
			best, weight = s, w
		}
	}
	return best, weight > 0
}

// together counts the frames in which two tracks are both in view.
func (f *Found) together(a, b int) int {
	in := map[int]bool{}
	for _, s := range f.Tracks[a].Spots {
		in[s.Frame] = true
	}
	n := 0
	for _, s := range f.Tracks[b].Spots {
		if in[s.Frame] {
			n++
		}
	}
	return n
}

// prominent tells whether a track's largest face is large enough to be somebody in front.
func (m *Matcher) prominent(found *Found, track int) bool {
	for _, s := range found.Tracks[track].Spots {
		frame := &found.Frames[s.Frame]
		if float64(found.At(s).Box.Dy()) >= m.config.SeveralMin*float64(min(frame.W, frame.H)) {
			return true
		}
	}
	return false
}

// beside lists the tracks of people who stand in front together with the subject (Config.Several...).
func (m *Matcher) beside(found *Found, subject int) []int {
	mine := map[int]int{} // frame -> height
	for _, s := range found.Tracks[subject].Spots {
		mine[s.Frame] = found.At(s).Box.Dy()
	}
	var out []int
	for t := range found.Tracks {
		if t == subject {
			continue
		}
		common, theirs, subjects := 0, 0, 0
		for _, s := range found.Tracks[t].Spots {
			h, ok := mine[s.Frame]
			frame, height := &found.Frames[s.Frame], found.At(s).Box.Dy()
			if !ok || float64(height) < m.config.SeveralMin*float64(min(frame.W, frame.H)) {
				continue
			}
			common++
			theirs += height
			subjects += h
		}
		if common == 0 || float64(common) < m.config.SeveralShare*float64(len(mine)) {
			continue
		}
		if float64(theirs) >= m.config.SeveralRatio*float64(subjects) {
			out = append(out, t)
		}
	}
	return out
}
