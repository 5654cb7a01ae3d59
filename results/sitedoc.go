package results

import (
	"fmt"
	"time"

	"onsite/pipeline"
)

// dayForm is how a day is written.
const dayForm = "2006-01-02"

// NewSiteDoc gives what is stored of a site, but for where its photos lie: the caller fills Key and SHA256 of each reference, in the same order.
func NewSiteDoc(s *pipeline.Site) SiteDoc {
	d := SiteDoc{Label: s.Label, Timezone: s.Timezone, SignNames: s.SignNames, ForeignNames: s.ForeignNames, Geofence: s.Geofence, Beacons: s.Beacons, WiFi: s.WiFi}
	zone, err := d.zone()
	if err != nil { // the site's reader knows its zones; times that carry their own offset are right in any case
		zone = time.UTC
	}
	for _, r := range s.References {
		d.References = append(d.References, SiteReference{
			Kind: r.Kind, Name: r.Name, Crop: r.Crop, Negative: r.Negative, Sites: r.Sites,
			ValidFrom: dayText(r.ValidFrom, zone, false), ValidTo: dayText(r.ValidTo, zone, true),
		})
	}
	return d
}

// Core gives the site as the core takes it; media turns a stored reference into its sealed photo.
func (s Site) Core(media func(SiteReference) pipeline.Media) (*pipeline.Site, error) {
	zone, err := s.Doc.zone()
	if err != nil {
		return nil, fmt.Errorf("read site %s, revision %d: %w", s.ID, s.Rev, err)
	}
	out := &pipeline.Site{
		ID: s.ID, Revision: s.Rev, Label: s.Doc.Label, Timezone: s.Doc.Timezone,
		SignNames: s.Doc.SignNames, ForeignNames: s.Doc.ForeignNames, Geofence: s.Doc.Geofence, Beacons: s.Doc.Beacons, WiFi: s.Doc.WiFi,
		Around: s.Doc.Around,
	}
	for i, r := range s.Doc.References {
		ref := pipeline.Reference{Kind: r.Kind, Name: r.Name, Media: media(r), Crop: r.Crop, Negative: r.Negative, Sites: r.Sites}
		if ref.ValidFrom, err = dayTime(r.ValidFrom, zone, false); err == nil {
			ref.ValidTo, err = dayTime(r.ValidTo, zone, true)
		}
		if err != nil {
			return nil, fmt.Errorf("read site %s, revision %d, reference %d: %w", s.ID, s.Rev, i, err)
		}
		out.References = append(out.References, ref)
	}
	return out, nil
}

func (d SiteDoc) zone() (*time.Location, error) {
	if d.Timezone == "" {
		return time.UTC, nil
	}
	return time.LoadLocation(d.Timezone)
}

// dayText writes a bound as a day where it is the first (end: the last) moment of one, else with its time.
func dayText(t time.Time, zone *time.Location, end bool) string {
	if t.IsZero() {
		return ""
	}
	day := t.In(zone).Format(dayForm)
	if back, err := dayTime(day, zone, end); err == nil && back.Equal(t) {
		return day
	}
	return t.Format(time.RFC3339Nano)
}

// dayTime is the other way round.
func dayTime(text string, zone *time.Location, end bool) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.ParseInLocation(dayForm, text, zone)
	if err != nil {
		return time.Parse(time.RFC3339, text)
	}
	if end {
		t = t.AddDate(0, 0, 1).Add(-time.Nanosecond)
	}
	return t, nil
}
