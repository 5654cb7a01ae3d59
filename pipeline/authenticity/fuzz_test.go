package authenticity

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"onsite/pipeline"
	"onsite/pipeline/media"
	"onsite/pipeline/media/origin"
)

// Whatever stands in a file's tags, the check says something that JSON holds, bounded, and no place.
func FuzzTags(f *testing.F) {
	f.Add("encoder", "Lavf59.27.100", "com.apple.quicktime.creationdate", "2026-03-01T09:00:00+0800", "OBS Video Handler", "2026:03:01 09:00:00", "+08:00")
	f.Add("software", "İİİİİİİİİİ capcut", "location", "+31.2304+121.4737/", "\xff\xfe bandicam", "2026:13:41 99:00:00", "zone")
	f.Add("te_is_reencode", strings.Repeat("ſ", 300)+"premiere", "creation_time", "0000-00-00T00:00:00Z", "", "", "-99:99")
	f.Fuzz(func(t *testing.T, key, value, other, text, handler, taken, zone string) {
		for _, kind := range []media.Kind{media.Video, media.Photo} {
			clip := &media.Clip{Info: media.Info{
				Kind: kind, Width: 720, Height: 1280, Tags: map[string]string{key: value, other: text, "location": "secret place"},
				Origin: origin.Facts{Encoder: value, Tool: text, Tracks: []origin.Track{{Kind: "vide", Handler: handler, Compressor: text, Vendor: value}}, Photo: &origin.Photo{Software: handler, Source: value, Taken: taken, Zone: zone}},
			}}
			for i := range 10 {
				clip.Motion.W, clip.Motion.H = 16, 16
				clip.Motion.Frames = append(clip.Motion.Frames, media.MotionFrame{PTS: time.Duration(i) * 200 * time.Millisecond, Gray: make([]byte, 256)})
			}
			c := Check(clip, DefaultConfig())
			Clock(&c, &clip.Info, Said{Taken: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)})
			require.NotEqual(t, pipeline.Error, c.Outcome)
			raw, err := json.Marshal(c)
			require.NoError(t, err)
			require.NotContains(t, string(raw), "secret place")
			for _, finding := range c.Findings {
				for _, e := range finding.Evidence {
					if e.Kind == "fact" && finding.Code == pipeline.InjectedStream {
						require.True(t, utf8.ValidString(e.Read))
						require.LessOrEqual(t, len(e.Read), 80, "a part of the tag, not all of it")
					}
				}
			}
		}
	})
}
