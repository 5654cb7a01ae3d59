package report

import "onsite/pipeline"

// placeRules names the rule of the check place behind each of its codes.
var placeRules = map[pipeline.Code][]string{
	pipeline.OutsideGeofence:  {"fence"},
	pipeline.LocationInexact:  {"fence"},
	pipeline.LocationMissing:  {"fence", "nearby"},
	pipeline.BeaconMissing:    {"nearby"},
	pipeline.LocationConflict: {"media"},
	pipeline.MockLocation:     {"mock"},
	pipeline.ImpossibleTravel: {"travel"},
	pipeline.ManyPlaces:       {"places"},
	pipeline.OddHour:          {"hour"},
	pipeline.SharedDevice:     {"device"},
	pipeline.ClockSkew:        {"clock"},
}

// outcomeBehind is how strongly a check means one of its reasons: the outcome of the rule behind it where the check keeps one for each rule,
// else that of the whole check. A detail that is not as the check writes it says nothing.
func outcomeBehind(r pipeline.Reason, c pipeline.Check) pipeline.Outcome {
	if r.Check != pipeline.CheckPlace || c.Outcome != pipeline.Fail {
		return c.Outcome
	}
	rules := rulesOf(c)
	for _, name := range placeRules[r.Code] {
		if o := rules[name]; o == pipeline.Fail || o == pipeline.Uncertain {
			return o
		}
	}
	return c.Outcome
}

func rulesOf(c pipeline.Check) map[string]pipeline.Outcome {
	var detail struct {
		Rules map[string]struct {
			Outcome pipeline.Outcome `json:"outcome"`
		} `json:"rules"`
	}
	if !read(c.Detail, &detail) {
		return nil
	}
	out := map[string]pipeline.Outcome{}
	for name, r := range detail.Rules {
		out[name] = r.Outcome
	}
	return out
}

// decidedElsewhere says that a check's outcome does not come from its score: the score is on the passing side and the check does not pass
// (a challenge that was not answered, a still that could not be compared), or the distance only makes it uncertain and another rule fails.
func decidedElsewhere(name pipeline.CheckName, c pipeline.Check, low bool) bool {
	if c.Outcome != pipeline.Fail && c.Outcome != pipeline.Uncertain || c.Near {
		return false
	}
	if passes := *c.Score >= *c.Threshold; passes != low {
		return true
	}
	if name != pipeline.CheckPlace || c.Outcome != pipeline.Fail {
		return false
	}
	fence, ok := rulesOf(c)["fence"]
	return ok && fence != pipeline.Fail
}
