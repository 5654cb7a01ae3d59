package place

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/pipeline"
)

// The site of the tests, and a position so many metres north of its centre.
var fence = pipeline.Fence{Latitude: 31.2353, Longitude: 121.4767, RadiusM: 150}

func north(metres float64) *pipeline.Location {
	return &pipeline.Location{Latitude: fence.Latitude + metres/earthM*180/math.Pi, Longitude: fence.Longitude, AccuracyM: 20}
}

func exact(l *pipeline.Location, accuracy float64) *pipeline.Location {
	l.AccuracyM = accuracy
	return l
}

var noon = time.Date(2026, 3, 2, 4, 0, 0, 0, time.UTC) // 12:00 in Shanghai

// honest is an upload at the site, and what earlier days of the same person look like.
func honest() Input {
	in := Input{
		Claim: pipeline.Claim{Job: "J9", Subject: "ann", TakenAt: noon, Location: north(30), Device: &pipeline.Device{ID: "phone-1"}}, Dated: true, Received: noon.Add(20 * time.Second),
		Site:  &pipeline.Site{ID: "s", Timezone: "Asia/Shanghai", Geofence: []pipeline.Fence{fence}},
		Trail: &Past{},
	}
	for day := 1; day <= 12; day++ {
		at := noon.AddDate(0, 0, -day)
		in.Trail.Own = append(in.Trail.Own, pipeline.Step{Job: "J0", Subject: "ann", Site: "s", TakenAt: at, Received: at.Add(10 * time.Second), Location: north(-20), Device: "phone-1"})
	}
	return in
}

func TestCheck(t *testing.T) {
	type finding struct {
		code pipeline.Code
		is   pipeline.Outcome
	}
	step := func(km float64, ago time.Duration) pipeline.Step {
		return pipeline.Step{Job: "J8", Subject: "ann", TakenAt: noon.Add(-ago), Received: noon.Add(-ago), Location: north(km * 1000)}
	}
	on := func(in *Input) *pipeline.Claim { return &in.Claim }
	for name, c := range map[string]struct {
		edit func(*Input)
		want pipeline.Outcome
		find []finding
	}{
		"at the site":                   {func(*Input) {}, pipeline.Pass, nil},
		"at the edge, within accuracy":  {func(in *Input) { on(in).Location = north(149) }, pipeline.Pass, nil},
		"just outside, within accuracy": {func(in *Input) { on(in).Location = north(180) }, pipeline.Pass, nil},
		"outside by more than two accuracies": {func(in *Input) { on(in).Location = north(200) }, pipeline.Fail,
			[]finding{{pipeline.OutsideGeofence, pipeline.Fail}}},
		"outside, accuracy not said":       {func(in *Input) { on(in).Location = exact(north(240), 0) }, pipeline.Uncertain, []finding{{pipeline.LocationInexact, pipeline.Uncertain}}},
		"far outside, accuracy not said":   {func(in *Input) { on(in).Location = exact(north(260), 0) }, pipeline.Uncertain, []finding{{pipeline.OutsideGeofence, pipeline.Uncertain}}},
		"outside, said to be exact to 1 m": {func(in *Input) { on(in).Location = exact(north(170), 1) }, pipeline.Pass, nil},
		"inside, accuracy not said":        {func(in *Input) { on(in).Location.AccuracyM = 0 }, pipeline.Pass, nil},
		"inside, but by a mast":            {func(in *Input) { on(in).Location.AccuracyM = 700 }, pipeline.Uncertain, []finding{{pipeline.LocationInexact, pipeline.Uncertain}}},
		"as inexact as can be":             {func(in *Input) { on(in).Location = exact(north(9000), 100_000) }, pipeline.Uncertain, []finding{{pipeline.LocationInexact, pipeline.Uncertain}}},
		"in the second fence": {func(in *Input) {
			in.Site.Geofence = append(in.Site.Geofence, pipeline.Fence{Latitude: north(5000).Latitude, Longitude: fence.Longitude, RadiusM: 50})
			on(in).Location = north(5010)
			in.Trail.Own = nil
		}, pipeline.Pass, nil},
		"nothing claimed":      {func(in *Input) { on(in).Location = nil }, pipeline.Uncertain, []finding{{pipeline.LocationMissing, pipeline.Uncertain}}},
		"0, 0 is no position":  {func(in *Input) { on(in).Location = &pipeline.Location{} }, pipeline.Uncertain, []finding{{pipeline.LocationMissing, pipeline.Uncertain}}},
		"NaN is no position":   {func(in *Input) { on(in).Location.Latitude = math.NaN() }, pipeline.Uncertain, []finding{{pipeline.LocationMissing, pipeline.Uncertain}}},
		"only the file's, in":  {func(in *Input) { on(in).Location, in.Media = nil, north(10) }, pipeline.Uncertain, []finding{{pipeline.LocationMissing, pipeline.Uncertain}}},
		"only the file's, out": {func(in *Input) { on(in).Location, in.Media = nil, north(5000) }, pipeline.Uncertain, []finding{{pipeline.OutsideGeofence, pipeline.Uncertain}}},

		"a beacon makes up for inexact": {func(in *Input) {
			in.Site.Beacons, on(in).Beacons, on(in).Location = []string{"B-1"}, []string{"x", "b1"}, exact(north(180), 700)
		}, pipeline.Pass, nil},
		"a beacon against the position": {func(in *Input) {
			in.Site.Beacons, on(in).Beacons, on(in).Location = []string{"b1"}, []string{"b1"}, north(900)
		}, pipeline.Uncertain, []finding{{pipeline.OutsideGeofence, pipeline.Uncertain}}},
		"other beacons only, well inside": {func(in *Input) { in.Site.Beacons, on(in).Beacons = []string{"b1"}, []string{"b2"} }, pipeline.Pass, nil},
		"other beacons only, at the edge": {func(in *Input) {
			in.Site.Beacons, on(in).Beacons, on(in).Location = []string{"b1"}, []string{"b2"}, north(140)
		}, pipeline.Uncertain, []finding{{pipeline.BeaconMissing, pipeline.Uncertain}}},
		"radio off, inside":         {func(in *Input) { in.Site.Beacons = []string{"b1"} }, pipeline.Pass, nil},
		"beacons of a site without": {func(in *Input) { on(in).Beacons = []string{"b2"} }, pipeline.Pass, nil},
		"only beacons known, in range": {func(in *Input) {
			in.Site.Geofence, in.Site.Beacons, on(in).Beacons = nil, []string{"b1"}, []string{"b1"}
		}, pipeline.Pass, nil},
		"only beacons known, none": {func(in *Input) { in.Site.Geofence, in.Site.Beacons = nil, []string{"b1"} }, pipeline.Uncertain, []finding{{pipeline.LocationMissing, pipeline.Uncertain}}},
		"wifi, written differently": {func(in *Input) {
			in.Site.Geofence, in.Site.WiFi, on(in).WiFi = nil, []string{"AA:BB:CC:00:11:22"}, []string{"aa-bb-cc-00-11-22"}
		}, pipeline.Pass, nil},
		"wifi is no beacon": {func(in *Input) { in.Site.WiFi, on(in).Beacons = []string{"aa"}, []string{"aa"} }, pipeline.Pass, nil},

		"file near the claim":      {func(in *Input) { in.Media = north(900) }, pipeline.Pass, nil},
		"file in another part":     {func(in *Input) { in.Media = north(4000) }, pipeline.Uncertain, []finding{{pipeline.LocationConflict, pipeline.Uncertain}}},
		"file in another city":     {func(in *Input) { in.Media = north(90_000) }, pipeline.Fail, []finding{{pipeline.LocationConflict, pipeline.Fail}}},
		"the device invents it":    {func(in *Input) { on(in).Device.MockLocation = true }, pipeline.Fail, []finding{{pipeline.MockLocation, pipeline.Fail}}},
		"no device":                {func(in *Input) { on(in).Device = nil }, pipeline.Pass, nil},
		"by train":                 {func(in *Input) { in.Trail.Own = []pipeline.Step{step(300, 90*time.Minute)} }, pipeline.Pass, nil},
		"faster than trains":       {func(in *Input) { in.Trail.Own = []pipeline.Step{step(600, time.Hour)} }, pipeline.Uncertain, []finding{{pipeline.ImpossibleTravel, pipeline.Uncertain}}},
		"faster than airliners":    {func(in *Input) { in.Trail.Own = []pipeline.Step{step(1000, time.Hour)} }, pipeline.Fail, []finding{{pipeline.ImpossibleTravel, pipeline.Fail}}},
		"the fastest counts":       {func(in *Input) { in.Trail.Own = []pipeline.Step{step(0.1, time.Hour), step(2000, 90*time.Minute)} }, pipeline.Fail, []finding{{pipeline.ImpossibleTravel, pipeline.Fail}}},
		"a jump of two kilometres": {func(in *Input) { in.Trail.Own = []pipeline.Step{step(2.5, time.Second)} }, pipeline.Pass, nil},
		"within the earlier error": {func(in *Input) {
			s := step(20, time.Second)
			s.Location.AccuracyM = 25_000
			in.Trail.Own = []pipeline.Step{s}
		}, pipeline.Pass, nil},
		"earlier without a position": {func(in *Input) { s := step(0, time.Second); s.Location = nil; in.Trail.Own = []pipeline.Step{s} }, pipeline.Pass, nil},
		"both handed in late together": {func(in *Input) { // the network was away all day
			s := step(500, 5*time.Hour)
			s.Received = in.Received
			in.Trail.Own = []pipeline.Step{s}
		}, pipeline.Pass, nil},
		"clocks are not asked when nothing was dated": {func(in *Input) {
			s := step(1000, 10*time.Hour)
			s.Received = in.Received.Add(-time.Hour)
			in.Dated, in.Trail.Own = false, []pipeline.Step{s}
		}, pipeline.Fail, []finding{{pipeline.ImpossibleTravel, pipeline.Fail}}},
		"three cities in three days": {func(in *Input) { in.Trail.Own = []pipeline.Step{step(200, 24*time.Hour), step(400, 48*time.Hour)} }, pipeline.Pass, nil},
		"four cities in three days": {func(in *Input) {
			in.Trail.Own = []pipeline.Step{step(200, 20*time.Hour), step(400, 40*time.Hour), step(600, 60*time.Hour), step(601, 61*time.Hour)}
		}, pipeline.Uncertain, []finding{{pipeline.ManyPlaces, pipeline.Uncertain}}},
		"four cities in two weeks": {func(in *Input) {
			in.Trail.Own = []pipeline.Step{step(200, 100*time.Hour), step(400, 200*time.Hour), step(600, 300*time.Hour)}
		}, pipeline.Pass, nil},
		"at night": {func(in *Input) { in.Claim.TakenAt, in.Received = noon.Add(-9*time.Hour), noon.Add(-9*time.Hour) }, pipeline.Uncertain,
			[]finding{{pipeline.OddHour, pipeline.Uncertain}}},
		"at night, as always": {func(in *Input) {
			in.Claim.TakenAt, in.Received = noon.Add(-9*time.Hour), noon.Add(-9*time.Hour)
			in.Trail.Own[3].TakenAt = in.Trail.Own[3].TakenAt.Add(-10 * time.Hour)
		}, pipeline.Pass, nil},
		"at night, new here": {func(in *Input) {
			in.Claim.TakenAt, in.Received, in.Trail.Own = noon.Add(-9*time.Hour), noon.Add(-9*time.Hour), in.Trail.Own[:5]
		}, pipeline.Pass, nil},
		"at night in a site without a time zone": {func(in *Input) {
			in.Claim.TakenAt, in.Received, in.Site.Timezone = noon.Add(-9*time.Hour), noon.Add(-9*time.Hour), ""
		}, pipeline.Pass, nil},
		"somebody else's phone": {func(in *Input) {
			in.Trail.Device = []pipeline.Step{{Job: "J7", Subject: "bob", Received: noon.Add(-time.Minute)}, {Job: "J6", Subject: "bob", Received: noon.Add(-time.Hour)}, {Job: "J5", Subject: "eve", Received: noon.Add(-time.Hour)}}
		}, pipeline.Uncertain, []finding{{pipeline.SharedDevice, pipeline.Uncertain}}},
		"somebody else's phone, the clock turned": { // the device's clock does not choose what is looked at
			func(in *Input) {
				in.Dated, in.Claim.TakenAt = false, noon.AddDate(0, 3, 0)
				in.Trail.Device = []pipeline.Step{{Job: "J7", Subject: "bob", Received: noon.Add(-time.Minute)}}
			}, pipeline.Uncertain, []finding{{pipeline.SharedDevice, pipeline.Uncertain}}},
		"somebody else's phone long ago": {func(in *Input) {
			in.Trail.Device = []pipeline.Step{{Job: "J7", Subject: "bob", Received: noon.AddDate(0, 0, -40)}}
		}, pipeline.Pass, nil},
		"a clock ahead":          {func(in *Input) { in.Received = noon.Add(-10 * time.Minute) }, pipeline.Uncertain, []finding{{pipeline.ClockSkew, pipeline.Uncertain}}},
		"a clock far ahead":      {func(in *Input) { in.Received = noon.Add(-2 * time.Hour) }, pipeline.Fail, []finding{{pipeline.ClockSkew, pipeline.Fail}}},
		"a clock a little ahead": {func(in *Input) { in.Received = noon.Add(-4 * time.Minute) }, pipeline.Pass, nil},
		"handed in that evening": {func(in *Input) { in.Received = noon.Add(8 * time.Hour) }, pipeline.Pass, nil},
		"handed in the next day": {func(in *Input) { in.Received = noon.Add(24 * time.Hour) }, pipeline.Uncertain, []finding{{pipeline.ClockSkew, pipeline.Uncertain}}},
		"handed in next week":    {func(in *Input) { in.Received = noon.Add(7 * 24 * time.Hour) }, pipeline.Fail, []finding{{pipeline.ClockSkew, pipeline.Fail}}},
		"not dated":              {func(in *Input) { in.Dated, in.Received = false, noon.Add(7*24*time.Hour) }, pipeline.Pass, nil},

		"no site": {func(in *Input) { in.Site = nil }, pipeline.NotChecked, nil},
		"no site, the device invents it": {func(in *Input) { in.Site, on(in).Device.MockLocation = nil, true }, pipeline.Fail,
			[]finding{{pipeline.MockLocation, pipeline.Fail}}},
		"nothing known of earlier": {func(in *Input) { in.Trail = nil }, pipeline.Pass, nil},
		"all at once": {func(in *Input) {
			on(in).Location, in.Media, on(in).Device.MockLocation, in.Trail.Own = north(5000), north(200_000), true, []pipeline.Step{step(-3000, time.Hour)}
		}, pipeline.Fail, []finding{{pipeline.OutsideGeofence, pipeline.Fail}, {pipeline.LocationConflict, pipeline.Fail}, {pipeline.MockLocation, pipeline.Fail}, {pipeline.ImpossibleTravel, pipeline.Fail}}},
	} {
		t.Run(name, func(t *testing.T) {
			in := honest()
			c.edit(&in)
			got, result := Check(in, DefaultConfig())
			var found []finding
			for _, f := range got.Findings {
				found = append(found, finding{f.Code, f.Outcome})
				require.False(t, f.Certain, "nothing that a device says is proof")
			}
			require.Equal(t, c.find, found, "%v", got.Detail)
			require.Equal(t, c.want, got.Outcome, "%v", got.Detail)
			require.Equal(t, got.Outcome, result.Outcome)
			rules := got.Detail["rules"].(map[string]any)
			for _, r := range []string{RuleFence, RuleNearby, RuleMedia, RuleMock, RuleTravel, RulePlaces, RuleHour, RuleDevice, RuleClock} {
				require.Contains(t, rules, r, "every rule says what became of it")
			}
			raw, err := json.Marshal(got)
			require.NoError(t, err)
			require.NotContains(t, string(raw), "31.2", "no coordinates")
			require.NotContains(t, string(raw), "phone-1")
			again, _ := Check(in, DefaultConfig())
			require.Equal(t, got, again)
		})
	}
}

func TestScoreIsTheDistanceOutside(t *testing.T) {
	in := honest()
	in.Claim.Location = north(400)
	got, result := Check(in, DefaultConfig())
	require.InDelta(t, 250, *got.Score, 1)
	require.InDelta(t, 40, *got.Threshold, 1e-9)
	require.InDelta(t, 250, result.Outside, 1)
	require.Equal(t, "250 m", got.Findings[0].Args["distance_en"])
	require.Equal(t, "250 米", got.Findings[0].Args["distance_zh"])
	require.Equal(t, "J0", result.Previous.Job)
}

// Whole metres must not hide by how little a position is too far outside.
func TestScoreOfAFenceThatFailsByLittle(t *testing.T) {
	in := honest()
	in.Claim.Location = exact(north(150+30.098), 15)
	got, _ := Check(in, DefaultConfig())
	require.Equal(t, pipeline.Fail, got.Outcome)
	require.InDelta(t, 30.1, *got.Score, 0.01)
	require.InDelta(t, 30, *got.Threshold, 1e-9)

	in = honest() // within the fence, but another rule fails: its distance is none that fails
	in.Claim.Device.MockLocation = true
	got, _ = Check(in, DefaultConfig())
	require.Equal(t, pipeline.Fail, got.Outcome)
	require.Nil(t, got.Score)
}

func TestWhyNotChecked(t *testing.T) {
	in := honest()
	in.Site = nil
	got, _ := Check(in, DefaultConfig())
	require.Equal(t, "no_fence", got.Why)
	in.Trail, in.Claim.Location = nil, nil
	got, _ = Check(in, DefaultConfig())
	rules := got.Detail["rules"].(map[string]any)
	for rule, why := range map[string]string{RuleFence: "no_fence", RuleMedia: "no_claim", RuleTravel: "no_history", RulePlaces: "no_history", RuleHour: "no_timezone", RuleDevice: "no_history"} {
		require.Equal(t, why, rules[rule].(map[string]any)["why"], rule)
	}
}

func TestDistance(t *testing.T) {
	at := func(lat, lon float64) pipeline.Location { return pipeline.Location{Latitude: lat, Longitude: lon} }
	require.InDelta(t, 0, Distance(at(31, 121), at(31, 121)), 1e-6)
	require.InDelta(t, 111_195, Distance(at(0, 0), at(1, 0)), 10, "a degree of a great circle")
	require.InDelta(t, 111_195/2.0, Distance(at(60, 0), at(60, 1)), 50, "half of it at 60 degrees")
	require.InDelta(t, 222_390, Distance(at(10, 179), at(10, -179)), 4000, "across the date line")
	require.InDelta(t, math.Pi*earthM, Distance(at(0, 0), at(0, 180)), 1)
	require.InDelta(t, 1_067_000, Distance(at(31.2304, 121.4737), at(39.9042, 116.4074)), 3000, "Shanghai to Beijing")
}

func TestWords(t *testing.T) {
	for m, want := range map[float64]string{4: "4 m", 37: "40 m", 994: "990 m", 996: "1.0 km", 3449: "3.4 km", 9960: "10 km", 812_345: "812 km"} {
		require.Equal(t, want, Length(m).EN)
		require.Equal(t, strings.Fields(want)[0], strings.Fields(Length(m).ZH)[0])
	}
	for d, want := range map[time.Duration]string{
		0: "less than a second", time.Second: "1 second", 90 * time.Second: "2 minutes", time.Minute: "1 minute", 80 * time.Minute: "80 minutes", 3 * time.Hour: "3 hours", 50 * time.Hour: "2 days",
	} {
		require.Equal(t, want, Span(d).EN)
	}
}

func TestConfigSaysAllThatIsWrong(t *testing.T) {
	cfg := DefaultConfig()
	require.NoError(t, cfg.Validate())
	cfg.Allowance, cfg.NightFrom, cfg.FastKMH = 0, 7, 5000
	err := cfg.Validate()
	require.ErrorContains(t, err, "allowance")
	require.ErrorContains(t, err, "night_from")
	require.ErrorContains(t, err, "fast_kmh")
	got, _ := Check(honest(), cfg)
	require.Equal(t, pipeline.Error, got.Outcome)
	require.ErrorContains(t, (&Config{}).Validate(), "steps")
}

type trail struct {
	own, device []pipeline.Step
	asked       string
	since       time.Time
	err         error
}

func (t *trail) Own(_ context.Context, since time.Time, _ int) ([]pipeline.Step, error) {
	t.since = since
	return t.own, t.err
}

func (t *trail) OfDevice(_ context.Context, device string, _ time.Time, _ int) ([]pipeline.Step, error) {
	t.asked = device
	return t.device, t.err
}

func TestRead(t *testing.T) {
	in := honest()
	cfg := DefaultConfig()
	past, err := Read(t.Context(), nil, in.Claim, in.Received, cfg)
	require.NoError(t, err)
	require.Nil(t, past)
	from := &trail{own: in.Trail.Own[:1], device: in.Trail.Own[1:3]}
	past, err = Read(t.Context(), from, in.Claim, in.Received, cfg)
	require.NoError(t, err)
	require.Equal(t, &Past{Own: in.Trail.Own[:1], Device: in.Trail.Own[1:3]}, past)
	require.Equal(t, "phone-1", from.asked)
	require.Equal(t, in.Received.AddDate(0, 0, -30), from.since)
	in.Claim.TakenAt = noon.AddDate(1, 0, 0)
	_, err = Read(t.Context(), from, in.Claim, in.Received, cfg)
	require.NoError(t, err)
	require.Equal(t, in.Received.AddDate(0, 0, -30), from.since, "by the server's clock")
	in.Claim.Device, from.asked = nil, ""
	_, err = Read(t.Context(), from, in.Claim, in.Received, cfg)
	require.NoError(t, err)
	require.Empty(t, from.asked)
	from.err = errors.New("away")
	_, err = Read(t.Context(), from, in.Claim, in.Received, cfg)
	require.ErrorContains(t, err, "away")
}
