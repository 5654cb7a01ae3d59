package authenticity

import (
	"bytes"
	"strings"

	"onsite/pipeline/media"
)

// telling are the container tags that say who wrote a file; others may hold names or places and stay out of the verdict.
var telling = []string{"encoder", "creation_time", "major_brand", "handler_name", "com.apple.quicktime.make", "com.apple.quicktime.model", "com.apple.quicktime.software", "com.android.version", "software"}

// maxTag bounds a tag's text: it is an outside string.
const maxTag = 80

// facts collects what the container and the packets say. Nothing in it is a reason yet.
func facts(clip *media.Clip) map[string]any {
	out := map[string]any{}
	tags := map[string]string{}
	for _, k := range telling {
		if v := strings.TrimSpace(clip.Info.Tags[k]); v != "" {
			if len(v) > maxTag {
				v = strings.ToValidUTF8(v[:maxTag], "")
			}
			tags[k] = v
		}
	}
	if len(tags) > 0 {
		out["tags"] = tags
	}
	frames := clip.Motion.Frames
	if len(frames) > 1 {
		same := 0
		for i := 1; i < len(frames); i++ {
			if bytes.Equal(frames[i].Gray, frames[i-1].Gray) {
				same++
			}
		}
		out["duplicate_share"] = round(float64(same) / float64(len(frames)-1))
		covered := 0.0
		for _, w := range clip.Motion.Windows {
			covered += (w.To - w.From).Seconds()
		}
		out["covered_ms"] = ms(covered)
	}
	if p := clip.Packets; len(p) > 1 {
		keys := 0
		for _, k := range p {
			if k.Key {
				keys++
			}
		}
		out["packets"], out["key_packets"] = len(p), keys
	}
	return out
}
