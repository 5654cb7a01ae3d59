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
	// RepeatUncertain and RepeatFail are suspicions (1: all limits of package rules are met) of a part that is shown again;
	// RepeatCertain is where nothing else can explain it.
	RepeatUncertain, RepeatFail, RepeatCertain float64
}

// DefaultConfig is what the product uses.
func DefaultConfig() Config {
	return Config{
		ExpectPerson:    true,
		StillLimit:      3.3,
		MovedLimit:      4.5,
		StillShare:      0.8,
		StillSpread:     0.12,
		FrozenUncertain: 1.0,
		FrozenFail:      1.8,
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
	bad(c.RepeatUncertain > 0 && c.RepeatUncertain <= c.RepeatFail, "repeat_uncertain", "above 0, at most repeat_fail", c.RepeatUncertain)
	bad(c.RepeatFail <= c.RepeatCertain, "repeat_fail", "at most repeat_certain", c.RepeatFail)
	return errors.Join(errs...)
}
