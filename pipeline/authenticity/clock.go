package authenticity

import (
	"math"
	"time"

	"onsite/pipeline"
	"onsite/pipeline/media"
	"onsite/pipeline/place"
)

// Said is what the upload and the server say of the time.
type Said struct {
	Taken    time.Time // by the device's clock; zero: not claimed
	Received time.Time // by the server's clock; zero: not known
}

// Times within which nothing is said. Files hold local time where they should hold UTC (up to 14 h off), and a photo often says no zone at
// all; where the zone is known a quarter of an hour covers clocks that are set by hand.
const (
	zoneSlack  = 26 * time.Hour
	zonedSlack = 30 * time.Minute
	oldestTime = 2010 // years before are those of clocks that were never set
	exifForm   = "2006:01:02 15:04:05"
	appleForm  = "2006-01-02T15:04:05-0700"
)

// Clock compares the time inside the file with what was said of it, and adds what it finds to a check. That is never more than uncertain:
// clocks are wrong without anybody's fault. That the check itself was not made stays a finding beside it.
func Clock(out *pipeline.Check, i *media.Info, said Said) {
	if out.Outcome == pipeline.Error {
		return
	}
	made, zoned := timeOf(i)
	against, of := said.Taken, "taken"
	if against.IsZero() {
		against, of = said.Received, "received"
	}
	if made.IsZero() || against.IsZero() {
		return
	}
	apart := made.Sub(against)
	if out.Detail == nil {
		out.Detail = map[string]any{}
	}
	slack := zoneSlack
	if zoned && of == "taken" {
		slack = zonedSlack
	}
	if made.Before(against) && made.Add(i.Duration).After(against) { // begun before, ended after
		apart = 0
	}
	out.Detail["clock"] = map[string]any{"file_ahead_s": math.Round(apart.Seconds()), "against": of, "zone_known": zoned, "slack_s": slack.Seconds()}
	if apart.Abs() <= slack {
		return
	}
	what := pipeline.Text{EN: "the file was made before the time that is claimed", ZH: "文件生成时间早于所称的拍摄时间"}
	switch {
	case apart > 0 && of == "taken":
		what = pipeline.Text{EN: "the file was made after the time that is claimed", ZH: "文件生成时间晚于所称的拍摄时间"}
	case apart > 0:
		what = pipeline.Text{EN: "the file says that it was made after it was handed in", ZH: "文件所载生成时间晚于提交时间"}
	case of == "received":
		what = pipeline.Text{EN: "the file was made long before it was handed in", ZH: "文件生成时间远早于提交时间"}
	}
	long := place.Span(apart.Abs())
	c := checker{out: out}
	if out.Outcome == pipeline.NotChecked { // too short: its time can be judged all the same
		why := out.Why
		out.Outcome, out.Why = pipeline.Pass, ""
		c.add(pipeline.Finding{Code: pipeline.NotCheckedWanted, Outcome: pipeline.Uncertain, Args: map[string]string{"why": why}})
	}
	c.add(pipeline.Finding{
		Code: pipeline.ClockSkew, Outcome: pipeline.Uncertain,
		Args:     map[string]string{"what_en": what.EN, "what_zh": what.ZH, "apart_en": long.EN, "apart_zh": long.ZH},
		Evidence: []pipeline.Evidence{{Kind: "fact", Label: "file_ahead_s", Read: apart.Round(time.Second).String(), Text: &long}},
	})
}

// timeOf is when a file says that it was made, and whether it says in which zone; zero for none.
func timeOf(i *media.Info) (made time.Time, zoned bool) {
	defer func() {
		if made.Year() < oldestTime {
			made, zoned = time.Time{}, false
		}
	}()
	if t, err := time.Parse(appleForm, i.Tags["com.apple.quicktime.creationdate"]); err == nil {
		return t, true
	}
	if p := i.Origin.Photo; p != nil && p.Taken != "" {
		if t, err := time.Parse(exifForm+"-07:00", p.Taken+p.Zone); err == nil {
			return t, true
		}
		t, err := time.Parse(exifForm, p.Taken)
		if err != nil {
			return time.Time{}, false
		}
		return t, false
	}
	if c := i.Origin.Created; c > 0 {
		return time.Unix(c, 0), false
	}
	t, err := time.Parse(time.RFC3339Nano, i.Tags["creation_time"])
	if err != nil {
		return time.Time{}, false
	}
	return t, false
}
