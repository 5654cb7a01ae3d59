package scene

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/pipeline"
)

// noEnglish allows a Chinese sentence the names of keys, formats and time zones, and no other English words.
func noEnglish(t *testing.T, zh string) {
	t.Helper()
	names := strings.Fields("YAML JPEG PNG WebP HEIC id revision timezone label sign names geofence beacons wifi Wi Fi latitude longitude radius references kind name photo crop valid from to logo storefront poster desk cabinet room negative sites foreign true false Asia Shanghai UTC")
	for _, w := range regexp.MustCompile(`[A-Za-z]{2,}`).FindAllString(zh, -1) {
		require.Contains(t, names, w, zh)
	}
}

func anyPhoto(path string) (pipeline.Media, error) { return pipeline.File(path), nil }

const goodSite = `
id: store-17
revision: 3
timezone: Asia/Shanghai
label: Octavia, Nanjing Road
sign:
  names: [港记烧腊, Café Octavia]
geofence:
  - {latitude: 31.2353, longitude: 121.4767, radius_m: 150}
beacons: [b-17-a]
references:
  - kind: logo
    name: wall logo
    photo: wall.jpg
    crop: {x: 120, y: 40, w: 300, h: 200}
  - kind: poster
    photo: spring.png
    crop: [10, 20, 110, 220]
    valid_from: 2026-03-01
    valid_to: 2026-03-31
`

func TestParseSite(t *testing.T) {
	s, err := ParseSite("x", []byte(goodSite), anyPhoto)
	require.NoError(t, err)
	zone, err := time.LoadLocation("Asia/Shanghai")
	require.NoError(t, err)
	require.Equal(t, &pipeline.Site{ID: "store-17", Revision: 3, Label: "Octavia, Nanjing Road", Timezone: "Asia/Shanghai", SignNames: []string{"港记烧腊", "Café Octavia"},
		Geofence: []pipeline.Fence{{Latitude: 31.2353, Longitude: 121.4767, RadiusM: 150}}, Beacons: []string{"b-17-a"}, References: []pipeline.Reference{
			{Kind: "logo", Name: "wall logo", Media: pipeline.File("wall.jpg"), Crop: &pipeline.Box{X: 120, Y: 40, W: 300, H: 200}},
			{Kind: "poster", Name: "poster 2", Media: pipeline.File("spring.png"), Crop: &pipeline.Box{X: 10, Y: 20, W: 100, H: 200},
				ValidFrom: time.Date(2026, 3, 1, 0, 0, 0, 0, zone), ValidTo: time.Date(2026, 4, 1, 0, 0, 0, -1, zone)},
		}}, s)
}

func TestParseSiteProblems(t *testing.T) {
	for name, c := range map[string]struct {
		yaml  string
		field string
		want  Trouble
	}{
		"empty":              {"", "", NotYAML},
		"a list":             {"- a\n", "", NotYAML},
		"two documents":      {"id: a\n---\nid: b\n", "", NotYAML},
		"not YAML":           {"id: [a", "", NotYAML},
		"an alias":           {"id: &a x\nsign: {names: [*a]}\n", "", NotYAML},
		"binary":             {"\x00\x01\xff", "", NotYAML},
		"no id":              {"sign: {names: [A]}\n", "id", MissingValue},
		"nothing to find":    {"id: a\n", "references", MissingValue},
		"unknown key":        {"id: a\nsign: {names: [A]}\nplace: here\n", "place", UnknownKey},
		"unknown inner key":  {"id: a\nreferences: [{kind: logo, photo: a.jpg, pic: b}]\n", "references[0].pic", UnknownKey},
		"key twice":          {"id: a\nreferences: [{kind: logo, photo: a.jpg, photo: b.jpg}]\n", "", NotYAML},
		"unknown kind":       {"id: a\nreferences: [{kind: door, photo: a.jpg}]\n", "references[0].kind", UnknownKind},
		"no kind":            {"id: a\nreferences: [{photo: a.jpg}]\n", "references[0].kind", MissingValue},
		"no photo":           {"id: a\nreferences: [{kind: logo}]\n", "references[0].photo", MissingValue},
		"dates swapped":      {"id: a\nreferences: [{kind: poster, photo: a.jpg, valid_from: 2026-03-02, valid_to: 2026-03-01}]\n", "references[0].valid_to", BadDates},
		"no date":            {"id: a\nreferences: [{kind: poster, photo: a.jpg, valid_from: spring}]\n", "references[0].valid_from", BadValue},
		"a day too many":     {"id: a\nreferences: [{kind: poster, photo: a.jpg, valid_to: 2026-02-30}]\n", "references[0].valid_to", BadValue},
		"empty crop":         {"id: a\nreferences: [{kind: logo, photo: a.jpg, crop: {x: 1, y: 1, w: 0, h: 5}}]\n", "references[0].crop", BadCrop},
		"crop upside down":   {"id: a\nreferences: [{kind: logo, photo: a.jpg, crop: [9, 9, 3, 20]}]\n", "references[0].crop", BadCrop},
		"crop of words":      {"id: a\nreferences: [{kind: logo, photo: a.jpg, crop: left}]\n", "references[0].crop", BadCrop},
		"crop misses a side": {"id: a\nreferences: [{kind: logo, photo: a.jpg, crop: {x: 1, y: 1, w: 4}}]\n", "references[0].crop", BadCrop},
		"Korean name":        {"id: a\nsign: {names: [서울]}\n", "sign.names[0]", UnreadName},
		"name of dots":       {"id: a\nsign: {names: [\"...\"]}\n", "sign.names[0]", UnreadName},
		"names no list":      {"id: a\nsign: {names: A}\n", "sign.names", BadValue},
		"revision":           {"id: a\nrevision: x\nsign: {names: [A]}\n", "revision", BadValue},
		"time zone":          {"id: a\ntimezone: Here\nsign: {names: [A]}\n", "timezone", BadValue},
		"fence without end":  {"id: a\ngeofence: [{latitude: 31.2, longitude: 121.4}]\n", "geofence[0].radius_m", MissingValue},
		"fence off the map":  {"id: a\ngeofence: [{latitude: 31.2, longitude: 121.4, radius_m: 50}, {latitude: 131.2, longitude: 31.4, radius_m: 50}]\n", "geofence[1].latitude", BadValue},
		"fence of no number": {"id: a\ngeofence: [{latitude: .nan, longitude: 31.4, radius_m: 50}]\n", "geofence[0].latitude", BadValue},
		"fence too wide":     {"id: a\ngeofence: [{latitude: 1, longitude: 31.4, radius_m: 1e9}]\n", "geofence[0].radius_m", BadValue},
		"fence is a word":    {"id: a\ngeofence: [here]\n", "geofence[0]", BadValue},
		"empty beacon":       {"id: a\nbeacons: [\"\"]\n", "beacons[0]", BadValue},
		"label too long":     {"id: a\nlabel: " + strings.Repeat("x", 201) + "\n", "label", BadValue},
		"too long":           {"id: a\n#" + strings.Repeat("x", maxSiteBytes), "", NotYAML},
		"too deep":           {"id: [[[[[[[[[[[a]]]]]]]]]]]\n", "", NotYAML},
		"bracket left open":  {"id: [a\nsign: b\n", "", NotYAML},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParseSite("site.yaml", []byte(c.yaml), anyPhoto)
			var bad *SiteError
			require.ErrorAs(t, err, &bad)
			require.Equal(t, c.want, bad.Problems[0].Trouble, err)
			require.Equal(t, c.field, bad.Problems[0].Field, err)
			require.NotContains(t, err.Error(), "\n")
			require.NotEmpty(t, bad.Problems[0].Text.ZH)
			noEnglish(t, bad.Problems[0].Text.ZH)
			require.Contains(t, bad.Text().ZH, bad.Problems[0].Text.ZH)
		})
	}
}

func TestParseSiteGivesAllProblemsAtOnce(t *testing.T) {
	_, err := ParseSite("site.yaml", []byte("id: a\nx: 1\nsign: {names: [ไทย]}\nreferences:\n- {kind: door, photo: p.jpg, crop: 3}\n- {kind: poster}\n"),
		func(string) (pipeline.Media, error) { return nil, errors.New("gone") })
	var bad *SiteError
	require.ErrorAs(t, err, &bad)
	var got []Trouble
	for _, p := range bad.Problems {
		got = append(got, p.Trouble)
	}
	require.Equal(t, []Trouble{UnknownKey, UnreadName, UnknownKind, MissingPhoto, BadCrop, MissingValue}, got)
}

func TestLoadSiteLooksForPhotosBesideTheFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "site.yaml")
	require.NoError(t, os.WriteFile(path, []byte("id: a\nreferences:\n- {kind: logo, photo: pics/a.jpg}\n- {kind: logo, photo: pics}\n"), 0o600))
	_, err := LoadSite(path)
	var bad *SiteError
	require.ErrorAs(t, err, &bad)
	require.Len(t, bad.Problems, 2)
	require.Equal(t, MissingPhoto, bad.Problems[0].Trouble)
	require.Equal(t, pipeline.Text{EN: "cannot be used: there is no such file; the path is relative to the site file", ZH: "无法使用：文件不存在；路径相对于地点文件"}, bad.Problems[0].Text)
	require.NoError(t, os.Mkdir(filepath.Join(dir, "pics"), 0o700))
	_, err = LoadSite(path)
	require.ErrorAs(t, err, &bad)
	require.Equal(t, pipeline.Text{EN: "cannot be used: it is not a file; the path is relative to the site file", ZH: "无法使用：不是普通文件；路径相对于地点文件"}, bad.Problems[1].Text)

	require.NoError(t, os.WriteFile(filepath.Join(dir, "pics", "a.jpg"), []byte("x"), 0o600))
	require.NoError(t, os.WriteFile(path, []byte("id: a\nreferences:\n- {kind: logo, photo: pics/a.jpg}\n"), 0o600))
	s, err := LoadSite(path)
	require.NoError(t, err)
	require.Equal(t, pipeline.File(filepath.Join(dir, "pics", "a.jpg")), s.References[0].Media)

	_, err = LoadSite(filepath.Join(dir, "none.yaml"))
	require.ErrorIs(t, err, os.ErrNotExist)
	pipe := filepath.Join(dir, "pipe.yaml") // nobody writes to it: waiting would never end
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	_, err = LoadSite(pipe)
	require.ErrorIs(t, err, pipeline.ErrNotRegular)
	require.NoError(t, os.WriteFile(path, []byte(strings.Repeat("#", maxSiteBytes+1)), 0o600))
	_, err = LoadSite(path)
	require.ErrorAs(t, err, &bad)
	require.Equal(t, NotYAML, bad.Problems[0].Trouble)
}

func FuzzParseSite(f *testing.F) {
	f.Add([]byte(goodSite))
	f.Add([]byte("id: a\nreferences: [{kind: logo, photo: a.jpg, crop: [1, 2, 3, 4]}]\n"))
	f.Add([]byte("id: &a [*a]\n"))
	f.Add([]byte("? - x\n: y\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := ParseSite("fuzz", raw, anyPhoto)
		if err != nil {
			var bad *SiteError
			require.ErrorAs(t, err, &bad)
			require.NotEmpty(t, bad.Problems)
			require.Nil(t, s)
			return
		}
		require.NotEmpty(t, s.ID)
		for _, n := range s.SignNames {
			require.NotEmpty(t, key(n))
		}
		for _, r := range s.References {
			require.Contains(t, elementOf, r.Kind)
			require.NotNil(t, r.Media)
			require.False(t, !r.ValidTo.IsZero() && r.ValidTo.Before(r.ValidFrom))
		}
	})
}
