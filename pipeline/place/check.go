package place

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"onsite/pipeline"
)

// Input is what the rules look at.
type Input struct {
	Claim pipeline.Claim
	// Dated says that the device claimed when the upload was taken; else Claim.TakenAt is the server's guess.
	Dated bool
	// Received is when the upload came, by the server's clock; zero: not known.
	Received time.Time
	Site     *pipeline.Site     // nil: none
	Media    *pipeline.Location // the position that the file itself holds; nil: none
	Trail    *Past              // nil: nothing is known of earlier claims
}

// Past is what was claimed before.
type Past struct {
	Own    []pipeline.Step // of the subject, the newest first
	Device []pipeline.Step // of others with the same device, the newest first
}

// Read reads what the rules need of a trail; nil for none.
func Read(ctx context.Context, t pipeline.Trail, c pipeline.Claim, received time.Time, cfg Config) (*Past, error) {
	if t == nil {
		return nil, nil
	}
	since := known(c.TakenAt, received).Add(-cfg.since())
	own, err := t.Own(ctx, since, cfg.Steps)
	if err != nil {
		return nil, fmt.Errorf("read the earlier claims of the subject: %w", err)
	}
	past := &Past{Own: own}
	if c.Device != nil && c.Device.ID != "" {
		if past.Device, err = t.OfDevice(ctx, c.Device.ID, since, cfg.Steps); err != nil {
			return nil, fmt.Errorf("read the earlier claims of the device: %w", err)
		}
	}
	return past, nil
}

// Names of the rules, in the order in which the detail shows them.
const (
	RuleFence   = "fence"
	RuleNearby  = "nearby" // beacons and Wi-Fi stations
	RuleMedia   = "media"
	RuleMock    = "mock"
	RuleTravel  = "travel"
	RulePlaces  = "places"
	RuleHour    = "hour"
	RuleDevice  = "device"
	RuleClock   = "clock"
	whyNoFence  = "no_fence"
	whyNoClaim  = "no_claim"
	whyNoTrail  = "no_history"
	whyNoZone   = "no_timezone"
	whyNoHabit  = "too_few_earlier"
	whyNoServer = "no_server_time"
)

// Result is what a report draws, in memory only: it holds positions.
type Result struct {
	Fences   []pipeline.Fence
	Claimed  *pipeline.Location
	Media    *pipeline.Location
	Previous *pipeline.Step // the earlier claim with a position that the travel rule looked at
	Outside  float64        // metres from the claimed position to the nearest fence; 0 inside or unknown
	Travel   float64        // metres from the previous position
	Took     time.Duration
	Outcome  pipeline.Outcome
}

// HasGround says that a site says where it lies: a fence, beacons or Wi-Fi stations.
func HasGround(s *pipeline.Site) bool {
	return s != nil && len(s.Geofence)+len(s.Beacons)+len(s.WiFi) > 0
}

// Check applies every rule. It passes when the position or something nearby speaks for the site and nothing speaks against it.
func Check(in Input, cfg Config) (pipeline.Check, Result) {
	if err := cfg.Validate(); err != nil {
		return pipeline.Check{Outcome: pipeline.Error, Why: err.Error()}, Result{}
	}
	c := &checker{in: in, cfg: cfg, rules: map[string]any{}, out: pipeline.Check{Outcome: pipeline.NotChecked}}
	if valid(in.Claim.Location) {
		c.result.Claimed = in.Claim.Location
	}
	if valid(in.Media) {
		c.result.Media = in.Media
	}
	if in.Site != nil {
		c.result.Fences = in.Site.Geofence
	}
	c.ground()
	c.media()
	c.mock()
	c.travel()
	c.places()
	c.hour()
	c.device()
	c.clock()
	c.out.Detail = map[string]any{"rules": c.rules}
	if c.out.Outcome == pipeline.NotChecked {
		if c.out.Why = whyNoClaim; !HasGround(in.Site) {
			c.out.Why = whyNoFence
		}
	}
	if c.out.Outcome == pipeline.Fail && c.out.Score != nil && c.result.Outside <= *c.out.Threshold {
		c.out.Score, c.out.Threshold, c.out.Near = nil, nil, false // the distance is none that fails: another rule decided
	}
	c.result.Outcome = c.out.Outcome
	return c.out, c.result
}

type checker struct {
	in     Input
	cfg    Config
	out    pipeline.Check
	rules  map[string]any
	result Result
}

// badness orders outcomes.
var badness = map[pipeline.Outcome]int{pipeline.NotChecked: 0, pipeline.Pass: 1, pipeline.Uncertain: 2, pipeline.Fail: 3}

// fine records that a rule found nothing. That does not speak for the site: only a fence or something nearby does.
func (c *checker) fine(rule string, o pipeline.Outcome, detail map[string]any) {
	d := maps.Clone(detail)
	if d == nil {
		d = map[string]any{}
	}
	d["outcome"] = o
	c.rules[rule] = d
}

// note records what a rule said, with numbers for those who look closer, and lets it count.
func (c *checker) note(rule string, o pipeline.Outcome, detail map[string]any) {
	c.fine(rule, o, detail)
	if badness[o] > badness[c.out.Outcome] {
		c.out.Outcome = o
	}
}

// skip records a rule that could not be asked.
func (c *checker) skip(rule, why string) {
	c.rules[rule] = map[string]any{"outcome": pipeline.NotChecked, "why": why}
}

// find records a finding of a rule.
func (c *checker) find(rule string, code pipeline.Code, o pipeline.Outcome, args map[string]string, detail map[string]any, evidence ...pipeline.Evidence) {
	c.note(rule, o, detail)
	c.out.Findings = append(c.out.Findings, pipeline.Finding{Code: code, Outcome: o, Args: args, Evidence: evidence})
}

// accuracy is a position's accuracy as the rules take it.
func (c *checker) accuracy(l *pipeline.Location) float64 {
	if l.AccuracyM <= 0 {
		return c.cfg.UsualAccuracyM
	}
	return math.Max(l.AccuracyM, c.cfg.LeastAccuracyM)
}

// ground asks the fence and what is nearby, together: a beacon that is in range makes up for a position that is too inexact.
func (c *checker) ground() {
	site := c.in.Site
	if !HasGround(site) {
		c.skip(RuleFence, whyNoFence)
		c.skip(RuleNearby, whyNoFence)
		return
	}
	near := c.nearby(site)
	where, position, own := c.result.Claimed, "claimed", true
	if where == nil {
		where, position, own = c.result.Media, "file", false
	}
	if len(site.Geofence) == 0 || where == nil {
		why := whyNoClaim
		if len(site.Geofence) == 0 {
			why = whyNoFence
		}
		c.skip(RuleFence, why)
		if len(near.there)+len(near.heard) == 0 {
			c.find(RuleNearby, pipeline.LocationMissing, pipeline.Uncertain, nil, nil)
			return
		}
		c.heard(near, true, false)
		return
	}
	c.fence(site, where, own, position, near)
}

// fence compares a position with the fences.
func (c *checker) fence(site *pipeline.Site, where *pipeline.Location, own bool, position string, near radio) {
	metres, radius := outside(*where, site.Geofence)
	accuracy := c.accuracy(where)
	allowed := c.cfg.Allowance * accuracy
	c.result.Outside = math.Max(0, metres)
	score := math.Round(c.result.Outside)
	if c.result.Outside > allowed && score <= allowed { // so little more than allowed that whole metres hide it
		score = math.Ceil(c.result.Outside*10) / 10
	}
	c.out.Score, c.out.Threshold = &score, &allowed
	c.out.Near = math.Abs(c.result.Outside-allowed) < 1
	detail := map[string]any{"outside_m": score, "accuracy_m": math.Round(accuracy), "allowed_m": math.Round(allowed), "radius_m": radius, "position": position}
	outside := length(c.result.Outside)
	ev := pipeline.Evidence{Kind: "fact", Label: "outside_m", Read: outside.EN, Text: &outside, Score: &score, Threshold: &allowed}
	args := both("distance", length(metres))
	said := where.AccuracyM > 0
	inexact := accuracy > c.cfg.InexactRadii*radius || (!said && metres > 0)
	switch {
	case metres > allowed && own && said && len(near.matched) == 0:
		c.find(RuleFence, pipeline.OutsideGeofence, pipeline.Fail, args, detail, ev)
	case metres > allowed: // the file's position is anybody's to write; a beacon that is in range says otherwise; so may an accuracy not said
		c.find(RuleFence, pipeline.OutsideGeofence, pipeline.Uncertain, args, detail, ev)
	case inexact && len(near.matched) == 0:
		c.find(RuleFence, pipeline.LocationInexact, pipeline.Uncertain, both("accuracy", length(accuracy)), detail, ev)
	case !own:
		c.fine(RuleFence, pipeline.Pass, detail) // the file's own position lies inside, which is no claim
		if len(near.matched) == 0 {
			c.find(RuleFence, pipeline.LocationMissing, pipeline.Uncertain, nil, detail)
		}
	default:
		c.note(RuleFence, pipeline.Pass, detail)
	}
	c.heard(near, false, own && metres+accuracy <= 0)
}

// radio is what was in range.
type radio struct {
	there, heard, matched []string // of the site, of the claim, of both
}

func (c *checker) nearby(site *pipeline.Site) radio {
	var r radio
	add := func(there, heard []string) {
		for _, id := range there {
			r.there = append(r.there, ID(id))
		}
		if len(there) == 0 {
			return
		}
		for _, id := range heard {
			id = ID(id)
			r.heard = append(r.heard, id)
			if slices.ContainsFunc(there, func(t string) bool { return ID(t) == id }) {
				r.matched = append(r.matched, id)
			}
		}
	}
	add(site.Beacons, c.in.Claim.Beacons)
	add(site.WiFi, c.in.Claim.WiFi)
	return r
}

// ID is a beacon's or station's id as it is compared: small letters, without what stands between groups of digits.
func ID(id string) string {
	return strings.NewReplacer(":", "", "-", "", ".", "", " ", "").Replace(strings.ToLower(id))
}

// heard says what was in range. alone: nothing else speaks for the site; inside: the position with its whole accuracy lies in the fence, and
// a beacon whose battery is empty says nothing against that.
func (c *checker) heard(r radio, alone, inside bool) {
	detail := map[string]any{"known": len(r.there), "in_range": len(r.heard), "matched": len(r.matched)}
	switch {
	case len(r.there) == 0:
		c.skip(RuleNearby, whyNoFence)
	case len(r.matched) > 0:
		c.note(RuleNearby, pipeline.Pass, detail)
	case len(r.heard) > 0 && inside:
		c.fine(RuleNearby, pipeline.Pass, detail)
	case len(r.heard) > 0: // it listened, and heard others
		c.find(RuleNearby, pipeline.BeaconMissing, pipeline.Uncertain, nil, detail)
	case alone:
		c.find(RuleNearby, pipeline.LocationMissing, pipeline.Uncertain, nil, detail)
	default: // radio may be off
		c.skip(RuleNearby, whyNoClaim)
	}
}

// media compares the position inside the file with the claimed one.
func (c *checker) media() {
	own, file := c.result.Claimed, c.result.Media
	if own == nil || file == nil {
		c.skip(RuleMedia, whyNoClaim)
		return
	}
	apart := math.Max(0, Distance(*own, *file)-c.accuracy(own)-c.accuracy(file))
	detail := map[string]any{"apart_m": math.Round(apart), "doubt_m": c.cfg.MediaDoubtM, "fail_m": c.cfg.MediaFailM}
	o := pipeline.Pass
	switch {
	case apart > c.cfg.MediaFailM:
		o = pipeline.Fail
	case apart > c.cfg.MediaDoubtM:
		o = pipeline.Uncertain
	}
	if o == pipeline.Pass {
		c.fine(RuleMedia, o, detail)
		return
	}
	c.find(RuleMedia, pipeline.LocationConflict, o, both("distance", length(apart)), detail)
}

// mock repeats what the device says of itself. Silence says nothing.
func (c *checker) mock() {
	if c.in.Claim.Device == nil || !c.in.Claim.Device.MockLocation {
		c.skip(RuleMock, whyNoClaim)
		return
	}
	c.find(RuleMock, pipeline.MockLocation, pipeline.Fail, nil, nil)
}

// known is when the server knew of something: by its own clock where that was asked. It chooses the window for earlier claims, which a
// device must not move by what it says of its own clock.
func known(taken, received time.Time) time.Time {
	if received.IsZero() {
		return taken
	}
	return received
}

// moment is when something is said to have happened: the hour of a late upload is the one at which it was taken.
func moment(taken, received time.Time) time.Time {
	if taken.IsZero() {
		return received
	}
	return taken
}

// between is the time between the earlier claim and this one: the longer of what the device's clock and the server's say, since uploads
// may wait for a network.
func (c *checker) between(s pipeline.Step) time.Duration {
	var d time.Duration
	if c.in.Dated && !s.TakenAt.IsZero() {
		d = c.in.Claim.TakenAt.Sub(s.TakenAt).Abs()
	}
	if !c.in.Received.IsZero() && !s.Received.IsZero() {
		d = max(d, c.in.Received.Sub(s.Received).Abs())
	}
	return max(d, c.cfg.LeastTravelTime)
}

// travel compares with earlier claims of the same person: the speed that the way between would have needed.
func (c *checker) travel() {
	own := c.result.Claimed
	switch {
	case c.in.Trail == nil:
		c.skip(RuleTravel, whyNoTrail)
		return
	case own == nil:
		c.skip(RuleTravel, whyNoClaim)
		return
	}
	fastest, way, took := -1.0, 0.0, time.Duration(0)
	var from *pipeline.Step
	for i := range c.in.Trail.Own {
		s := &c.in.Trail.Own[i]
		if !valid(s.Location) {
			continue
		}
		d := math.Max(0, Distance(*own, *s.Location)-c.accuracy(own)-c.accuracy(s.Location))
		t := c.between(*s)
		speed := d / 1000 / t.Hours()
		if d < c.cfg.LeastTravelM {
			speed = 0
		}
		if speed > fastest {
			fastest, way, took, from = speed, d, t, s
		}
	}
	if from == nil {
		c.skip(RuleTravel, whyNoTrail)
		return
	}
	c.result.Previous, c.result.Travel, c.result.Took = from, way, took
	detail := map[string]any{
		"distance_m": math.Round(way), "seconds": math.Round(took.Seconds()), "kmh": math.Round(fastest), "fast_kmh": c.cfg.FastKMH,
		"impossible_kmh": c.cfg.ImpossibleKMH, "job": from.Job,
	}
	o := pipeline.Pass
	switch {
	case fastest > c.cfg.ImpossibleKMH:
		o = pipeline.Fail
	case fastest > c.cfg.FastKMH:
		o = pipeline.Uncertain
	}
	if o == pipeline.Pass {
		c.fine(RuleTravel, o, detail)
		return
	}
	args := both("distance", length(way))
	maps.Copy(args, both("time", span(took)))
	kmh, limit := math.Round(fastest), c.cfg.ImpossibleKMH
	c.find(RuleTravel, pipeline.ImpossibleTravel, o, args, detail,
		pipeline.Evidence{Kind: "fact", Label: "kmh", Read: fmt.Sprintf("%.0f km/h", fastest), Job: from.Job, Score: &kmh, Threshold: &limit})
}

// places counts how many places far apart the person claimed within few days, this one among them.
func (c *checker) places() {
	if c.in.Trail == nil || c.result.Claimed == nil {
		c.skip(RulePlaces, whyNoTrail)
		return
	}
	all := []pipeline.Location{*c.result.Claimed}
	now := known(c.in.Claim.TakenAt, c.in.Received)
	for _, s := range c.in.Trail.Own {
		if valid(s.Location) && now.Sub(known(s.TakenAt, s.Received)).Abs() <= c.cfg.PlacesWithin {
			all = append(all, *s.Location)
		}
	}
	n, days := distinct(all, c.cfg.PlacesApartM), int(c.cfg.PlacesWithin.Hours()/24)
	detail := map[string]any{"places": n, "many": c.cfg.Places, "days": days}
	if n < c.cfg.Places {
		c.fine(RulePlaces, pipeline.Pass, detail)
		return
	}
	c.find(RulePlaces, pipeline.ManyPlaces, pipeline.Uncertain, map[string]string{"places": fmt.Sprint(n), "days": fmt.Sprint(days)}, detail)
}

// hour asks whether the hour of the site's day is one at which this person never uploads.
func (c *checker) hour() {
	site := c.in.Site
	if site == nil || site.Timezone == "" {
		c.skip(RuleHour, whyNoZone)
		return
	}
	zone, err := time.LoadLocation(site.Timezone)
	if err != nil || c.in.Trail == nil {
		c.skip(RuleHour, whyNoTrail)
		return
	}
	now := moment(c.in.Claim.TakenAt, c.in.Received)
	if now.IsZero() {
		c.skip(RuleHour, whyNoClaim)
		return
	}
	night := func(t time.Time) bool {
		h := t.In(zone).Hour()
		return h >= c.cfg.NightFrom && h < c.cfg.NightTo
	}
	known, used := 0, false
	for _, s := range c.in.Trail.Own {
		known++
		used = used || night(moment(s.TakenAt, s.Received))
	}
	detail := map[string]any{"hour": now.In(zone).Hour(), "earlier": known}
	switch {
	case !night(now) || used:
		c.fine(RuleHour, pipeline.Pass, detail)
	case known < c.cfg.Habit:
		c.skip(RuleHour, whyNoHabit)
	default:
		c.find(RuleHour, pipeline.OddHour, pipeline.Uncertain, map[string]string{"hour": now.In(zone).Format("15:04")}, detail)
	}
}

// device asks whether others used the same device.
func (c *checker) device() {
	switch {
	case c.in.Claim.Device == nil || c.in.Claim.Device.ID == "":
		c.skip(RuleDevice, whyNoClaim)
		return
	case c.in.Trail == nil:
		c.skip(RuleDevice, whyNoTrail)
		return
	}
	now := known(c.in.Claim.TakenAt, c.in.Received)
	others := map[string]string{} // subject -> newest job
	for _, s := range c.in.Trail.Device {
		if _, ok := others[s.Subject]; !ok && s.Subject != c.in.Claim.Subject && now.Sub(known(s.TakenAt, s.Received)) <= c.cfg.DeviceWithin {
			others[s.Subject] = s.Job
		}
	}
	detail := map[string]any{"others": len(others), "days": int(c.cfg.DeviceWithin.Hours() / 24)}
	if len(others) == 0 {
		c.fine(RuleDevice, pipeline.Pass, detail)
		return
	}
	jobs := slices.Sorted(maps.Values(others))
	var evidence []pipeline.Evidence
	for _, job := range jobs[max(0, len(jobs)-3):] {
		evidence = append(evidence, pipeline.Evidence{Kind: "fact", Label: "same_device", Job: job})
	}
	c.find(RuleDevice, pipeline.SharedDevice, pipeline.Uncertain, map[string]string{"others": fmt.Sprint(len(others))}, detail, evidence...)
}

// clock compares the device's clock with the server's.
func (c *checker) clock() {
	switch {
	case !c.in.Dated:
		c.skip(RuleClock, whyNoClaim)
		return
	case c.in.Received.IsZero():
		c.skip(RuleClock, whyNoServer)
		return
	}
	ahead := c.in.Claim.TakenAt.Sub(c.in.Received)
	detail := map[string]any{"ahead_s": math.Round(ahead.Seconds())}
	o, what := pipeline.Pass, pipeline.Text{EN: "the device's clock is ahead of the server's", ZH: "设备时钟快于服务器"}
	switch {
	case ahead > c.cfg.AheadFail:
		o = pipeline.Fail
	case ahead > c.cfg.Ahead:
		o = pipeline.Uncertain
	case -ahead > c.cfg.LateFail:
		o = pipeline.Fail
	case -ahead > c.cfg.Late:
		o = pipeline.Uncertain
	}
	if o == pipeline.Pass {
		c.fine(RuleClock, pipeline.Pass, detail)
		return
	}
	if ahead < 0 {
		what = pipeline.Text{EN: "it was handed in long after it is said to be taken", ZH: "提交时间远晚于所称的拍摄时间"}
	}
	args, apart := both("what", what), span(ahead.Abs())
	maps.Copy(args, both("apart", apart))
	c.find(RuleClock, pipeline.ClockSkew, o, args, detail, pipeline.Evidence{Kind: "fact", Label: "ahead_s", Read: ahead.Round(time.Second).String(), Text: &apart})
}
