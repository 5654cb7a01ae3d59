package scene

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // a site's time zone is known on machines without a zone database too

	"onsite/pipeline"
)

// Limits of a site file. The largest site we can think of (30 references with long names) stays under 16 KB.
const (
	maxSiteBytes  = 256 << 10
	maxReferences = 64 // each costs about 7 ms per frame to look for
	maxNames      = 32
	maxSites      = 1000
	maxNameRunes  = 64
	maxLabelRunes = 200
	maxFences     = 16
	maxBeacons    = 64
	dayForm       = "2006-01-02"

	leastRadiusM = 10.0     // phones are seldom surer of where they are
	mostRadiusM  = 50_000.0 // a circle this large says nothing about a place of work
)

// LoadSite reads a site file:
//
//	id: store-17
//	revision: 3                  # optional; raise it with every change
//	timezone: Asia/Shanghai      # optional, for the posters' days; UTC without it
//	label: Octavia, Nanjing Road # optional, what people call it
//	geofence:                    # optional, where it lies: circles on the ground, one of which is enough
//	  - {latitude: 31.2353, longitude: 121.4767, radius_m: 150}
//	beacons: [b-17-a, b-17-b]    # optional, ids of the beacons that stand there
//	wifi: ["3c:84:6a:00:11:22"]  # optional, ids (BSSID) of its Wi-Fi stations
//	sign:
//	  names: [港记烧腊, Gangji]   # names to read on its sign; one of them is enough
//	  foreign_names: [Starbucks] # optional: names of other places; one of them, and nothing of this site, is a contradiction
//	references:
//	  - kind: logo               # sign, logo, storefront, poster, desk, cabinet, room
//	    name: wall logo
//	    photo: photos/wall.jpg   # relative to the site file
//	    crop: {x: 120, y: 40, w: 300, h: 200}   # or [x1, y1, x2, y2]; pixels of the photo as it is shown; without it the whole photo
//	  - kind: poster
//	    name: spring sale
//	    photo: photos/spring.png
//	    valid_from: 2026-03-01   # first and last day (or RFC 3339 times) on which it hangs; each may be left out
//	    valid_to: 2026-03-31
//	    sites: [store-17, store-18]   # of a poster, optional: where it hangs; here without it
//	  - kind: storefront
//	    name: cafe next door
//	    photo: photos/cafe.jpg
//	    negative: true           # it shows another place
//
// Unknown keys are refused. Everything that is wrong comes back at once as a *SiteError. The photos are not decoded here, only looked for.
func LoadSite(path string) (*pipeline.Site, error) {
	raw, err := pipeline.ReadFile(path, maxSiteBytes)
	switch {
	case errors.Is(err, pipeline.ErrTooLong):
		return nil, tooLong(path)
	case err != nil:
		return nil, fmt.Errorf("read the site file %s: %w", path, err)
	}
	return ParseSite(path, raw, func(photo string) (pipeline.Media, error) {
		if !filepath.IsAbs(photo) {
			photo = filepath.Join(filepath.Dir(path), filepath.FromSlash(photo))
		}
		switch info, err := os.Stat(photo); {
		case err != nil:
			return nil, err
		case !info.Mode().IsRegular():
			return nil, pipeline.ErrNotRegular
		}
		return pipeline.File(photo), nil
	})
}

// ParseSite reads the bytes of a site file. source names the origin in errors; photo turns a reference's path into media, or says why
// it cannot.
func ParseSite(source string, raw []byte, photo func(string) (pipeline.Media, error)) (*pipeline.Site, error) {
	p := &siteParser{photo: photo, zone: time.UTC}
	if len(raw) > maxSiteBytes {
		return nil, tooLong(source)
	}
	top, problem := parseYAML(raw)
	if problem != nil {
		return nil, &SiteError{Site: source, Problems: []Problem{*problem}}
	}
	site := p.site(top)
	if len(p.problems) > 0 {
		return nil, &SiteError{Site: source, Problems: p.problems}
	}
	return site, nil
}

func tooLong(source string) *SiteError {
	return &SiteError{Site: source, Problems: []Problem{{Trouble: NotYAML, Text: pipeline.Text{
		EN: fmt.Sprintf("the file is longer than %d bytes; a site file is a short list", maxSiteBytes),
		ZH: fmt.Sprintf("文件超过 %d 字节；地点文件应为简短的列表", maxSiteBytes)}}}}
}

// siteParser walks the file and collects what is wrong.
type siteParser struct {
	photo    func(string) (pipeline.Media, error)
	zone     *time.Location
	problems []Problem
}

func (p *siteParser) add(t Trouble, field, value, en, zh string) {
	p.problems = append(p.problems, Problem{Trouble: t, Field: field, Value: clip(value), Text: pipeline.Text{EN: en, ZH: zh}})
}

func (p *siteParser) site(top value) *pipeline.Site {
	s := &pipeline.Site{}
	m := p.mapping(top, "", "id", "revision", "timezone", "label", "sign", "geofence", "beacons", "wifi", "references")
	if v, ok := m["timezone"]; ok {
		s.Timezone = p.timezone(v)
	}
	if v, ok := m["label"]; ok {
		s.Label = p.text(v, "label", maxLabelRunes)
	}
	if v, ok := m["geofence"]; ok {
		for i, item := range p.list(v, "geofence", maxFences) {
			s.Geofence = append(s.Geofence, p.fence(item, fmt.Sprintf("geofence[%d]", i)))
		}
	}
	if v, ok := m["beacons"]; ok {
		for i, item := range p.list(v, "beacons", maxBeacons) {
			s.Beacons = append(s.Beacons, p.text(item, fmt.Sprintf("beacons[%d]", i), maxNameRunes))
		}
	}
	if v, ok := m["wifi"]; ok {
		for i, item := range p.list(v, "wifi", maxBeacons) {
			s.WiFi = append(s.WiFi, p.text(item, fmt.Sprintf("wifi[%d]", i), maxNameRunes))
		}
	}
	if v, ok := m["id"]; ok {
		s.ID = p.text(v, "id", maxNameRunes)
	} else {
		p.add(MissingValue, "id", "", "is missing; give the site a short name", "缺少；请填写地点的简短编号")
	}
	if v, ok := m["revision"]; ok {
		if n, err := strconv.Atoi(v.scalar); err == nil && v.is(isScalar) && n >= 0 {
			s.Revision = n
		} else {
			p.add(BadValue, "revision", v.show(), "must be a whole number from 0", "必须是不小于 0 的整数")
		}
	}
	if v, ok := m["sign"]; ok {
		s.SignNames, s.ForeignNames = p.sign(v)
	}
	if v, ok := m["references"]; ok {
		for i, item := range p.list(v, "references", maxReferences) {
			s.References = append(s.References, p.reference(item, fmt.Sprintf("references[%d]", i), i))
		}
	}
	wanted := len(s.SignNames)+len(s.Geofence)+len(s.Beacons)+len(s.WiFi) > 0
	for i, r := range s.References {
		wanted = wanted || !r.Negative
		p.double(s.References[:i], r.Name, fmt.Sprintf("references[%d].name", i))
	}
	if !wanted && len(p.problems) == 0 {
		p.add(MissingValue, "references", "", "the site has no references of its own, no names to read, and neither a geofence nor beacons or Wi-Fi stations; give at least one",
			"地点既没有自己的参考图片和要识别的名称，也没有地理围栏、信标或 Wi-Fi；请至少填写一项")
	}
	return s
}

func (p *siteParser) timezone(v value) string {
	name := p.text(v, "timezone", maxNameRunes)
	if name == "" {
		return ""
	}
	zone, err := time.LoadLocation(name)
	if err != nil || name == "Local" {
		p.problems = append(p.problems, noZone(name))
		return ""
	}
	p.zone = zone
	return name
}

func noZone(name string) Problem {
	return Problem{Trouble: BadValue, Field: "timezone", Value: clip(name), Text: pipeline.Text{
		EN: "is not a time zone; write it as Asia/Shanghai or UTC", ZH: "不是有效时区；请写成 Asia/Shanghai 或 UTC"}}
}

// fence reads a circle on the ground.
func (p *siteParser) fence(v value, field string) pipeline.Fence {
	m := p.mapping(v, field, "latitude", "longitude", "radius_m")
	if !v.is(isMapping) {
		return pipeline.Fence{}
	}
	number := func(name string, low, high float64) float64 {
		text := p.required(m, field, name)
		n, err := strconv.ParseFloat(text, 64)
		if text != "" && (err != nil || !(n >= low && n <= high)) { // written so that NaN is refused, too
			p.add(BadValue, field+"."+name, text, fmt.Sprintf("must be a number from %g to %g", low, high), fmt.Sprintf("必须是 %g 到 %g 之间的数字", low, high))
		}
		return n
	}
	return pipeline.Fence{Latitude: number("latitude", -90, 90), Longitude: number("longitude", -180, 180), RadiusM: number("radius_m", leastRadiusM, mostRadiusM)}
}

func (p *siteParser) required(m map[string]value, field, name string) string {
	v, ok := m[name]
	if !ok {
		p.add(MissingValue, field+"."+name, "", "is missing", "缺少")
		return ""
	}
	return p.text(v, field+"."+name, 4096)
}

// text reads a scalar that is not empty.
func (p *siteParser) text(v value, field string, most int) string {
	s := strings.TrimSpace(v.scalar)
	if !v.is(isScalar) || s == "" || len([]rune(s)) > most {
		p.add(BadValue, field, v.show(), fmt.Sprintf("must be a text of 1 to %d characters", most), fmt.Sprintf("必须是 1 至 %d 个字符的文本", most))
		return ""
	}
	return s
}
