package liveness

import (
	"time"

	"onsite/pipeline/media"
)

// Windows cuts a clip that was followed over its whole length down to what the signs were fitted on: the middle of each of n equal parts of the time
// that the bursts cover, each of the given length, as the decoder chooses bursts. Over a longer time people blink and speak more and turn
// further, and every measure would lie elsewhere. The clip that it gives shares its pictures with the one given, which is the one to close; a
// clip shorter than n windows comes back whole.
func Windows(clip *media.Clip, t *Track, n int, length time.Duration) (*media.Clip, *Track) {
	frames := 0
	var first, last time.Duration
	for _, b := range clip.Bursts {
		for i := range b.Frames {
			if frames == 0 {
				first = b.Frames[i].PTS
			}
			last = b.Frames[i].PTS
			frames++
		}
	}
	if n < 1 || length <= 0 || last-first <= time.Duration(n)*length {
		return clip, t
	}
	part := (last - first) / time.Duration(n)
	window := func(at time.Duration) int { // -1: in none
		k := min(int((at-first)/part), n-1)
		if from := first + time.Duration(k)*part + (part-length)/2; at < from || at > from+length {
			return -1
		}
		return k
	}
	view := *clip
	view.Bursts = make([]media.Burst, n)
	out := &Track{W: t.W, H: t.H}
	place := map[[2]int][2]int{} // of a frame, before and now
	for b := range clip.Bursts {
		for i, f := range clip.Bursts[b].Frames {
			if k := window(f.PTS); k >= 0 {
				place[[2]int{b, i}] = [2]int{k, len(view.Bursts[k].Frames)}
				view.Bursts[k].Frames = append(view.Bursts[k].Frames, f)
				out.Frames++
			}
		}
	}
	for i := range t.Moments {
		m := t.Moments[i]
		if now, ok := place[[2]int{m.Burst, m.Frame}]; ok {
			m.Burst, m.Frame = now[0], now[1]
			out.Moments = append(out.Moments, m)
		}
	}
	return &view, out
}
