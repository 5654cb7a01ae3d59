package reuse

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// audioHop is the time from one sub-fingerprint to the next.
const audioHop = 24 * time.Millisecond

// maxAudio bounds the sub-fingerprints: 60 s, as long as the motion.
const maxAudio = int(60 * time.Second / audioHop)

// Audio is the fingerprint of the sound: after Haitsma and Kalker 2002 ("A Highly Robust Audio Fingerprinting System"). The sound itself
// cannot be made again from it, words neither. The zero value is no sound.
type Audio struct {
	Subs  []uint32 // sub-fingerprint i describes the sound from i x 24 ms on; 0 where nothing is heard
	Heard []bool   // as long: false where the sound is silent or hardly changes, and says nothing
}

// check says what cannot be stored; what is stored has one form.
func (a *Audio) check() error {
	if len(a.Subs) > maxAudio || len(a.Heard) != len(a.Subs) {
		return fmt.Errorf("sound of %d sub-fingerprints with %d marks, at most %d and as many are allowed", len(a.Subs), len(a.Heard), maxAudio)
	}
	if len(a.Subs) > 0 && !slices.Contains(a.Heard, true) {
		return errors.New("sound in which nothing is heard is no sound")
	}
	for i, heard := range a.Heard {
		if !heard && a.Subs[i] != 0 {
			return fmt.Errorf("sub-fingerprint %d is not zero though nothing is heard", i)
		}
	}
	return nil
}

func encodeAudio(a *Audio) []byte {
	b := order.AppendUint16(nil, uint16(len(a.Subs)))
	b = append(b, packMarks(a.Heard)...)
	for i, s := range a.Subs {
		if a.Heard[i] {
			b = order.AppendUint32(b, s)
		}
	}
	return b
}

func readAudio(outer *reader, b []byte) Audio {
	r := reader{b: b, err: outer.err}
	var a Audio
	if n := r.count(maxAudio); n > 0 {
		a.Heard = r.marks(n)
		a.Subs = make([]uint32, len(a.Heard))
		for i, heard := range a.Heard {
			if heard {
				a.Subs[i] = r.u32()
			}
		}
	}
	r.end()
	outer.err = r.err
	return a
}
