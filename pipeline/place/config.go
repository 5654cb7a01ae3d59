package place

import (
	"errors"
	"fmt"
	"time"
)

// Config holds the numbers at which the rules decide. None was fitted to data: there is no labelled set of positions. Each has its reason
// beside it, and all err on the side of the employee.
type Config struct {
	// UsualAccuracyM stands in for an accuracy that was not said, and LeastAccuracyM for one that is better than phones are indoors.
	UsualAccuracyM, LeastAccuracyM float64
	// Allowance is how many accuracies (radii that hold the true place two times out of three) a position may lie outside of the fence
	// before it counts as outside. With errors that are normal in both directions, 2 radii hold it 98.9 times out of 100.
	Allowance float64
	// InexactRadii is the accuracy, in radii of the fence, from which a position inside says nothing: a mast's, not a satellite's.
	InexactRadii float64
	// MediaDoubtM and MediaFailM are how far the file's own position may lie from the claimed one, beyond both accuracies. Phones store a
	// position that is minutes old.
	MediaDoubtM, MediaFailM float64
	// FastKMH and ImpossibleKMH are speeds of travel: fast trains reach 350 km/h, airliners 900 km/h from door to door never.
	FastKMH, ImpossibleKMH float64
	// LeastTravelM is the shortest way that is looked at, and LeastTravelTime the shortest time that is assumed.
	LeastTravelM    float64
	LeastTravelTime time.Duration
	// Places is how many places at least PlacesApartM apart within PlacesWithin are many.
	Places       int
	PlacesApartM float64
	PlacesWithin time.Duration
	// NightFrom and NightTo are the hours of the site's day that are odd unless the person is used to them; Habit is how many earlier
	// uploads are needed to know that.
	NightFrom, NightTo, Habit int
	// DeviceWithin is how far back another person's use of the same device counts.
	DeviceWithin time.Duration
	// Ahead and Late are how far the device's clock may be ahead of the server's, and how late an upload may come after it was taken;
	// AheadFail and LateFail make it a failure.
	Ahead, AheadFail, Late, LateFail time.Duration
	// Steps is how many earlier claims are read.
	Steps int
}

// DefaultConfig is what the product uses.
func DefaultConfig() Config {
	return Config{
		UsualAccuracyM: 50, LeastAccuracyM: 15, Allowance: 2, InexactRadii: 4,
		MediaDoubtM: 1_000, MediaFailM: 50_000,
		FastKMH: 400, ImpossibleKMH: 900, LeastTravelM: 3_000, LeastTravelTime: time.Minute,
		Places: 4, PlacesApartM: 30_000, PlacesWithin: 72 * time.Hour,
		NightFrom: 0, NightTo: 5, Habit: 10,
		DeviceWithin: 30 * 24 * time.Hour,
		Ahead:        5 * time.Minute, AheadFail: time.Hour, Late: 12 * time.Hour, LateFail: 72 * time.Hour,
		Steps: 100,
	}
}

// Validate reports every value that makes no sense, all at once.
func (c *Config) Validate() error {
	var errs []error
	bad := func(ok bool, name, want string, have any) {
		if !ok {
			errs = append(errs, fmt.Errorf("place.%s is %v, want %s", name, have, want))
		}
	}
	bad(c.UsualAccuracyM > 0, "usual_accuracy_m", "above 0", c.UsualAccuracyM)
	bad(c.LeastAccuracyM > 0 && c.LeastAccuracyM <= c.UsualAccuracyM, "least_accuracy_m", "above 0, at most usual_accuracy_m", c.LeastAccuracyM)
	bad(c.Allowance > 0, "allowance", "above 0", c.Allowance)
	bad(c.InexactRadii > 0, "inexact_radii", "above 0", c.InexactRadii)
	bad(c.MediaDoubtM > 0 && c.MediaDoubtM <= c.MediaFailM, "media_doubt_m", "above 0, at most media_fail_m", c.MediaDoubtM)
	bad(c.FastKMH > 0 && c.FastKMH <= c.ImpossibleKMH, "fast_kmh", "above 0, at most impossible_kmh", c.FastKMH)
	bad(c.LeastTravelM > 0, "least_travel_m", "above 0", c.LeastTravelM)
	bad(c.LeastTravelTime > 0, "least_travel_time", "above 0", c.LeastTravelTime)
	bad(c.Places > 1, "places", "above 1", c.Places)
	bad(c.PlacesApartM > 0, "places_apart_m", "above 0", c.PlacesApartM)
	bad(c.PlacesWithin > 0, "places_within", "above 0", c.PlacesWithin)
	bad(c.NightFrom >= 0 && c.NightFrom < c.NightTo && c.NightTo <= 24, "night_from", "0 to night_to, which is at most 24", c.NightFrom)
	bad(c.Habit > 0, "habit", "above 0", c.Habit)
	bad(c.DeviceWithin > 0, "device_within", "above 0", c.DeviceWithin)
	bad(c.Ahead > 0 && c.Ahead <= c.AheadFail, "ahead", "above 0, at most ahead_fail", c.Ahead)
	bad(c.Late > 0 && c.Late <= c.LateFail, "late", "above 0, at most late_fail", c.Late)
	bad(c.Steps > 0, "steps", "above 0", c.Steps)
	return errors.Join(errs...)
}

// since is how far back earlier claims matter.
func (c *Config) since() time.Duration { return max(c.PlacesWithin, c.DeviceWithin) }
