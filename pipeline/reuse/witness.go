package reuse

import "time"

// Sound is what the sounds of two clips say about each other.
type Sound struct {
	Score    float64 `json:"score"`     // 1: bit for bit the same; 0: as unlike as unrelated sounds
	OffsetMS int64   `json:"offset_ms"` // their time less ours
	Seconds  float64 `json:"seconds"`   // of heard sound that agrees at this offset
	Agrees   bool    `json:"agrees"`    // with the line that the motion gives: the second witness
}

// The sound as a second witness. The same sound alone proves nothing, because a radio plays a song on two days. But two takes under one
// song have their best line in time anywhere: over 10 s, it lies within 0.15 s of the sound's offset once in 60 times. That holds for takes
// that know nothing of each other. Who is prompted (by a voice, a melody, a gong) moves in time with what is heard, on every day anew, and how
// often that agrees has not been measured. So a sound that agrees with the motion brings a match to a person, up to just below the
// threshold, and never makes it the same recording.
const (
	soundGain  = 0.15
	soundApart = 150 * time.Millisecond
	soundLeast = 3.0 // seconds of heard sound
	soundLow   = 0.5 // S before the gain, from which, with hardly any motion, motion and sound together are left to a person
)

// listen compares the sounds and says whether they agree with the line of the motion; nil where a sound is missing or they are unlike.
// Only the common speed forwards can agree: sound played otherwise is another sound.
func listen(q, o *Fingerprint, s *stretch, apart time.Duration) *Sound {
	if len(q.Audio.Subs) == 0 || len(o.Audio.Subs) == 0 {
		return nil
	}
	m := compareAudio(&q.Audio, &o.Audio)
	if !m.ok {
		return nil
	}
	out := &Sound{Score: round3(m.score), OffsetMS: m.offset.Milliseconds(), Seconds: round3(m.seconds)}
	if s != nil && s.line.speed == 1 && s.line.dir > 0 && m.seconds >= soundLeast {
		lag := apart + time.Duration(s.line.offset)*(step/2)
		out.Agrees = (lag - m.offset).Abs() <= soundApart
	}
	return out
}

// forSound is S plus what a sound that agrees with the motion gives below the threshold; what lies at or above it needs no second witness.
func (c Config) forSound(s float64, heard *Sound) float64 {
	if heard == nil || !heard.Agrees {
		return s
	}
	return max(s, min(s+soundGain, c.most()))
}
